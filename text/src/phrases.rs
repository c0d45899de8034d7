//! Words that belong together: "new york" becomes the word "new_york".
//!
//! Pairs that stand together more often than their words alone would are joined, from the left to the right. A text
//! that was joined once can be joined again, and then has phrases of up to four words.

use std::io::Write;

use crate::{
    Error, Result,
    corpus::Source,
    tokenize::Words,
    vocabulary::Counter,
    word2vec::{count, count_by},
};

/// How much a pair belongs together. With counts n(a), n(b), n(ab), N of all words, and the minimum count δ:
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// (n(ab) − δ) N / (n(a) n(b)), of any size; 100 is a usual threshold.
    ///
    /// # Source
    /// Mikolov et al., *Distributed Representations of Words and Phrases*, 2013, equation 6, times N as in
    /// word2phrase.c.
    Counts,
    /// Normalised pointwise mutual information, ln(p(ab) / (p(a) p(b))) / −ln p(ab), from −1 to 1; 0.5 is a usual
    /// threshold.
    ///
    /// # Source
    /// Bouma: Normalized (pointwise) mutual information in collocation extraction (2009).
    Npmi,
}

/// Which pairs are joined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How much a pair belongs together.
    pub score: Score,
    /// Pairs above it are joined.
    pub threshold: f64,
    /// Words and pairs that are rarer are left alone.
    pub min_count: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { score: Score::Counts, threshold: 100.0, min_count: 5 }
    }
}

/// Between the words of a pair, where it is looked up; no tokeniser leaves it in a word.
const BETWEEN: char = '\n';

/// The pairs of a text that belong together.
///
/// # Example
/// ```
/// use plies_text::{corpus::Source, phrases::{Phrases, Settings}, tokenize::Words};
/// let lines = "we saw new york\nthey like new york\nit is new\nsaw it\n".repeat(5);
/// let text = Source::bytes("text", lines.into_bytes());
/// let settings = Settings { threshold: 1.5, min_count: 3, ..Settings::default() };
/// let phrases = Phrases::learn(&text, &Words::plain(), settings, 1)?;
/// assert_eq!(phrases.join(["in", "new", "york", "city"]), "in new_york city");
/// # Ok::<(), plies_text::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Phrases {
    /// "a\nb" for each pair; what is counted is its place in `scores`.
    pairs: Counter,
    scores: Vec<f64>,
}

