//! n-grams of words and of characters, each as a number of 64 bits: no n-gram is ever written down.
//!
//! A word's fingerprint is a hash of its letters; that of an n-gram follows from the (n−1)-gram before
//! its last word:
//!
//!   f(w₁) = hash(w₁)
//!   f(w₁ … wₙ) = mix(f(w₁ … wₙ₋₁), hash(wₙ))
//!
//! and in the same way over the characters of `<word>`, whose brackets mark where a word begins and
//! ends. So every n-gram costs one multiplication. Two of ten million different n-grams share a
//! fingerprint with probability 10⁷·10⁷ / 2⁶⁵ = 3·10⁻⁶, and what a table of fingerprints holds is
//! therefore an exact vocabulary.
//!
//! **Hashing** is the same with shorter fingerprints: with `bits` = b only the upper b bits are kept,
//! so that there are at most 2ᵇ features, of whatever text.
//!
//! # Source
//! n-grams of `<word>`: Bojanowski et al., *Enriching Word Vectors with Subword Information*, 2017.
//! Features by hash: Weinberger et al., *Feature Hashing for Large Scale Multitask Learning*, 2009;
//! without their signs, which are of no use for counts.

use crate::hash::{hash, mix};
use crate::tokenize::{
    Characters, Normalization, Tokenizer, UnicodeWords, Whitespace, Words, WordsAndMarks,
};
use crate::{Error, Result};

/// What a word is, by a name that a model's file can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokens {
    /// [`WordsAndMarks`].
    #[default]
    Marks,
    /// [`UnicodeWords`].
    Words,
    /// [`Whitespace`].
    Blanks,
    /// [`Characters`].
    Characters,
}

impl Tokens {
    const NAMES: [(&str, Tokens); 4] = [
        ("marks", Tokens::Marks),
        ("words", Tokens::Words),
        ("blanks", Tokens::Blanks),
        ("characters", Tokens::Characters),
    ];

    pub(crate) fn tokenizer(self) -> Box<dyn Tokenizer> {
        match self {
            Tokens::Marks => Box::new(WordsAndMarks),
            Tokens::Words => Box::new(UnicodeWords),
            Tokens::Blanks => Box::new(Whitespace),
            Tokens::Characters => Box::new(Characters),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let row = Self::NAMES.iter().find(|row| row.1 == self);
        row.expect("each has a name").0
    }

    /// The one with a name.
    pub fn from_name(name: &str) -> Option<Tokens> {
        Self::NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }
}

/// Which n-grams a document is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NGrams {
    /// What a word is.
    pub tokens: Tokens,
    /// Whether capitals become small letters.
    pub lowercase: bool,
    /// n-grams of one word to so many words.
    pub words: usize,
    /// n-grams of so many to so many characters of each word; none with a second number of 0.
    pub characters: (usize, usize),
    /// Bits of a fingerprint, at most 64; fewer make a vocabulary of bounded size.
    pub bits: u32,
}

impl Default for NGrams {
    /// Words and pairs of words, small letters, punctuation marks as words.
    fn default() -> NGrams {
        NGrams { tokens: Tokens::Marks, lowercase: true, words: 2, characters: (0, 0), bits: 64 }
    }
}

impl NGrams {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// Which does not.
    pub fn check(&self) -> Result<()> {
        let (least, most) = self.characters;
        if self.words > 8 {
            return Err(Error::setting("word n-grams", format!("{}; at most 8", self.words)));
        }
        if most > 16 || most > 0 && (least == 0 || least > most) {
            let reason = format!("{least} to {most}; they take 1 to 16, the smaller number first");
            return Err(Error::setting("character n-grams", reason));
        }
        if self.words == 0 && most == 0 {
            return Err(Error::setting("n-grams", "neither of words nor of characters"));
        }
        if !(8..=64).contains(&self.bits) {
            return Err(Error::setting("bits", format!("{}; 8 to 64", self.bits)));
        }
        Ok(())
    }

    fn analyzed_by(&self) -> Words {
        let normalization =
            if self.lowercase { Normalization::Lowercase } else { Normalization::None };
        Words { tokenizer: self.tokens.tokenizer(), normalization }
    }
}

