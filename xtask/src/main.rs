//! Developer tasks of the workspace, run as `cargo xtask COMMAND`. One file for each command; the
//! rules that need nothing but the source tree are in `rules`, each also an ordinary test.

#![forbid(unsafe_code)]

mod bench;
mod ci;
mod claims;
mod data;
mod examples;
mod licences;
mod main_job;
mod markdown;
mod package;
mod process;
mod rules;
mod spdx;
mod tidy;
mod tree_size;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

/// What a command came to: nothing, or what is wrong, ready to be printed.
pub(crate) type Outcome = Result<(), String>;

struct Command {
    name: &'static str,
    summary: &'static str,
    run: fn(&Workspace, &[String]) -> Outcome,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "ci",
        summary: "everything that must hold before a change is merged; with names, those steps only",
        run: ci::run,
    },
    Command {
        name: "tidy",
        summary: "the rules of the source tree: arrows, manifests, links, unsafe code, …",
        run: |workspace, _| tidy::run(workspace),
    },
    Command {
        name: "examples",
        summary: "build and run every example; compare Markdown that quotes one with what it prints",
        run: |workspace, _| examples::run(workspace),
    },
    Command {
        name: "claims",
        summary: "what Markdown says that commands print; with names, or all: run again and compared",
        run: claims::run,
    },
    Command {
        name: "licences",
        summary: "licence and source of every dependency against deny.toml",
        run: |workspace, _| licences::run(workspace),
    },
    Command {
        name: "tree-size",
        summary: "number of crates below plies-tensor and plies-nn against their limits",
        run: |workspace, _| tree_size::run(workspace),
    },
    Command {
        name: "package",
        summary: "the archives for a registry: they build, and are not too large",
        run: |workspace, _| package::run(workspace),
    },
    Command {
        name: "bench",
        summary: "plies beside its peers, in one table; `cargo xtask bench --help`",
        run: bench::run,
    },
    Command {
        name: "data",
        summary: "larger data sets, through pip, npm and apt; `cargo xtask data --help`",
        run: data::run,
    },
    Command {
        name: "main-job",
        summary: "the README's first command, as a user types it",
        run: |workspace, _| main_job::run(workspace),
    },
];

fn usage() -> String {
    let mut text =
        String::from("Developer tasks of the plies workspace.\n\nUsage: cargo xtask COMMAND\n\n");
    for Command { name, summary, .. } in COMMANDS {
        text += &format!("  {name:<10}  {summary}\n");
    }
    text += "\nSteps of ci, in order:\n";
    for step in ci::STEPS {
        text += &format!("  {:<16}  {}\n", step.name, step.summary);
    }
    text
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "--help" | "-h" | "help") {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("xtask: no command `{name}`; `cargo xtask --help` lists them");
        return ExitCode::from(2);
    };
    match Workspace::load().and_then(|workspace| (command.run)(&workspace, rest)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask {name}: {reason}");
            ExitCode::FAILURE
        }
    }
}
