//! `cargo xtask tree-size`: how many crates somebody who takes one of ours gets with it.

use std::collections::BTreeSet;

use crate::Outcome;
use crate::process::cargo_with;
use crate::workspace::Workspace;

/// Most crates in the normal dependency tree with default features, the package itself included.
const LIMITS: &[(&str, usize)] = &[("plies-tensor", 15), ("plies-nn", 35)];

/// Counts and compares.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    for (package, limit) in LIMITS {
        let arguments =
            ["tree", "--edges", "normal", "--prefix", "none", "--locked", "-p", package];
        let crates = names(&cargo_with(&arguments).output(workspace.root())?);
        println!("{package}: {} crates, at most {limit}", crates.len());
        if crates.len() > *limit {
            let list = crates.into_iter().collect::<Vec<_>>().join("\n  ");
            return Err(format!("{package} needs more than {limit} crates:\n  {list}"));
        }
    }
    Ok(())
}

/// Different crates in the output of `cargo tree`, `name version` each.
fn names(tree: &str) -> BTreeSet<String> {
    let lines = tree.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_is_shown_twice_counts_once() {
        let tree =
            "a v0.1.0 (/some/folder)\nb v1.0.0\nc v2.0.0 (proc-macro)\nb v1.0.0 (*)\nb v2.0.0\n";
        assert_eq!(names(tree).len(), 4);
    }
}
