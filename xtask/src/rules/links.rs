//! Links and paths in Markdown. Pages elsewhere are not asked: checks work without a network. A link
//! to a file of this repository by its address on the web is looked up here; a page that is also the
//! front page of a crate's documentation has no others, since its neighbours are not there.

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

/// Where the files of the repository are on the web.
const ON_THE_WEB: &str = "https://github.com/plies-rs/plies/blob/main/";

fn broken(workspace: &Workspace, file: &str, folder: &Path, link: &str) -> Option<String> {
    if let Some(path) = link.strip_prefix(ON_THE_WEB) {
        return broken(workspace, "README.md", Path::new(""), path);
    }
    if ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        return None;
    }
    let is_front_page = || {
        let library = workspace.root().join(folder).join("src/lib.rs");
        std::fs::read_to_string(library)
            .is_ok_and(|text| text.contains("include_str!(\"../README.md"))
    };
    if !link.starts_with('#') && file.ends_with("/README.md") && is_front_page() {
        return Some(format!("begin it with {ON_THE_WEB}: this page is also in rustdoc"));
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
    let folders = [
        "tensor", "autograd", "nn", "text", "gpu", "console", "digits", "xtask", ".ci", ".cargo",
        ".github",
    ];
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
        let on_the_web = [format!("{ON_THE_WEB}nn/README.md"), format!("{ON_THE_WEB}no/file")];
        assert_eq!(broken(&on_the_web[0]), None);
        assert_eq!(broken(&on_the_web[1]).as_deref(), Some("no such file"));
        let chapter = super::broken(&workspace, "nn/README.md", Path::new("nn"), "src/lib.rs");
        assert!(chapter.unwrap().contains("also in rustdoc"));
        assert_eq!(broken("#no-such-part").as_deref(), Some("no heading #no-such-part"));
    }
}