/// Takes texts apart, in memory that it uses again.
pub(crate) struct Analyzer {
    ngrams: NGrams,
    words: Words,
    buffer: String,
    tokens: Vec<Token>,
}

/// A word's fingerprint, and where it is in the normalised text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    fingerprint: u64,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Analyzer {
    pub(crate) fn new(ngrams: &NGrams) -> Analyzer {
        let words = ngrams.analyzed_by();
        Analyzer { ngrams: ngrams.clone(), words, buffer: String::new(), tokens: Vec::new() }
    }

    /// Calls `each` with every n-gram's fingerprint and the first and last of its words, as numbers of
    /// [`tokens`](Self::tokens). Returns the normalised text.
    pub(crate) fn for_each<'t>(
        &'t mut self,
        text: &'t str,
        mut each: impl FnMut(u64, usize, usize),
    ) -> (&'t str, &'t [Token]) {
        let text = self.words.normalization.apply(text, &mut self.buffer);
        let (tokens, origin) = (&mut self.tokens, text.as_ptr() as usize);
        tokens.clear();
        self.words.tokenizer.for_each(text, &mut |token| {
            let start = (token.as_ptr() as usize - origin) as u32;
            let fingerprint = hash(token.as_bytes());
            tokens.push(Token { fingerprint, start, end: start + token.len() as u32 });
        });
        let shift = 64 - self.ngrams.bits;
        if self.ngrams.words > 0 {
            for first in 0..tokens.len() {
                let mut fingerprint = tokens[first].fingerprint;
                each(fingerprint >> shift, first, first);
                let last = tokens.len().min(first + self.ngrams.words);
                for (i, token) in tokens.iter().enumerate().take(last).skip(first + 1) {
                    fingerprint = mix(fingerprint, token.fingerprint);
                    each(fingerprint >> shift, first, i);
                }
            }
        }
        let (least, most) = self.ngrams.characters;
        if most > 0 {
            for (i, token) in tokens.iter().enumerate() {
                let word = &text[token.start as usize..token.end as usize];
                for_each_part(word, least, most, |fingerprint| each(fingerprint >> shift, i, i));
            }
        }
        (text, tokens)
    }
}

/// Calls `each` on the n-grams of the characters of `<word>`, but for the brackets by themselves.
fn for_each_part(word: &str, least: usize, most: usize, mut each: impl FnMut(u64)) {
    // No word has this fingerprint but by chance, so a part of a word is never taken for a word.
    const PART: u64 = 0x6a09_e667_f3bc_c909;
    let bracketed = || "<".chars().chain(word.chars()).chain(">".chars());
    let n_characters = word.chars().count() + 2;
    let mut from = bracketed();
    for first in 0..n_characters {
        let mut fingerprint = PART;
        for (i, c) in from.clone().take(most).enumerate() {
            fingerprint = mix(fingerprint, u64::from(u32::from(c)));
            let is_bracket = i == 0 && (first == 0 || first + 1 == n_characters);
            if i + 1 >= least && !is_bracket {
                each(fingerprint);
            }
        }
        from.next();
    }
}

/// Finds fingerprints that occur twice in a document, in a table that stays in the first-level cache.
#[derive(Default)]
pub(crate) struct Tally {
    /// The document in which a slot was last used, and the place among its features.
    slots: Vec<(u32, u32)>,
    document: u32,
}

impl Tally {
    /// Begins with a document of at most so many features.
    fn begin(&mut self, n_features: usize) {
        let size = (2 * n_features).next_power_of_two().max(64);
        if self.slots.len() < size || self.document == u32::MAX {
            self.slots = vec![(0, 0); size];
            self.document = 0;
        }
        self.document += 1;
    }

