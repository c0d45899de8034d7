//! Labelled documents as bags of n-grams: what is left of a text when its order is forgotten.
//!
//! Reading, cutting and hashing happen once; whichever documents and whichever method are tried later
//! begin here. A bag takes 16 bytes for each different n-gram of each document.

use super::labels::{Numbering, Targets};
use super::ngrams::{Analyzer, NGrams, Tally};
use super::parallel::map_parts;
use crate::labelled::Labelled;
use crate::{Error, Result};

/// Labelled documents, each a set of n-grams with their counts.
#[derive(Clone, Debug)]
pub struct Bags {
    origin: String,
    pub(crate) ngrams: NGrams,
    /// In the order of their names, so that a model does not depend on which document comes first.
    pub(crate) labels: Vec<String>,
    pub(crate) targets: Targets,
    starts: Vec<usize>,
    features: Vec<(u64, u32)>,
}

/// Texts that wait to be taken apart.
#[derive(Default)]
struct Batch {
    text: String,
    ends: Vec<usize>,
}

/// Bytes of text that are read before they are taken apart.
const BATCH: usize = 1 << 22;

impl Bags {
    /// Reads documents and takes them apart.
    ///
    /// # Errors
    /// As [`Documents::next`](crate::labelled::Documents::next), settings that make no sense, and a
    /// set without documents.
    pub fn read(set: &Labelled, ngrams: &NGrams) -> Result<Bags> {
        ngrams.check()?;
        let mut bags = Bags {
            origin: set.source().name().to_owned(),
            ngrams: ngrams.clone(),
            labels: Vec::new(),
            targets: Targets::default(),
            starts: vec![0],
            features: Vec::new(),
        };
        let (mut documents, mut batch) = (set.documents()?, Batch::default());
        let mut labels = Numbering::default();
        while let Some(document) = documents.next()? {
            labels.push(document.labels);
            batch.text.push_str(document.text);
            batch.ends.push(batch.text.len());
            if batch.text.len() >= BATCH {
                bags.take_apart(&mut batch);
            }
        }
        bags.take_apart(&mut batch);
        if bags.is_empty() {
            return Err(Error::format(&bags.origin, "holds no documents"));
        }
        (bags.labels, bags.targets) = labels.finish();
        Ok(bags)
    }

    fn take_apart(&mut self, batch: &mut Batch) {
        let parts = map_parts(batch.ends.len(), |range| {
            let (mut analyzer, mut tally) = (Analyzer::new(&self.ngrams), Tally::default());
            // A word takes some five bytes, and more n-grams than of words are rare.
            let text = if range.start == 0 { 0 } else { batch.ends[range.start - 1] };
            let room = (batch.ends[range.end - 1] - text) * self.ngrams.words.max(1) / 5 + 64;
            let (mut features, mut ends) =
                (Vec::with_capacity(room), Vec::with_capacity(range.len()));
            for i in range {
                let start = if i == 0 { 0 } else { batch.ends[i - 1] };
                let first = features.len();
                let text = &batch.text[start..batch.ends[i]];
                analyzer.for_each(text, |fingerprint, _, _| features.push((fingerprint, 1)));
                tally.merge(&mut features, first);
                ends.push(features.len());
            }
            (features, ends)
        });
        for (features, ends) in parts {
            let base = self.features.len();
            self.features.extend_from_slice(&features);
            self.starts.extend(ends.into_iter().map(|end| base + end));
        }
        batch.text.clear();
        batch.ends.clear();
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

    /// The labels of a document, as numbers in [`labels`](Self::labels).
    pub fn labels_of(&self, document: usize) -> &[u32] {
        self.targets.of(document)
    }

    /// The n-grams of a document and how often each occurs.
    pub(crate) fn features(&self, document: usize) -> &[(u64, u32)] {
        &self.features[self.starts[document]..self.starts[document + 1]]
    }

    /// Different n-grams of the mean document.
    pub(crate) fn mean_size(&self) -> usize {
        self.features.len() / self.len()
    }

    /// Some of the documents, in the order in which they are named.
    ///
    /// # Panics
    /// When a document is named that does not exist.
    pub fn select(&self, documents: &[usize]) -> Bags {
        let mut some = Bags {
            origin: self.origin.clone(),
            ngrams: self.ngrams.clone(),
            labels: self.labels.clone(),
            targets: self.targets.select(documents),
            starts: vec![0],
            features: Vec::new(),
        };
        for &document in documents {
            some.features.extend_from_slice(self.features(document));
            some.starts.push(some.features.len());
        }
        some
    }

    /// Two parts: one document of `n` in the second, chosen by the seed, and every label in proportion.
    pub fn split(&self, n: usize, seed: u64) -> (Bags, Bags) {
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
