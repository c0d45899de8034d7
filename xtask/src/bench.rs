//! `cargo xtask bench`: plies beside its peers. The crate in `bench` stands outside the workspace, so
//! that nobody compiles the peers who does not want to measure them.

use crate::Outcome;
use crate::process::cargo_with;
use crate::workspace::Workspace;

/// With `gpu`, the graphics processor beside the CPU: an example, since it needs no peers.
///
/// Builds the crate for this machine, as users of the peers are told to (candle's loops are vectors only
/// then; ours ask at run time), and runs it.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    if let Some((first, rest)) = arguments.split_first()
        && first == "gpu"
    {
        let mut line =
            vec!["run", "--release", "--locked", "-p", "plies-gpu", "--example", "copying", "--"];
        let largest = "4194304".to_owned();
        let rest = if rest.is_empty() { std::slice::from_ref(&largest) } else { rest };
        line.extend(rest.iter().map(String::as_str));
        return cargo_with(&line).run(workspace.root());
    }
    let mut line =
        vec!["run", "--release", "--locked", "--manifest-path", "bench/Cargo.toml", "--"];
    eprintln!("The peers are compiled first: some minutes, once.");
    line.extend(arguments.iter().map(String::as_str));
    cargo_with(&line).environment(&[("RUSTFLAGS", "-C target-cpu=native")]).run(workspace.root())
}
