//! Texts inside the program, so that every command does something real without a file.
//! `data/README.md` has their origin and licences.

use crate::corpus::Source;

/// Jane Austen, *Pride and Prejudice* (1813): 122,000 words, in lines of about 70 characters.
///
/// # Example
/// ```
/// let novel = plies_text::embedded::novel();
/// assert_eq!(novel.lines()?.next()?, Some((1, "PRIDE AND PREJUDICE")));
/// # Ok::<(), plies_text::Error>(())
/// ```
pub fn novel() -> Source {
    let bytes = include_bytes!("../data/pride-and-prejudice.txt.gz");
    Source::embedded("Pride and Prejudice (embedded)", bytes)
}

/// 3,000 sentences of reviews, `source<TAB>label<TAB>text`; label 1 praises, 0 does not. From Kotzias
/// et al. 2015, CC BY 4.0.
pub fn sentences() -> Source {
    let bytes = include_bytes!("../data/sentences.tsv.gz");
    Source::embedded("3,000 sentences (embedded)", bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_are_balanced() {
        let mut lines = sentences().lines().unwrap();
        let mut counts = [0; 2];
        while let Some((_, line)) = lines.next().unwrap() {
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns.len(), 3, "{line}");
            counts[columns[1].parse::<usize>().unwrap()] += 1;
        }
        assert_eq!(counts, [1500, 1500]);
    }
}
