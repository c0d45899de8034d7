//! The texts of both licences are in the tree, and each says whose work it is.

use crate::workspace::Workspace;

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for (file, phrase) in [
        ("LICENSE-MIT", "Permission is hereby granted, free of charge"),
        ("LICENSE-APACHE", "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"),
    ] {
        match workspace.text(file) {
            None => breaches.push(format!("{file} is missing")),
            Some(text) => {
                for phrase in [phrase, "the plies developers"] {
                    if !text.contains(phrase) {
                        breaches.push(format!("{file} lacks “{phrase}”"));
                    }
                }
            }
        }
    }
    breaches
}
