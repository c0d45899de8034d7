//! The commands about documents with labels: what they answer, and what they say about mistakes.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The program, in a folder, in an environment that says nothing.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plies-text"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for name in ["LANG", "LC_ALL", "TERM", "NO_COLOR", "CARGO"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What it says when all is well.
fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    let stdout = text(&output.stdout);
    let is_wide = |line: &&str| line.chars().count() > 80;
    assert!(stdout.lines().find(is_wide).is_none(), "{arguments:?}: {stdout}");
    stdout
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--quiet", "--json", "-"]].concat();
    let output = run(folder, &arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Its one line about bad input.
fn mistake(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

#[test]
fn a_classifier_is_trained_tested_and_used() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let said = answer(folder, &["supervised"]);
    assert!(said.starts_with("accuracy 8"), "{said}");
    let line = ["predict", "--line", "What a wonderful film!"];
    let answered = answer(folder, &line);
    assert!(answered.starts_with("1\t0.9"), "{answered}");
    let explained = answer(folder, &[&line[..], &["--explain"]].concat());
    assert!(explained.contains("wonderful(+"), "{explained}");
    fs::write(folder.join("new.txt"), "awful\n\nexcellent\n").unwrap();
    let lines = answer(folder, &["predict", "new.txt", "--only-labels"]);
    assert_eq!(lines.lines().count(), 3);
    assert!(lines.starts_with("0\n") && lines.ends_with("\n1\n"), "{lines}");
    fs::write(folder.join("test.tsv"), "0\tawful\n1\tgreat\n1\tlovely\nnew\tso so\n").unwrap();
    let tested = json(folder, &["test", "test.tsv"]);
    assert_eq!(tested["documents"], 4);
    assert!(tested["accuracy"].as_f64().unwrap() >= 0.5, "{tested}");
    let curve = json(folder, &["curve", "--methods", "nb,lr", "--seeds", "2"]);
    let points = curve["methods"][0]["points"].as_array().unwrap();
    let accuracy = |point: &Value| point["mean"].as_f64().unwrap();
    assert!(points.len() == 4 && accuracy(&points[0]) < accuracy(&points[3]), "{curve}");
}

#[test]
#[cfg(unix)]
fn a_model_is_saved_though_nobody_reads_what_is_said() {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_plies-text"));
    command.current_dir(&folder).args(["supervised", "--method", "nb"]).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(folder.path().join("classifier.safetensors").exists());
}

#[test]
fn each_method_and_setting_can_be_asked_for() {
    let folder = TempDir::new().unwrap();
    let rows =
        ["one two", "two three", "five six"].map(|text| format!("{{\"t\":\"{text}\",\"y\":1}}\n"));
    let other = "{\"t\":\"seven\",\"y\":[2]}\n".repeat(3);
    fs::write(folder.path().join("f.jsonl"), rows.concat() + &other).unwrap();
    for method in ["nb", "nb-svm", "lr", "svm", "fasttext"] {
        let found = json(
            folder.path(),
            &[
                "supervised",
                "f.jsonl",
                "--label",
                "y",
                "--text",
                "t",
                "--method",
                method,
                "--words",
                "1",
                "--characters",
                "2-3",
                "--bits",
                "16",
                "--tokens",
                "words",
                "--test",
                "f.jsonl",
            ],
        );
        assert_eq!((&found["documents"], &found["test"]["accuracy"]), (&6.into(), &1.0.into()));
    }
}

#[test]
fn mistakes_are_one_line_and_change_nothing() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("one.tsv"), "a\tx\na\ty\n").unwrap();
    fs::write(folder.join("wide.csv"), "1,2,3\n").unwrap();
    fs::write(folder.join("broken.tsv"), b"a\tx\nb\t\xff\n").unwrap();
    let rows: [(&[&str], &str); 21] = [
        (
            &["predict", "--line", "x"],
            "error: classifier.safetensors: no such file; train a classifier",
        ),
        (&["supervised", "one.tsv"], "error: one.tsv: all 2 documents have the label \"a\""),
        (&["supervised", "wide.csv"], "error: wide.csv:1: 3 columns (1, 2, 3); say which"),
        (
            &["supervised", "wide.csv", "--label", "x"],
            "error: wide.csv:1: no column is called \"x\"",
        ),
        (&["supervised", "broken.tsv"], "error: broken.tsv:2: byte 3 of the line (0xff)"),
        // What is asked for is looked at before a file is.
        (&["supervised", "away", "--cost", "0"], "error: cost: 0; it takes a number above 0"),
        (
            &["supervised", "-q", "--method", "fasttext", "--lr", "1e30"],
            "error: training: diverged: weights are no finite numbers; lower the learning rate",
        ),
        (&["supervised", "away", "--words", "9"], "error: word n-grams: 9; at most 8"),
        (&["curve", "away", "--cost", "0"], "error: cost: 0; it takes a number above 0"),
        (
            &["curve", "away", "--methods", "gru", "--max-words", "0"],
            "error: words of a text: 0; at least one",
        ),
        (&["curve", "away", "--sizes", "9"], "error: invalid value '9' for '--sizes <LIST>'"),
        (&["supervised", "-o", "no/where"], "error: no/where: cannot be written"),
        (&["test", "one.tsv", "--model", "one.tsv"], "error: one.tsv: "),
        (&["rnn", "one.tsv"], "error: one.tsv: all 2 documents have the label \"a\""),
        (&["rnn", "--vectors", "wide.csv"], "error: wide.csv:"),
        (&["rnn", "--dropout", "9"], "error: dropout: 9; it takes a number from 0 to below 1"),
        (
            &["curve", "--clip", "0", "--methods", "gru"],
            "error: clip: 0; it takes a number above 0",
        ),
        (&["rnn", "--resume"], "error: "),
        (&["rnn", "--hidden", "0"], "error: invalid value '0' for '--hidden <N>': 0 is not in"),
        (&["curve", "--methods", "nb,lda"], "error: invalid value 'lda' for '--methods <LIST>'"),
        (&["curve", "--plot", "c.gif"], "error: c.gif: a figure ends in .svg or .png"),
    ];
    for (arguments, expected) in rows {
        let said = mistake(folder, arguments);
        assert!(said.starts_with(expected), "{said}");
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), 3);
}

