//! The program `plies-digits`: what its arguments ask for.
#![forbid(unsafe_code)]

mod autosave;
mod cli;
mod commands;
mod progress;

use std::process::ExitCode;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    plies_console::run(|cli: Cli| match cli.command {
        None => commands::train::run(&cli.train),
        Some(Command::Train(args)) => commands::train::run(&args),
        Some(Command::Evaluate(args)) => commands::evaluate::run(&args),
        Some(Command::Predict(args)) => commands::predict::run(&args),
        Some(Command::Compare(args)) => commands::compare::run(&args),
        Some(Command::Effects(args)) => commands::effects::run(&args),
        Some(Command::Caption(args)) => commands::caption::run(&args),
        Some(Command::Add(args)) => commands::add::run(&args),
        #[cfg(feature = "serve")]
        Some(Command::Serve(args)) => commands::serve::run(&args),
        #[cfg(not(feature = "serve"))]
        Some(Command::Serve { .. }) => Err(plies_console::Failure::BadInput(
            "serve: not in this build; cargo install plies-digits --features serve".to_owned(),
        )),
        Some(Command::Info(args)) => commands::info::run(&args),
    })
}
