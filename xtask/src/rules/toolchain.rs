//! The Rust version in `Cargo.toml` is the one that the hosted checks build with.

use crate::workspace::Workspace;

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let workflow = ".github/workflows/ci.yml";
    let Some(text) = workspace.text(workflow) else {
        return vec![format!("{workflow} is missing")];
    };
    let mut breaches = Vec::new();
    for package in workspace.packages() {
        let version = package.field("rust_version").as_str().unwrap_or_default();
        if !text.contains(&format!("RUST_VERSION: \"{version}\"")) {
            breaches.push(format!(
                "{workflow} does not build with {version}, which {} promises",
                package.name()
            ));
        }
    }
    breaches
}
