//! Rules that need nothing but the source tree. Each is one function from the workspace to a list
//! of breaches, called by `cargo xtask tidy` and by a test, so that `cargo test` shows a breach, too.

mod arrows;
mod code_map;
mod licence_files;
mod links;
mod machine_paths;
mod manifests;
mod quiet_libraries;
mod quotations;
mod tests_run;
mod toolchain;
mod unsafe_code;

use crate::workspace::Workspace;

pub(crate) use quotations::{Quotation, quotations};

/// Breaches found, each a line that names the file.
pub(crate) type Rule = fn(&Workspace) -> Vec<String>;

/// Every rule with its name.
pub(crate) const RULES: &[(&str, Rule)] = &[
    ("dependency arrows point down", arrows::check),
    ("manifests are fit to publish", manifests::check),
    ("one Rust version everywhere", toolchain::check),
    ("licence files are there", licence_files::check),
    ("links in Markdown lead somewhere", links::check),
    ("the code map and the table of layers are complete", code_map::check),
    ("code quoted in Markdown is the code", quotations::check),
    ("no file of tests is forgotten", tests_run::check),
    ("unsafe code stays in the CPU backend", unsafe_code::check),
    ("libraries print nothing and exit nowhere", quiet_libraries::check),
    ("no path of somebody's machine", machine_paths::check),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// One test for all, so that the tree is looked at once; the message has every breach.
    #[test]
    fn the_source_tree_keeps_its_rules() {
        let workspace = Workspace::load().unwrap();
        let mut breaches = Vec::new();
        for (name, rule) in RULES {
            breaches
                .extend(rule(&workspace).into_iter().map(|finding| format!("{name}: {finding}")));
        }
        assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
    }
}
