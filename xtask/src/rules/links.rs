//! Links and paths in Markdown. Pages elsewhere are not asked: checks work without a network.

use std::path::Path;

use crate::markdown;
use crate::workspace::Workspace;

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in workspace.files_with("md") {
        let text = workspace.text(file).unwrap_or_default();
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        for link in markdown::links(&text) {
            if let Some(reason) = broken(workspace, file, folder, &link.target) {
                breaches.push(format!("{file}:{}: {}: {reason}", link.line, link.target));
            }
        }
        for span in markdown::code_spans(&text) {
            if is_path_of_ours(&span.target) && !exists(workspace, folder, &span.target) {
                breaches.push(format!("{file}:{}: no file {}", span.line, span.target));
            }
        }
    }
    breaches
}

fn broken(workspace: &Workspace, file: &str, folder: &Path, link: &str) -> Option<String> {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(p, a)| (p, Some(a)));
    let target = if path.is_empty() { Path::new(file).into() } else { folder.join(path) };
    let target = workspace.root().join(target);
    if !target.exists() {
        return Some(String::from("no such file"));
    }
    let anchor = anchor?;
    let text = std::fs::read_to_string(&target).unwrap_or_default();
    let found = markdown::anchors(&text).iter().any(|name| name == anchor);
    (!found).then(|| format!("no heading #{anchor}"))
}

/// Whether a code span is meant as a file or folder of this project: it starts in one of its
/// folders and has nothing that makes it a pattern, a placeholder or a command.
fn is_path_of_ours(span: &str) -> bool {
    let folders =
        ["tensor", "autograd", "nn", "text", "gpu", "digits", "xtask", ".ci", ".cargo", ".github"];
    let Some((first, rest)) = span.split_once('/') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    folders.contains(&first) && !rest.is_empty() && rest.chars().all(plain)
}

/// Paths are written from the root, or from the folder of the page.
fn exists(workspace: &Workspace, folder: &Path, path: &str) -> bool {
    let root = workspace.root();
    root.join(path).exists() || root.join(folder).join(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_of_the_project_are_looked_up() {
        assert!(is_path_of_ours("tensor/src/lib.rs"));
        assert!(is_path_of_ours(".ci/run"));
        for span in ["nn/src/<layer>.rs", "gpu/src/kernels/*", "target/debug", "tensor", "x/y"] {
            assert!(!is_path_of_ours(span), "{span}");
        }
    }

    #[test]
    fn missing_files_and_headings_are_named() {
        let workspace = Workspace::load().unwrap();
        let broken = |link| broken(&workspace, "README.md", Path::new(""), link);
        assert_eq!(broken("LICENSE-MIT"), None);
        assert_eq!(broken("https://example.org/nothing"), None);
        assert_eq!(broken("NOTHING.md").as_deref(), Some("no such file"));
        assert_eq!(broken("#no-such-part").as_deref(), Some("no heading #no-such-part"));
    }
}
