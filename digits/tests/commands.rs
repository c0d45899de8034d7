//! The program itself: what it answers, how it ends, and what it leaves alone.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};
#[cfg(unix)]
use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStderr},
};

use plies_console::duration;
use plies_digits::{
    effects::{EFFECTS, Found, Mean, Observed, Verdict},
    embedded,
    idx::Examples,
    preprocess,
    recipes::LADDER,
    results::{Measured, Results, Summary},
};
use serde_json::Value;
use tempfile::TempDir;

/// The program, in a folder, in an environment that says nothing.
fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plies-digits"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for name in ["LANG", "LC_ALL", "LC_CTYPE", "TERM", "NO_COLOR", "CARGO"] {
        command.env_remove(name);
    }
    // Mesa's choice among devices complains to standard error where there is no desktop.
    command.env("NODEVICE_SELECT", "1");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    program(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What it says when all is well.
fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--quiet", "--json", "-"]].concat();
    let output = run(folder, &arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "{arguments:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Its one line about bad input.
fn mistake(folder: &Path, arguments: &[&str]) -> String {
    mistake_of(&run(folder, arguments), arguments)
}

fn mistake_of(output: &Output, what: &[&str]) -> String {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{what:?}: {stderr}");
    assert_eq!(text(&output.stdout), "", "{what:?}");
    let line = stderr.strip_suffix('\n').unwrap_or_default();
    assert!(line.starts_with("error: ") && !line.contains('\n'), "{what:?}: {stderr}");
    line.to_owned()
}

fn idx(magic: u8, dims: &[usize], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, magic];
    for &dim in dims {
        bytes.extend((dim as u32).to_be_bytes());
    }
    bytes.extend(values);
    bytes
}

fn write_set(folder: &Path, name: &str, examples: &Examples) {
    let count = examples.len();
    let images = idx(3, &[count, 28, 28], &examples.pixels);
    fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
    let labels = idx(1, &[count], &examples.labels);
    fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
}

/// A folder with a small piece of MNIST in `data`.
fn folder() -> TempDir {
    static SMALL: OnceLock<[Examples; 2]> = OnceLock::new();
    let [train, test] = SMALL.get_or_init(|| {
        let (mut train, mut test) = (embedded::train(), embedded::test());
        train.truncate(1000);
        test.truncate(300);
        [train, test]
    });
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    write_set(&data, "train", train);
    write_set(&data, "t10k", test);
    folder
}

const SMALL: [&str; 9] =
    ["train", "--data", "data", "--hidden", "32", "--epochs", "3", "--batch-size", "50"];

fn train(folder: &Path, more: &[&str]) -> Value {
    json(folder, &[&SMALL[..], more].concat())
}

/// A folder with a small network in it under the default name.
fn trained() -> TempDir {
    let folder = folder();
    train(folder.path(), &[]);
    folder
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A test digit on a larger, light sheet as a PNG file.
fn png(index: usize) -> Vec<u8> {
    let digit = preprocess::picture(embedded::test().image(index));
    let large = image::imageops::resize(&digit, 140, 140, image::imageops::FilterType::Triangle);
    let sheet = image::GrayImage::from_fn(300, 200, |x, y| {
        let ink = if (30..170).contains(&x) && (40..180).contains(&y) {
            large.get_pixel(x - 30, y - 40)[0]
        } else {
            0
        };
        image::Luma([240 - ink / 255 * 200 - (ink % 255) / 4 * 3])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    sheet.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn training_reports_saves_and_evaluates_alike() {
    let folder = folder();
    let at = folder.path();
    let report = train(at, &["--seed", "7", "--threads", "2"]);
    assert_eq!(report["command"], "train");
    assert_eq!(report["model"], "784-32-10 relu");
    assert_eq!(report["parameters"], 784 * 32 + 32 + 320 + 10);
    assert_eq!(report["checkpoint"], "plies-digits.safetensors");
    assert_eq!(report["data"], "data");
    assert_eq!((&report["seed"], &report["threads"]), (&7.into(), &2.into()));
    assert_eq!((&report["epochs"], &report["train_examples"]), (&3.into(), &1000.into()));
    let error = report["test_error"].as_f64().unwrap();
    assert!(error < 0.5, "{error}");
    assert_eq!(error, report["test_errors"].as_f64().unwrap() / 300.0);
    let [low, high] = [0, 1].map(|i| report["test_error_interval"][i].as_f64().unwrap());
    assert!(low < error && error < high);
    assert!(report["train_seconds"].as_f64().unwrap() > 0.0);
    assert!(report["examples_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(files(at), ["data", "plies-digits.safetensors"]);

    let again = json(at, &["evaluate", "--data", "data"]);
    for key in ["test_error", "test_loss", "confusion", "model", "seed", "epochs"] {
        assert_eq!(again[key], report[key], "{key}");
    }
    let shown = answer(at, &["evaluate", "--data", "data", "--misread", "4"]);
    assert!(shown.starts_with("test error ") && shown.contains("95 % interval"), "{shown}");
    assert!(shown.contains("true\\read") && shown.matches(", read ").count() == 4, "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(shown.is_ascii(), "an environment that says nothing gets ASCII");
}

#[test]
fn one_seed_gives_one_network_on_any_number_of_threads() {
    let folder = folder();
    let at = folder.path();
    let network = |file: &str, more: &[&str]| {
        // Dropout, deformations, penalties and batches that differ in size are in it too.
        let settings = ["--dropout", "0.2", "--hidden", "300,40", "--batch-size", "128"];
        let remedies = ["--rotate", "10", "--scale", "0.1", "--l1", "1e-6", "--max-norm", "1.5"];
        let arguments = ["train", "--data", "data", "--epochs", "2", "--out", file];
        json(at, &[&arguments[..], &settings, &remedies, more].concat());
        fs::read(at.join(file)).unwrap()
    };
    let one = network("one", &["--seed", "3", "--threads", "1"]);
    assert!(one == network("two", &["--seed", "3", "--threads", "2"]), "2 threads differ");
    assert!(one == network("again", &["--seed", "3", "--threads", "1"]), "two runs differ");
    assert!(one != network("other", &["--seed", "4", "--threads", "1"]), "seeds don't matter");
}

#[test]
fn without_a_command_it_trains() {
    let folder = folder();
    let report = json(folder.path(), &["--data", "data", "--epochs", "1", "--hidden", "none"]);
    assert_eq!((&report["command"], &report["model"]), (&"train".into(), &"784-10 relu".into()));
}

#[test]
fn the_embedded_data_are_used_when_no_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--limit", "500", "--hidden", "16", "--epochs", "1"];
    let report = json(folder.path(), &arguments);
    assert_eq!((&report["data"], &report["train_examples"]), (&"MNIST".into(), &500.into()));
    assert_eq!(report["test_examples"], 10_000);
}

#[test]
fn the_report_is_drawn_and_says_what_to_try_next() {
    let folder = folder();
    let arguments = [&SMALL[..], &["--json", "report.json"]].concat();
    let mut command = program(folder.path(), &arguments);
    let output = command.env("LANG", "en_US.UTF-8").output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stdout.contains("What to try next:\n  plies-digits predict PICTURE.png"), "{stdout}");
    assert!(stdout.contains('▀') && !stdout.contains('\x1b'), "{stdout}");
    assert!(stderr.contains("epoch  3/3  loss ") && !stderr.contains('\x1b'), "{stderr}");
    let narrow = |text: &str| text.lines().all(|line| line.chars().count() <= 80);
    assert!(narrow(&stdout) && narrow(&stderr), "{stdout}{stderr}");
    let report: Value =
        serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert!(report["test_error"].is_f64());
}

#[test]
fn quiet_leaves_the_result() {
    let folder = trained();
    let output = run(folder.path(), &["evaluate", "--data", "data", "--quiet"]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout).lines().count(), 1);
}

#[test]
fn the_best_epoch_on_held_out_examples_is_kept() {
    let folder = folder();
    let report = train(folder.path(), &["--validation", "200"]);
    assert_eq!(report["train_examples"], 800);
    assert_eq!(report["validation_examples"], 200);
    assert!(report["validation_error"].as_f64().unwrap() < 0.6);
    assert!(report["best_epoch"].as_u64().unwrap() <= 3);
}

#[test]
fn pictures_are_read_from_files_and_standard_input() {
    let folder = folder();
    let at = folder.path();
    json(at, &["--data", "data", "--epochs", "20", "--hidden", "64"]);
    for index in 0..3 {
        fs::write(at.join(format!("{index}.png")), png(index)).unwrap();
    }
    // The first test digits are 7, 2, 1.
    let report = json(at, &["predict", "0.png", "1.png", "2.png"]);
    let predictions = report["predictions"].as_array().unwrap();
    let digits: Vec<u64> = predictions.iter().map(|p| p["digit"].as_u64().unwrap()).collect();
    assert_eq!(digits, [7, 2, 1]);
    let sum: f64 = predictions[0]["probabilities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p.as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-5);
    assert_eq!(answer(at, &["predict", "-q", "0.png", "2.png"]), "0.png: 7\n2.png: 1\n");
    for arguments in [&["predict", "-q", "-"][..], &["predict", "-q"]] {
        let mut command = program(at, arguments);
        command.stdin(fs::File::open(at.join("1.png")).unwrap());
        assert_eq!(text(&command.output().unwrap().stdout), "standard input: 2\n");
    }
    let shown = answer(at, &["predict", "0.png"]);
    assert!(shown.starts_with("0.png: 7 (") && shown.contains("as the network sees it"), "{shown}");
    for class in 0..10 {
        assert!(shown.lines().any(|line| line.starts_with(&format!("  {class}  "))), "{shown}");
    }
}

#[test]
fn bad_pictures_are_named() {
    let folder = trained();
    let at = folder.path();
    fs::write(at.join("text.png"), "this is no picture").unwrap();
    fs::write(at.join("empty.png"), "").unwrap();
    fs::write(at.join("cut.png"), &png(0)[..150]).unwrap();
    let mut blank = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_pixel(40, 40, image::Luma([255]))
        .write_to(&mut blank, image::ImageFormat::Png)
        .unwrap();
    fs::write(at.join("blank.png"), blank.into_inner()).unwrap();
    fs::write(at.join("good.png"), png(0)).unwrap();
    let rows = [
        ("text.png", "is no picture that can be read; PNG and JPEG can"),
        ("empty.png", "is empty"),
        ("cut.png", "is a damaged picture"),
        ("blank.png", "shows no digit: the picture is blank"),
        ("nowhere.png", "No such file"),
        ("data", "is a folder, not a picture"),
    ];
    for (file, reason) in rows {
        let line = mistake(at, &["predict", file]);
        assert!(line.starts_with(&format!("error: {file}: ")) && line.contains(reason), "{line}");
        // A script gets all of its answers or none.
        mistake(at, &["predict", "good.png", file, "--json", "-"]);
    }
    // A reader gets those that there are.
    let output = run(at, &["predict", "-q", "text.png", "good.png", "empty.png"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).starts_with("good.png: "));
    let stderr = text(&output.stderr);
    let complaints: Vec<&str> = stderr.lines().collect();
    assert!(complaints[0].starts_with("error: text.png: "), "{complaints:?}");
    assert!(complaints[1].starts_with("error: empty.png: ") && complaints.len() == 2);
    // Standard input is empty here.
    let line = mistake(at, &["predict", "-"]);
    assert!(line.starts_with("error: standard input: is empty"), "{line}");
    assert!(mistake(at, &["predict", "-", "-"]).contains("named twice"));
}

#[test]
fn bad_idx_files_are_named_and_nothing_is_overwritten() {
    let folder = trained();
    let at = folder.path();
    let before = fs::read(at.join("plies-digits.safetensors")).unwrap();
    let images = fs::read(at.join("data/train-images-idx3-ubyte")).unwrap();
    let labels = fs::read(at.join("data/train-labels-idx1-ubyte")).unwrap();
    let mut wrong_label = labels.clone();
    wrong_label[8 + 5] = 77;
    let mut magic = images.clone();
    magic[3] = 9;
    type Change<'a> = (&'a str, Option<&'a [u8]>, &'a str);
    let rows: [Change<'_>; 8] = [
        ("train-images-idx3-ubyte", None, "holds no train-images-idx3-ubyte"),
        ("train-images-idx3-ubyte", Some(&labels), "are the two files swapped?"),
        ("train-labels-idx1-ubyte", Some(&images), "are the two files swapped?"),
        ("train-images-idx3-ubyte", Some(&images[..5000]), "is cut short"),
        ("train-images-idx3-ubyte", Some(&magic), "its magic is 0x00000809"),
        ("train-labels-idx1-ubyte", Some(&wrong_label), "label 77 at index 5"),
        ("train-labels-idx1-ubyte", Some(&idx(1, &[3], &[1, 2, 3])), "holds 3 labels, but"),
        ("t10k-images-idx3-ubyte", Some(b""), "ends within its header"),
    ];
    for (file, bytes, reason) in rows {
        let path = at.join("data").join(file);
        let whole = fs::read(&path).unwrap();
        match bytes {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        let line = mistake(at, &SMALL);
        assert!(line.contains(reason), "{line:?} lacks {reason:?}");
        assert!(bytes.is_none() || line.contains(&format!("data/{file}: ")), "{line}");
        assert!(mistake(at, &["evaluate", "--data", "data"]).contains(reason));
        fs::write(&path, whole).unwrap();
    }
    assert!(mistake(at, &["--data", "nowhere"]).contains("nowhere: No such file"));
    assert!(mistake(at, &["--data", "plies-digits.safetensors"]).contains("is not a folder"));
    assert!(before == fs::read(at.join("plies-digits.safetensors")).unwrap());
    assert_eq!(files(at), ["data", "plies-digits.safetensors"]);
}

#[test]
fn other_checkpoints_are_refused_by_name() {
    let folder = trained();
    let at = folder.path();
    let network = fs::read(at.join("plies-digits.safetensors")).unwrap();
    fs::write(at.join("cut"), &network[..network.len() / 2]).unwrap();
    fs::write(at.join("text"), "a text").unwrap();
    let mut other = plies_nn::Checkpoint::new();
    other.insert("embedding.weight", plies_tensor::Tensor::from([[1f32, 2.0]]));
    other.save(&at.join("other")).unwrap();
    let rows = [
        ("cut", "the file is cut short: "),
        ("text", "not a safetensors file"),
        ("other", "is not a network of plies-digits: it holds 1 tensors (embedding.weight"),
        ("nowhere", "no such file; train a network first"),
        ("data", "is not a regular file"),
    ];
    for (file, reason) in rows {
        for command in [
            &["evaluate", "--data", "data", "--model"][..],
            &["info", "--model"],
            &["predict", "x.png", "--model"],
            &["train", "--data", "data", "--resume"],
        ] {
            let line = mistake(at, &[command, &[file]].concat());
            assert!(line.starts_with(&format!("error: {file}: ")), "{line}");
            assert!(line.contains(reason), "{line:?} lacks {reason:?}");
        }
    }
    let resume = ["--data", "data", "--resume", "plies-digits.safetensors"];
    let line = mistake(at, &[&resume[..], &["--hidden", "33"]].concat());
    assert!(line.ends_with("holds the network 784-32-10 relu, not 784-33-10 relu"), "{line}");
    let line = mistake(at, &resume);
    assert!(line.contains("has 3 epochs behind it; ask for more"), "{line}");
    assert!(network == fs::read(at.join("plies-digits.safetensors")).unwrap());
}

#[test]
fn settings_out_of_range_are_one_line() {
    let folder = folder();
    let at = folder.path();
    let rows = [
        (&["--epochs", "0"][..], "0 epochs"),
        (&["--epochs", "many"], "'many' for '--epochs <N>': it takes a whole number"),
        (&["--epochs", "-3"], "'-3' for '--epochs <N>': it takes a whole number"),
        (&["--epochs", "99999999999999999999"], "it is too large"),
        (&["train", "--seed", "-3"], "'-3' for '--seed <N>': it takes a whole number"),
        (&["--misread", "-1"], "'-1' for '--misread <N>': it takes a whole number"),
        (&["--lr", "-1"], "a learning rate of -1 is not above 0"),
        (&["--lr", "small"], "'small' for '--lr <RATE>': it takes a number, such as 0.001"),
        (&["--dropout", "-0.5"], "dropout -0.5 is not a share"),
        (&["--hidden", "-5"], "'-5' for '--hidden <SIZES>': sizes are whole numbers"),
        (&["--lr", "nan"], "NaN"),
        (&["--hidden", "12,x"], "12,x"),
        (&["--hidden", "0"], "0 units"),
        (&["--activation", "rulu"], "known are identity, relu"),
        (&["--dropout", "1"], "dropout 1"),
        (&["--rotate", "200"], "rotate 200 is not in 0 to 180"),
        (&["--l2", "-1"], "l2 -1 is not in 0 to 1"),
        (&["--threads", "0"], "it takes a whole number from 1 to 1024"),
        (&["--threads", "-1"], "it takes a whole number from 1 to 1024"),
        (&["--batch-size", "0"], "batch of 0"),
        (&["--data", "data", "--validation", "1000"], "leaves nothing of 1,000"),
        (&["--json", "nowhere/x.json"], "nowhere/x.json: cannot be written"),
        (&["--json", "data"], "data: is a folder"),
        (&["--out", "nowhere/x"], "nowhere/x: cannot be written"),
        (&["--out", "data"], "data: is a folder"),
        (&["--out", "-"], "a network goes to a file, not to standard output"),
        (&["--out", "x", "--json", "x"], "x: is the file of both"),
        (&["--device", "nothing"], "nothing"),
        (&["--colour"], "'--colour'"),
        (&["learn"], "'learn'"),
    ];
    for (arguments, part) in rows {
        let line = mistake(at, arguments);
        assert!(line.contains(part), "{line:?} lacks {part:?}");
    }
    assert_eq!(files(at), ["data"]);
}

#[test]
fn a_training_that_diverges_is_not_saved() {
    let folder = trained();
    let at = folder.path();
    let before = fs::read(at.join("plies-digits.safetensors")).unwrap();
    // The first step moves each weight by the learning rate: (64 * 100)^12 is beyond all floats.
    let layers = ["64"; 12].join(",");
    let deep = ["--lr", "100", "--activation", "identity", "--hidden", &layers, "--quiet"];
    let arguments = ["train", "--data", "data", "--epochs", "2"];
    let line = mistake(at, &[&arguments[..], &deep].concat());
    assert!(line.contains("diverged in epoch 1, where"), "{line}");
    assert!(before == fs::read(at.join("plies-digits.safetensors")).unwrap());
}

#[test]
fn help_shows_every_option_with_examples() {
    let folder = folder();
    let help = answer(folder.path(), &["--help"]);
    for part in ["Examples:", "train", "evaluate", "predict", "info", "Exit status"] {
        assert!(help.contains(part), "{help}");
    }
    for command in ["train", "evaluate", "predict", "caption", "add", "info"] {
        let help = answer(folder.path(), &[command, "--help"]);
        for part in ["Examples:", "--seed", "--threads", "--json", "--quiet"] {
            assert!(help.contains(part), "{command}: {help}");
        }
    }
    assert!(answer(folder.path(), &["--version"]).starts_with("plies-digits "));
}

#[test]
fn info_tells_what_is_there() {
    let folder = trained();
    let report = json(folder.path(), &["info"]);
    assert_eq!(report["embedded"]["test_examples"], 10_000);
    assert_eq!(report["model"], "784-32-10 relu");
    assert_eq!(report["settings"]["activation"], "relu");
    assert_eq!(report["epochs"], 3);
    let shown = answer(folder.path(), &["info"]);
    assert!(shown.contains("layers.0.weight") && shown.contains("[32, 784]"), "{shown}");
    let empty = tempfile::tempdir().unwrap();
    assert!(answer(empty.path(), &["info"]).contains("none; there is no plies-digits.safetensors"));
}

/// A full disk, by a limit on the length of files: the write fails in the middle.
#[test]
#[cfg(unix)]
fn a_full_disk_leaves_the_old_network() {
    let folder = trained();
    let at = folder.path();
    let before = fs::read(at.join("plies-digits.safetensors")).unwrap();
    let script = "trap '' XFSZ; ulimit -f 20; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.current_dir(at).args(["-c", script, env!("CARGO_BIN_EXE_plies-digits")]);
    let output = command.args(SMALL).args(["--seed", "5", "--json", "result"]).output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let reason = "plies-digits.safetensors: cannot be written (File too large (os error 27))";
    let again = format!("{reason}; training goes on and tries again");
    assert_eq!(stderr.lines().filter(|line| **line == again).count(), 1, "{stderr}");
    assert!(stderr.contains("epoch  3/3"), "{stderr}");
    assert!(stderr.ends_with(&format!("\nerror: {reason}\n")), "{stderr}");
    // What was learned about the network is not lost with it.
    assert!(stdout.contains("\ntest error ") && !stdout.contains("saved in"), "{stdout}");
    let result: Value = serde_json::from_slice(&fs::read(at.join("result")).unwrap()).unwrap();
    assert!(result["checkpoint"].is_null() && result["test_error"].is_f64(), "{result}");
    fs::remove_file(at.join("result")).unwrap();
    assert!(before == fs::read(at.join("plies-digits.safetensors")).unwrap());
    assert_eq!(files(at), ["data", "plies-digits.safetensors"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_device_is_written_to_but_never_replaced() {
    let folder = trained();
    let at = folder.path();
    let evaluate = ["evaluate", "--data", "data", "--quiet"];
    let to_full = [&evaluate[..], &["--json", "/dev/full"]].concat();
    let output = run(at, &to_full);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("/dev/full: cannot be written (No space left on device"), "{stderr}");
    let line = mistake(at, &[&SMALL[..], &["--out", "/dev/full"]].concat());
    assert!(line.contains("/dev/full: is not a regular file"), "{line}");
    // Standard output by another name, as a pipe and as a file; here the link is our own, so that
    // a mistake would replace nothing but that.
    std::os::unix::fs::symlink("/proc/self/fd/1", at.join("stdout")).unwrap();
    let to_stdout = [&evaluate[..], &["--json", "stdout"]].concat();
    let piped = answer(at, &to_stdout);
    assert!(piped.starts_with("test error ") && piped.ends_with("}\n"), "{piped}");
    let mut redirected = program(at, &to_stdout);
    let file = fs::File::create(at.join("file")).unwrap();
    assert!(redirected.stdout(file).status().unwrap().success());
    let redirected = fs::read_to_string(at.join("file")).unwrap();
    assert!(redirected.starts_with("test error ") && redirected.ends_with("}\n"), "{redirected}");
    assert!(fs::symlink_metadata(at.join("stdout")).unwrap().is_symlink());
    assert!(mistake(at, &[&SMALL[..], &["--out", "stdout"]].concat()).contains("not a regular"));
    let mut full = program(at, &evaluate);
    let full = full.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let output = full.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("error: standard output: No space left"));
}

#[test]
#[cfg(unix)]
fn a_reader_that_goes_away_is_no_mistake() {
    let folder = trained();
    let script = "\"$0\" evaluate --data data 2>stderr | true";
    let mut command = Command::new("sh");
    command.current_dir(folder.path()).args(["-c", script, env!("CARGO_BIN_EXE_plies-digits")]);
    assert!(command.status().unwrap().success());
    let stderr = fs::read_to_string(folder.path().join("stderr")).unwrap();
    assert!(!stderr.contains("panicked") && !stderr.contains("error"), "{stderr}");
}

/// A training of very many epochs, and its standard error after the lines of the first `epochs`.
#[cfg(unix)]
fn long_training(at: &Path, epochs: usize) -> (Child, BufReader<ChildStderr>) {
    let long = ["train", "--data", "data", "--hidden", "16", "--epochs", "100000"];
    let mut command = program(at, &long);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut seen) = (String::new(), 0);
    while seen < epochs {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended by itself");
        seen += usize::from(line.starts_with("epoch "));
    }
    (child, stderr)
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

#[test]
#[cfg(unix)]
fn ctrl_c_saves_the_best_epoch_and_training_goes_on_from_there() {
    let folder = folder();
    let at = folder.path();
    let (mut child, stderr) = long_training(at, 3);
    signal(&child, "-INT");
    let last = stderr.lines().last().unwrap().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{last}");
    assert!(last.contains("is saved in plies-digits.safetensors; go on with"), "{last}");
    assert_eq!(files(at), ["data", "plies-digits.safetensors"]);
    let done = json(at, &["info"])["epochs"].as_u64().unwrap();
    assert!(done >= 3);
    let epochs = (done + 2).to_string();
    let resume = ["--resume", "plies-digits.safetensors", "--epochs", &epochs, "--data", "data"];
    let report = json(at, &resume);
    assert_eq!(report["epochs"], done + 2);
    assert_eq!(report["resumed_from"], "plies-digits.safetensors");
}

#[test]
#[cfg(unix)]
fn a_killed_training_has_saved_an_epoch_that_can_be_gone_on_from() {
    let folder = folder();
    let at = folder.path();
    let (mut child, _stderr) = long_training(at, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    // A save that was under way may leave its temporary.
    let left = files(at);
    assert!(left.contains(&"plies-digits.safetensors".to_owned()), "{left:?}");
    let done = json(at, &["info"])["epochs"].as_u64().unwrap();
    assert!(done >= 1);
    let epochs = (done + 1).to_string();
    let resume = ["--resume", "plies-digits.safetensors", "--epochs", &epochs, "--data", "data"];
    assert_eq!(json(at, &resume)["epochs"], done + 1);
}

/// While the test result is written to a pipe that nobody reads, the program waits.
#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_ends_the_program_at_once_when_all_is_saved() {
    for name in ["-INT", "-TERM"] {
        let folder = trained();
        let at = folder.path();
        let fifo = at.join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        // Opened for reading too, so that the program's own opening does not wait; then filled.
        let mut pipe = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        pipe.write_all(&[0; 65536]).unwrap();
        let mut command = program(at, &[&SMALL[..], &["--json", "fifo"]].concat());
        let mut child = command.stderr(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let seen = stdout.lines().any(|line| line.unwrap().starts_with("test error "));
        assert!(seen);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        assert_eq!(json(at, &["info"])["epochs"], 3);
    }
}

#[test]
fn what_has_been_compared_is_known_and_not_measured_again() {
    let folder = folder();
    let at = folder.path();
    let rows = ["compare", "--data", "data", "--quick", "--only", "knn-l2,rules,linear"];
    let report = json(at, &[&rows[..], &["--seeds", "2", "--plot", "ladder.svg"]].concat());
    assert_eq!((&report["train_examples"], &report["test_examples"]), (&1000.into(), &300.into()));
    let found = report["rows"].as_array().unwrap();
    let names: Vec<&str> = found.iter().map(|row| row["row"].as_str().unwrap()).collect();
    assert_eq!(names, ["rules", "linear", "knn-l2"]); // in the table's order
    let trials: Vec<u64> = found.iter().map(|row| row["trials"].as_u64().unwrap()).collect();
    assert_eq!(trials, [1, 2, 1]); // nothing in the others is random
    assert!(found[2]["error"].as_f64().unwrap() < 20.0, "{report}");
    assert!(fs::read_to_string(at.join("ladder.svg")).unwrap().contains("linear classifier"));
    let kept = fs::read_to_string(at.join("plies-digits-compare.json")).unwrap();
    assert_eq!(kept.lines().count(), 2 + 4);

    // Known errors are shown as they were, even if they are not true.
    let changed = kept.replace("\"seconds\":", "\"seconds\":1");
    fs::write(at.join("plies-digits-compare.json"), &changed).unwrap();
    let shown = answer(at, &[&rows[..], &["--seeds", "2"]].concat());
    // What was published is of MNIST, and not of the first thousand of it.
    assert!(shown.contains("hard-coded rules") && !shown.contains("12.00"), "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
    let file = || fs::read_to_string(at.join("plies-digits-compare.json")).unwrap();
    assert_eq!(file(), changed);
    answer(at, &["compare", "--data", "data", "--quick", "--only", "rules", "--again"]);
    assert_ne!(file(), changed);
    // The folder holds something else now.
    let labels = at.join("data/t10k-labels-idx1-ubyte");
    let mut bytes = fs::read(&labels).unwrap();
    bytes[8..].rotate_left(1);
    fs::write(&labels, bytes).unwrap();
    let anew = json(at, &["compare", "--data", "data", "--quick", "--only", "rules"]);
    assert_ne!(anew["rows"][0]["error"], found[0]["error"]);
}

/// The README's table of `compare`, from what was measured on all of MNIST.
#[test]
fn the_readme_has_the_figures_that_were_measured() {
    let results = Results::<Measured>::parse(include_str!("../results/compare.json")).unwrap();
    let mut table = String::from(
        "\n| row | method | test error % | 95 % interval | seeds | published % | time |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in LADDER {
        let is_whole = |m: &&Measured| (m.train_examples, m.effort) == (60_000, 1.0);
        let trials: Vec<&Measured> =
            results.all.iter().filter(|m| m.row == row.name).filter(is_whole).collect();
        let number = row.published.map_or(String::new(), |percent| format!("{percent:.2}"));
        let published =
            if number.is_empty() { number.clone() } else { format!("{number}, {}", row.source) };
        let Some(found) = Summary::of(row, &trials) else {
            let (name, method) = (row.name, row.method);
            table +=
                &format!("| `{name}` | {method} | not yet run in full | | | {published} | |\n");
            continue;
        };
        let notes = found.notes.iter().map(|(what, percent)| format!("; {what}: {percent:.1} %"));
        let method = format!("{}{}", row.method, notes.collect::<String>());
        let ([low, high], seconds) = (found.interval, duration(found.seconds));
        let published = match found.meets() {
            Some(false) => published.replacen(&number, &format!("**{number}**"), 1),
            _ => published,
        };
        table += &format!(
            "| `{}` | {method} | {:.2} | {low:.2} to {high:.2} | {} | {published} | {seconds} |\n",
            row.name, found.error, found.trials
        );
    }
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("<!-- compare: results/compare.json -->\n").unwrap();
    let (written, _) = rest.split_once("<!-- end -->").unwrap();
    assert!(written == format!("{table}\n"), "between the two comments belongs:\n{table}");
}

#[test]
fn a_comparison_refuses_what_it_cannot_use() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("other.json"), "{}").unwrap();
    for (arguments, part) in [
        (&["--only", "knn"][..], "--only knn: no such row; there are rules, perceptron,"),
        (&["--plot", "ladder.gif"], "ladder.gif: a figure ends in .svg or .png"),
        (&["--seeds", "0"], "it takes a whole number from 1 to 1000"),
        (&["--results", "other.json"], "other.json: does not hold results"),
        (&["--results", "a", "--json", "a"], "both --json and --results"),
        (&["--results", "a.svg", "--plot", "./a.svg"], "is the file of both --results and --plot"),
        (&["--results", "-"], "--results -: results are kept in a file"),
    ] {
        let line = mistake(at, &[&["compare", "--data", "data"], arguments].concat());
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(fs::read_to_string(at.join("other.json")).unwrap(), "{}");
    assert_eq!(files(at), ["data", "other.json"]);
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_comparison_with_the_rows_that_are_finished() {
    let folder = folder();
    let at = folder.path();
    let rows = ["compare", "--data", "data", "--only", "rules,800-elastic"];
    let mut command = program(at, &rows);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(stderr.any(|line| line.starts_with("hard-coded rules")));
    signal(&child, "-INT");
    let last = stderr.last().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{last}");
    assert!(last.contains("is kept in plies-digits-compare.json"), "{last}");
    let table = text(&output.stdout);
    assert!(table.contains("hard-coded rules") && !table.contains("elastic"), "{table}");
    // It goes on from there.
    let rules = ["compare", "--data", "data", "--only", "rules"];
    let again = run(at, &rules);
    assert!(
        text(&again.stderr).contains("known from plies-digits-compare.json: 1\n"),
        "{}",
        text(&again.stderr)
    );
}

#[test]
fn what_is_said_is_tested_once_and_known_from_then_on() {
    let folder = folder();
    let at = folder.path();
    let tested =
        ["effects", "--data", "data", "--quick", "--only", "weights,depth", "--seeds", "2"];
    let report = json(at, &[&tested[..], &["--plots", "figures"]].concat());
    assert_eq!((&report["train_examples"], &report["test_examples"]), (&91.into(), &300.into()));
    let effects = report["effects"].as_array().unwrap();
    let lines = |effect: usize, of: &str| effects[effect][of].as_array().unwrap().len();
    assert_eq!([&effects[0]["name"], &effects[1]["name"]], ["depth", "weights"]);
    assert_eq!([lines(0, "measured"), lines(0, "decides"), lines(1, "measured")], [6, 2, 2]);
    let verdict = effects[0]["verdict"].as_str().unwrap();
    assert!(["holds", "fails", "unclear"].contains(&verdict), "{verdict}");
    assert_eq!(files(&at.join("figures")), ["depth.svg", "weights.png", "weights.svg"]);
    let kept = fs::read_to_string(at.join("plies-digits-effects.json")).unwrap();
    assert_eq!(kept.lines().count(), 2 + 2 * (6 + 2));

    let again = run(at, &[&tested[..], &["--json", "-"]].concat());
    let said = text(&again.stderr);
    assert!(said.contains("known from plies-digits-effects.json: 16 trials\n"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), report);
    // One seed is among them, and shows nothing.
    let one =
        json(at, &["effects", "--data", "data", "--quick", "--only", "depth", "--seeds", "1"]);
    let depth = &one["effects"][0];
    assert_eq!(
        (&depth["verdict"], &depth["measured"][0]["interval"][0]),
        (&"unclear".into(), &Value::Null)
    );
    assert_eq!(fs::read_to_string(at.join("plies-digits-effects.json")).unwrap(), kept);

    for (arguments, part) in [
        (&["--only", "deep"][..], "--only deep: no such effect; there are activations, dropout,"),
        (&["--seeds", "0"], "it takes a whole number from 1 to 1000"),
        (&["--results", "data/t10k-labels-idx1-ubyte"], "does not hold results"),
    ] {
        let line = mistake(at, &[&["effects", "--data", "data"], arguments].concat());
        assert!(line.contains(part), "{line}");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_the_effects_with_the_trials_that_are_finished() {
    let folder = folder();
    let at = folder.path();
    let endless = ["effects", "--data", "data", "--only", "depth", "--seeds", "1000"];
    let mut command = program(at, &endless);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let kept = at.join("plies-digits-effects.json");
    while !kept.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("is kept in plies-digits-effects.json"), "{said}");
    let known = Results::<Observed>::load(&kept).unwrap().all;
    assert!(!known.is_empty() && known[0].numbers[0] > 0.0, "{known:?}");
}

/// The README's table of `effects`, from what was measured with all of MNIST.
#[test]
fn the_readme_has_the_effects_that_were_found() {
    let file = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let results = Results::<Observed>::load(&file("results/effects.json")).unwrap();
    let like = results.all[0].clone();
    assert_eq!((like.train_examples, like.test_examples, like.scale), (55_000, 10_000, 1.0));
    let lines = |all: &[(String, Mean)]| -> String {
        let line = |(what, Mean { mean, interval }): &(String, Mean)| {
            format!("{what}: {mean:.2} ± {:.2}", (interval[1] - interval[0]) / 2.0)
        };
        all.iter().map(line).collect::<Vec<_>>().join("; ")
    };
    let mut table = String::from(
        "\n| claim | measured | decides, seed by seed | verdict |\n|---|---|---|---|\n",
    );
    for effect in EFFECTS {
        let (name, claim) = (effect.name, effect.claim);
        let Some(found) = Found::of(effect, 5, &like, &results) else {
            table += &format!("| `{name}`: {claim} | not yet run in full | | |\n");
            continue;
        };
        let finding = (effect.judge)(&found);
        let (measured, decides) = (lines(&finding.measured), lines(&finding.decides));
        let verdict = match finding.verdict() {
            Verdict::Holds => "holds",
            Verdict::Fails => "**fails**",
            Verdict::Unclear => "nothing is shown",
        };
        table += &format!("| `{name}`: {claim} | {measured} | {decides} | {verdict} |\n");
    }
    let readme = fs::read_to_string(file("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- effects: results/effects.json -->\n").unwrap();
    let (written, _) = rest.split_once("<!-- end -->").unwrap();
    assert!(written == format!("{table}\n"), "between the two comments belongs:\n{table}");
}

#[test]
fn a_resumed_training_goes_on_in_its_file_unless_another_is_named() {
    let folder = folder();
    let at = folder.path();
    train(at, &["--out", "a"]);
    let first = fs::read(at.join("a")).unwrap();
    let resume = ["train", "--data", "data", "--resume", "a", "--epochs", "4"];
    let report = json(at, &[&resume[..], &["--out", "b"]].concat());
    assert_eq!(report["checkpoint"], "b");
    assert!(first == fs::read(at.join("a")).unwrap());
    let report = json(at, &resume);
    assert_eq!((&report["checkpoint"], &report["epochs"]), (&"a".into(), &4.into()));
    assert!(fs::read(at.join("a")).unwrap() == fs::read(at.join("b")).unwrap());
    assert_eq!(files(at), ["a", "b", "data"]);
    let line = mistake(at, &[&resume[..], &["--seed", "2"]].concat());
    assert!(line.contains("a: began with seed 1, and only goes on"), "{line}");
    let line = mistake(at, &[&resume[..], &["--l2", "0.1"]].concat());
    assert!(line.contains("a: began with l2 0, and only goes on"), "{line}");
    let same_seed = [&resume[..4], &["a", "--epochs", "5", "--seed", "1"]].concat();
    assert_eq!(json(at, &same_seed)["epochs"], 5);
    let line = mistake(at, &[&resume[..], &["--json", "a"]].concat());
    assert!(line.ends_with("is the file of both --json and --resume"), "{line}");
}

#[test]
fn numbers_that_are_none_are_mistakes_of_the_file() {
    let folder = trained();
    let at = folder.path();
    fs::write(at.join("7.png"), png(0)).unwrap();
    let good = plies_nn::Checkpoint::load(&at.join("plies-digits.safetensors")).unwrap();
    let with = |name: &str, value: f32| {
        let mut changed = good.clone();
        let values = plies_tensor::Tensor::from_vec(vec![value; 10], [10]);
        assert_eq!(good.tensors()[name].dims(), values.dims());
        changed.insert(name, values);
        changed.save(&at.join("changed")).unwrap();
    };
    let commands = [
        &["evaluate", "--data", "data", "--quiet", "--model", "changed"][..],
        &["predict", "7.png", "--model", "changed"],
        &["train", "--data", "data", "--epochs", "4", "--quiet", "--resume", "changed"],
    ];
    for name in ["layers.1.bias", "optimizer.exp_avg.layers.1.bias"] {
        with(name, f32::NAN);
        for command in commands {
            let line = mistake(at, command);
            let reason = format!("changed: {name}[0] is NaN");
            assert!(line.contains(&reason), "{line}");
        }
    }
    // Finite, but beyond all floats after a layer.
    let weight = &good.tensors()["layers.1.weight"];
    let mut huge = good.clone();
    huge.insert("layers.1.weight", weight.zeros_like() + 3e38);
    huge.save(&at.join("changed")).unwrap();
    for command in &commands[..2] {
        let line = mistake(at, command);
        assert!(
            line.ends_with(
                "changed: the network in it gives no probabilities; its weights are too large"
            ),
            "{line}"
        );
    }
}

/// A PNG header that promises 20,000 x 20,000 pixels, with nothing behind it.
#[test]
fn a_picture_bomb_is_refused() {
    let folder = trained();
    let at = folder.path();
    let mut bomb = png(0);
    bomb[16..24].copy_from_slice(&[0, 1, 0x11, 0x70, 0, 1, 0x11, 0x70]);
    let mut crc = flate2::Crc::new();
    crc.update(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let mut file = fs::File::create(at.join("bomb.png")).unwrap();
    file.write_all(&bomb).unwrap();
    let line = mistake(at, &["predict", "bomb.png"]);
    assert!(line.contains("bomb.png: is too large a picture"), "{line}");
}

/// Names with spaces and in other scripts are files like any other.
#[test]
fn names_are_taken_as_they_are() {
    let folder = folder();
    let at = folder.path();
    let names = PathBuf::from("my data ü");
    fs::rename(at.join("data"), at.join(&names)).unwrap();
    let report =
        json(at, &["--data", "my data ü", "--epochs", "1", "--hidden", "8", "--out", "ä b"]);
    assert_eq!(report["checkpoint"], "ä b");
    assert!(at.join("ä b").is_file());
}

#[test]
fn the_json_object_never_replaces_a_file_of_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_plies-digits"));
        command.args(arguments).current_dir(folder.path()).output().unwrap()
    };
    let small = ["train", "--limit", "200", "--hidden", "4", "--epochs", "1", "--quiet"];
    let with = |more: &[&'static str]| [&small[..], more].concat();
    assert!(in_folder(&with(&["--out", "net.st"])).status.success());
    let before = std::fs::read(folder.path().join("net.st")).unwrap();
    for arguments in [
        vec!["evaluate", "--model", "net.st", "--json", "./net.st"],
        vec!["info", "--model", "net.st", "--json", "net.st"],
        with(&["--out", "net.st", "--json", "./net.st"]),
        with(&["--out", "new.st", "--resume", "net.st", "--json", "net.st"]),
        with(&["--out", "new/"]),
    ] {
        let output = in_folder(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{arguments:?}");
        assert_eq!(std::fs::read(folder.path().join("net.st")).unwrap(), before, "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn training_goes_on_when_nobody_reads_its_progress() {
    let folder = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_plies-digits"))
        .args(["train", "--limit", "200", "--hidden", "4", "--epochs", "1", "--out", "net.st"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(full)
        .status()
        .unwrap();
    assert!(status.success());
    assert!(folder.path().join("net.st").exists());
}

/// A few steps of training: what is spelt is nonsense, what is told of it is right.
#[test]
fn digits_are_spelt_trained_tested_and_from_pictures() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("7.png"), png(0)).unwrap();
    let small = ["--data", "data", "--limit", "200", "--epochs", "1"];
    for (command, file, checked) in [
        ("caption", "plies-caption.safetensors", "captions"),
        ("add", "plies-add.safetensors", "lengths"),
    ] {
        let missing = mistake(at, &[command, "--image", "7.png"]);
        assert!(
            missing.contains(&format!("{file}: no such file; train a network first: ")),
            "{missing}"
        );
        let report = json(at, &[&[command], &small[..]].concat());
        assert_eq!((&report["command"], &report["checkpoint"]), (&command.into(), &file.into()));
        assert_eq!((&report["train_examples"], &report["epochs"]), (&200.into(), &1.into()));
        let again = json(at, &[command, "--data", "data", "--model", file]);
        assert_eq!(again[checked], report[checked]);
        assert_eq!(again["train_loss"], Value::Null);
        let shown = run(at, &[command, "--data", "data", "--model", file, "--draw", "2"]);
        let shown = text(&shown.stdout);
        assert!(shown.contains("95 % interval") && shown.is_ascii(), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(mistake(at, &[command, "--model", "7.png"]).contains("7.png: "), "{command}");
        assert!(mistake(at, &[command, "--image", file]).contains("is no picture"), "{command}");
        assert!(mistake(at, &[command, "--limit", "9", "--model", file]).contains("--limit"));
        let shown = answer(at, &[command, "--image", "7.png", "7.png", "--beam", "2"]);
        assert!(shown.contains("7.png") && shown.contains('%'), "{shown}");
    }
    let report = json(at, &["add", "--image", "7.png", "7.png"]);
    assert_eq!(report["sums"].as_array().unwrap().len(), 4);
    assert_eq!(report["read"].as_array().unwrap().len(), 2);
    let many = ["7.png"; 12];
    assert!(
        mistake(at, &[&["add", "--image"], &many[..]].concat()).contains("12 pictures are more")
    );
    let other = mistake(at, &["add", "--model", "plies-caption.safetensors"]);
    assert!(other.contains("is a network that spells captions; caption uses it"), "{other}");
}

/// `cargo test -p plies-digits --features serve`
#[cfg(feature = "serve")]
mod serve {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpStream,
        process::{Child, Stdio},
        time::{Duration, Instant},
    };

    use plies_digits::reader::DRAWING;
    use serde_json::Value;

    use super::{folder, mistake, program, signal, text, train};

    struct Server(Child, String);

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn server(at: &std::path::Path) -> Server {
        train(at, &[]);
        let arguments = ["serve", "--port", "0", "--data", "data", "--quiet"];
        let mut child = program(at, &arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("draw on http://").unwrap().trim_end_matches("/\n");
        assert!(address.starts_with("127.0.0.1:"), "{line}");
        Server(child, address.to_owned())
    }

    /// Status and body of the answer to a request.
    fn ask(server: &Server, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&server.1).unwrap();
        let length = if head.contains("ength:") {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        write!(stream, "{head}\r\nHost: x\r\nConnection: close\r\n{length}\r\n").unwrap();
        // It may have answered, and closed, before it has read all.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer");
        let status = text(&answer[9..12]).parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }

    /// As many visitors as there are places, none of whom says what he wants, and one who does. He gets the place of
    /// the first of the others, and these are sent away in their turn.
    #[test]
    fn who_says_nothing_loses_his_place_to_who_does() {
        let folder = folder();
        let server = server(folder.path());
        let silent = |i: usize| {
            let mut stream = TcpStream::connect(&server.1).unwrap();
            // Half of them have begun.
            stream.write_all(&b"GET / HTTP/1.1\r\nHost: "[..i % 2 * 22]).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
            stream
        };
        let silent: Vec<TcpStream> = (0..256).map(silent).collect();
        assert_eq!(ask(&server, "GET /about HTTP/1.1", b"").0, 200);
        silent[0].set_nonblocking(true).unwrap();
        let sent_away = silent[0].peek(&mut [0]);
        assert!(matches!(sent_away, Ok(0)), "was still there: {sent_away:?}");
        for (i, mut stream) in silent.into_iter().enumerate().skip(1) {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let answer = text(&answer);
            match i % 2 {
                0 => assert_eq!(answer, ""),
                _ => assert!(answer.starts_with("HTTP/1.1 408") && answer.ends_with("its end\n")),
            }
        }
    }

    /// Nobody waits for him when the program ends, either.
    #[test]
    fn who_does_not_take_his_answers_is_sent_away() {
        let folder = folder();
        let mut server = server(folder.path());
        let asks_on = || {
            let mut stream = TcpStream::connect(&server.1).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
            // Until the server has so many answers to get rid of that it reads no more.
            while stream.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000)).is_ok() {}
            stream
        };
        let stream = asks_on();
        let began = Instant::now();
        while stream.take_error().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(100), "is still there");
            std::thread::sleep(Duration::from_millis(50));
        }
        let _stays: Vec<TcpStream> = (0..3).map(|_| asks_on()).collect();
        signal(&server.0, "-TERM");
        assert_eq!(server.0.wait().unwrap().code(), Some(0));
    }

    /// The network is trained first, as quietly as was asked for; Ctrl-C is then the server's.
    #[test]
    fn a_network_that_is_not_there_is_trained_without_a_word() {
        let folder = folder();
        let arguments = ["serve", "--host", "localhost", "--port", "0", "--data", "data"];
        let arguments = [&arguments[..], &["--quiet", "--json", "-"]].concat();
        let mut command = program(folder.path(), &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut object = String::new();
        while !object.ends_with("}\n") || object.matches('{').count() > object.matches('}').count()
        {
            assert_ne!(stdout.read_line(&mut object).unwrap(), 0, "{object}");
        }
        let object: Value = serde_json::from_str(&object).unwrap();
        assert_eq!(
            (&object["command"], &object["about"]["images"]["count"]),
            (&"serve".into(), &1000.into())
        );
        assert!(folder.path().join("plies-digits.safetensors").exists());
        signal(&child, "-INT");
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    }

    #[test]
    fn a_drawing_is_read_and_everything_else_refused() {
        let folder = folder();
        let mut server = server(folder.path());
        let mut drawing = vec![0; DRAWING];
        for y in 15..70 {
            drawing[y * 84 + 40..y * 84 + 46].fill(255); // a one
        }
        let read = |body: &[u8]| ask(&server, "POST /read HTTP/1.1", body);
        let (status, body) = read(&drawing);
        assert_eq!(status, 200);
        let reading: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(reading["digit"], 1);
        assert_eq!(reading["probabilities"].as_array().unwrap().len(), 10);
        assert_eq!(reading["nearest"][0]["label"], 1);
        assert_eq!(reading["image"].as_str().unwrap().len(), 2 * 784);

        let refused = |(status, body): (u16, Vec<u8>), expected: u16, part: &str| {
            let body = text(&body);
            assert_eq!(status, expected, "{body}");
            assert!(body.contains(part) && body.ends_with('\n'), "{expected}: {body}");
        };
        refused(read(b"short"), 400, "7056 bytes");
        refused(read(&[1; DRAWING + 1]), 413, "7056 bytes");
        refused(read(&[0; DRAWING]), 422, "blank");
        refused(
            ask(&server, "POST /read HTTP/1.1\r\nContent-Length: 999999999999", b"x"),
            413,
            "7056",
        );
        refused(ask(&server, "GET /read HTTP/1.1", b""), 405, "to POST, not to GET");
        refused(ask(&server, "GET /nothing HTTP/1.1", b""), 404, "/nothing");
        let about: Value =
            serde_json::from_slice(&ask(&server, "GET /about HTTP/1.1", b"").1).unwrap();
        let images = &about["images"];
        assert_eq!((&images["data"], &images["count"]), (&"data".into(), &1000.into()));
        let images = images["id"].as_str().unwrap();
        let image =
            |of: &str, index: &str| ask(&server, &format!("GET /image/{of}/{index} HTTP/1.1"), b"");
        assert_eq!(image(images, "999").1.len(), 784);
        for index in ["1000", "-1", "+1", "01", "%ff", "99999999999999999999"] {
            refused(image(images, index), 404, &format!("/image/{images}/0 to 999"));
        }
        refused(image("0123456789abcdef", "1"), 404, "load the page anew");
        let (status, page) = ask(&server, "GET / HTTP/1.1", b"");
        assert!(status == 200 && text(&page).starts_with("<!doctype html>"));
        assert!(!text(&page).contains("http"), "something comes from elsewhere");
        assert_eq!(read(&drawing).0, 200);

        signal(&server.0, "-INT");
        assert_eq!(server.0.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn a_host_is_an_address_of_this_machine() {
        let folder = folder();
        // 203.0.0.113, which is nobody's.
        let refused = mistake(folder.path(), &["serve", "--host", "203.0.113"]);
        assert!(refused.contains("203.0.113") && refused.contains("localhost"), "{refused}");
    }
}
