//! Running other programs.

use std::path::Path;
use std::process::Command;

use crate::Outcome;

/// The cargo that runs us, not whichever comes first in the search path.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| String::from("cargo"))
}

/// A program with its arguments, its surroundings and a spelling that can be typed.
pub(crate) struct Process<'a> {
    arguments: &'a [&'a str],
    environment: &'a [(&'a str, &'a str)],
}

/// cargo with these arguments.
pub(crate) fn cargo_with<'a>(arguments: &'a [&'a str]) -> Process<'a> {
    Process { arguments, environment: &[] }
}

impl<'a> Process<'a> {
    /// Adds variables to the environment.
    pub(crate) fn environment(mut self, environment: &'a [(&'a str, &'a str)]) -> Self {
        self.environment = environment;
        self
    }

    /// The line that does the same in a shell.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        for (name, value) in self.environment {
            line += &format!("{name}='{value}' ");
        }
        line + "cargo " + &self.arguments.join(" ")
    }

    fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(cargo());
        command.args(self.arguments).envs(self.environment.iter().copied()).current_dir(directory);
        command
    }

    /// Shows the line on standard error, runs the program and lets it print.
    ///
    /// # Errors
    /// The line, when the program cannot be started or does not succeed.
    pub(crate) fn run(&self, directory: &Path) -> Outcome {
        eprintln!("$ {}", self.line());
        let status = self.command(directory).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("this failed ({status}):\n  {}", self.line())),
            Err(reason) => Err(format!("this did not start ({reason}):\n  {}", self.line())),
        }
    }

    /// Runs the program and returns what it wrote to standard output; errors go to the terminal.
    ///
    /// # Errors
    /// The line, when the program cannot be started, does not succeed or prints something else than
    /// UTF-8.
    pub(crate) fn output(&self, directory: &Path) -> Result<String, String> {
        let output = self
            .command(directory)
            .stderr(std::process::Stdio::inherit())
            .output()
            .map_err(|reason| format!("this did not start ({reason}):\n  {}", self.line()))?;
        if !output.status.success() {
            return Err(format!("this failed ({}):\n  {}", output.status, self.line()));
        }
        String::from_utf8(output.stdout)
            .map_err(|_| format!("this printed something that is not UTF-8:\n  {}", self.line()))
    }
}
