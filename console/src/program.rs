//! From arguments to an exit status.

use std::{env, process::ExitCode};

use clap::{Parser, error::ErrorKind};

use crate::failure::{Failure, complain, one_line};

/// Reads the arguments and does what they ask for. Help and version are shown as they are; a mistake is one line
/// on standard error and exit status 2; other statuses are those of [`Failure`].
pub fn run<C: Parser>(work: impl FnOnce(C) -> Result<(), Failure>) -> ExitCode {
    match C::try_parse().map(work) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            failure.complain();
            failure.status()
        }
        Err(error) => usage(&error),
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || is_help {
        // Nothing can be done if even this cannot be shown.
        let _ = error.print();
        return if is_help { ExitCode::from(2) } else { ExitCode::SUCCESS };
    }
    let text = error.render().to_string();
    // What is wrong comes first, then a blank line and advice.
    let wrong = text.split("\n\n").next().unwrap_or_default();
    complain(&format!("{}; see --help", one_line(wrong.trim_end_matches(['.', '\n']))));
    ExitCode::from(2)
}

/// How the program `plies-NAME` is called by whoever called it: `cargo NAME` or `plies-NAME`.
pub fn called_as(name: &str) -> String {
    // Cargo sets this for the programs that it runs.
    let prefix = if env::var_os("CARGO").is_some() { "cargo " } else { "plies-" };
    format!("{prefix}{name}")
}
