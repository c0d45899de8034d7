//! What every package's `Cargo.toml` says.

use crate::workspace::Workspace;

/// Fields that a registry shows, as `cargo metadata` names them.
const SHOWN: &[&str] =
    &["description", "license", "repository", "readme", "rust_version", "keywords", "categories"];

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in workspace.packages() {
        let name = package.name();
        let manifest = package.folder().join("Cargo.toml");
        let manifest: toml::Table = match std::fs::read_to_string(&manifest).map(|t| t.parse()) {
            Ok(Ok(table)) => table,
            Ok(Err(reason)) => {
                breaches.push(format!("{name}: {reason}"));
                continue;
            }
            Err(reason) => {
                breaches.push(format!("{name}: {reason}"));
                continue;
            }
        };
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(toml::Value::as_bool) != Some(true) {
            breaches.push(format!("{name}: [lints] workspace = true is missing"));
        }
        if package.field("license") != "MIT OR Apache-2.0" {
            breaches.push(format!("{name}: the licence is not MIT OR Apache-2.0"));
        }
        if name == "xtask" {
            if package.is_published() {
                breaches.push(format!("{name}: publish = false is missing"));
            }
            continue;
        }
        for field in SHOWN {
            let value = package.field(field);
            if value.is_null() || value.as_array().is_some_and(Vec::is_empty) {
                breaches.push(format!("{name}: no {field}"));
            }
        }
        if !package.folder().join("README.md").is_file() {
            breaches.push(format!("{name}: no README.md"));
        }
    }
    breaches
}
