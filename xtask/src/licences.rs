//! `cargo xtask licences`: the licence and the source of every package in the lock file, for all
//! features and platforms, against `deny.toml`. Where cargo-deny is installed it has the last word.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::process::{cargo, cargo_with};
use crate::workspace::Workspace;
use crate::{Outcome, spdx};

/// What `deny.toml` says, as far as it is checked here.
struct Policy {
    licences: Vec<String>,
    registries: Vec<String>,
}

/// Checks, and reports all breaches together.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let policy = policy(&workspace.text("deny.toml").ok_or("deny.toml is missing")?)?;
    let metadata = cargo_with(&["metadata", "--format-version", "1", "--all-features", "--locked"])
        .output(workspace.root())?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|e| e.to_string())?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let breaches: Vec<String> =
        packages.iter().filter_map(|package| breach(package, &policy)).collect();
    if !breaches.is_empty() {
        return Err(format!("against deny.toml:\n  {}", breaches.join("\n  ")));
    }
    println!("{} packages keep to deny.toml", packages.len());
    if !has_cargo_deny() {
        return Ok(());
    }
    // Not the advisories: their list is on the network, and changes without a change of ours.
    cargo_with(&["deny", "check", "bans", "licenses", "sources"]).run(workspace.root())
}

fn policy(text: &str) -> Result<Policy, String> {
    let table: toml::Table = text.parse().map_err(|e| format!("deny.toml: {e}"))?;
    let list = |section: &str, key: &str| -> Result<Vec<String>, String> {
        let value = table.get(section).and_then(|section| section.get(key));
        let list = value.and_then(toml::Value::as_array);
        let list = list.ok_or(format!("deny.toml: no list {section}.{key}"))?;
        Ok(list.iter().filter_map(|item| item.as_str().map(String::from)).collect())
    };
    Ok(Policy {
        licences: list("licenses", "allow")?,
        registries: list("sources", "allow-registry")?,
    })
}

fn breach(package: &Value, policy: &Policy) -> Option<String> {
    let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
    // A package without a source is one of the workspace; `rules::manifests` looks at those.
    let source = package["source"].as_str()?;
    if !policy.registries.iter().any(|registry| source == format!("registry+{registry}")) {
        return Some(format!("{name} comes from {source}"));
    }
    let Some(licence) = package["license"].as_str() else {
        return Some(format!("{name} states no licence"));
    };
    match spdx::is_met(licence, &|one| policy.licences.iter().any(|allowed| allowed == one)) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name} is under {licence}")),
        Err(reason) => Some(format!("{name}: {reason}")),
    }
}

fn has_cargo_deny() -> bool {
    let mut command = Command::new(cargo());
    let version = command.args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_deny_toml_is_understood() {
        let workspace = Workspace::load().unwrap();
        let policy = policy(&workspace.text("deny.toml").unwrap()).unwrap();
        assert!(policy.licences.iter().any(|licence| licence == "MIT"));
        assert_eq!(policy.registries.len(), 1);
    }

    #[test]
    fn foreign_sources_and_unlisted_licences_are_breaches() {
        let policy = Policy { licences: vec!["MIT".into()], registries: vec!["https://r".into()] };
        let package = |source: &str, licence: &str| {
            let (name, version) = ("a", "1.0.0");
            serde_json::json!({ "name": name, "version": version, "source": source, "license": licence })
        };
        assert_eq!(breach(&package("registry+https://r", "MIT"), &policy), None);
        assert!(breach(&package("registry+https://r", "GPL-3.0"), &policy).is_some());
        assert!(breach(&package("git+https://r", "MIT"), &policy).is_some());
    }
}
