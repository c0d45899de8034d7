//! The program `plies-text`: what its arguments ask for.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    plies_console::run(|cli: cli::Cli| cli.command.run())
}
