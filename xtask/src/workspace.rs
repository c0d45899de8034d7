//! Where the workspace is, which files and which packages it has.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::cargo_with;

/// The source tree that this program was built from.
pub(crate) struct Workspace {
    root: PathBuf,
    files: Vec<String>,
    packages: Vec<Package>,
}

/// One package of the workspace, as `cargo metadata` describes it.
pub(crate) struct Package(Value);

/// A dependency of a package, before features and platforms are decided.
pub(crate) struct Dependency<'a> {
    pub(crate) name: &'a str,
    /// `normal`, `dev` or `build`.
    pub(crate) kind: &'a str,
    pub(crate) optional: bool,
}

impl Workspace {
    /// Looks at the tree once; rules then share what was found.
    ///
    /// # Errors
    /// When cargo does not understand the workspace.
    pub(crate) fn load() -> Result<Self, String> {
        // Set by `cargo run` and `cargo test`; the value at build time is for a bare executable.
        let here = std::env::var("CARGO_MANIFEST_DIR");
        let here = PathBuf::from(here.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR")));
        let root = here.parent().ok_or("xtask is not inside a workspace")?.to_path_buf();
        let metadata = cargo_with(&["metadata", "--no-deps", "--format-version", "1", "--offline"])
            .output(&root)?;
        let metadata: Value = serde_json::from_str(&metadata).map_err(|e| e.to_string())?;
        let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
        let packages = packages.iter().cloned().map(Package).collect();
        let files = tracked(&root).unwrap_or_else(|| walk(&root));
        Ok(Workspace { root, files, packages })
    }

    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Files that are part of the project, relative to the root with `/` between folders, sorted.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Those files that end in `.extension`.
    pub(crate) fn files_with(&self, extension: &str) -> impl Iterator<Item = &str> {
        let ending = format!(".{extension}");
        self.files().filter(move |file| file.ends_with(&ending))
    }

    /// The file's text, or `None` when it is no text.
    pub(crate) fn text(&self, file: &str) -> Option<String> {
        let bytes = std::fs::read(self.root.join(file)).ok()?;
        String::from_utf8(bytes).ok()
    }

    /// The packages in this workspace.
    pub(crate) fn packages(&self) -> &[Package] {
        &self.packages
    }
}

impl Package {
    /// The name in its `Cargo.toml`.
    pub(crate) fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }

    /// A field of `cargo metadata`'s description, null when absent.
    pub(crate) fn field(&self, name: &str) -> &Value {
        &self.0[name]
    }

    /// The package's folder.
    pub(crate) fn folder(&self) -> &Path {
        let manifest = Path::new(self.0["manifest_path"].as_str().unwrap_or_default());
        manifest.parent().unwrap_or(manifest)
    }

    /// Whether `cargo publish` would take it. `publish = false` is an empty list of registries.
    pub(crate) fn is_published(&self) -> bool {
        self.0["publish"].is_null()
    }

    /// What it asks for.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = Dependency<'_>> {
        let list = self.0["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|dependency| Dependency {
            name: dependency["name"].as_str().unwrap_or_default(),
            kind: dependency["kind"].as_str().unwrap_or("normal"),
            optional: dependency["optional"].as_bool().unwrap_or(false),
        })
    }

    /// Source files that are the root of a library, a program, an example, a test or a bench, with
    /// the kind.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (&str, &Path)> {
        let list = self.0["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|target| {
            let kind = target["kind"][0].as_str().unwrap_or_default();
            (kind, Path::new(target["src_path"].as_str().unwrap_or_default()))
        })
    }
}

/// What git has or would add, so that a new file is checked before it is committed.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
        .current_dir(root)
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let names = names.split('\0').filter(|name| !name.is_empty());
    // A deleted file stays in git's list until the deletion is committed.
    let mut files: Vec<String> =
        names.filter(|name| root.join(name).is_file()).map(String::from).collect();
    files.sort();
    (output.status.success() && !files.is_empty()).then_some(files)
}

/// Without git (an unpacked archive): everything but build outputs and unknown hidden folders.
fn walk(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if entry.path().is_dir() {
                let ours = [".cargo", ".ci", ".config", ".github"].contains(&name.as_str());
                if name != "target" && (ours || !name.starts_with('.')) {
                    folders.push(path);
                }
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_found_with_and_without_git() {
        let workspace = Workspace::load().unwrap();
        let walked = walk(workspace.root());
        for file in ["Cargo.toml", "xtask/src/main.rs", ".cargo/config.toml"] {
            assert!(workspace.files().any(|name| name == file), "{file}");
            assert!(walked.iter().any(|name| name == file), "{file}");
        }
        assert!(walked.iter().all(|name| !name.starts_with("target/")));
    }

    #[test]
    fn packages_and_their_dependencies_are_read() {
        let workspace = Workspace::load().unwrap();
        let xtask = workspace.packages().iter().find(|package| package.name() == "xtask").unwrap();
        assert!(!xtask.is_published());
        assert!(xtask.dependencies().any(|d| d.name == "serde_json" && d.kind == "normal"));
        assert!(xtask.targets().any(|(kind, path)| kind == "bin" && path.ends_with("src/main.rs")));
    }
}
