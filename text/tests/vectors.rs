//! Files of word vectors: gensim's, ours, and broken ones.

use std::io::Cursor;
use std::path::Path;

use plies_text::similarity::{Directions, Method};
use plies_text::vectors::{Format, WordVectors};
use proptest::prelude::*;

const FORMATS: [Format; 5] =
    [Format::Text, Format::Binary, Format::Glove, Format::Safetensors, Format::Quantized];

fn golden(name: &str) -> WordVectors {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    WordVectors::load(folder.join(name)).unwrap()
}

fn written(vectors: &WordVectors, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    vectors.write(&mut bytes, format).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> plies_text::Result<(WordVectors, Format)> {
    WordVectors::read(&mut Cursor::new(bytes), "f")
}

fn words(vectors: &WordVectors) -> Vec<&str> {
    vectors.vocabulary().words().collect()
}

#[test]
fn gensim_s_files_are_read() {
    let (binary, text) = (golden("gensim.bin"), golden("gensim.txt"));
    assert_eq!(words(&binary), ["the", "naïve", "new_york", "日本", "42"]);
    assert_eq!((words(&text), text.dim()), (words(&binary), binary.dim()));
    assert_eq!(text.rows(), binary.rows());
    // numpy's default_rng(1).normal() begins so.
    assert!((binary.row(0)[0] - 0.345_584_18).abs() < 1e-7);
}

#[test]
fn gensim_s_binary_is_written_to_the_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let theirs = std::fs::read(folder.join("gensim.bin")).unwrap();
    let mut ours = written(&golden("gensim.bin"), Format::Binary);
    // word2vec.c ends a row with a line feed, gensim does not and takes both.
    for (number, word) in words(&golden("gensim.bin")).iter().enumerate() {
        let header = theirs.iter().position(|&b| b == b'\n').unwrap() + 1;
        let rows: usize = words(&golden("gensim.bin"))[..number].iter().map(|w| w.len() + 21).sum();
        let end = header + rows + word.len() + 21;
        assert_eq!(ours.remove(end), b'\n');
    }
    assert_eq!(ours, theirs);
}

#[test]
fn neighbours_and_analogies_are_gensim_s() {
    let vectors = golden("gensim.bin");
    let directions = Directions::new(&vectors);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let expected = std::fs::read_to_string(folder.join("neighbours.txt")).unwrap();
    let mut rows = expected.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let mut check = |name: &str, ours: &[(&str, f32)]| {
        for (word, score) in ours {
            let row = rows.next().unwrap();
            assert_eq!(row[..2], [name, word]);
            // gensim adds 10⁻⁶ to the divisor, and we what Levy and Goldberg add, 10⁻³.
            let tolerance = if name == "mul" { 1e-2 } else { 2e-6 };
            assert!((row[2].parse::<f32>().unwrap() - score).abs() < tolerance, "{row:?} {score}");
        }
    };
    for word in words(&vectors) {
        check(word, &directions.nearest(word, 2).unwrap());
    }
    let question = ["the", "naïve", "日本"];
    check("add", &directions.analogy(question, Method::Add, 1).unwrap());
    check("mul", &directions.analogy(question, Method::Mul, 1).unwrap());
    let odd = directions.odd_one_out(&words(&vectors)).unwrap().0;
    check("odd", &[(odd, 0.0)]);
}

#[test]
fn every_format_is_recognised_and_read_back() {
    let vectors = golden("gensim.bin");
    for format in FORMATS {
        let (back, found) = read(&written(&vectors, format)).unwrap();
        assert_eq!((found, words(&back), back.dim()), (format, words(&vectors), 5));
        let largest = vectors.rows().iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let tolerance = if format == Format::Quantized { 0.51 * largest / 127.0 } else { 0.0 };
        for (a, b) in back.rows().iter().zip(vectors.rows()) {
            assert!((a - b).abs() <= tolerance, "{format:?}: {a} {b}");
        }
    }
    // A word with a blank, one that is a number, one number a word, a file without an end of line.
    for (text, expected) in [
        ("2 1\nnew york 0.5\n7 1\n", vec!["new york", "7"]),
        ("a 1 2\nb 3 4", vec!["a", "b"]),
        ("a 1 2\na 3 4\n\n", vec!["a"]),
        ("2 2\r\na 1 2\r\nb 3 4\r\n", vec!["a", "b"]),
    ] {
        assert_eq!(words(&read(text.as_bytes()).unwrap().0), expected, "{text:?}");
    }
}

