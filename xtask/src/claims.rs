//! `cargo xtask claims`: what Markdown says that commands print, printed again and compared.
//!
//! A fenced block below `<!-- claim: NAME -->` is a session: a line after `$ ` is a command, and the lines below
//! it are what the command prints to standard output. So the Markdown is the list, and each command stands once,
//! where it is read. Below `<!-- quick claim: NAME -->` stands one of a few seconds, which `cargo xtask examples`
//! compares, too. What is rounded in another way by another processor may differ in the last digit.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::process::cargo_with;
use crate::rules::{Quotation, quotations};
use crate::workspace::Workspace;

/// Something that can be run, and what it should print.
pub(crate) struct Claim {
    name: String,
    /// `file:line`
    place: String,
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq)]
struct Step {
    /// As it can be typed.
    line: String,
    /// The words of the line behind `cargo`.
    arguments: Vec<String>,
    prints: String,
}

/// Lists claims; with names, runs those; with `all`, all.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Outcome {
    let claims = all(workspace)?;
    if names.is_empty() {
        println!(
            "`cargo xtask claims NAME…` runs these again and compares; `all` stands for all\n"
        );
        for claim in &claims {
            println!("{}  ({})", claim.name, claim.place);
            claim.steps.iter().for_each(|step| println!("  $ {}", step.line));
        }
        return Ok(());
    }
    let known = |name: &str| name == "all" || claims.iter().any(|claim| claim.name == name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(format!("no claim `{name}`; `cargo xtask claims` lists them"));
    }
    let is_wanted = |claim: &&Claim| names.iter().any(|name| *name == claim.name || name == "all");
    let mut others = Vec::new();
    for claim in claims.iter().filter(is_wanted) {
        println!("{}  ({})", claim.name, claim.place);
        let outcome = claim.compare(workspace, &mut |step, folder| {
            let arguments: Vec<&str> = step.arguments.iter().map(String::as_str).collect();
            println!("$ {}", step.line);
            let printed = cargo_with(&arguments).output(folder)?;
            println!("{}", printed.trim_end());
            Ok(printed)
        });
        match outcome {
            Ok(()) => println!("-- the same\n"),
            Err(reason) => {
                println!("-- {reason}\n");
                others.push(claim.name.as_str());
            }
        }
    }
    if others.is_empty() { Ok(()) } else { Err(format!("not as written: {}", others.join(", "))) }
}

/// Compares quick claims; `program` is the one that `cargo NAME` stands for.
pub(crate) fn quick(workspace: &Workspace, program: &dyn Fn(&str) -> Option<PathBuf>) -> Outcome {
    for claim in sessions(workspace, "quick claim")? {
        let start = std::time::Instant::now();
        claim.compare(workspace, &mut |step, folder| {
            let (name, arguments) = step.arguments.split_first().ok_or("cargo alone")?;
            let program = program(name).ok_or(format!("cargo {name} is no program of ours"))?;
            let output = std::process::Command::new(program)
                .args(arguments)
                .current_dir(folder)
                .output()
                .map_err(|e| e.to_string())?;
            match output.status.success() {
                true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
                false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            }
        })?;
        println!("claim {}: {:.1} s", claim.name, start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Sessions, and outputs of examples.
fn all(workspace: &Workspace) -> Result<Vec<Claim>, String> {
    let mut claims = sessions(workspace, "quick claim")?;
    claims.extend(sessions(workspace, "claim")?);
    for Quotation { place, quoted, content } in quotations(workspace, "output") {
        let (Some(folder), Some(name)) =
            (quoted.split('/').next(), Path::new(&quoted).file_stem().and_then(|n| n.to_str()))
        else {
            return Err(format!("{place} quotes {quoted}, which is no example"));
        };
        let line = format!("cargo run --release --quiet --package plies-{folder} --example {name}");
        let arguments = words(&line).into_iter().skip(1).collect();
        let steps = vec![Step { line, arguments, prints: content }];
        claims.push(Claim { name: name.to_owned(), place, steps });
    }
    Ok(claims)
}

fn sessions(workspace: &Workspace, kind: &str) -> Result<Vec<Claim>, String> {
    let claim = |Quotation { place, quoted, content }| match steps(&content) {
        Ok(steps) => Ok(Claim { name: quoted, place, steps }),
        Err(reason) => Err(format!("{place}: {reason}")),
    };
    quotations(workspace, kind).into_iter().map(claim).collect()
}

impl Claim {
    /// Runs the commands in a folder of their own; the error says what is not as written.
    fn compare(
        &self,
        workspace: &Workspace,
        run: &mut dyn FnMut(&Step, &Path) -> Result<String, String>,
    ) -> Outcome {
        let folder = workspace.root().join("target/xtask/claims").join(&self.name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for step in &self.steps {
            let printed = run(step, &folder)?;
            if !is_same(&printed, &step.prints) {
                let Claim { place, .. } = self;
                return Err(format!(
                    "{place}: `{}` does not print that, but\n{printed}",
                    step.line
                ));
            }
        }
        Ok(())
    }
}

/// Blanks at the ends of lines are nothing that one sees.
fn is_same(a: &str, b: &str) -> bool {
    let lines =
        |text: &str| text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    lines(a) == lines(b)
}

fn steps(session: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for line in session.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                let words = words(command);
                let Some(("cargo", arguments)) = words.split_first().map(|(w, a)| (w.as_str(), a))
                else {
                    return Err(format!("`{command}` is no command of cargo"));
                };
                let arguments = arguments.to_vec();
                steps.push(Step { line: command.to_owned(), arguments, prints: String::new() });
            }
            (None, Some(step)) => step.prints += &format!("{line}\n"),
            (None, None) => return Err("a session begins with `$ ` and a command".to_owned()),
        }
    }
    Ok(steps)
}

/// The words of a command; quotation marks keep blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, piece) in line.split('"').enumerate() {
        match i % 2 {
            0 => words.extend(piece.split_whitespace().map(str::to_owned)),
            _ => words.push(piece.to_owned()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_commands_with_what_they_print() {
        let found =
            steps("$ cargo text nn a\n0.9  b\n$ cargo text predict --line \"a b\" -k 1\n1\t0.5\n");
        let step = |line: &str, arguments: &[&str], prints: &str| Step {
            line: line.into(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            prints: prints.into(),
        };
        let last = "cargo text predict --line \"a b\" -k 1";
        let expected = vec![
            step("cargo text nn a", &["text", "nn", "a"], "0.9  b\n"),
            step(last, &["text", "predict", "--line", "a b", "-k", "1"], "1\t0.5\n"),
        ];
        assert_eq!(found, Ok(expected));
        assert!(steps("no command\n").is_err() && steps("$ rm -r x\n").is_err());
        assert!(is_same("a  \nb\n\n", "a\nb") && !is_same("a\n\nb", "a\nb"));
    }

    #[test]
    fn every_claim_has_a_name_of_its_own() {
        let claims = all(&Workspace::load().unwrap()).unwrap();
        let mut names: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
    }
}
