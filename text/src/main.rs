//! The program `plies-text`: what its arguments ask for, and how it ends.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{
    Cli,
    console::{Failure, complain, one_line},
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let Err(failure) = cli.command.run() else { return ExitCode::SUCCESS };
    failure.complain();
    match failure {
        Failure::BadInput(_) => ExitCode::from(2),
        Failure::Interrupted(_) => ExitCode::from(130),
        // Whoever read the output has seen enough.
        Failure::ReaderGone => ExitCode::SUCCESS,
    }
}

/// Help and version are shown as they are; a mistake is one line.
fn usage(error: &clap::Error) -> ExitCode {
    let is_help = error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
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
