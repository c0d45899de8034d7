//! Words and their numbers.
//!
//! Words are counted while a text streams by, then sorted: number 0 is the most frequent word, and of
//! words that are as frequent the first of the alphabet (by bytes). Their letters lie in one string, and a table of
//! numbers finds a word by its hash, so that a million words take a few tens of megabytes.

use crate::hash::hash;
use crate::{Error, Result};

/// How often each of a set of words occurs; they are numbered from the most frequent on.
///
/// # Example
/// ```
/// use plies_text::vocabulary::Counter;
/// let mut counter = Counter::new();
/// "to be or not to be to".split(' ').for_each(|word| counter.add(word));
/// let vocabulary = counter.vocabulary(2);
/// assert_eq!(vocabulary.words().collect::<Vec<_>>(), ["to", "be"]);
/// assert_eq!(vocabulary.count(0), 3);
/// assert_eq!(vocabulary.find("or"), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    words: Table,
    counts: Vec<u64>,
    total: u64,
    dropped: u64,
}

impl Vocabulary {
    /// Number of words.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The number of a word.
    #[inline]
    pub fn find(&self, word: &str) -> Option<u32> {
        self.words.find(word)
    }

    /// The word with a number.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn word(&self, number: u32) -> &str {
        self.words.word(number as usize)
    }

    /// How often the word with a number occurs.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn count(&self, number: u32) -> u64 {
        self.counts[number as usize]
    }

    /// How often each word occurs, by number.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// All words, by number.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|number| self.words.word(number))
    }

    /// Occurrences of all words together.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Occurrences of words that are too rare to be here.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The share of the occurrences of each word that training looks at, when frequent words are
    /// passed over at random:
    ///
    ///   keep = √(sample / f) + sample / f, at most 1, where f = count / total
    ///
    /// With `sample` 0 it is 1 for all.
    ///
    /// # Source
    /// word2vec.c; Mikolov et al., *Distributed Representations of Words and Phrases*, 2013, equation
    /// 5, has the first term alone.
    pub fn keep(&self, sample: f64) -> Vec<f32> {
        let keep = |&count: &u64| {
            let ratio = sample * self.total as f64 / count as f64;
            if sample > 0.0 { (ratio.sqrt() + ratio).min(1.0) as f32 } else { 1.0 }
        };
        self.counts.iter().map(keep).collect()
    }

    /// Words with their counts, in this order; of a word that is there twice only the first counts.
    pub fn from_counts<'w>(words: impl IntoIterator<Item = (&'w str, u64)>) -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for (word, count) in words {
            vocabulary.push(word, count);
        }
        vocabulary
    }

    /// Adds a word with the next number, unless it is there.
    pub(crate) fn push(&mut self, word: &str, count: u64) -> bool {
        let (_, is_new) = self.words.find_or_insert(word);
        if is_new {
            self.counts.push(count);
            // Counts of files may be any numbers.
            self.total = self.total.saturating_add(count);
        }
        is_new
    }
}

/// Counts words.
#[derive(Clone, Debug)]
pub struct Counter {
    words: Table,
    counts: Vec<u64>,
    limit: usize,
    /// Words that were counted at most so often were forgotten the last time, to make room.
    threshold: u64,
    /// The sum of all thresholds: a word may have come back each time, and been forgotten again.
    forgotten_up_to: u64,
    dropped: u64,
}

impl Default for Counter {
    fn default() -> Counter {
        Counter::new()
    }
}

impl Counter {
    /// With room for twenty million different words, which take one or two gigabytes.
    pub fn new() -> Counter {
        Counter::with_limit(20_000_000)
    }

    /// When there are `limit` different words the rarest are forgotten: first those that occurred once,
    /// the next time those that occurred up to twice, and so on.
    pub fn with_limit(limit: usize) -> Counter {
        let (words, counts) = (Table::default(), Vec::new());
        let limit = limit.max(1);
        Counter { words, counts, limit, threshold: 0, forgotten_up_to: 0, dropped: 0 }
    }

    /// Counts a word.
    #[inline]
    pub fn add(&mut self, word: &str) {
        self.add_times(word, 1);
    }

    /// Counts a word that occurs several times.
    #[inline]
    pub fn add_times(&mut self, word: &str, times: u64) {
        match self.words.find_or_insert(word) {
            (number, false) => self.counts[number as usize] += times,
            (_, true) => {
                self.counts.push(times);
                if self.counts.len() >= self.limit {
                    self.forget();
                }
            }
        }
    }

    /// Adds what another one has counted, in its order.
    pub fn merge(&mut self, other: &Counter) {
        self.dropped += other.dropped;
        self.threshold = self.threshold.max(other.threshold);
        self.forgotten_up_to += other.forgotten_up_to;
        for (number, &count) in other.counts.iter().enumerate() {
            self.add_times(other.words.word(number), count);
        }
    }

