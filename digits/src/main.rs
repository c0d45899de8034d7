//! The program `plies-digits`: what its arguments ask for, and how it ends.
#![forbid(unsafe_code)]

mod autosave;
mod cli;
mod commands;
mod console;
mod interrupt;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    console::{Failure, complain, one_line},
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ended = match cli.command {
        None => commands::train::run(&cli.train),
        Some(Command::Train(args)) => commands::train::run(&args),
        Some(Command::Evaluate(args)) => commands::evaluate::run(&args),
        Some(Command::Predict(args)) => commands::predict::run(&args),
        Some(Command::Compare(args)) => commands::compare::run(&args),
        Some(Command::Effects(args)) => commands::effects::run(&args),
        #[cfg(feature = "serve")]
        Some(Command::Serve(args)) => commands::serve::run(&args),
        Some(Command::Info(args)) => commands::info::run(&args),
    };
    let Err(failure) = ended else { return ExitCode::SUCCESS };
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
    if !error.use_stderr() {
        // Nothing can be done if even this cannot be shown.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    // What is wrong comes first, then a blank line and advice.
    let wrong = text.split("\n\n").next().unwrap_or_default();
    complain(&format!("{}; see --help", one_line(wrong.trim_end_matches(['.', '\n']))));
    ExitCode::from(2)
}