#[test]
fn a_network_is_trained_tested_and_used_like_a_linear_model() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let line = |i: usize| match i % 2 {
        0 => format!("1\tone before two {}\n", i % 7),
        _ => format!("2\ttwo before one {}\n", i % 5),
    };
    fs::write(folder.join("f.tsv"), (0..200).map(line).collect::<String>()).unwrap();
    let small = ["--dim", "8", "--hidden", "8", "--lr", "0.02", "--epochs", "8"];
    for encoder in ["gru", "cnn"] {
        let call = [&["rnn", "f.tsv", "--encoder", encoder], &small[..]].concat();
        let found = json(folder, &call);
        assert_eq!((&found["documents"], &found["test"]["documents"]), (&160.into(), &40.into()));
        assert_eq!(found["test"]["accuracy"], 1.0, "{encoder}");
        let p = answer(folder, &["predict", "--line", "one before two", "--explain"]);
        assert!(p.starts_with("1\t") && p.contains('('), "{p}");
        assert_eq!(json(folder, &["test", "f.tsv"])["method"], encoder);
    }
    let saved = ["--checkpoints", "c", "--resume", "-o", "same"];
    let said = answer(folder, &[&["rnn", "f.tsv"], &small[..], &saved].concat());
    let again = answer(folder, &[&["rnn", "f.tsv"], &small[..], &saved].concat());
    let first = |said: &str| said.lines().next().unwrap_or_default().to_owned();
    assert_eq!(first(&said), first(&again));
    let said = answer(folder, &[&["rnn", "f.tsv"], &small[..]].concat());
    assert!(said.contains("accuracy 100.00 %") && said.contains("saved in"), "{said}");
    // Words of one kind, before and after: a bag of words cannot do better than chance.
    let call = ["curve", "f.tsv", "--methods", "nb,gru", "--words", "1", "--sizes", "50,160"];
    let call = [&call[..], &small[..], &["--seeds", "1", "--plot", "c.svg"]].concat();
    let curve = json(folder, &call);
    let last = |method: usize| curve["methods"][method]["points"][1]["mean"].as_f64().unwrap();
    assert!(last(1) > 0.9 && last(0) < 0.8, "{curve}");
    assert!(fs::read_to_string(folder.join("c.svg")).unwrap().contains("labelled documents"));
}