impl Phrases {
    /// Counts words and pairs, which do not go across the ends of lines, on several threads.
    ///
    /// # Errors
    /// What is wrong with the text; one with too many different words or pairs ([`Counter::check`]).
    pub fn learn(
        source: &Source,
        words: &Words,
        settings: Settings,
        threads: usize,
    ) -> Result<Phrases> {
        let singles = count(source, words, threads)?;
        let is_frequent = |word: &str| singles.count(word) >= settings.min_count;
        let pairs = count_by(source, threads, |text, counter| {
            let (mut buffer, mut pair) = (String::new(), String::new());
            for line in text.lines() {
                // The word before, at the end of `pair`, from where its letters begin.
                let mut before: Option<usize> = None;
                pair.clear();
                words.for_each(line, &mut buffer, &mut |word| {
                    let is_frequent = is_frequent(word);
                    if let (Some(start), true) = (before, is_frequent) {
                        pair.drain(..start);
                        let start = pair.len() + BETWEEN.len_utf8();
                        pair.push(BETWEEN);
                        pair.push_str(word);
                        counter.add(&pair);
                        before = Some(start);
                    } else {
                        pair.clear();
                        pair.push_str(word);
                        before = is_frequent.then_some(0);
                    }
                });
            }
        })?;
        singles.check(settings.min_count, source.name())?;
        pairs.check(settings.min_count, source.name())?;
        let all = singles.iter().map(|(_, count)| count).sum::<u64>() as f64;
        let mut found = Phrases { pairs: Counter::new(), scores: Vec::new() };
        for (pair, both) in pairs.iter().filter(|(_, both)| *both >= settings.min_count) {
            let (a, b) = pair.split_once(BETWEEN).expect("a pair has two words");
            let [a, b] = [a, b].map(|word| singles.count(word) as f64);
            let (both, least) = (both as f64, settings.min_count as f64);
            let score = match settings.score {
                Score::Counts => (both - least) * all / (a * b),
                Score::Npmi if both >= all => 1.0,
                Score::Npmi => (both * all / (a * b)).ln() / -(both / all).ln(),
            };
            if score > settings.threshold {
                found.pairs.add_times(pair, found.scores.len() as u64 + 1);
                found.scores.push(score);
            }
        }
        Ok(found)
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether no pair belongs together.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The pairs and their scores, the highest first.
    pub fn pairs(&self) -> Vec<([&str; 2], f64)> {
        let split =
            |pair: &'_ str| pair.split_once(BETWEEN).map_or((0, 0), |(a, b)| (a.len(), b.len()));
        let mut all: Vec<([&str; 2], f64)> = self
            .pairs
            .iter()
            .map(|(pair, place)| {
                let (a, b) = split(pair);
                ([&pair[..a], &pair[pair.len() - b..]], self.scores[place as usize - 1])
            })
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all
    }

    /// Words with blanks between them, and "_" between those that belong together; a word belongs to one pair at most.
    pub fn join<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> String {
        let (mut text, mut pair) = (String::new(), String::new());
        let mut before: Option<&str> = None;
        for word in words {
            let is_joined = before.is_some_and(|before| {
                pair.clear();
                pair.extend([before, "\n", word]);
                self.pairs.count(&pair) > 0
            });
            if !text.is_empty() {
                text.push(if is_joined { '_' } else { ' ' });
            }
            text.push_str(word);
            before = (!is_joined).then_some(word);
        }
        text
    }

    /// Writes a text with its phrases joined, line by line.
    ///
    /// # Errors
    /// What is wrong with the text, or what the stream says.
    pub fn write(&self, source: &Source, words: &Words, stream: &mut dyn Write) -> Result<()> {
        let (mut lines, mut buffer) = (source.lines()?, String::new());
        while let Some((_, line)) = lines.next()? {
            let mut found: Vec<String> = Vec::new();
            words.for_each(line, &mut buffer, &mut |word| found.push(word.to_owned()));
            let joined = self.join(found.iter().map(String::as_str));
            writeln!(stream, "{joined}").map_err(Error::io("phrases"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn learn(text: &str, settings: Settings) -> Phrases {
        let source = Source::bytes("text", text.as_bytes().to_vec());
        Phrases::learn(&source, &Words::as_they_are(), settings, 2).unwrap()
    }

    /// gensim 4.4: `Phrases(sentences, min_count=2, threshold=0.3, scoring="npmi").export_phrases()`.
    #[test]
    fn npmi_is_gensims() {
        let text =
            "new york is big\nnew york is new\na big new york\nyork is a b\nb is a new york\n";
        let settings = Settings { score: Score::Npmi, threshold: 0.3, min_count: 2 };
        let found = learn(text, settings);
        let expected = [
            ("new_york", 0.7308650667991777),
            ("york_is", 0.5896482185441987),
            ("is_a", 0.5327788342923226),
        ];
        let pairs = found.pairs();
        assert_eq!(pairs.len(), expected.len(), "{pairs:?}");
        for ((words, score), (name, theirs)) in pairs.iter().zip(expected) {
            assert_eq!(words.join("_"), name);
            assert!((score - theirs).abs() < 1e-9, "{name}: {score} {theirs}");
        }
    }

    proptest! {
        #[test]
        fn pairs_and_their_scores_are_those_of_a_naive_count(
            lines in prop::collection::vec(prop::collection::vec("[abc]", 0..12), 0..20),
            min_count in 1u64..4,
        ) {
            let text: String = lines.iter().map(|line| line.join(" ") + "\n").collect();
            let settings = Settings { score: Score::Counts, threshold: 0.5, min_count };
            let found = learn(&text, settings);
            let (mut singles, mut pairs) = (HashMap::new(), HashMap::new());
            for line in &lines {
                line.iter().for_each(|word| *singles.entry(word).or_insert(0u64) += 1);
                line.windows(2).for_each(|pair| *pairs.entry((&pair[0], &pair[1])).or_insert(0u64) += 1);
            }
            let all: u64 = singles.values().sum();
            let mut expected: Vec<([&str; 2], f64)> = Vec::new();
            for ((a, b), both) in &pairs {
                let score = (*both as f64 - min_count as f64) * all as f64 / (singles[a] * singles[b]) as f64;
                let is_frequent = [singles[a], singles[b], *both].iter().all(|n| *n >= min_count);
                if is_frequent && score > 0.5 {
                    expected.push(([a.as_str(), b.as_str()], score));
                }
            }
            expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            prop_assert_eq!(found.pairs(), expected);
            for line in &lines {
                let joined = found.join(line.iter().map(String::as_str));
                prop_assert_eq!(joined.replace('_', " "), line.join(" "));
                let is_pair = |word: &str| word.split_once('_').is_none_or(|(a, b)| {
                    found.pairs().iter().any(|(pair, _)| *pair == [a, b])
                });
                prop_assert!(joined.split(' ').filter(|word| !word.is_empty()).all(is_pair));
            }
        }
    }
}