    /// Number of different words.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Words that occurred at most so often may be missing, and others be counted so much short; 0 when all
    /// are there.
    pub fn forgotten_up_to(&self) -> u64 {
        self.forgotten_up_to
    }

    /// Whether all words that occur `min_count` times are there; `origin` names the text in errors.
    ///
    /// # Errors
    /// When some may have been forgotten.
    pub fn check(&self, min_count: u64, origin: &str) -> Result<()> {
        let (up_to, limit) = (self.forgotten_up_to, self.limit);
        if up_to == 0 || up_to < min_count {
            return Ok(());
        }
        let reason = format!(
            "has {limit} different words or more, of which some that occur up to {up_to} times were forgotten to \
             make room; raise the minimum count, {min_count}, above that, or give less text"
        );
        Err(Error::format(origin, reason))
    }

    /// Occurrences of the words that a vocabulary has.
    pub fn known_to(&self, vocabulary: &Vocabulary) -> u64 {
        let known = self.iter().filter(|(word, _)| vocabulary.find(word).is_some());
        known.map(|(_, count)| count).sum()
    }

    /// How often a word was counted.
    pub fn count(&self, word: &str) -> u64 {
        self.words.find(word).map_or(0, |number| self.counts[number as usize])
    }

    /// Words with their counts, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().enumerate().map(|(number, &count)| (self.words.word(number), count))
    }

    #[cold]
    fn forget(&mut self) {
        while self.counts.len() >= self.limit {
            self.threshold += 1;
            self.forgotten_up_to += self.threshold;
            let (words, counts) =
                (std::mem::take(&mut self.words), std::mem::take(&mut self.counts));
            for (number, count) in counts.into_iter().enumerate() {
                if count > self.threshold {
                    self.words.insert(words.word(number));
                    self.counts.push(count);
                } else {
                    self.dropped += count;
                }
            }
        }
    }

    /// The words that occur at least `min_count` times, the most frequent first, equally frequent ones in
    /// the order of their bytes.
    pub fn vocabulary(&self, min_count: u64) -> Vocabulary {
        let mut order: Vec<usize> =
            (0..self.len()).filter(|&number| self.counts[number] >= min_count).collect();
        // Not by who came first, which depends on the thread that counted.
        order.sort_unstable_by(|&a, &b| {
            let by_count = self.counts[b].cmp(&self.counts[a]);
            by_count.then_with(|| self.words.word(a).cmp(self.words.word(b)))
        });
        let mut vocabulary = Vocabulary::from_counts(
            order.iter().map(|&number| (self.words.word(number), self.counts[number])),
        );
        let all = self.counts.iter().sum::<u64>() + self.dropped;
        vocabulary.dropped = all - vocabulary.total;
        vocabulary
    }
}

/// Numbers free of a word in a slot.
const EMPTY: u32 = u32::MAX;

/// Words, numbered as they come, and found by their hash: open addressing with linear probing, at most
/// half full.
#[derive(Clone, Debug, Default)]
struct Table {
    letters: String,
    /// Where each word ends in `letters`.
    ends: Vec<usize>,
    /// Upper half of a word's hash, and its number.
    slots: Vec<(u32, u32)>,
}

impl Table {
    fn word(&self, number: usize) -> &str {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.letters[start..self.ends[number]]
    }

