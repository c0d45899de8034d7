//! Which model, how large, and how it is trained.

use super::Subwords;
use crate::{Error, Result};

/// What predicts what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// Each of the words around predicts the word.
    #[default]
    SkipGram,
    /// The mean of the words around predicts the word.
    Cbow,
}

/// What stands for the softmax over all words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// The word is told from so many words drawn at random.
    Negative(usize),
    /// The way to the word in Huffman's tree is told from the other ways.
    Hierarchical,
}

/// Settings of a training; the defaults are word2vec's for small corpora.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What predicts what.
    pub architecture: Architecture,
    /// Negative sampling or hierarchical softmax.
    pub objective: Objective,
    /// Numbers of a vector.
    pub dim: usize,
    /// Words to the left and to the right at most; how many is drawn for each word, from 1 up to this.
    pub window: usize,
    /// How often the text is gone through.
    pub epochs: usize,
    /// Learning rate at the beginning. It falls in a straight line to a ten-thousandth of it.
    pub lr: f64,
    /// Words that are more frequent than this share of all are passed over now and then, see
    /// [`Vocabulary::keep`](crate::vocabulary::Vocabulary::keep); 0 never.
    pub sample: f64,
    /// Words that are rarer are left out.
    pub min_count: u64,
    /// Words as bags of n-grams, or as they are.
    pub subwords: Option<Subwords>,
    /// Whether windows go across the ends of lines.
    pub across_lines: bool,
    /// Where random numbers begin. On one thread equal seeds give equal vectors, bit for bit; on several
    /// they do not, since threads find each other's changes sooner or later.
    pub seed: u64,
    /// Number of threads.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            architecture: Architecture::SkipGram,
            objective: Objective::Negative(5),
            dim: 100,
            window: 5,
            epochs: 5,
            lr: 0.025,
            sample: 1e-3,
            min_count: 5,
            subwords: None,
            across_lines: false,
            seed: 1,
            threads: 1,
        }
    }
}

impl Settings {
    /// CBOW with the learning rate that suits it.
    pub fn cbow() -> Settings {
        Settings { architecture: Architecture::Cbow, lr: 0.05, ..Settings::default() }
    }

    /// # Errors
    /// The first setting that makes no sense.
    pub fn check(&self) -> Result<()> {
        let range = |name: &'static str, value: usize, min: usize, max: usize| {
            let reason = || format!("is {value}; it may be {min} to {max}");
            if (min..=max).contains(&value) { Ok(()) } else { Err(Error::setting(name, reason())) }
        };
        range("dim", self.dim, 1, 10_000)?;
        range("window", self.window, 1, 1000)?;
        range("epochs", self.epochs, 0, 1_000_000)?;
        range("threads", self.threads, 1, 1024)?;
        if let Objective::Negative(n) = self.objective {
            range("negative", n, 1, 1000)?;
        }
        if let Some(Subwords { min, max, buckets }) = self.subwords {
            range("longest n-gram", max, 1, 100)?;
            range("shortest n-gram", min, 1, max)?;
            range("buckets", buckets, 1, 1 << 30)?;
        }
        let finite = |name, value: f64, max: f64| {
            if (0.0..=max).contains(&value) {
                return Ok(());
            }
            Err(Error::setting(name, format!("is {value}; it may be 0 to {max}")))
        };
        finite("lr", self.lr, 10.0)?;
        finite("sample", self.sample, 1.0)
    }
}
