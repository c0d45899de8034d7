//! `cargo xtask bench`: plies beside its peers. The crate in `bench` stands outside the workspace, so
//! that nobody compiles the peers who does not want to measure them.

use crate::Outcome;
use crate::process::cargo_with;
use crate::workspace::Workspace;

/// Builds the crate for this machine, as users of the peers are told to (candle's loops are vectors only
/// then; ours ask at run time), and runs it.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let mut line =
        vec!["run", "--release", "--locked", "--manifest-path", "bench/Cargo.toml", "--"];
    eprintln!("The peers are compiled first: some minutes, once.");
    line.extend(arguments.iter().map(String::as_str));
    cargo_with(&line).environment(&[("RUSTFLAGS", "-C target-cpu=native")]).run(workspace.root())
}