#[test]
fn mistakes_in_files_are_told_with_their_place() {
    let long_word = [b"1 2\n\xff".to_vec(), vec![b'a'; 70_000]].concat();
    let rows: [(&[u8], &str); 11] = [
        (b"", "f: has no word vectors"),
        (b"no vectors here\n", "f:1: has 0 numbers after the word"),
        (b"a 1 2\nb 1 nan\n", "f:2: has nan, which is no finite number"),
        (b"a 1 2\nb 1\n", "f:2: has 1 numbers after the word; expected a word and 2 numbers"),
        (b"2 2\na 1 2\nb x 1\n", "f:3: \"x\" is no number"),
        (b"3 2\na 1 2\nb 3 4\n", "f: has 2 words; its first line says 3"),
        (b"a 1 2\n\xff 1 2\n", "f:2: is not UTF-8"),
        (b"9999999999 50000\nab \x01\x02", "f: has 0 words; its first line says 9999999999"),
        (b"1 1\na \x00\x00\xc0\x7f", "f: row 1, \"a\": has NaN"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "f: is no safetensors file"),
        (&long_word, "f: word 1 is longer than 65536 bytes"),
    ];
    for (bytes, message) in rows {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}, not {message}");
    }
}

#[test]
fn words_that_a_format_cannot_hold_are_refused_and_others_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let long = "a".repeat(65_535);
    let with = |word| WordVectors::new(2, [("a", &[1.0, 2.0][..]), (word, &[3.0, 4.0])]);
    for format in FORMATS {
        let is_tensors = matches!(format, Format::Safetensors | Format::Quantized);
        with("b").save(&file, format).unwrap();
        for (word, message) in [
            ("\n", "the word \"\\n\" has a line feed"),
            ("new york", "the word \"new york\" has a blank"),
            ("\t", "the word \"\\t\" has a blank"),
            ("", "the word \"\" is empty"),
            (&long, "is too long"),
        ] {
            let saved = with(word).save(&file, format);
            let expected = if is_tensors && word != "\n" {
                saved.unwrap();
                word
            } else {
                let error = saved.unwrap_err().to_string();
                assert!(error.contains(message) && error.len() < 250, "{format:?}: {error}");
                "b"
            };
            assert_eq!(words(&WordVectors::load(&file).unwrap()), ["a", expected], "{format:?}");
            with("b").save(&file, format).unwrap();
        }
        let longest = &long[1..];
        with(longest).save(&file, format).unwrap();
        assert_eq!(words(&WordVectors::load(&file).unwrap()), ["a", longest], "{format:?}");
    }
}

#[test]
fn no_more_of_a_safetensors_file_is_read_than_its_header_says() {
    use std::io::{BufReader, Read};

    let bytes = written(&golden("gensim.bin"), Format::Safetensors);
    let endless = bytes.as_slice().chain(std::io::repeat(0).take(1 << 24));
    let mut stream = BufReader::new(endless);
    let error = WordVectors::read(&mut stream, "f").unwrap_err().to_string();
    assert!(error.starts_with("f: is no safetensors file"), "{error}");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 1 << 23, "{} bytes are left", rest.len());

    let header =
        br#"{"vectors":{"dtype":"I8","shape":[99999999999],"data_offsets":[0,99999999999]}}"#;
    let claim = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    let error = read(&claim).unwrap_err().to_string();
    assert!(error.starts_with("f: says that it has 1000000000"), "{error}");
}

#[test]
fn files_are_replaced_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v.bin");
    golden("gensim.bin").save(&file, Format::Binary).unwrap();
    assert_eq!(WordVectors::load(&file).unwrap().len(), 5);
    let error = golden("gensim.bin").save(folder.path(), Format::Text).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_bytes_make_a_reader_panic(
        which in 0..FORMATS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = written(&golden("gensim.bin"), FORMATS[which]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok((vectors, _)) = read(&bytes) {
            prop_assert!(vectors.rows().iter().all(|x| x.is_finite()));
            prop_assert_eq!(vectors.rows().len(), vectors.len() * vectors.dim());
        }
    }
}
