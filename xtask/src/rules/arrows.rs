//! Who may depend on whom inside the workspace.

use crate::workspace::{Dependency, Workspace};

/// Each package with those it may name. A package in the third column only behind a feature.
const ARROWS: &[(&str, &[&str], &[&str])] = &[
    ("plies-tensor", &[], &[]),
    ("plies-autograd", &["plies-tensor"], &[]),
    ("plies-nn", &["plies-autograd", "plies-tensor"], &[]),
    ("plies-console", &["plies-tensor"], &[]),
    (
        "plies-text",
        &["plies-nn", "plies-autograd", "plies-tensor"],
        &["plies-console", "plies-gpu"],
    ),
    ("plies-gpu", &["plies-tensor"], &[]),
    (
        "plies-digits",
        &["plies-nn", "plies-autograd", "plies-tensor", "plies-console"],
        &["plies-gpu"],
    ),
    ("xtask", &[], &[]),
];

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in workspace.packages() {
        if ARROWS.iter().all(|(name, ..)| *name != package.name()) {
            breaches.push(format!("{} is not in the table of arrows", package.name()));
            continue;
        }
        for dependency in package.dependencies() {
            let ours = ARROWS.iter().any(|(name, ..)| *name == dependency.name);
            if ours && !allowed(package.name(), &dependency) {
                breaches.push(format!(
                    "{} has a {}{} dependency on {}",
                    package.name(),
                    if dependency.optional { "optional " } else { "" },
                    dependency.kind,
                    dependency.name,
                ));
            }
        }
    }
    breaches
}

fn allowed(from: &str, dependency: &Dependency<'_>) -> bool {
    let Some((_, always, behind_feature)) = ARROWS.iter().find(|(name, ..)| *name == from) else {
        return false;
    };
    let to = &dependency.name;
    match dependency.kind {
        // plies-tensor's own tests ask for its feature `testing`.
        "dev" if from == *to => from == "plies-tensor",
        "dev" => always.contains(to),
        "normal" => always.contains(to) || (behind_feature.contains(to) && dependency.optional),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_upwards_sideways_and_unconditional_ones_to_the_gpu_are_breaches() {
        for (from, to, kind, optional, expected) in [
            ("plies-nn", "plies-tensor", "normal", false, true),
            ("plies-tensor", "plies-nn", "normal", false, false),
            ("plies-tensor", "plies-nn", "dev", false, false),
            ("plies-tensor", "plies-tensor", "dev", false, true),
            ("plies-nn", "plies-nn", "dev", false, false),
            ("plies-autograd", "plies-tensor", "dev", false, true),
            ("plies-digits", "plies-gpu", "normal", true, true),
            ("plies-digits", "plies-gpu", "normal", false, false),
            ("plies-digits", "plies-text", "normal", false, false),
            ("plies-text", "plies-console", "normal", false, false),
            ("plies-nn", "plies-console", "normal", true, false),
            ("plies-nn", "plies-gpu", "normal", true, false),
            ("plies-nn", "plies-tensor", "build", false, false),
            ("xtask", "plies-tensor", "normal", false, false),
        ] {
            let dependency = Dependency { name: to, kind, optional };
            assert_eq!(allowed(from, &dependency), expected, "{from} -> {to} ({kind})");
        }
    }
}
