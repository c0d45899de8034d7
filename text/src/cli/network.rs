//! Arguments for networks: how they read, what they are made of, how they learn.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use plies_console::{Console, Failure, thousands};
use plies_text::{
    classify::neural::{Encoder, NeuralSettings, Pooling, Reading},
    vectors::WordVectors,
};

use super::labelled::TokensName;

/// How a network reads, is made and learns.
#[derive(Args, Debug)]
pub(crate) struct NetworkArgs {
    /// Vectors of words, in any format that `skipgram` writes, to begin with
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,

    /// Leave given vectors as they are
    #[arg(long, requires = "vectors")]
    frozen: bool,

    /// Numbers of a word's vector
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "vectors", value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    dim: usize,

    /// Units for each direction, or filters for each width
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    hidden: usize,

    /// Layers on top of one another
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=16))]
    layers: usize,

    /// Read from the beginning only
    #[arg(long)]
    forward_only: bool,

    /// How a text's states become one [default: mean for attention, max for others]
    #[arg(long, value_name = "KIND")]
    pool: Option<PoolName>,

    /// The share of numbers that are left out at random while training
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = super::number)]
    dropout: f64,

    /// The share of words that are taken for unknown ones while training
    #[arg(long, value_name = "P", default_value_t = 0.1, value_parser = super::number)]
    word_dropout: f64,

    /// Read so many words of a longer text, from both its ends
    #[arg(long, value_name = "N", default_value_t = 400)]
    max_words: usize,

    /// Documents in a batch [default: 16, or 32 of 3,000 and more]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,

    /// Stop after N epochs without a better one
    #[arg(long, value_name = "N", default_value_t = 5)]
    patience: usize,

    /// The longest that a gradient may be
    #[arg(long, value_name = "LENGTH", default_value_t = 1.0, value_parser = super::number)]
    clip: f64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PoolName {
    /// The last state
    Last,
    /// The mean of all
    Mean,
    /// The largest of each number
    Max,
    /// A mean with weights that are learnt
    Attention,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncoderName {
    /// Gated recurrent units
    Gru,
    /// Long short-term memory
    Lstm,
    /// Convolution over three, four and five words
    Cnn,
    /// Self-attention
    Attention,
}

impl EncoderName {
    pub(crate) fn encoder(self) -> Encoder {
        match self {
            EncoderName::Gru => Encoder::Gru,
            EncoderName::Lstm => Encoder::Lstm,
            EncoderName::Cnn => Encoder::Convolution,
            EncoderName::Attention => Encoder::SelfAttention,
        }
    }
}

impl NetworkArgs {
    /// How texts are read.
    pub(crate) fn reading(&self, tokens: TokensName, case: bool) -> Reading {
        Reading { tokens: tokens.tokens(), lowercase: !case, max_words: self.max_words }
    }

    /// Vectors to begin with, if some are named.
    pub(crate) fn vectors(&self, console: &Console) -> Result<Option<Arc<WordVectors>>, Failure> {
        let Some(file) = &self.vectors else { return Ok(None) };
        let vectors = WordVectors::load(file)?;
        console.progress(&format!(
            "{}: {} vectors of {} numbers",
            file.display(),
            thousands(vectors.len()),
            vectors.dim()
        ));
        Ok(Some(Arc::new(vectors)))
    }

    /// What the arguments say but for vectors, which are to be read when the rest has been checked; with what
    /// several commands call by the same name.
    pub(crate) fn settings(&self, encoder: Encoder) -> NeuralSettings {
        NeuralSettings {
            both_directions: !self.forward_only,
            layers: self.layers,
            dim: self.dim,
            hidden: self.hidden,
            pooling: self.pool.map(|pool| match pool {
                PoolName::Last => Pooling::Last,
                PoolName::Mean => Pooling::Mean,
                PoolName::Max => Pooling::Max,
                PoolName::Attention => Pooling::Attention,
            }),
            dropout: self.dropout,
            word_dropout: self.word_dropout,
            frozen: self.frozen,
            batch: self.batch,
            patience: self.patience,
            clip: self.clip,
            ..NeuralSettings::new(encoder)
        }
    }
}
