//! The program: what it answers and how it ends.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plies-text"));
    command.current_dir(folder).args(arguments).env_remove("CARGO");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that takes no input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn mistake(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments, "");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    stderr
}

#[test]
fn vectors_are_learned_shown_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let learned = answer(
        at,
        &["skipgram", "--epochs", "1", "--dim", "20", "--threads", "1", "--json", "r.json"],
    );
    assert!(learned.starts_with("vectors.bin: "), "{learned}");
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(at.join("r.json")).unwrap()).unwrap();
    assert_eq!(
        report["text_words"].as_u64().unwrap() + report["words_left_out"].as_u64().unwrap(),
        122_204
    );
    let nearest = answer(at, &["nn", "elizabeth", "-k", "3"]);
    assert_eq!(nearest.lines().count(), 3, "{nearest}");
    assert_eq!(answer(at, &["analogies", "he", "his", "she", "-k", "1"]).lines().count(), 1);
    assert!(answer(at, &["nn", "--odd", "his", "her", "their", "of"]).contains("  "));
    fs::write(at.join("q.txt"), ": pronouns\nhe his she her\n").unwrap();
    fs::write(at.join("p.tsv"), "he\tshe\t9\nhe\tof\t1\nshe\tto\t2\n").unwrap();
    let measured = answer(at, &["evaluate", "--analogies", "q.txt", "--pairs", "p.tsv"]);
    assert!(measured.contains("pronouns") && measured.contains("p.tsv"), "{measured}");
    assert!(answer(at, &["info", "vectors.bin"]).contains("20 numbers"));
    for line in [learned, nearest, measured].concat().lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn standard_input_is_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let input = "a b c d\n".repeat(20);
    let arguments = ["cbow", "-", "--format", "text", "-o", "v.txt", "--dim", "3", "--quiet"];
    let output = run(folder.path(), &arguments, &input);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = fs::read_to_string(folder.path().join("v.txt")).unwrap();
    assert!(written.starts_with("4 3\na "), "{written}");
}

#[test]
fn mistakes_are_one_line_and_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("binary"), b"a b\0c").unwrap();
    fs::write(at.join("short"), b"a b c").unwrap();
    let rows: [(&[&str], &str); 9] = [
        (&["nn", "word"], "vectors.bin: no such file; learn vectors first: plies-text skipgram"),
        (&["skipgram", "away.txt"], "away.txt: No such file"),
        (&["skipgram", "binary"], "binary:1: has a byte 0"),
        (&["skipgram", "short"], "short: no word occurs 5 times or more; lower --min-count"),
        (&["skipgram", "short", "-o", "away/v"], "away/v: cannot be written"),
        (&["skipgram", "--dim", "0"], "dim: is 0"),
        (&["skipgram", "--lr", "x"], "it takes a number"),
        (&["nn", "a", "--vectors", "short"], "short:1: has 0 numbers after the word"),
        (&["evaluate"], "required arguments"),
    ];
    for (arguments, message) in rows {
        let said = mistake(at, arguments);
        assert!(said.contains(message), "{said}");
    }
}
