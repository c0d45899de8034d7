//! Images in sequences, each with the text that is to be spelt: what a speller learns from.

use std::sync::Arc;

use plies_nn::data::{Batch, Dataset};
use plies_tensor::{Rng, Tensor};

use crate::{
    dataset,
    idx::{Examples, PIXELS},
    speller::{Settings, Task},
    words::{self, Caption},
};

/// The most letters that are spelt: longer than all that there is to say.
pub(crate) const MAX_LETTERS: usize = 32;
/// What stands in the place of letters that there are not.
pub(crate) const NO_LETTER: i32 = -1;

/// Images in sequences, each with a text.
///
/// # Shapes
/// inputs [B, longest, 784] F32 from 0 to 1, 0 where a sequence has ended; targets [B, most letters] I32, -1 where a
/// text has ended
#[derive(Clone, Debug)]
pub struct Sequences {
    examples: Arc<Examples>,
    /// The numbers of the images of each.
    sequences: Vec<Vec<usize>>,
    texts: Vec<String>,
}

impl Sequences {
    /// Each image with its caption.
    pub fn captions(examples: Arc<Examples>) -> Sequences {
        let caption = |i: usize| Caption::of(examples.labels[i], examples.image(i)).text();
        let texts = (0..examples.len()).map(caption).collect();
        let sequences = (0..examples.len()).map(|i| vec![i]).collect();
        Sequences { examples, sequences, texts }
    }

    /// Each image by itself, with the word of its digit: the sums of one.
    pub fn each(examples: Arc<Examples>) -> Sequences {
        let texts = examples.labels.iter().map(|&digit| words::number(digit.into())).collect();
        let sequences = (0..examples.len()).map(|i| vec![i]).collect();
        Sequences { examples, sequences, texts }
    }

    /// Images in a random order, cut into sequences of so many, with their sums; a rest is left out.
    pub fn sums(
        examples: Arc<Examples>,
        mut lengths: impl FnMut(&mut Rng) -> usize,
        seed: u64,
    ) -> Sequences {
        let rng = &mut Rng::new(seed);
        let mut order: Vec<usize> = (0..examples.len()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, rng.below(i + 1));
        }
        let (mut sequences, mut rest) = (Vec::new(), &order[..]);
        while let Some((sequence, after)) = rest.split_at_checked(lengths(rng)) {
            sequences.push(sequence.to_vec());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let mut all = Sequences { examples, sequences, texts: Vec::new() };
        all.texts = (0..all.len()).map(|i| words::number(all.sum(i))).collect();
        all
    }

    /// What a speller of these settings learns from.
    pub fn training(examples: Arc<Examples>, settings: &Settings) -> Sequences {
        let Task::Sums(longest) = settings.task else { return Sequences::captions(examples) };
        let mut all = Sequences { examples, sequences: Vec::new(), texts: Vec::new() };
        for pass in 0..settings.repeats as u64 {
            let seed = Rng::from_state(settings.seed, pass).split().state().0;
            let part = Sequences::sums(all.examples.clone(), |rng| 1 + rng.below(longest), seed);
            all.sequences.extend(part.sequences);
            all.texts.extend(part.texts);
        }
        all
    }

    /// Those of given images.
    ///
    /// # Shapes
    /// -> [B, longest, 784], and how many each has
    pub(crate) fn images(&self, numbers: &[usize]) -> (Tensor, Vec<usize>) {
        let lengths: Vec<usize> = numbers.iter().map(|&i| self.sequences[i].len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let nothing = [0; PIXELS];
        let images = numbers.iter().flat_map(|&i| {
            let images = self.sequences[i].iter().map(|&image| self.examples.image(image));
            let rest = longest - self.sequences[i].len();
            images.chain(std::iter::repeat_n(&nothing[..], rest))
        });
        (dataset::inputs(images).reshape([numbers.len(), longest, PIXELS]), lengths)
    }

    /// The numbers that the images of a sequence have among the examples.
    pub fn sequence(&self, index: usize) -> &[usize] {
        &self.sequences[index]
    }

    /// The text of a sequence.
    pub fn text(&self, index: usize) -> &str {
        &self.texts[index]
    }

    /// The examples.
    pub fn examples(&self) -> &Examples {
        &self.examples
    }

    /// The sum of the labels of a sequence.
    pub fn sum(&self, index: usize) -> usize {
        self.sequences[index].iter().map(|&i| usize::from(self.examples.labels[i])).sum()
    }
}

impl Dataset for Sequences {
    fn len(&self) -> usize {
        self.sequences.len()
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        let (inputs, lengths) = self.images(indices);
        let texts: Vec<Vec<i32>> = indices.iter().map(|&i| words::tokens(&self.texts[i])).collect();
        let most = texts.iter().map(Vec::len).max().unwrap_or(0);
        let padded = texts.iter().flat_map(|text| {
            text.iter().copied().chain(std::iter::repeat_n(NO_LETTER, most - text.len()))
        });
        let targets = Tensor::from_vec(padded.collect(), [indices.len(), most]);
        Batch { inputs, targets, lengths: Some(lengths) }
    }

    /// First by images, then by letters.
    fn steps(&self, index: usize) -> usize {
        self.sequences[index].len() * MAX_LETTERS + self.texts[index].len()
    }
}
