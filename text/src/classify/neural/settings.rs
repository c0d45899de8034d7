//! What can be chosen about a network and its training.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Encoder, Pooling};
use crate::vectors::WordVectors;
use crate::{Error, Result};

/// What a network is made of and how it learns. `None` stands for what suits the rest.
#[derive(Clone, Debug)]
pub struct NeuralSettings {
    /// What reads the words' vectors.
    pub encoder: Encoder,
    /// Recurrent layers that read from both ends.
    pub both_directions: bool,
    /// Layers on top of one another; a convolution has one.
    pub layers: usize,
    /// Numbers of a word's vector, unless vectors are given.
    pub dim: usize,
    /// Units of a recurrent layer in each direction, features of self-attention, or filters of a
    /// convolution for each width.
    pub hidden: usize,
    /// How a text's states become one. By itself the mean of self-attention's, and the largest of others.
    pub pooling: Option<Pooling>,
    /// The probability with which a number of a vector, or of what is read from the text, is left out.
    pub dropout: f64,
    /// The probability with which a word is taken for an unknown one.
    pub word_dropout: f64,
    /// Vectors of words, trained elsewhere; what else the network knows begins at random.
    pub vectors: Option<Arc<WordVectors>>,
    /// Whether given vectors stay as they are.
    pub frozen: bool,
    /// Words of fewer occurrences are unknown, unless there is a vector for them.
    pub min_count: u64,
    /// At most so many words are known.
    pub max_vocabulary: usize,
    /// At most so many times through the documents. By itself 40 for a thousand documents, and the fewer
    /// the more there are, down to 4.
    pub epochs: Option<usize>,
    /// Epochs without a better one after which training stops.
    pub patience: usize,
    /// Documents in a batch. By itself 32, and 16 of few documents.
    pub batch: Option<usize>,
    /// Adam's learning rate, from which it falls along half a cosine.
    pub lr: f64,
    /// The longest that a gradient may be.
    pub clip: f64,
    /// For first weights, the order of documents, and dropout.
    pub seed: u64,
    /// A folder for all that is needed to go on, saved after each epoch and at the end.
    pub checkpoints: Option<PathBuf>,
    /// Goes on from the newest of them.
    pub resume: bool,
}

impl NeuralSettings {
    /// What suits an encoder.
    pub fn new(encoder: Encoder) -> NeuralSettings {
        NeuralSettings {
            encoder,
            both_directions: true,
            layers: 1,
            dim: 100,
            hidden: 100,
            pooling: None,
            dropout: 0.5,
            word_dropout: 0.1,
            vectors: None,
            frozen: false,
            min_count: 1,
            max_vocabulary: 50_000,
            epochs: None,
            patience: 5,
            batch: None,
            lr: 1e-3,
            clip: 1.0,
            seed: 1,
            checkpoints: None,
            resume: false,
        }
    }

    /// How states become one.
    pub fn pooling(&self) -> Pooling {
        let usual = match self.encoder {
            Encoder::SelfAttention => Pooling::Mean,
            _ => Pooling::Max,
        };
        self.pooling.unwrap_or(usual)
    }

    /// Numbers of a word's vector.
    pub fn dim(&self) -> usize {
        self.vectors.as_ref().map_or(self.dim, |vectors| vectors.dim())
    }

    pub(super) fn epochs_for(&self, n_documents: usize) -> usize {
        // As many steps as the square root of documents asks for, within reason.
        let usual = (40.0 * (1000.0 / n_documents as f64).sqrt()).round() as usize;
        self.epochs.unwrap_or(usual.clamp(4, 60))
    }

    pub(super) fn batch_for(&self, n_documents: usize) -> usize {
        self.batch.unwrap_or(if n_documents < 3000 { 16 } else { 32 })
    }

    /// Whether its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<()> {
        let whole = |name, x: usize, most: usize| {
            let reason = || format!("{x}; it takes a number from 1 to {most}");
            if (1..=most).contains(&x) { Ok(()) } else { Err(Error::setting(name, reason())) }
        };
        whole("layers", self.layers, 16)?;
        whole("dim", self.dim(), 4096)?;
        whole("hidden", self.hidden, 4096)?;
        whole("epochs", self.epochs.unwrap_or(1), 1_000_000)?;
        whole("batch", self.batch.unwrap_or(1), 1 << 16)?;
        whole("vocabulary", self.max_vocabulary, 1 << 24)?;
        let number = |name, x: f64, is_good: bool, rule: &str| {
            let reason = || format!("{x}; it takes {rule}");
            if is_good { Ok(()) } else { Err(Error::setting(name, reason())) }
        };
        let share = |x: f64| (0.0..1.0).contains(&x);
        number("dropout", self.dropout, share(self.dropout), "a number from 0 to below 1")?;
        let p = self.word_dropout;
        number("word dropout", p, share(p), "a number from 0 to below 1")?;
        let positive = |x: f64| x.is_finite() && x > 0.0;
        number("learning rate", self.lr, positive(self.lr), "a number above 0")?;
        number("clip", self.clip, self.clip > 0.0, "a number above 0")?;
        if let Encoder::SelfAttention = self.encoder
            && !self.hidden.is_multiple_of(Encoder::HEADS)
        {
            let heads = Encoder::HEADS;
            let reason = format!("{}; self-attention takes a multiple of {heads}", self.hidden);
            return Err(Error::setting("hidden", reason));
        }
        if self.resume && self.checkpoints.is_none() {
            return Err(Error::setting("resume", "needs the folder of checkpoints"));
        }
        if let Some(vectors) = &self.vectors
            && let Some(at) = vectors.rows().iter().position(|x| !x.is_finite())
        {
            let word = vectors.vocabulary().word((at / vectors.dim()) as u32);
            return Err(Error::setting(
                "vectors",
                format!("that of {word:?} holds {}", vectors.rows()[at]),
            ));
        }
        Ok(())
    }
}
