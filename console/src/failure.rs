//! Why a program ends early, told in one line.

use std::{
    fmt,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

/// Why a program ends early.
///
/// Any error becomes one by `?` and says all by itself: the libraries' messages name the file and the reason.
#[derive(Debug)]
pub enum Failure {
    /// What was given cannot be used, or what was asked for cannot be written.
    BadInput(String),
    /// Ctrl-C.
    Interrupted(String),
    /// Standard output was closed, as `head` does.
    ReaderGone,
}

impl Failure {
    /// A mistake that names the file and the reason.
    pub fn at(file: &Path, reason: impl fmt::Display) -> Failure {
        Failure::BadInput(format!("{}: {reason}", file.display()))
    }

    /// Says what went wrong, in one line on standard error.
    pub fn complain(&self) {
        match self {
            Failure::BadInput(message) => complain(&format!("error: {}", one_line(message))),
            Failure::Interrupted(message) => complain(&one_line(message)),
            Failure::ReaderGone => {}
        }
    }

    /// How a program ends that says no more: 2 for bad input, 130 for Ctrl-C, 0 when whoever read the output has
    /// seen enough.
    pub(crate) fn status(&self) -> ExitCode {
        match self {
            Failure::BadInput(_) => ExitCode::from(2),
            Failure::Interrupted(_) => ExitCode::from(130),
            Failure::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::BadInput(error.to_string())
    }
}

/// Line breaks and other control characters (a file's name may hold some) replaced.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace(char::is_control, "?")
}

/// Says what went wrong without harm, in one line on standard error.
pub fn notice(text: &str) {
    complain(&format!("note: {}", one_line(text)));
}

/// Words on standard error. That nobody can read them is no reason to stop working.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(one_line("a\nb\tc \x1b[31m d"), "a b c ?[31m d");
    }
}
