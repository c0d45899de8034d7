//! `lm`, `generate`, `bpe`, `seq2seq` and `translate`: what they answer and how they end.

use std::fs;
use std::path::Path;

use crate::commands::{answer, mistake, run};

const SMALL: [&str; 10] =
    ["--hidden", "16", "--epochs", "1", "--batch", "4", "--steps", "16", "--quiet", "--embedding"];

fn lm(at: &Path, more: &[&str]) -> String {
    answer(at, &[&["lm", "rhyme.txt"], &SMALL[..], &["8"], more].concat())
}

fn rhyme(at: &Path) {
    let text = "This is the house that Jack built.\nThis is the malt that lay in it.\n";
    fs::write(at.join("rhyme.txt"), text.repeat(30)).unwrap();
}

#[test]
fn a_model_is_learned_and_writes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    rhyme(at);
    let learned = lm(at, &["--json", "r.json"]);
    assert!(learned.starts_with("gru ") && learned.contains("\n7-grams "), "{learned}");
    assert!(learned.lines().all(|line| line.chars().count() <= 80), "{learned}");
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(at.join("r.json")).unwrap()).unwrap();
    assert!(report["bits_per_character"].as_f64().unwrap() > 0.0);
    let write = |seed| answer(at, &["generate", "-p", "This", "-n", "20", "--seed", seed]);
    assert_eq!((write("1"), write("1").chars().count()), (write("1"), 4 + 20 + 1));
    assert_ne!(write("1"), write("2"));
    assert!(write("1").starts_with("This"));
    let object = answer(at, &["generate", "-n", "5", "--seed", "1", "--json", "-"]);
    let object: serde_json::Value = serde_json::from_str(&object).unwrap();
    assert_eq!(object["text"].as_str().unwrap().chars().count(), 5);
}

#[test]
fn pieces_of_words_are_learned_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    rhyme(at);
    let arguments =
        ["bpe", "rhyme.txt", "--vocabulary", "270", "--vocab", "v.json", "--line", "This is"];
    let learned = answer(at, &arguments);
    assert!(learned.starts_with("merges.txt: 270 tokens") && learned.contains("Ġis"), "{learned}");
    assert!(fs::read_to_string(at.join("merges.txt")).unwrap().starts_with("#version"));
    let numbers: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(at.join("v.json")).unwrap()).unwrap();
    assert_eq!(numbers.as_object().unwrap().len(), 270);
    let learned = lm(at, &["--unit", "bpe", "--merges", "merges.txt", "--tied", "--cell", "lstm"]);
    assert!(learned.starts_with("lstm "), "{learned}");
    assert!(answer(at, &["generate", "-n", "9"]).len() > 5);
}

#[test]
fn sequences_are_learned_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = ["--hidden", "16", "--epochs", "1", "--quiet"];
    let learned =
        answer(at, &[&["seq2seq", "--examples", "90", "--limit", "100"], &small[..]].concat());
    assert!(learned.starts_with("exact match ") && learned.contains(" of 4 answers"), "{learned}");
    for (file, beginning) in [("a.svg", &b"<svg "[..]), ("a.png", b"\x89PNG")] {
        let answered =
            answer(at, &["translate", "--line", "twenty two", "--attention", "--plot", file]);
        assert!(answered.contains("twenty"), "{answered}");
        assert!(fs::read(at.join(file)).unwrap().starts_with(beginning));
    }
    let output = run(at, &["translate"], "one\ntwo\n");
    assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 2);
    fs::write(at.join("pairs.tsv"), "the cat\tdie Katze\na hat\tein Hut\n".repeat(5)).unwrap();
    answer(at, &[&["seq2seq", "pairs.tsv", "--held-out", "0"], &small[..]].concat());
    answer(at, &["translate", "--line", "a cat"]);
}

