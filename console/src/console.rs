//! Where the program's words go: the report to standard output, progress and mistakes to standard error, and the
//! JSON object wherever it is wanted.

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use crate::{
    failure::{Failure, complain},
    files::{check_writable, is_stream, keep_apart, write_file},
};

/// As wide as lines may be, but for the names that they quote.
pub const MAX_COLUMNS: usize = 80;

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    /// Use at most N threads [default: all processors]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,

    /// Write one JSON object to FILE, or to standard output for -, and then nothing else there
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Say no more than the result
    #[arg(long, short)]
    pub quiet: bool,
}

fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|n| (1..=1024).contains(n));
    threads.ok_or_else(|| "it takes a whole number from 1 to 1024".to_owned())
}

/// Where words go in this run.
#[derive(Debug)]
pub struct Console {
    quiet: bool,
    json: Option<PathBuf>,
}

impl Console {
    /// Sets the number of threads, and makes sure that the JSON object can be written, before any
    /// work is done.
    pub fn new(common: &CommonArgs) -> Result<Console, Failure> {
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
    pub fn keep_apart(&self, what: &str, file: &Path) -> Result<(), Failure> {
        match self.json_file() {
            Some(json) => keep_apart(&[("--json", json), (what, file)]),
            None => Ok(()),
        }
    }

    /// Whether a script waits for the result.
    pub fn wants_json(&self) -> bool {
        self.json.is_some()
    }

    fn json_on_stdout(&self) -> bool {
        self.json.as_deref() == Some(Path::new("-"))
    }

    fn json_file(&self) -> Option<&Path> {
        self.json.as_deref().filter(|file| *file != Path::new("-"))
    }

    /// Whether only results are wanted.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Whether the report is read on a terminal.
    pub fn is_terminal(&self) -> bool {
        if self.json_on_stdout() { io::stderr().is_terminal() } else { io::stdout().is_terminal() }
    }

    /// Whether colours make sense where the report goes, by the customs of the environment.
    pub fn has_colour(&self) -> bool {
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.is_terminal() && !is_dumb && !refused
    }

    /// Progress, on standard error.
    pub fn progress(&self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }

    /// A part of the report.
    pub fn say(&self, text: &str) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { self.print(text) }
    }

    /// The part of the report that stays when nothing else is wanted.
    pub fn result(&self, text: &str) -> Result<(), Failure> {
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
    pub fn json(&self, object: &impl Serialize) -> Result<(), Failure> {
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

fn write_stdout(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::BadInput(format!("standard output: {error}")),
        }
    })
}
