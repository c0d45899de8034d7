//! The program behind `cargo text`. It has no command yet and says so.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("plies-text: nothing to run yet; text/README.md says what is planned");
    ExitCode::from(2)
}
