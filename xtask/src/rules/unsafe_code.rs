//! Unsafe code is written in one folder. Everywhere else the compiler forbids it, or, in the crates
//! that have it, this rule does.

use crate::workspace::Workspace;

/// SIMD loops, matrix kernels and the memory they run over.
const FOLDER: &str = "tensor/src/cpu/";

/// A consent that wgpu takes in an unsafe function only; the rest of its crate the compiler refuses.
const CONSENT: &str = "gpu/src/matrix_units.rs";

/// Benches call other people's kernels to compare with, which is unsafe for some.
const COMPARISONS: &[&str] = &["tensor/benches/", "bench/"];

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in workspace.packages().iter().filter(|package| package.name() != "plies-tensor") {
        for (kind, source) in package.targets() {
            // Tests, examples and benches are covered by the search below.
            if !["lib", "bin"].contains(&kind) {
                continue;
            }
            let text = std::fs::read_to_string(source).unwrap_or_default();
            let level = if package.name() == "plies-gpu" { "deny" } else { "forbid" };
            if !text.contains(&format!("#![{level}(unsafe_code)]")) {
                let file = source.strip_prefix(workspace.root()).unwrap_or(source);
                breaches.push(format!("{}: no #![{level}(unsafe_code)]", file.display()));
            }
        }
    }
    for file in workspace.files_with("rs") {
        if file.starts_with(FOLDER)
            || file == CONSENT
            || COMPARISONS.iter().any(|folder| file.starts_with(folder))
        {
            continue;
        }
        let text = workspace.text(file).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            if has_unsafe_code(line) {
                breaches.push(format!("{file}:{}: unsafe code outside {FOLDER}", number + 1));
            }
        }
    }
    breaches
}

/// Whether a line opens an unsafe block, function, trait or implementation. The word followed by
/// anything else is prose or a lint's name.
fn has_unsafe_code(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let next = code[at + word.len()..].trim_start();
        before.is_none_or(|c| c.is_whitespace() || "({=|>".contains(c))
            && ["{", "fn ", "impl ", "impl<", "trait ", "extern "]
                .iter()
                .any(|s| next.starts_with(s))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_told_from_prose() {
        let word = "unsafe";
        assert!(has_unsafe_code(&format!("    let x = {word} {{ *p }};")));
        assert!(has_unsafe_code(&format!("pub {word} fn f() {{}}")));
        assert!(has_unsafe_code(&format!("{word} impl Send for X {{}}")));
        assert!(!has_unsafe_code("#![forbid(unsafe_code)]"));
        assert!(!has_unsafe_code(&format!("// {word} {{ is named here }}")));
    }
}
