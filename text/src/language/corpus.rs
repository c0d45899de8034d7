//! A text as numbers, in three parts, and read in parallel streams of windows.
//!
//! ```text
//! the text, cut into B streams      window 0    window 1
//! stream 0                          x x x x x | x x x x x | …
//! stream 1                          x x x x x | x x x x x | …
//! ```
//!
//! A batch is a window of every stream, the next batch the window after it. So the state of sequence b goes
//! on in the next batch where it ended in this one (truncated backpropagation through time).

use std::sync::Arc;

use plies_nn::data::{Batch, Dataset, Loader};
use plies_tensor::Tensor;

use super::Codec;
use crate::corpus::{Chunk, Source};
use crate::hash::hash;
use crate::{Error, Result};

/// A part of a text, as numbers.
#[derive(Clone, Debug)]
pub struct Part {
    pub(super) numbers: Arc<[i32]>,
    characters: usize,
    unknown: usize,
    /// A hash of the text.
    pub(super) digest: u64,
}

impl Part {
    fn new(text: &str, codec: &Codec) -> Part {
        let numbers: Arc<[i32]> = codec.encode(text).into_iter().map(|n| n as i32).collect();
        let is_unknown = |token: &&i32| codec.unknown() == Some(**token as u32);
        let unknown = numbers.iter().filter(is_unknown).count();
        let digest = hash(text.as_bytes());
        Part { characters: text.chars().count(), unknown, numbers, digest }
    }

    /// Its tokens.
    pub fn numbers(&self) -> &[i32] {
        &self.numbers
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Its characters.
    pub fn characters(&self) -> usize {
        self.characters
    }

    /// Tokens that the codec does not know.
    pub fn unknown(&self) -> usize {
        self.unknown
    }

    /// Bits for each of its characters, from nats for each of its tokens.
    ///
    ///   bits = nats / ln 2 · tokens / characters
    pub fn bits_per_character(&self, nats_per_token: f64) -> f64 {
        let tokens = self.len() as f64 / self.characters.max(1) as f64;
        nats_per_token / std::f64::consts::LN_2 * tokens
    }
}

/// A text in three parts: what is learned from, then what chooses the best epoch, then what says how good
/// the model is, of which neither has seen anything.
#[derive(Clone, Debug)]
pub struct Corpus {
    name: String,
    pub(super) codec: Codec,
    train: Part,
    validation: Part,
    test: Part,
}

impl Corpus {
    /// Reads a text, of which the last part, `held_out` of its bytes, is to test, and as much before it to
    /// choose the best epoch. `codec` is given the rest: to learn tokens from it, or to give one that is
    /// there, by `|_| Ok(codec)`.
    ///
    /// The numbers are kept in memory, four bytes for each token, and while they are made the text, too.
    ///
    /// # Errors
    /// What is wrong with the text; too little of it; a share that is not in 0 to 0.4.
    pub fn read(
        source: &Source,
        held_out: f64,
        codec: impl FnOnce(&Source) -> Result<Codec>,
    ) -> Result<Corpus> {
        Self::check(held_out)?;
        let mut text = String::new();
        let (mut chunks, mut chunk) = (source.chunks()?, Chunk::default());
        while chunks.next(&mut chunk)? {
            text.push_str(&chunk.text(source)?);
        }
        let held = (text.len() as f64 * held_out) as usize;
        let cut = |parts: usize| text.floor_char_boundary(text.len() - parts * held);
        let (learned, rest) = text.split_at(cut(2));
        let (chosen_by, tested) = rest.split_at(cut(1) - cut(2));
        let codec = codec(&Source::bytes(source.name(), learned.as_bytes()))?;
        let [train, validation, test] =
            [learned, chosen_by, tested].map(|text| Part::new(text, &codec));
        let least = if held_out > 0.0 { validation.len().min(test.len()) } else { 2 };
        if train.len().min(least) < 2 {
            let all = train.len() + validation.len() + test.len();
            let reason = format!("has {all} tokens, which is too little to learn from");
            return Err(Error::format(source.name(), reason));
        }
        Ok(Corpus { name: source.name().to_owned(), codec, train, validation, test })
    }

    /// Whether so much of a text can be held out.
    ///
    /// # Errors
    /// A share that is not in 0 to 0.4.
    pub fn check(held_out: f64) -> Result<()> {
        match (0.0..=0.4).contains(&held_out) {
            true => Ok(()),
            false => {
                let reason = format!("is {held_out}; it may be 0 to 0.4, and is taken twice");
                Err(Error::setting("held out", reason))
            }
        }
    }

    /// Where the text comes from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its numbers mean.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// What is learned from.
    pub fn train(&self) -> &Part {
        &self.train
    }

    /// What chooses the best epoch.
    pub fn validation(&self) -> &Part {
        &self.validation
    }

    /// What neither is learned from nor chooses.
    pub fn test(&self) -> &Part {
        &self.test
    }
}

/// Windows of parallel streams, as examples: number k · B + b is window k of stream b.
struct Streams {
    numbers: Arc<[i32]>,
    streams: usize,
    /// Tokens of a stream that have one after them.
    length: usize,
    steps: usize,
}

/// Batches of `streams` windows of `steps` tokens each, in the order of the text. What is left at the end,
/// less than a window of each stream, is not read; windows of a text that is shorter than one are as long as
/// it is. There are more tokens than streams.
///
/// # Shapes
/// inputs [B, 1 + T]: whether the stream goes on (1) or begins (0), and the tokens; targets [B, T]: the
/// tokens after them
pub(super) fn streams(numbers: &Arc<[i32]>, streams: usize, steps: usize) -> Loader {
    let length = (numbers.len().saturating_sub(1) / streams).max(1);
    let steps = steps.min(length);
    let data = Streams { numbers: numbers.clone(), streams, length, steps };
    Loader::new(Arc::new(data), streams)
}

impl Dataset for Streams {
    fn len(&self) -> usize {
        self.length / self.steps * self.streams
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        let (b, t) = (indices.len(), self.steps);
        let (mut inputs, mut targets) =
            (Vec::with_capacity(b * (t + 1)), Vec::with_capacity(b * t));
        for &i in indices {
            let (window, stream) = (i / self.streams, i % self.streams);
            let start = stream * self.length + window * t;
            inputs.push(i32::from(window > 0));
            inputs.extend_from_slice(&self.numbers[start..start + t]);
            targets.extend_from_slice(&self.numbers[start + 1..start + 1 + t]);
        }
        Batch::new(Tensor::from_vec(inputs, [b, 1 + t]), Tensor::from_vec(targets, [b, t]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_goes_on_where_it_ended() {
        let numbers: Arc<[i32]> = (0..20).collect();
        let batches: Vec<Batch> = streams(&numbers, 2, 4).epoch(0).collect();
        let inputs: Vec<Vec<i32>> = batches.iter().map(|b| b.inputs.to_vec().unwrap()).collect();
        assert_eq!(inputs, [[0, 0, 1, 2, 3, 0, 9, 10, 11, 12], [1, 4, 5, 6, 7, 1, 13, 14, 15, 16]]);
        let targets: Vec<i32> = batches[1].targets.to_vec().unwrap();
        assert_eq!(targets, [5, 6, 7, 8, 14, 15, 16, 17]);
    }
}
