//! Where the program's words go: the report to standard output, progress and mistakes to standard
//! error, and the JSON object wherever it is wanted.

use std::{
    env, fmt,
    fs::{self, OpenOptions},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use plies_tensor::replace_file;
use serde::Serialize;

use super::CommonArgs;

/// Why the program ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was given cannot be used, or what was asked for cannot be written.
    BadInput(String),
    /// Ctrl-C.
    Interrupted(String),
    /// Standard output was closed, as `head` does.
    ReaderGone,
}

impl Failure {
    /// Says what went wrong, in one line on standard error.
    pub(crate) fn complain(&self) {
        match self {
            Failure::BadInput(message) => complain(&format!("error: {}", one_line(message))),
            Failure::Interrupted(message) => complain(&one_line(message)),
            Failure::ReaderGone => {}
        }
    }

    /// A mistake that names the file and the reason.
    pub(crate) fn at(file: &Path, reason: impl fmt::Display) -> Failure {
        Failure::BadInput(format!("{}: {reason}", file.display()))
    }
}

/// An error of the libraries says all by itself.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::BadInput(error.to_string())
    }
}

/// Line breaks and other control characters (a file's name may hold some) replaced.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace(char::is_control, "?")
}

/// Where words go in this run.
#[derive(Debug)]
pub(crate) struct Console {
    quiet: bool,
    json: Option<PathBuf>,
}

impl Console {
    /// Sets the number of threads, and makes sure that the JSON object can be written, before any
    /// work is done.
    pub(crate) fn new(common: &CommonArgs) -> Result<Console, Failure> {
        // A wrong PLIES_ISA is said now, and not by a panic.
        plies_tensor::instruction_set()?;
        if let Some(threads) = common.threads {
            plies_tensor::set_threads(threads);
        }
        let console = Console { quiet: common.quiet, json: common.json.clone() };
        if let Some(file) = console.json_file()
            && !is_stream(file)
        {
            check_writable(file)?;
        }
        Ok(console)
    }

    /// Makes sure that the JSON object does not replace a file that is read or written otherwise.
    pub(crate) fn keep_apart(&self, what: &str, file: &Path) -> Result<(), Failure> {
        match self.json_file() {
            Some(json) if is_same_file(json, file) => {
                Err(Failure::at(json, format_args!("is the file of both --json and {what}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether a script waits for the result.
    pub(crate) fn wants_json(&self) -> bool {
        self.json.is_some()
    }

    fn json_on_stdout(&self) -> bool {
        self.json.as_deref() == Some(Path::new("-"))
    }

    fn json_file(&self) -> Option<&Path> {
        self.json.as_deref().filter(|file| *file != Path::new("-"))
    }

    /// Whether only results are wanted.
    pub(crate) fn quiet(&self) -> bool {
        self.quiet
    }

    /// Whether colours and Unicode lines make sense where the report goes.
    pub(crate) fn has_colour(&self) -> bool {
        let is_terminal = if self.json_on_stdout() {
            io::stderr().is_terminal()
        } else {
            io::stdout().is_terminal()
        };
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        is_terminal && !is_dumb && !refused
    }

    /// Progress, on standard error.
    pub(crate) fn progress(&self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }

    /// A part of the report.
    pub(crate) fn say(&self, text: &str) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { self.print(text) }
    }

    /// The part of the report that stays when nothing else is wanted.
    pub(crate) fn result(&self, text: &str) -> Result<(), Failure> {
        if self.quiet && self.json_on_stdout() { Ok(()) } else { self.print(text) }
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        if self.json_on_stdout() {
            complain(text);
            return Ok(());
        }
        match write_stdout(&format!("{text}\n")) {
            // Nobody reads the report any more, but the JSON file is still wanted.
            Err(_) if self.json_file().is_some() => Ok(()),
            written => written,
        }
    }

    /// Writes the JSON object, if one is wanted.
    pub(crate) fn json(&self, object: &impl Serialize) -> Result<(), Failure> {
        if !self.wants_json() {
            return Ok(());
        }
        let mut text = serde_json::to_string_pretty(object)?;
        text.push('\n');
        match self.json_file() {
            None => write_stdout(&text),
            Some(file) => write_file(file, text.as_bytes()),
        }
    }
}

/// Words on standard error. That nobody can read them is no reason to stop working.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether two names lead to one file, through links and dots, and whether it is there or not.
fn is_same_file(a: &Path, b: &Path) -> bool {
    let resolved = |file: &Path| {
        let of_folder = || Some(folder_of(file).canonicalize().ok()?.join(file.file_name()?));
        file.canonicalize().ok().or_else(of_folder)
    };
    a == b || resolved(a).is_some_and(|a| resolved(b) == Some(a))
}

fn write_stdout(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::BadInput(format!("standard output: {error}")),
        }
    })
}

/// Whether this is written to rather than replaced: a pipe, a device, or an open file by its
/// descriptor, such as `/dev/stdout`, which may well be a regular file at the moment.
fn is_stream(file: &Path) -> bool {
    let by_descriptor = |file: &Path| {
        folder_of(file).canonicalize().is_ok_and(|folder| folder.starts_with("/proc"))
    };
    let link = fs::read_link(file).map(|target| folder_of(file).join(target));
    fs::metadata(file).is_ok_and(|found| !found.is_file() && !found.is_dir())
        || by_descriptor(file)
        || link.is_ok_and(|target| by_descriptor(&target))
}

/// Makes sure that a file can be written here, as far as that can be known before.
pub(crate) fn check_writable(file: &Path) -> Result<(), Failure> {
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => return Err(Failure::at(file, "is a folder, not a file")),
        Ok(_) if is_stream(file) => {
            return Err(Failure::at(file, "is not a regular file, and cannot be replaced"));
        }
        Ok(found) if found.permissions().readonly() => {
            return Err(Failure::at(file, "may not be written to; it is left as it is"));
        }
        _ => {}
    }
    if file.file_name().is_none() || file.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Failure::at(file, "is not the name of a file"));
    }
    // As when the file is written, but given up as soon as that could begin.
    let mut could_begin = false;
    let given_up = replace_file(file, |_| {
        could_begin = true;
        Err(io::Error::other("given up"))
    });
    match given_up {
        Err(error) if !could_begin => Err(cannot_be_written(file, &error)),
        _ => Ok(()),
    }
}

/// Writes a whole file or leaves the old one as it is; a pipe or device is simply written to.
fn write_file(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = if is_stream(file) {
        OpenOptions::new().append(true).open(file).and_then(|mut stream| stream.write_all(bytes))
    } else {
        replace_file(file, |new| new.write_all(bytes))
    };
    written.map_err(|error| cannot_be_written(file, &error))
}

fn cannot_be_written(file: &Path, error: &io::Error) -> Failure {
    Failure::at(file, format_args!("cannot be written ({error})"))
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// `12,345`.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How this program is called by whoever called it.
pub(crate) fn program() -> &'static str {
    // Cargo sets this for the programs that it runs.
    if env::var_os("CARGO").is_some() { "cargo text" } else { "plies-text" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let rows = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (n, text) in rows {
            assert_eq!(thousands(n), text);
        }
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(one_line("a\nb\tc \x1b[31m d"), "a b c ?[31m d");
    }

    #[test]
    fn whether_a_file_can_be_written_is_known_before_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        check_writable(&file).unwrap();
        assert!(!file.exists());
        write_file(&file, b"one").unwrap();
        check_writable(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("no/where");
        let Err(Failure::BadInput(message)) = check_writable(&nowhere) else { panic!("writable") };
        assert!(message.contains("no/where: cannot be written (No such file"), "{message}");
    }
}