    /// Replaces `(fingerprint, 1)`s from `start` on by each with how often it is there, in the order in
    /// which they first occur.
    pub(crate) fn merge(&mut self, features: &mut Vec<(u64, u32)>, start: usize) {
        self.begin(features.len() - start);
        let mask = self.slots.len() - 1;
        let mut kept = start;
        for i in start..features.len() {
            let (fingerprint, count) = features[i];
            // Short fingerprints have their differences in the lower bits, and long ones everywhere.
            let mut at = fingerprint as usize & mask;
            loop {
                let (document, place) = self.slots[at];
                if document != self.document {
                    self.slots[at] = (self.document, kept as u32);
                    features[kept] = (fingerprint, count);
                    kept += 1;
                    break;
                }
                if features[place as usize].0 == fingerprint {
                    features[place as usize].1 += count;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
        features.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    /// The n-grams themselves.
    fn spelled(words: &[&str], n: usize) -> Vec<String> {
        let starts = 0..words.len();
        starts
            .flat_map(|i| (1..=n.min(words.len() - i)).map(move |k| words[i..i + k].join(" ")))
            .collect()
    }

    fn fingerprints(ngrams: &NGrams, text: &str) -> Vec<u64> {
        let mut found = Vec::new();
        Analyzer::new(ngrams).for_each(text, |fingerprint, _, _| found.push(fingerprint));
        found
    }

    #[test]
    fn parts_of_words_are_those_of_fasttext() {
        let mut parts = 0;
        for_each_part("where", 3, 6, |_| parts += 1);
        // <wh whe her ere re>, and 4, 3 and 2 longer ones.
        assert_eq!(parts, 5 + 4 + 3 + 2);
        let mut found = Vec::new();
        for_each_part("é", 1, 3, |part| found.push(part));
        // <é, <é>, é, é>: no bracket by itself.
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn n_grams_know_their_words() {
        let ngrams = NGrams { characters: (2, 2), ..NGrams::default() };
        let mut analyzer = Analyzer::new(&ngrams);
        let mut spans = Vec::new();
        let (text, tokens) = analyzer.for_each("Ab c!", |_, first, last| spans.push((first, last)));
        assert_eq!(text, "ab c!");
        let words: Vec<&str> =
            tokens.iter().map(|t| &text[t.start as usize..t.end as usize]).collect();
        assert_eq!(words, ["ab", "c", "!"]);
        let of_words = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2)];
        let of_characters = [(0, 0), (0, 0), (0, 0), (1, 1), (1, 1), (2, 2), (2, 2)];
        assert_eq!(spans, [&of_words[..], &of_characters[..]].concat());
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let good = NGrams::default();
        let rows = [
            (NGrams { words: 9, ..good.clone() }, "word n-grams: 9; at most 8"),
            (NGrams { words: 0, ..good.clone() }, "n-grams: neither"),
            (NGrams { characters: (3, 2), ..good.clone() }, "character n-grams: 3 to 2"),
            (NGrams { bits: 65, ..good.clone() }, "bits: 65; 8 to 64"),
        ];
        for (ngrams, expected) in rows {
            let error = ngrams.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        good.check().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn fingerprints_are_equal_where_n_grams_are(
            words in prop::collection::vec("[ab]{1,2}", 0..60), n in 1usize..5,
        ) {
            let ngrams = NGrams { words: n, ..NGrams::default() };
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (found, expected) = (fingerprints(&ngrams, &words.join(" ")), spelled(&words, n));
            prop_assert_eq!(found.len(), expected.len());
            let pairs: HashSet<_> = found.iter().zip(&expected).collect();
            let distinct: HashSet<_> = expected.iter().collect();
            prop_assert_eq!(pairs.len(), distinct.len());
        }

        #[test]
        fn merged_features_are_counted(words in prop::collection::vec(0u64..40, 0..200)) {
            let mut features = vec![(7, 1)];
            features.extend(words.iter().map(|&word| (word, 1)));
            Tally::default().merge(&mut features, 1);
            let mut expected: HashMap<u64, u32> = HashMap::new();
            words.iter().for_each(|&word| *expected.entry(word).or_default() += 1);
            prop_assert_eq!(features[0], (7, 1));
            prop_assert_eq!(features.len() - 1, expected.len());
            prop_assert!(features[1..].iter().all(|(word, count)| expected[word] == *count));
        }
    }
}
