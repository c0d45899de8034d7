//! The texts of both licences are in the tree and in every package that a registry gets, and say
//! whose work it is.

use crate::workspace::Workspace;

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for (file, phrase) in [
        ("LICENSE-MIT", "Permission is hereby granted, free of charge"),
        ("LICENSE-APACHE", "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"),
    ] {
        let Some(text) = workspace.text(file) else {
            breaches.push(format!("{file} is missing"));
            continue;
        };
        for phrase in [phrase, "the plies developers"] {
            if !text.contains(phrase) {
                breaches.push(format!("{file} lacks “{phrase}”"));
            }
        }
        for package in workspace.packages().iter().filter(|package| package.is_published()) {
            let copy = std::fs::read_to_string(package.folder().join(file));
            if copy.ok().as_ref() != Some(&text) {
                breaches.push(format!("{}: no copy of {file}", package.name()));
            }
        }
    }
    breaches
}
