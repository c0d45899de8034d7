//! The little of Markdown that the rules look at: links, anchors, paths in code spans and fenced
//! blocks with the comment before them.

/// A link or a path, and the line it stands on, counted from 1.
#[derive(Debug, PartialEq)]
pub(crate) struct Reference {
    pub(crate) line: usize,
    pub(crate) target: String,
}

/// A fenced block.
#[derive(Debug, PartialEq)]
pub(crate) struct Block {
    pub(crate) line: usize,
    /// The text of an HTML comment on the line above the fence.
    pub(crate) comment: Option<String>,
    pub(crate) content: String,
}

/// Lines outside fenced blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => {
                fence = Some(mark);
                None
            }
            (Some(open), _) => {
                if mark == Some(open) {
                    fence = None;
                }
                None
            }
            (None, None) => Some((index + 1, line)),
        }
    })
}

/// The line in pieces, each with whether it is inside backticks.
fn spans(line: &str) -> impl Iterator<Item = (bool, &str)> {
    line.split('`').enumerate().map(|(index, piece)| (index % 2 == 1, piece))
}

/// Targets of `[text](target)`, of `[label]: target` and of `src="target"`.
pub(crate) fn links(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        // A code span may stand inside a link's text, so only its content is blanked out.
        let visible: String = spans(content)
            .map(|(code, piece)| if code { "_".repeat(piece.len()) } else { piece.into() })
            .collect();
        let mut add = |target: &str| {
            found.push(Reference { line, target: target.trim_matches(['<', '>']).into() });
        };
        for (at, open) in visible.match_indices("](") {
            let rest = &visible[at + open.len()..];
            if let Some(end) = rest.find([')', ' ']) {
                add(&rest[..end]);
            }
        }
        for (at, open) in visible.match_indices("src=\"") {
            let rest = &visible[at + open.len()..];
            if let Some(end) = rest.find('"') {
                add(&rest[..end]);
            }
        }
        if let Some((label, target)) = visible.trim_start().split_once("]: ")
            && label.starts_with('[')
            && !label.contains(']')
        {
            add(target.split_whitespace().next().unwrap_or_default());
        }
    }
    found
}

/// The names under which GitHub makes each heading reachable, and explicit `id="…"`.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if (1..=6).contains(&level) && title.starts_with(' ') {
            let name = anchor(title.trim());
            let same = found.iter().filter(|other| **other == name).count();
            let numbered = if same == 0 { name.clone() } else { format!("{name}-{same}") };
            found.push(numbered);
            if same > 0 {
                found.push(name);
            }
        }
        for (at, open) in line.match_indices("id=\"") {
            let rest = &line[at + open.len()..];
            found.extend(rest.find('"').map(|end| rest[..end].to_string()));
        }
    }
    found
}

/// GitHub's rule: lower case, punctuation dropped, spaces to hyphens. A link counts by its text.
fn anchor(title: &str) -> String {
    let mut plain = String::new();
    let mut rest = title;
    while let Some(at) = rest.find("](") {
        plain += &rest[..at];
        rest = rest[at..].split_once(')').map_or("", |(_, after)| after);
    }
    plain += rest;
    plain
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .flat_map(char::to_lowercase)
        .collect()
}

/// Contents of code spans.
pub(crate) fn code_spans(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        for (_, piece) in spans(content).filter(|(code, _)| *code) {
            found.push(Reference { line, target: piece.into() });
        }
    }
    found
}

/// Fenced blocks in order.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut comment = None;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim_start().starts_with("```") {
            let content = lines.by_ref().map(|(_, line)| line);
            let content = content.take_while(|line| line.trim() != "```");
            let content = content.map(|line| format!("{line}\n")).collect();
            found.push(Block { line: index + 1, comment: comment.take(), content });
        }
        let inner = line.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
        comment = inner.map(|inner| inner.trim().to_string());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "[a](x.md) and `[b](y.md)` and [`c`](z.md#part \"t\")\n```\n[d](w.md)\n```\n[e]: v.md\n";
        let targets: Vec<_> =
            links(text).into_iter().map(|link| (link.line, link.target)).collect();
        let expected = [(1, "x.md"), (1, "z.md#part"), (5, "v.md")];
        assert_eq!(targets, expected.map(|(line, target)| (line, target.to_string())));
    }

    #[test]
    fn anchors_follow_githubs_rule() {
        let text = "# plies: a stack, `Tensor` first\n## Add an op\n```\n# no heading\n```\n## Add an op\n<a id=\"here\"></a>\n";
        let names = anchors(text);
        for name in ["plies-a-stack-tensor-first", "add-an-op", "add-an-op-1", "here"] {
            assert!(names.iter().any(|other| other == name), "{name} in {names:?}");
        }
        assert!(!names.iter().any(|name| name == "no-heading"));
    }

    #[test]
    fn a_block_keeps_its_comment_and_its_lines() {
        let text = "<!-- source: a.rs -->\n```rust\nlet x = 1;\n\nlet y = 2;\n```\n\n```\nz\n```\n";
        let found = blocks(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].comment.as_deref(), Some("source: a.rs"));
        assert_eq!(found[0].content, "let x = 1;\n\nlet y = 2;\n");
        assert_eq!(found[1], Block { line: 8, comment: None, content: "z\n".into() });
    }
}
