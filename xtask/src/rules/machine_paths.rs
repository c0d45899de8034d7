//! No file names a folder that exists on one machine only.

use crate::workspace::Workspace;

/// First folders of absolute paths, without the leading slash: this file is checked, too.
const FOLDERS: &[&str] = &["work", "home", "root", "Users", "mnt", "tmp/wt"];

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in workspace.files() {
        let Some(text) = workspace.text(file) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(folder) = machine_path(line) {
                breaches.push(format!("{file}:{}: an absolute path, /{folder}/…", number + 1));
            }
        }
    }
    breaches
}

/// The folder of the first absolute path in `line`. Only a slash that begins a path counts, so
/// neither `https://example.org/home/` nor `target/work/` is one.
fn machine_path(line: &str) -> Option<&'static str> {
    FOLDERS.iter().copied().find(|folder| {
        line.match_indices(&format!("/{folder}/")).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| !(c.is_alphanumeric() || "._-}~/".contains(c)))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_paths_are_found() {
        let path = |folder: &str| format!("/{folder}/data");
        assert_eq!(machine_path(&format!("see {}", path("home"))), Some("home"));
        assert_eq!(machine_path(&format!("(`{}`)", path("work"))), Some("work"));
        assert_eq!(machine_path(&path("Users")), Some("Users"));
        assert_eq!(machine_path(&format!("https://example.org{}", path("home"))), None);
        assert_eq!(machine_path(&format!("target{}", path("work"))), None);
        assert_eq!(machine_path("the house and home/garden"), None);
    }
}
