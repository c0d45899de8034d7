//! Labelled documents as numbers of words, in their order.
//!
//! Reading and cutting happen once; whichever documents, encoder and seed are tried later begin here. A
//! word takes four bytes each time that it occurs. The numbers are those of all words of all documents;
//! which of them a model knows follows from the documents that it learns from.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::labels::{Numbering, Targets};
use super::super::ngrams::Tokens;
use crate::hash::{hash, mix};
use crate::labelled::Labelled;
use crate::tokenize::{Normalization, Words};
use crate::{Error, Result};

/// How a network reads a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What a word is.
    pub tokens: Tokens,
    /// Whether capitals become small letters.
    pub lowercase: bool,
    /// Of a longer text so many words are read: a quarter of them at its beginning, the others at its end,
    /// where people say what they think (Sun, Qiu, Xu, Huang: *How to fine-tune BERT for text
    /// classification?*, 2019, section 5.3.1).
    pub max_words: usize,
}

impl Default for Reading {
    /// Words and punctuation marks in small letters, 400 of them.
    fn default() -> Reading {
        Reading { tokens: Tokens::Marks, lowercase: true, max_words: 400 }
    }
}

impl Reading {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// Which does not.
    pub fn check(&self) -> Result<()> {
        match self.max_words {
            0 => Err(Error::setting("words of a text", "0; at least one has to be read")),
            _ => Ok(()),
        }
    }

    pub(super) fn words(&self) -> Words {
        let normalization =
            if self.lowercase { Normalization::Lowercase } else { Normalization::None };
        Words { tokenizer: self.tokens.tokenizer(), normalization }
    }

    /// Takes the middle out of a text that is too long.
    pub(super) fn shorten<T>(&self, words: &mut Vec<T>) {
        if words.len() > self.max_words {
            let first = self.max_words / 4;
            words.drain(first..words.len() - (self.max_words - first));
        }
    }
}

/// Labelled documents, each a sequence of words.
///
/// # Example
/// ```
/// use plies_text::classify::neural::{Reading, Sequences};
/// use plies_text::labelled::Labelled;
/// let sentences = Sequences::read(&Labelled::embedded(), &Reading::default())?;
/// let (train, test) = sentences.split(5, 1);
/// assert_eq!((train.len(), test.len()), (2400, 600));
/// # Ok::<(), plies_text::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sequences {
    origin: String,
    pub(super) reading: Reading,
    /// In the order of their names.
    pub(super) labels: Vec<String>,
    pub(in crate::classify) targets: Targets,
    starts: Vec<usize>,
    numbers: Vec<u32>,
    /// What the numbers stand for.
    pub(super) words: Arc<Vec<String>>,
}

impl Sequences {
    /// Reads documents.
    ///
    /// # Errors
    /// As [`Documents::next`](crate::labelled::Documents::next), settings that make no sense, and a
    /// set without documents.
    pub fn read(set: &Labelled, reading: &Reading) -> Result<Sequences> {
        reading.check()?;
        let origin = set.source().name().to_owned();
        let (mut documents, mut labels) = (set.documents()?, Numbering::default());
        let (cut, mut buffer) = (reading.words(), String::new());
        let (mut known, mut words): (HashMap<String, u32>, Vec<String>) = Default::default();
        let (mut starts, mut numbers, mut one) = (vec![0], Vec::new(), Vec::new());
        while let Some(document) = documents.next()? {
            labels.push(document.labels);
            one.clear();
            cut.for_each(document.text, &mut buffer, &mut |word| {
                let number = match known.get(word) {
                    Some(&number) => number,
                    None => {
                        let number = words.len() as u32;
                        words.push(word.to_owned());
                        known.insert(word.to_owned(), number);
                        number
                    }
                };
                one.push(number);
            });
            reading.shorten(&mut one);
            numbers.extend_from_slice(&one);
            starts.push(numbers.len());
        }
        let (labels, targets) = labels.finish();
        if targets.len() == 0 {
            return Err(Error::format(&origin, "holds no documents"));
        }
        let (reading, words) = (reading.clone(), Arc::new(words));
        Ok(Sequences { origin, reading, labels, targets, starts, numbers, words })
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What errors call the documents.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The labels that occur, in the order of their names.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The words of a document.
    pub(super) fn of(&self, document: usize) -> &[u32] {
        &self.numbers[self.starts[document]..self.starts[document + 1]]
    }

    /// A hash of some of the documents, in the order in which they are named: of their words and their labels.
    pub(super) fn digest(&self, documents: &[usize]) -> u64 {
        let labels: Vec<u64> = self.labels.iter().map(|label| hash(label.as_bytes())).collect();
        let words: Vec<u64> = self.words.iter().map(|word| hash(word.as_bytes())).collect();
        documents.iter().fold(0, |digest, &document| {
            let words = self.of(document).iter().map(|&word| words[word as usize]);
            let labels = self.targets.of(document).iter().map(|&label| labels[label as usize]);
            // Between them what no text has, so that a document ends where it does.
            labels.chain([0]).chain(words).chain([1]).fold(digest, mix)
        })
    }

    /// Some of the documents, in the order in which they are named.
    ///
    /// # Panics
    /// When a document is named that does not exist.
    pub fn select(&self, documents: &[usize]) -> Sequences {
        let (mut starts, mut numbers) = (vec![0], Vec::new());
        for &document in documents {
            numbers.extend_from_slice(self.of(document));
            starts.push(numbers.len());
        }
        let targets = self.targets.select(documents);
        Sequences {
            origin: self.origin.clone(),
            reading: self.reading.clone(),
            labels: self.labels.clone(),
            targets,
            starts,
            numbers,
            words: self.words.clone(),
        }
    }

    /// Two parts: one document of `n` in the second, chosen by the seed, and every label in proportion.
    pub fn split(&self, n: usize, seed: u64) -> (Sequences, Sequences) {
        let (train, test) = self.targets.split(n, seed);
        (self.select(&train), self.select(&test))
    }

    /// Whether there is something to learn: documents that do not all have the same label.
    ///
    /// # Errors
    /// When they have.
    pub fn check(&self) -> Result<()> {
        self.targets.check(&self.labels, &self.origin)
    }
}
