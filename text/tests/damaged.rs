//! Whatever bytes a reader of texts is given, it answers or says what is wrong.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use plies_text::corpus::{CHUNK, Chunk, LONGEST_LINE, Source};
use plies_text::evaluate;
use plies_text::labelled::{Format, Labelled};
use plies_text::seq2seq::Pairs;
use plies_text::similarity::{Directions, Method};
use plies_text::vectors::WordVectors;
use proptest::prelude::*;
use proptest::sample::Index;

/// One text for each reader, which is mutated and given to all of them.
const TEXTS: [&[u8]; 7] = [
    b"__label__a __label__b one two\n__label__c three\n",
    b"label\ttext\na\tone two\nb\tthree\n",
    b"label,text\r\na,\"one, \"\"two\"\"\"\r\nb,\"three\nfour\"\r\n",
    "{\"label\": [\"a\", 3], \"text\": \"on\\u00e9 two é\"}\n{\"label\": null, \"text\": \"\"}\n"
        .as_bytes(),
    b": family\none two three four\none two four three\n",
    b"word1\tword2\tPOS\tSimLex999\none\ttwo\tA\t1.5\nthree\tfour\tN\t-2e3\n",
    "eins zwei\tone two\ndrei\tthrée\n".as_bytes(),
];

/// Bytes that mean something to one of the readers.
const TELLING: &[u8] = b"\n\r\t\",:{}[]\\\x00\xff\xc3\xef\xbb\xbf\x1f\x8b_#e-09";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An error names the text, so that one knows where to look.
fn check<T>(read: plies_text::Result<T>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("damaged"), "{said}");
            None
        }
    }
}

fn read_all(bytes: &[u8], directions: &Directions<'_>) {
    let text = Source::bytes("damaged", bytes);
    for source in [text.clone(), text.clone().lossy(true)] {
        if let Some(mut lines) = check(source.lines()) {
            while let Some(Some((_, line))) = check(lines.next()) {
                // Each byte that is none becomes a character of three.
                assert!(line.len() <= 3 * LONGEST_LINE);
            }
        }
        if let Some(mut chunks) = check(source.chunks()) {
            let mut chunk = Chunk::default();
            while check(chunks.next(&mut chunk)) == Some(true) {
                check(chunk.text(&source)).inspect(|text| assert!(text.len() <= 3 * CHUNK));
            }
        }
        let formats =
            [Format::FastText, Format::Tsv, Format::Csv, Format::JsonLines, Format::Lines];
        for format in formats {
            let Some(set) = check(Labelled::new(source.clone())) else { continue };
            for set in [set.clone().format(format), set.format(format).without_labels()] {
                let Some(mut documents) = check(set.documents()) else { continue };
                while let Some(Some(document)) = check(documents.next()) {
                    assert!(document.text.len() <= 3 * LONGEST_LINE);
                }
            }
        }
        for method in [Method::Add, Method::Mul] {
            check(evaluate::analogies(directions, &source, method, 10, true));
        }
        if let Some(found) = check(evaluate::similarity(directions, &source, false)) {
            assert!(found.spearman.abs() <= 1.0 + 1e-9, "{found:?}");
        }
        check(Pairs::read(&source)).inspect(|pairs| assert!(pairs.len() <= bytes.len() * 1000));
    }
}

#[test]
fn no_bytes_make_a_reader_of_texts_panic() {
    let rows = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, -1.0]];
    let words = ["one", "two", "three", "four"].into_iter().zip(rows.iter().map(|row| &row[..]));
    let vectors = WordVectors::new(2, words);
    let directions = Directions::new(&vectors);
    for text in TEXTS {
        read_all(text, &directions);
        read_all(&gzip(text), &directions);
    }
    let byte = prop_oneof![any::<u8>(), prop::sample::select(TELLING)];
    let changes = prop::collection::vec((any::<Index>(), byte, 0u8..3), 0..8);
    let cases = (prop::sample::select(&TEXTS[..]), changes, 0u8..3);
    proptest!(ProptestConfig::with_cases(400), |((text, changes, compressed) in cases)| {
        // Compressed after what is changed, before it, or not at all.
        let mut bytes = if compressed == 1 { gzip(text) } else { text.to_vec() };
        for (at, byte, how) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ => bytes.truncate(at.max(2)),
            }
        }
        if compressed == 2 {
            bytes = gzip(&bytes);
        }
        read_all(&bytes, &directions);
    });
}
