//! A fenced block below `<!-- source: FILE -->` is a run of lines of that file; one below
//! `<!-- output: EXAMPLE -->` is what that example prints, which `cargo xtask examples` compares; claims are
//! quoted in the same way.

use crate::markdown;
use crate::workspace::Workspace;

/// A fenced block that claims to be somebody else's text.
pub(crate) struct Quotation {
    /// `file:line` of the block.
    pub(crate) place: String,
    /// What is quoted: a file, from the root, or the name of a claim.
    pub(crate) quoted: String,
    pub(crate) content: String,
}

/// The blocks whose comment begins with `kind` and a colon.
pub(crate) fn quotations(workspace: &Workspace, kind: &str) -> Vec<Quotation> {
    let mut found = Vec::new();
    for file in workspace.files_with("md") {
        let text = workspace.text(file).unwrap_or_default();
        for block in markdown::blocks(&text) {
            let comment = block.comment.as_deref().and_then(|comment| comment.split_once(':'));
            let Some((name, quoted)) = comment else { continue };
            if name.trim() == kind {
                found.push(Quotation {
                    place: format!("{file}:{}", block.line),
                    quoted: quoted.trim().into(),
                    content: block.content,
                });
            }
        }
    }
    found
}

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for Quotation { place, quoted: file, content } in quotations(workspace, "source") {
        match workspace.text(&file) {
            None => breaches.push(format!("{place} quotes {file}, which is not there")),
            Some(text) if !is_run_of_lines(&content, &text) => {
                breaches.push(format!("{place} is not what {file} says"));
            }
            Some(_) => {}
        }
    }
    breaches
}

/// Whether the lines of `part` follow each other in `whole`, at any depth of indentation.
fn is_run_of_lines(part: &str, whole: &str) -> bool {
    let lines =
        |text: &str| -> Vec<String> { text.trim().lines().map(|l| l.trim().into()).collect() };
    let (part, whole) = (lines(part), lines(whole));
    whole.windows(part.len().max(1)).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_is_a_run_of_lines_at_any_depth() {
        let whole = "fn main() {\n    let x = 1;\n\n    let y = 2;\n}\n";
        assert!(is_run_of_lines("let x = 1;\n\nlet y = 2;\n", whole));
        assert!(is_run_of_lines(whole, whole));
        assert!(!is_run_of_lines("let x = 1;\nlet y = 2;\n", whole));
        assert!(!is_run_of_lines("let z = 1;\n", whole));
    }
}
