//! `cargo xtask tidy`: all rules of the source tree at once.

use crate::Outcome;
use crate::rules::RULES;
use crate::workspace::Workspace;

/// Applies every rule before it complains.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let mut broken = 0;
    for (name, rule) in RULES {
        let findings = rule(workspace);
        println!("{name}: {}", if findings.is_empty() { "holds" } else { "broken" });
        for finding in &findings {
            println!("  {finding}");
        }
        broken += findings.len();
    }
    match broken {
        0 => Ok(()),
        n => Err(format!("{n} breaches of the source tree's rules, listed above")),
    }
}
