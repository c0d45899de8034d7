//! The program: what it answers and how it ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

pub(crate) fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
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

pub(crate) fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn mistake(folder: &Path, arguments: &[&str]) -> String {
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
fn a_model_is_gone_on_from_drawn_and_asked_for_words_it_never_saw() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let short = ["--epochs", "1", "--dim", "8", "--threads", "1"];
    let model = ["--subwords", "--buckets", "500", "--model", "m.safetensors"];
    answer(at, &[&["skipgram"], &short[..], &model].concat());
    answer(at, &["skipgram", "--epochs", "1", "--resume", "m.safetensors", "-o", "again.bin"]);
    assert!(answer(at, &["info", "again.bin"]).contains("8 numbers"));
    let nearest = answer(at, &["nn", "elizabethan", "--vectors", "m.safetensors", "-k", "2"]);
    assert_eq!(nearest.lines().count(), 2, "{nearest}");
    assert!(mistake(at, &["nn", "elizabethan"]).contains("has no vector"));
    assert!(mistake(at, &["cbow", "--resume", "m.safetensors"]).contains("a model of SkipGram"));
    assert!(mistake(at, &["skipgram", "--resume", "again.bin"]).contains("again.bin: "));
    let map = ["map", "-n", "60", "--iterations", "20"];
    assert!(answer(at, &map).starts_with("map.svg: 60 words"));
    assert!(fs::read_to_string(at.join("map.svg")).unwrap().starts_with("<svg"));
    let few = ["map", "he", "she", "his", "--method", "pca", "--out", "few.png"];
    assert!(answer(at, &few).contains("of the variance"));
    answer(at, &["map", "-n", "5", "--projector", "tables"]);
    let rows = fs::read_to_string(at.join("tables/vectors.tsv")).unwrap();
    assert_eq!((rows.lines().count(), rows.lines().next().unwrap().split('\t').count()), (5, 8));
    assert!(mistake(at, &["map", "he"]).contains("two words or more"));
    assert!(mistake(at, &["map", "--perplexity", "600"]).contains("perplexity"));
    assert!(mistake(at, &["map", "--out", "map.gif"]).contains(".svg or .png"));
}

#[test]
fn phrases_are_joined_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(
        at.join("t.txt"),
        "we saw new york\nit is new\nthey like new york\nsaw it\n".repeat(5),
    )
    .unwrap();
    let arguments = ["phrases", "t.txt", "--threshold", "1.5", "-o", "joined.txt"];
    assert!(answer(at, &arguments).contains("new_york"));
    let joined = fs::read_to_string(at.join("joined.txt")).unwrap();
    assert!(joined.starts_with("we saw new_york\nit is new\n"), "{joined}");
    assert!(answer(at, &["phrases"]).contains("pairs belong together"));
    assert!(mistake(at, &["phrases", "none.txt"]).contains("none.txt"));
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
    // Blanks are characters too, but no file of vectors can hold them.
    let output =
        run(folder.path(), &[&arguments[..], &["--tokens", "characters"]].concat(), &input);
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
    fs::write(at.join("long"), format!("{} ", "a".repeat(70_000)).repeat(5)).unwrap();
    let rows: [(&[&str], &str); 12] = [
        (&["nn", "word"], "vectors.bin: no such file; learn vectors first: plies-text skipgram"),
        (&["skipgram", "away.txt"], "away.txt: No such file"),
        (&["skipgram", "binary"], "binary:1: has a byte 0"),
        (&["skipgram", "short"], "short: no word occurs 5 times or more; lower --min-count"),
        (&["skipgram", "short", "-o", "away/v"], "away/v: cannot be written"),
        (&["skipgram", "long"], "aaa\" is too long for this format; safetensors can hold it"),
        (&["skipgram", "--dim", "0"], "dim: is 0"),
        (&["skipgram", "--lr", "x"], "it takes a number"),
        (&["nn", "a", "--vectors", "short"], "short:1: has 0 numbers after the word"),
        (&["evaluate"], "required arguments"),
        (&["nn", "a", "-k", "0"], "it takes a whole number from 1 on"),
        (&["predict", "--line", "a", "-k", "0"], "it takes a whole number from 1 on"),
    ];
    for (arguments, message) in rows {
        let said = mistake(at, arguments);
        assert!(said.contains(message), "{said}");
    }
}

/// A program at work, and what it said on standard error up to a line with `until`.
#[cfg(unix)]
pub(crate) fn begun(
    at: &Path,
    arguments: &[&str],
    until: &str,
) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plies-text"));
    command.current_dir(at).args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(until) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended by itself");
    }
    (child, stderr)
}

#[cfg(unix)]
pub(crate) fn interrupt(child: &Child) {
    // Not SIGINT, which is ignored in whatever a shell has put into the background.
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

#[test]
#[cfg(unix)]
fn ctrl_c_while_vectors_are_learned_saves_them_and_writes_the_json() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments = ["skipgram", "--epochs", "100000", "--dim", "8", "--json", "r.json"];
    let (mut child, stderr) = begun(at, &arguments, "different ones occur");
    interrupt(&child);
    let last = stderr.lines().last().unwrap().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{last}");
    assert_eq!(last, "interrupted; what was learned is saved");
    let report = fs::read_to_string(at.join("r.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["interrupted"], &report["dim"]), (&true.into(), &8.into()));
    assert!(answer(at, &["info", "vectors.bin"]).contains("8 numbers"));
}

#[test]
#[cfg(unix)]
fn ctrl_c_while_a_network_learns_saves_the_best_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments =
        ["rnn", "--epochs", "100000", "--patience", "100000", "--hidden", "4", "--json", "r.json"];
    let (mut child, stderr) = begun(at, &arguments, "epoch   1");
    interrupt(&child);
    let last = stderr.lines().last().unwrap().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{last}");
    assert_eq!(last, "interrupted; the best epoch so far is saved in classifier.safetensors");
    let report = fs::read_to_string(at.join("r.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["interrupted"], &report["test"]["documents"]), (&true.into(), &600.into()));
    assert!(answer(at, &["predict", "--line", "good"]).contains("\t0."));
}

#[test]
#[cfg(unix)]
fn ctrl_c_before_there_is_something_to_save_leaves_the_old_file() {
    use std::os::unix::process::ExitStatusExt;

    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("old"), "old").unwrap();
    // Four gigabytes in four megabytes, which take a while to count.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&b"to be or not to be \n".repeat(50_000)).unwrap();
    fs::write(at.join("long.gz"), gzip.finish().unwrap().repeat(4_000)).unwrap();
    let (mut counts, mut stderr) = begun(at, &["skipgram", "long.gz", "-o", "old"], "");
    std::thread::sleep(std::time::Duration::from_millis(300));
    interrupt(&counts);
    assert_eq!(counts.wait().unwrap().signal(), Some(15));
    assert_eq!(stderr.read_line(&mut String::new()).unwrap(), 0);

    let arguments = ["supervised", "--method", "fasttext", "--epochs", "100000", "-o", "old"];
    let (mut tests, _stderr) = begun(at, &arguments, "documents");
    interrupt(&tests);
    assert_eq!(tests.wait().unwrap().signal(), Some(15));
    assert_eq!(fs::read(at.join("old")).unwrap(), b"old");
}
