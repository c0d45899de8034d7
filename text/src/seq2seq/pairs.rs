//! Texts and their answers.

use std::collections::HashSet;

use crate::corpus::Source;
use crate::hash::{hash, mix};
use crate::random::Stream;
use crate::{Error, Result};

/// Texts, each with its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Where they come from.
    name: String,
    rows: Vec<(String, String)>,
}

impl Pairs {
    /// Pairs that are made elsewhere.
    pub fn new(rows: Vec<(String, String)>) -> Pairs {
        Pairs { name: "pairs".to_owned(), rows }
    }

    /// Reads lines of a text, a tab, and its answer; lines of white space are passed over.
    ///
    /// # Errors
    /// What is wrong with the text; a line without a tab, or with an empty side.
    pub fn read(source: &Source) -> Result<Pairs> {
        let (mut rows, mut lines) = (Vec::new(), source.lines()?);
        while let Some((_, line)) = lines.next()? {
            if line.trim().is_empty() {
                continue;
            }
            let mut columns = line.split('\t');
            let (Some(text), Some(answer)) = (columns.next(), columns.next()) else {
                return Err(lines.error("has no tab; a line is a text, a tab, and its answer"));
            };
            let (text, answer) = (text.trim().to_owned(), answer.trim().to_owned());
            if text.is_empty() || answer.is_empty() {
                return Err(lines.error("has nothing on one side of its tab"));
            }
            rows.push((text, answer));
        }
        if rows.is_empty() {
            return Err(Error::format(source.name(), "has no pairs"));
        }
        Ok(Pairs { name: source.name().to_owned(), rows })
    }

    /// `n` different numbers below `limit`, in words and in digits, those of one, two … digits equally often
    /// as far as there are enough.
    ///
    /// # Example
    /// ```
    /// use plies_text::seq2seq::{Pairs, in_words};
    /// assert_eq!(in_words(205), "two hundred and five");
    /// assert_eq!(Pairs::numbers(50, 1000, 1).len(), 50);
    /// ```
    pub fn numbers(n: usize, limit: u32, seed: u64) -> Pairs {
        let (mut draws, mut seen) = (Stream::new(seed, [1, 0]), HashSet::new());
        let digits = limit.saturating_sub(1).max(1).ilog10() + 1;
        let mut rows = Vec::new();
        while rows.len() < n.min(limit as usize) {
            let bound = 10u32.saturating_pow(1 + draws.below(digits)).min(limit);
            let mut number = draws.below(bound);
            // Of few digits all numbers are soon there.
            while !seen.insert(number) {
                number = draws.below(limit);
            }
            rows.push((in_words(number), number.to_string()));
        }
        Pairs { name: format!("numbers below {limit}"), rows }
    }

    /// `n` different words of 3 to `most` small letters, and the same backwards; no more than half of those of
    /// `most` letters.
    pub fn backwards(n: usize, most: u32, seed: u64) -> Pairs {
        let n = n.min(26usize.saturating_pow(most.max(3)) / 2);
        let (mut draws, mut seen) = (Stream::new(seed, [2, 0]), HashSet::new());
        let mut rows = Vec::new();
        while rows.len() < n {
            let length = 3 + draws.below(most.max(3) - 2);
            let word: String =
                (0..length).map(|_| char::from(b'a' + draws.below(26) as u8)).collect();
            if seen.insert(word.clone()) {
                rows.push((word.clone(), word.chars().rev().collect()));
            }
        }
        Pairs { name: "words backwards".to_owned(), rows }
    }

    /// Where they come from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A hash of all of them, in their order.
    pub(super) fn digest(&self) -> u64 {
        let texts = self.iter().flat_map(|(text, answer)| [text, answer]);
        texts.fold(0, |digest, text| mix(digest, hash(text.as_bytes())))
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The texts with their answers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.rows.iter().map(|(text, answer)| (&**text, &**answer))
    }

    /// All but `n` pairs drawn at random, and those. A text of the second part is none of the first, with
    /// whatever answer.
    pub fn split(mut self, n: usize, seed: u64) -> (Pairs, Pairs) {
        let mut draws = Stream::new(seed, [3, 0]);
        for i in (1..self.rows.len()).rev() {
            self.rows.swap(i, draws.below(i as u32 + 1) as usize);
        }
        let rest = self.rows.split_off(self.rows.len() - n.min(self.rows.len()));
        let held: HashSet<&str> = rest.iter().map(|(text, _)| &**text).collect();
        self.rows.retain(|(text, _)| !held.contains(&**text));
        let name = self.name.clone();
        (self, Pairs { name, rows: rest })
    }
}

/// A number in English words, as the British say it: with "and" before tens and units.
pub fn in_words(number: u32) -> String {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 10] =
        ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let join = |left: String, rest: u32| match rest {
        0 => left,
        1..100 => format!("{left} and {}", in_words(rest)),
        _ => format!("{left} {}", in_words(rest)),
    };
    match number {
        0..20 => SMALL[number as usize].to_owned(),
        20..100 if number.is_multiple_of(10) => TENS[number as usize / 10].to_owned(),
        20..100 => format!("{} {}", TENS[number as usize / 10], SMALL[number as usize % 10]),
        100..1000 => join(format!("{} hundred", SMALL[number as usize / 100]), number % 100),
        1000..1_000_000 => join(format!("{} thousand", in_words(number / 1000)), number % 1000),
        1_000_000..1_000_000_000 => {
            join(format!("{} million", in_words(number / 1_000_000)), number % 1_000_000)
        }
        _ => join(format!("{} billion", in_words(number / 1_000_000_000)), number % 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_the_british_say_them() {
        let rows = [
            (0, "zero"),
            (13, "thirteen"),
            (40, "forty"),
            (99, "ninety nine"),
            (100, "one hundred"),
            (205, "two hundred and five"),
            (1001, "one thousand and one"),
            (12_345, "twelve thousand three hundred and forty five"),
            (
                u32::MAX,
                "four billion two hundred and ninety four million nine hundred and sixty seven thousand two hundred and ninety five",
            ),
        ];
        for (number, words) in rows {
            assert_eq!(in_words(number), words);
        }
    }

    #[test]
    fn what_is_held_out_is_not_learned_from() {
        let (train, test) = Pairs::numbers(400, 1000, 3).split(100, 1);
        assert_eq!((train.len(), test.len()), (300, 100));
        assert!(test.iter().all(|(text, _)| train.iter().all(|(other, _)| other != text)));
        let twice = Pairs::new((0..10).map(|i| ((i % 2).to_string(), i.to_string())).collect());
        let (train, test) = twice.split(1, 1);
        assert_eq!((train.len(), test.len()), (5, 1));
    }

    #[test]
    fn lines_are_pairs_or_mistakes() {
        let read = |text: &str| Pairs::read(&Source::bytes("p.tsv", text.as_bytes()));
        let pairs = read("a b\tc\r\n\nd\te\tmore\n").unwrap();
        assert_eq!(pairs.iter().collect::<Vec<_>>(), [("a b", "c"), ("d", "e")]);
        let rows = [
            ("a\tb\nc\n", "p.tsv:2: has no tab; a line is a text, a tab, and its answer"),
            ("a\t \n", "p.tsv:1: has nothing on one side of its tab"),
            ("\n", "p.tsv: has no pairs"),
        ];
        for (text, message) in rows {
            assert_eq!(read(text).unwrap_err().to_string(), message);
        }
        assert_eq!(Pairs::backwards(3, 6, 1), Pairs::backwards(3, 6, 1));
    }
}