    #[inline]
    fn find(&self, word: &str) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.probe(word, hash(word.as_bytes())).ok()
    }

    /// The word's number, or the slot where it belongs.
    #[inline]
    fn probe(&self, word: &str, hash: u64) -> std::result::Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let tag = (hash >> 32) as u32;
        let mut at = hash as usize & mask;
        loop {
            let (found, number) = self.slots[at];
            if number == EMPTY {
                return Err(at);
            }
            if found == tag && self.word(number as usize) == word {
                return Ok(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// A word's number, and whether it is new.
    #[inline]
    fn find_or_insert(&mut self, word: &str) -> (u32, bool) {
        if 2 * (self.ends.len() + 1) > self.slots.len() {
            self.grow();
        }
        let hash = hash(word.as_bytes());
        match self.probe(word, hash) {
            Ok(number) => (number, false),
            Err(at) => {
                let number = self.ends.len() as u32;
                self.slots[at] = ((hash >> 32) as u32, number);
                self.letters.push_str(word);
                self.ends.push(self.letters.len());
                (number, true)
            }
        }
    }

    fn insert(&mut self, word: &str) {
        self.find_or_insert(word);
    }

    #[cold]
    fn grow(&mut self) {
        let size = (2 * self.slots.len()).max(1 << 10);
        assert!(size <= 1 << 32, "a vocabulary has at most two thousand million words");
        self.slots = vec![(0, EMPTY); size];
        for number in 0..self.ends.len() {
            let hash = hash(self.word(number).as_bytes());
            let mask = size - 1;
            let mut at = hash as usize & mask;
            while self.slots[at].1 != EMPTY {
                at = (at + 1) & mask;
            }
            self.slots[at] = ((hash >> 32) as u32, number as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn count(text: &str) -> Counter {
        let mut counter = Counter::new();
        text.split_whitespace().for_each(|word| counter.add(word));
        counter
    }

    #[test]
    fn words_are_numbered_by_count_then_by_the_alphabet() {
        let vocabulary = count("c b a a b d").vocabulary(1);
        assert_eq!(vocabulary.words().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(vocabulary.counts(), [2, 2, 1, 1]);
        assert_eq!((vocabulary.total(), vocabulary.dropped()), (6, 0));
        let vocabulary = count("c b a a b d").vocabulary(2);
        assert_eq!((vocabulary.len(), vocabulary.total(), vocabulary.dropped()), (2, 4, 2));
        assert_eq!((vocabulary.find("a"), vocabulary.find("c")), (Some(0), None));
        assert_eq!(Vocabulary::default().find("a"), None);
    }

    #[test]
    fn frequent_words_are_kept_as_word2vec_keeps_them() {
        let vocabulary = Vocabulary::from_counts([("the", 900), ("rare", 100)]);
        // From word2vec.c's formula, (sqrt(cn / (sample * n)) + 1) * (sample * n) / cn.
        let (n, sample) = (1000.0, 0.05);
        let theirs = |cn: f64| ((cn / (sample * n)).sqrt() + 1.0) * (sample * n) / cn;
        for (ours, cn) in vocabulary.keep(sample).into_iter().zip([900.0, 100.0]) {
            assert!((f64::from(ours) - theirs(cn).min(1.0)).abs() < 1e-6);
        }
        assert_eq!(vocabulary.keep(0.0), [1.0, 1.0]);
    }

    #[test]
    fn a_full_counter_forgets_rare_words_and_says_so() {
        let mut counter = Counter::with_limit(4);
        for word in "a a a b b c d e f g h a".split(' ') {
            counter.add(word);
            assert!(counter.len() < 4);
        }
        assert_eq!(counter.count("a"), 4);
        let up_to = counter.forgotten_up_to();
        assert!(up_to > 0 && counter.check(up_to + 1, "f").is_ok());
        let error = counter.check(up_to, "f").unwrap_err().to_string();
        assert!(error.starts_with("f: has 4 different words or more"), "{error}");
        assert!(count("a b").check(0, "f").is_ok());
        let vocabulary = counter.vocabulary(1);
        assert_eq!(vocabulary.total() + vocabulary.dropped(), 12);
    }

    #[test]
    fn counters_add_up_as_if_one_had_seen_all() {
        let (mut left, right) = (count("b a a"), count("c a c b"));
        left.merge(&right);
        let all: Vec<_> = left.iter().collect();
        assert_eq!(all, [("b", 2), ("a", 3), ("c", 2)]);
    }

    proptest! {
        #[test]
        fn what_is_forgotten_is_no_more_than_is_said(
            words in prop::collection::vec(0u8..12, 0..200), limit in 2usize..9, cut in any::<prop::sample::Index>()
        ) {
            let mut counters = [Counter::with_limit(limit), Counter::with_limit(limit)];
            let cut = cut.index(words.len() + 1);
            for (i, word) in words.iter().enumerate() {
                counters[usize::from(i >= cut)].add(&word.to_string());
            }
            let [mut counter, other] = counters;
            counter.merge(&other);
            for word in 0..12 {
                let all = words.iter().filter(|&&other| other == word).count() as u64;
                let ours = counter.count(&word.to_string());
                prop_assert!(ours <= all && all - ours <= counter.forgotten_up_to());
            }
        }

        #[test]
        fn counts_are_those_of_a_hash_map(words in prop::collection::vec("[a-c日]{0,4}", 0..3000)) {
            let mut expected: HashMap<&str, u64> = HashMap::new();
            let mut counter = Counter::new();
            for word in &words {
                *expected.entry(word).or_default() += 1;
                counter.add(word);
            }
            let vocabulary = counter.vocabulary(1);
            prop_assert_eq!(vocabulary.len(), expected.len());
            prop_assert!(vocabulary.counts().is_sorted_by(|a, b| a >= b));
            for (word, count) in expected {
                let number = vocabulary.find(word).unwrap();
                prop_assert_eq!((vocabulary.word(number), vocabulary.count(number)), (word, count));
            }
        }
    }
}
