//! `cargo xtask ci`: every check in order of price, the first failure ends it.

use std::time::Instant;

use crate::process::cargo_with;
use crate::workspace::Workspace;
use crate::{Outcome, examples, licences, main_job, package, tidy, tree_size};

/// One named part of the whole.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    run: fn(&Workspace) -> Outcome,
}

/// All steps. Those that only read come first; those that build share one profile and, where the
/// question allows, one set of features, so that little is compiled twice.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "fmt", summary: "every file is as rustfmt writes it", run: fmt },
    Step { name: "tidy", summary: "the rules of the source tree", run: tidy::run },
    Step { name: "licences", summary: "dependencies against deny.toml", run: licences::run },
    Step { name: "tree-size", summary: "few crates below the libraries", run: tree_size::run },
    Step { name: "clippy", summary: "no warning, with all features", run: clippy },
    Step { name: "rustdoc", summary: "no warning, no broken link", run: rustdoc },
    Step { name: "test", summary: "unit tests, integration tests and doctests", run: test },
    Step { name: "examples", summary: "each runs; quotations are true", run: examples::run },
    Step {
        name: "alone",
        summary: "each package by itself: no warning, and tests without threads",
        run: alone,
    },
    Step { name: "package", summary: "what a registry would be given builds", run: package::run },
    Step { name: "main-job", summary: "the README's first command", run: main_job::run },
];

/// Runs all steps, or the named ones.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Outcome {
    if let Some(name) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        return Err(format!("no step `{name}`; `cargo xtask --help` lists them"));
    }
    let chosen =
        STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name));
    let start = Instant::now();
    let mut times = Vec::new();
    for step in chosen {
        println!("\n==> {}: {}", step.name, step.summary);
        let step_start = Instant::now();
        let outcome = (step.run)(workspace);
        let seconds = step_start.elapsed().as_secs_f64();
        outcome.map_err(|reason| {
            format!("step `{}` failed after {seconds:.1} s: {reason}", step.name)
        })?;
        println!("==> {}: passed in {seconds:.1} s", step.name);
        times.push((step.name, seconds));
    }
    println!();
    for (name, seconds) in times {
        println!("{name:>10}  {seconds:7.1} s");
    }
    println!("{:>10}  {:7.1} s", "all", start.elapsed().as_secs_f64());
    Ok(())
}

fn fmt(workspace: &Workspace) -> Outcome {
    cargo_with(&["fmt", "--all", "--check"]).run(workspace.root())
}

/// All features; what is there without them is seen in `alone`.
fn clippy(workspace: &Workspace) -> Outcome {
    let arguments = ["clippy", "--workspace", "--all-targets", "--all-features", "--locked"];
    cargo_with(&[&arguments[..], &["--", "-D", "warnings"]].concat()).run(workspace.root())
}

fn rustdoc(workspace: &Workspace) -> Outcome {
    cargo_with(&["doc", "--workspace", "--no-deps", "--all-features", "--locked"])
        .environment(&[("RUSTDOCFLAGS", "-D warnings")])
        .run(workspace.root())
}

/// With the best instruction set of this processor, and again with each lower one. With all features:
/// they add, and what is there without them is tested on the way.
fn test(workspace: &Workspace) -> Outcome {
    let test = ["test", "--workspace", "--locked", "--all-features"];
    cargo_with(&test).environment(&[("PLIES_GPU", &gpu())]).run(workspace.root())?;
    for isa in lower_instruction_sets() {
        println!("PLIES_ISA={isa}");
        // What computes no numbers with it has nothing to add, the programs' commands and experiments last of all;
        // `backend` computes with loops of its own. Packages that are left out change others' features: all would
        // be compiled again.
        let computing =
            ["--exclude", "xtask", "--exclude", "plies-gpu", "--lib", "--tests", "--quiet", "--"];
        let others = ["backend::", "gpu::", "commands::", "recipes::", "effects::"];
        let others: Vec<&str> = others.iter().flat_map(|module| ["--skip", module]).collect();
        cargo_with(&[&test[..], &computing, &others].concat())
            .environment(&[("PLIES_ISA", isa)])
            .run(workspace.root())?;
    }
    Ok(())
}

/// The adapter that tests of the GPU run on: named, so that a missing one is a failure.
fn gpu() -> String {
    let named = std::env::var("PLIES_GPU").ok().filter(|name| !name.is_empty());
    // Elsewhere the system brings a driver, and adapter 0 is the best.
    named.unwrap_or_else(|| if cfg!(target_os = "linux") { "llvmpipe" } else { "0" }.to_owned())
}

/// Those that this processor has, but would not choose.
fn lower_instruction_sets() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        let avx512 = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512dq");
        return if avx512 { vec!["portable", "avx2"] } else { vec!["portable"] };
    }
    Vec::new()
}

/// A package built with its neighbours gets the features they ask for, which hides one that it
/// forgot to ask for itself.
fn alone(workspace: &Workspace) -> Outcome {
    let names: Vec<&str> = workspace.packages().iter().map(|package| package.name()).collect();
    let defaults = names.into_iter().map(|name| vec![name]);
    let bare = ["plies-autograd", "plies-nn"].map(|name| vec![name, "--no-default-features"]);
    for package in defaults.chain(bare) {
        let arguments = [&["clippy", "--locked", "--all-targets", "-p"][..], &package];
        cargo_with(&[&arguments.concat()[..], &["--", "-D", "warnings"]].concat())
            .run(workspace.root())?;
    }
    // Threads are the only default feature, and loops are here alone: all of them run in these tests.
    let tests = ["--no-default-features", "--test", "all"];
    cargo_with(&[&["test", "--locked", "-p", "plies-tensor"], &tests[..]].concat())
        .run(workspace.root())
}
