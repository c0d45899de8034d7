//! From the format of whoever packed a set to one that `cargo digits` and `cargo text` read: tab-separated values
//! with a line of names.

/// Nothing to be done.
pub(super) fn as_is(bytes: &[u8]) -> Result<Vec<u8>, String> {
    Ok(bytes.to_vec())
}

/// Orange's `.tab`: names, then two lines of types and roles.
pub(super) fn orange(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let text = text(bytes)?;
    let rows = text.lines().skip(3).filter(|line| !line.trim().is_empty());
    Ok(table("label\ttext", rows.map(str::to_owned)))
}

/// Tatoeba's pairs: a sentence, its translation, and to whom both are owed, which stays in the file.
pub(super) fn pairs(bytes: &[u8]) -> Result<Vec<u8>, String> {
    Ok(table("source\ttarget\tattribution", text(bytes)?.lines().map(str::to_owned)))
}

/// WordNet's `data.*`: for each set of synonyms its lexicographer's file, first lemma and gloss.
pub(super) fn glosses(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut rows = Vec::new();
    // A licence, in lines that begin with two spaces, comes first.
    for line in text(bytes)?.lines().filter(|line| !line.starts_with("  ")) {
        let row = line.split_once("| ").and_then(|(left, gloss)| {
            let mut fields = left.split(' ');
            let class = LEXICOGRAPHERS.get(fields.nth(1)?.parse::<usize>().ok()?)?;
            let lemma = fields.nth(2)?.replace('_', " ");
            Some(format!("{class}\t{lemma}\t{}", gloss.trim()))
        });
        rows.push(row.ok_or_else(|| format!("this is no line of WordNet: {line}"))?);
    }
    Ok(table("label\tlemma\ttext", rows.into_iter()))
}

/// apt's records: a section, and a package's name with its description.
pub(super) fn packages(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let text = text(bytes)?;
    let rows = text.split("\n\n").filter_map(|record| {
        let field = |name: &str| {
            record
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(str::trim)
        };
        // `contrib/games` are games, too.
        let section = field("Section")?.rsplit('/').next()?;
        Some(format!("{section}\t{}: {}", field("Package")?, field("Description")?))
    });
    let rows: Vec<String> = rows.collect();
    if rows.is_empty() {
        return Err("apt knows no packages; `apt-get update` fetches its index".to_owned());
    }
    Ok(table("label\ttext", rows.into_iter()))
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("is not UTF-8: {error}"))
}

fn table(names: &str, rows: impl Iterator<Item = String>) -> Vec<u8> {
    let mut text = format!("{names}\n");
    for row in rows {
        text += &row;
        text.push('\n');
    }
    text.into_bytes()
}

/// lexnames(5WN).
#[rustfmt::skip]
const LEXICOGRAPHERS: [&str; 45] = [
    "adj.all", "adj.pert", "adv.all", "noun.Tops", "noun.act", "noun.animal", "noun.artifact", "noun.attribute",
    "noun.body", "noun.cognition", "noun.communication", "noun.event", "noun.feeling", "noun.food", "noun.group",
    "noun.location", "noun.motive", "noun.object", "noun.person", "noun.phenomenon", "noun.plant",
    "noun.possession", "noun.process", "noun.quantity", "noun.relation", "noun.shape", "noun.state",
    "noun.substance", "noun.time", "verb.body", "verb.change", "verb.cognition", "verb.communication",
    "verb.competition", "verb.consumption", "verb.contact", "verb.creation", "verb.emotion", "verb.motion",
    "verb.perception", "verb.possession", "verb.social", "verb.stative", "verb.weather", "adj.ppl",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_become_tables() {
        type Convert = fn(&[u8]) -> Result<Vec<u8>, String>;
        let rows: [(Convert, &str, &str); 4] = [
            (
                orange,
                "Category\tText\nd\tstring\nclass\t\n\ncocoa\tshowers\n",
                "label\ttext\ncocoa\tshowers\n",
            ),
            (pairs, "Go.\tVe.\tCC-BY\n", "source\ttarget\tattribution\nGo.\tVe.\tCC-BY\n"),
            (
                glosses,
                "  1 licence  \n00001930 03 n 01 physical_entity 0 007 @ 0 | that exists  \n",
                "label\tlemma\ttext\nnoun.Tops\tphysical entity\tthat exists\n",
            ),
            (
                packages,
                "Package: 0ad\nDescription: a game\nSection: contrib/games\n\nPackage: x\n",
                "label\ttext\ngames\t0ad: a game\n",
            ),
        ];
        for (convert, from, to) in rows {
            assert_eq!(String::from_utf8(convert(from.as_bytes()).unwrap()).unwrap(), to);
        }
    }

    #[test]
    fn what_is_something_else_is_refused() {
        assert!(glosses(b"hello\n").unwrap_err().contains("hello"));
        assert!(packages(b"").unwrap_err().contains("apt-get update"));
        assert!(orange(b"\xff").unwrap_err().contains("UTF-8"));
    }
}
