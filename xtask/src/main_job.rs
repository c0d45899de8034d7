//! `cargo xtask main-job`: the README's first command.

use crate::Outcome;
use crate::process::cargo_with;
use crate::workspace::Workspace;

/// Runs it as a user does, through the alias.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    cargo_with(&["digits", "train", "--help"]).run(workspace.root())
}
