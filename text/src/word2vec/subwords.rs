//! A word as a bag of the n-grams of its letters, so that words that were never seen have vectors too.
//!
//! The word is put between angle brackets; all its n-grams of `min` to `max` characters are hashed into
//! `buckets` rows, which follow the rows of the words. The word's vector is the mean of its own row and of
//! theirs.
//!
//! # Source
//! Bojanowski, Grave, Joulin, Mikolov: Enriching word vectors with subword information (2017). Which n-grams
//! there are, and their hashes, are fastText's: no n-gram of one character that is a bracket.

use crate::hash::fasttext_hash;

/// Which n-grams make up a word.
///
/// # Example
/// ```
/// use plies_text::word2vec::Subwords;
/// let subwords = Subwords { min: 3, max: 4, buckets: 1000 };
/// assert_eq!(subwords.ngrams("ab").collect::<Vec<_>>(), ["<ab", "<ab>", "ab>"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subwords {
    /// Characters of the shortest n-grams.
    pub min: usize,
    /// Characters of the longest.
    pub max: usize,
    /// Rows that the n-grams share.
    pub buckets: usize,
}

impl Default for Subwords {
    /// fastText's: 3 to 6 characters, but a fourth of its two million rows.
    fn default() -> Subwords {
        Subwords { min: 3, max: 6, buckets: 500_000 }
    }
}

impl Subwords {
    /// The n-grams of a word, from the left, the short ones first.
    pub fn ngrams(&self, word: &str) -> impl Iterator<Item = String> + use<> {
        let text = format!("<{word}>");
        let starts: Vec<usize> =
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (min, max) = (self.min.max(1), self.max);
        let characters = starts.len() - 1;
        (0..characters).flat_map(move |from| {
            let (text, starts) = (text.clone(), starts.clone());
            (min..=max).filter_map(move |n| {
                let is_bracket = n == 1 && (from == 0 || from + 1 == characters);
                let is_there = from + n <= characters && !is_bracket;
                is_there.then(|| text[starts[from]..starts[from + n]].to_owned())
            })
        })
    }

    /// The rows of a word's n-grams, counted after the rows of the `words` words.
    pub(crate) fn rows(&self, word: &str, words: usize) -> impl Iterator<Item = u32> + use<> {
        let buckets = self.buckets;
        self.ngrams(word)
            .map(move |ngram| (words + fasttext_hash(ngram.as_bytes()) as usize % buckets) as u32)
    }
}

/// The rows of each word: its own, and those of its n-grams.
pub(crate) struct Bags {
    rows: Vec<u32>,
    ends: Vec<usize>,
}

impl Bags {
    pub(crate) fn new<'w>(
        words: impl ExactSizeIterator<Item = &'w str>,
        subwords: Subwords,
    ) -> Bags {
        let n = words.len();
        let (mut rows, mut ends) = (Vec::new(), Vec::with_capacity(n));
        for (number, word) in words.enumerate() {
            rows.push(number as u32);
            rows.extend(subwords.rows(word, n));
            ends.push(rows.len());
        }
        Bags { rows, ends }
    }

    #[inline]
    pub(crate) fn of(&self, word: u32) -> &[u32] {
        let word = word as usize;
        let start = if word == 0 { 0 } else { self.ends[word - 1] };
        &self.rows[start..self.ends[word]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ngrams_are_fasttext_s() {
        let subwords = Subwords { min: 1, max: 3, buckets: 10 };
        let ngrams: Vec<String> = subwords.ngrams("né").collect();
        assert_eq!(ngrams, ["<n", "<né", "n", "né", "né>", "é", "é>"]);
        let bags = Bags::new(["né", ""].into_iter(), subwords);
        assert_eq!(bags.of(0).len(), 8);
        assert_eq!(bags.of(0)[0], 0);
        assert!(bags.of(0)[1..].iter().all(|&row| (2..12).contains(&row)));
        assert_eq!(bags.of(1).len(), 2);
    }
}
