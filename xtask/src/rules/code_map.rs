//! The code map of ARCHITECTURE.md names every source file of the crates that have a table in it, by
//! itself or by its folder; the table of nn/README.md names everything that the crate gives out by its
//! own name.

use std::path::Path;

use crate::markdown;
use crate::workspace::Workspace;

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let text = workspace.text("ARCHITECTURE.md").unwrap_or_default();
    let named: Vec<String> =
        markdown::code_spans(&text).into_iter().map(|span| span.target).collect();
    let files = workspace.files_with("rs");
    let missing = files.into_iter().filter(|file| {
        let has_table =
            ["tensor/src/", "autograd/src/", "nn/src/", "text/src/", "gpu/src/", "digits/src/"];
        has_table.iter().any(|folder| file.starts_with(folder)) && !is_named(file, &named)
    });
    let files = missing.map(|file| format!("ARCHITECTURE.md: the code map does not name {file}"));
    let readme = workspace.text("nn/README.md").unwrap_or_default();
    let exports = ["nn/src/lib.rs", "nn/src/layers/mod.rs"]
        .map(|file| workspace.text(file).unwrap_or_default())
        .concat();
    let missing = exported(&exports).into_iter().filter(|name| !is_in_table(name, &readme));
    let names = missing.map(|name| format!("nn/README.md: its table does not name {name}"));
    files.chain(names).collect()
}

/// What the lines `pub use …;` give out.
fn exported(source: &str) -> Vec<&str> {
    let uses = source.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next());
    let names = uses.flat_map(|path| path.split([':', '{', '}', ',']));
    let types = |name: &&str| name.starts_with(|c: char| c.is_ascii_uppercase());
    names.map(str::trim).filter(types).collect()
}

fn is_in_table(name: &str, page: &str) -> bool {
    let quoted = format!("`{name}`");
    page.lines().any(|line| line.starts_with('|') && line.contains(&quoted))
}

/// By itself, or by a folder below `src`. What `lib.rs`, `main.rs` and `mod.rs` are is known.
fn is_named(file: &str, named: &[String]) -> bool {
    let path = Path::new(file);
    let is_root = path
        .file_name()
        .is_some_and(|name| ["lib.rs", "main.rs", "mod.rs"].iter().any(|root| name == *root));
    let places = path.ancestors().take_while(|place| !place.ends_with("src"));
    is_root || places.into_iter().any(|place| named.iter().any(|name| Path::new(name) == place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_itself_or_by_its_folder() {
        let named = ["nn/src/optim", "nn/src/init.rs", "nn/src"].map(String::from);
        for file in ["nn/src/optim/adam.rs", "nn/src/init.rs", "nn/src/lib.rs"] {
            assert!(is_named(file, &named), "{file}");
        }
        assert!(!is_named("nn/src/linear.rs", &named));
    }

    #[test]
    fn what_a_crate_gives_out_is_in_the_table() {
        let source =
            "mod a;\npub use autograd;\npub use a::One;\npub use b::{\n    Two, Three,\n};\n";
        assert_eq!(exported(source), ["One", "Two", "Three"]);
        assert!(is_in_table("One", "| `Two`, `One` | [a.rs] |"));
        assert!(!is_in_table("One", "Take `One`."));
    }
}