#[test]
fn mistakes_are_one_line_and_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("short.txt"), "a").unwrap();
    fs::write(at.join("pairs.tsv"), "a\tb\nno tab\n").unwrap();
    let rows: [(&[&str], &str); 18] = [
        (&["lm", "away.txt"], "away.txt: No such file"),
        (&["lm", "short.txt"], "short.txt: has 1 tokens, which is too little to learn from"),
        (&["lm", "--hidden", "0"], "hidden: is 0; it may be 1 to 65536"),
        (&["lm", "--resume"], "--checkpoints"),
        (&["lm", "--held-out", "0.5"], "held out: is 0.5; it may be 0 to 0.4, and is taken twice"),
        (&["seq2seq", "--resume"], "--checkpoints"),
        // What is asked for is looked at before a file is.
        (&["lm", "away.txt", "--vocabulary", "1"], "vocabulary: is 1; it may be 2 or more"),
        (&["lm", "away.txt", "--merges", "away"], "--merges: is for --unit bpe"),
        (&["seq2seq", "away.tsv", "--vocabulary", "1"], "vocabulary: is 1; it may be 2 or more"),
        (&["generate", "-m", "away"], "away: no such file; learn a model first: plies-text lm"),
        (&["generate", "-m", "short.txt"], "short.txt: "),
        (&["generate", "--top-p", "2"], "top-p: is 2"),
        (&["translate", "--plot", "a.gif"], "a.gif: a figure ends in .svg or .png"),
        (&["seq2seq", "pairs.tsv"], "pairs.tsv:2: has no tab"),
        (&["seq2seq", "--dropout", "1"], "dropout: is 1; it may be 0 to below 1"),
        (&["lm", "--dropout", "1"], "dropout: is 1; it may be 0 to below 1"),
        (&["seq2seq", "--examples", "99999999999"], "99999999999 is not in 1..=10000000"),
        (&["bpe", "--vocabulary", "3"], "vocabulary: is 3; it may be 256 (the bytes) to 524288"),
    ];
    for (arguments, message) in rows {
        let said = mistake(at, arguments);
        assert!(said.contains(message), "{said}");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_saves_the_best_epoch_and_a_reader_may_go() {
    use std::io::{BufRead, Read};
    use std::process::{Command, Stdio};

    use crate::commands::{begun, interrupt};

    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    rhyme(at);
    let arguments = ["lm", "rhyme.txt", "--hidden", "16", "--epochs", "100000", "--batch", "4"];
    let arguments = [&arguments[..], &["--patience", "100000", "--dropout", "0"]].concat();
    let (mut child, stderr) = begun(at, &arguments, "epoch   2");
    interrupt(&child);
    let last = stderr.lines().last().unwrap().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{last}");
    assert_eq!(last, "interrupted; the best epoch so far is saved in lm.safetensors");

    let mut command = Command::new(env!("CARGO_BIN_EXE_plies-text"));
    command.current_dir(at).args(["generate", "-n", "100000000"]).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut beginning = [0; 20];
    child.stdout.take().unwrap().read_exact(&mut beginning).unwrap();
    // The pipe is closed by now.
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_file_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    rhyme(at);
    lm(at, &["--checkpoints", "c", "-o", "lm.st", "--tied"]);
    let small = ["--epochs", "1", "--hidden", "8", "--quiet"];
    answer(
        at,
        &[&["seq2seq", "--examples", "60", "--limit", "100", "-o", "s.st"], &small[..]].concat(),
    );
    answer(at, &["bpe", "rhyme.txt", "--vocabulary", "270", "--quiet"]);
    let labelled: String =
        (0..40).map(|i| format!("__label__{} word{} other\n", ["a", "b"][i % 2], i % 3)).collect();
    fs::write(at.join("l.txt"), labelled).unwrap();
    answer(at, &[&["rnn", "l.txt", "--dim", "8", "-o", "r.st"], &small[..]].concat());
    answer(at, &["supervised", "l.txt", "-o", "b.st", "--quiet"]);
    let other = ["rnn", "l.txt", "--dim", "8", "--checkpoints", "c", "--resume"];
    let said = mistake(at, &[&other[..], &small].concat());
    assert!(said.contains("another kind of model, plies-text language model 1, and"), "{said}");
    let newest = fs::read_dir(at.join("c")).unwrap().next().unwrap().unwrap().path();
    let rows: [(&str, &[&str]); 6] = [
        (
            "lm.st",
            &[
                "language model",
                "gru",
                "1 of 16 units",
                "8 numbers for each token, which are the output's weights, too",
                "characters",
                "weights    ",
            ],
        ),
        ("s.st", &["sequence to sequence", "8 of a GRU", "words", "characters", "weights    "]),
        ("r.st", &["network", "gru, in both directions", "1 of 8 units", "2: a, b", "weights    "]),
        ("b.st", &["linear classifier", "nb-svm", "1 to 2 words", "2: a, b", "weights    "]),
        ("merges.txt", &["byte-pair encoding", "270, 14 of them merged"]),
        (
            newest.to_str().unwrap(),
            &["checkpoint of a training", "plies-text language model 1", "epochs     1", "adam"],
        ),
    ];
    for (file, expected) in rows {
        let said = answer(at, &["info", file]);
        assert!(said.starts_with("model      "), "{said}");
        assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
        for words in expected {
            assert!(said.contains(words), "{file}: no {words:?} in\n{said}");
        }
    }
    let object = answer(at, &["info", "lm.st", "--json", "-"]);
    let object: serde_json::Value = serde_json::from_str(&object).unwrap();
    assert_eq!(
        (&object["kind"], &object["options"]["cell"]),
        (&"language model".into(), &"gru".into())
    );
    let mut bytes = fs::read(at.join("lm.st")).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(at.join("cut.st"), bytes).unwrap();
    assert!(mistake(at, &["info", "cut.st"]).starts_with("error: cut.st: "));
}
