//! No file of tests is forgotten: where `Cargo.toml` names the programs that tests are compiled to, each
//! file beside them is a module of one.

use crate::workspace::Workspace;

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in workspace.files_with("rs") {
        let Some((package, name)) = file.split_once("/tests/") else { continue };
        let Some(name) = name.strip_suffix(".rs").filter(|name| !name.contains('/')) else {
            continue;
        };
        let manifest = workspace.text(&format!("{package}/Cargo.toml")).unwrap_or_default();
        let all = workspace.text(&format!("{package}/tests/all.rs")).unwrap_or_default();
        if manifest.contains("autotests = false")
            && !manifest.contains(&format!("[[test]]\nname = \"{name}\"\n"))
            && !all.lines().any(|line| line == format!("mod {name};"))
        {
            breaches.push(format!(
                "{file} is never run: it is no `mod` of {package}/tests/all.rs and no [[test]] of Cargo.toml"
            ));
        }
    }
    breaches
}
