//! Sequences of different lengths in one batch.

use plies_tensor::Tensor;

use super::dataset::select;
use super::{Batch, Dataset};

/// Sequences of different lengths, padded in each batch to the longest that is in it. The batch says how
/// long each is ([`Batch::lengths`]), which is what recurrent layers take.
///
/// # Shapes
/// inputs N · [T, ...] with a T each -> [B, longest T, ...]
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, SequenceDataset};
/// use plies_tensor::Tensor;
/// let words = [[4, 2].as_slice(), &[7], &[1, 5, 3], &[6]].map(|tokens| Tensor::from_slice(tokens, [tokens.len()]));
/// let data = SequenceDataset::new(words.to_vec(), Tensor::from([0, 1, 0, 1]));
/// // Two and two of about the same length: the short ones are not padded at all.
/// let loader = Loader::new(Arc::new(data), 2).bucket(usize::MAX);
/// let batches: Vec<_> = loader.epoch(0).collect();
/// assert_eq!(batches[0].inputs.dims(), [2, 1]);
/// assert_eq!(batches[1].inputs.to_vec::<i32>().unwrap(), [4, 2, 0, 1, 5, 3]);
/// assert_eq!(batches[1].lengths, Some(vec![2, 3]));
/// ```
#[derive(Clone, Debug)]
pub struct SequenceDataset {
    inputs: Vec<Tensor>,
    targets: Targets,
    padding: f64,
}

#[derive(Clone, Debug)]
enum Targets {
    /// One for each sequence.
    Whole(Tensor),
    /// One for each step; and what stands in the place of those that there are not.
    Steps(Vec<Tensor>, f64),
}

impl SequenceDataset {
    /// A data set of `inputs[i]` with `targets[i]`; padding is 0.
    ///
    /// # Shapes
    /// inputs N · [T, ...], targets [N, ...]
    ///
    /// # Panics
    /// When they differ in number, or sequences differ in more than their length.
    #[track_caller]
    pub fn new(inputs: Vec<Tensor>, targets: Tensor) -> Self {
        assert!(
            targets.rank() > 0 && targets.dim(0) == inputs.len(),
            "sequences: {} sequences with targets {}",
            inputs.len(),
            targets.shape()
        );
        check_alike("inputs", &inputs);
        SequenceDataset { inputs, targets: Targets::Whole(targets), padding: 0.0 }
    }

    /// A data set whose targets are sequences as well, a target for each step, such as the tag of each
    /// word. In their padding stands `ignored`, which
    /// [`CrossEntropy::ignore_index`](crate::loss::CrossEntropy) can leave out.
    ///
    /// # Panics
    /// When they differ in number or in length, or sequences differ in more than their length.
    #[track_caller]
    pub fn tagged(inputs: Vec<Tensor>, targets: Vec<Tensor>, ignored: f64) -> Self {
        assert!(
            inputs.len() == targets.len(),
            "sequences: {} sequences with targets of {}",
            inputs.len(),
            targets.len()
        );
        check_alike("inputs", &inputs);
        check_alike("targets", &targets);
        for (i, (input, target)) in inputs.iter().zip(&targets).enumerate() {
            assert!(
                input.dim(0) == target.dim(0),
                "sequences: sequence {i} of {} steps with targets of {}",
                input.dim(0),
                target.dim(0)
            );
        }
        SequenceDataset { inputs, targets: Targets::Steps(targets, ignored), padding: 0.0 }
    }

    /// Another number in the place of steps that there are not.
    pub fn padding(mut self, value: f64) -> Self {
        self.padding = value;
        self
    }
}

impl Dataset for SequenceDataset {
    fn len(&self) -> usize {
        self.inputs.len()
    }

    /// # Panics
    /// Without indices when there are no sequences, whose shape is then not known.
    #[track_caller]
    fn batch(&self, indices: &[usize]) -> Batch {
        let targets = match &self.targets {
            Targets::Whole(targets) => select(targets, indices),
            Targets::Steps(targets, ignored) => pad(targets, indices, *ignored),
        };
        Batch {
            inputs: pad(&self.inputs, indices, self.padding),
            targets,
            lengths: Some(indices.iter().map(|&i| self.steps(i)).collect()),
        }
    }

    fn steps(&self, index: usize) -> usize {
        self.inputs[index].dim(0)
    }
}

/// Checks that sequences differ in their length only.
#[track_caller]
fn check_alike(what: &str, sequences: &[Tensor]) {
    let Some(first) = sequences.first() else { return };
    for (i, sequence) in sequences.iter().enumerate() {
        assert!(sequence.rank() > 0, "sequences: {what} {i} is a scalar, not a sequence");
        assert!(
            sequence.dims()[1..] == first.dims()[1..] && sequence.dtype() == first.dtype(),
            "sequences: {what} {i} is {} {}, the first {} {}",
            sequence.dtype(),
            sequence.shape(),
            first.dtype(),
            first.shape()
        );
    }
}

/// Some of the sequences below one another, with `value` where one has no steps: [B, longest T, ...].
#[track_caller]
fn pad(sequences: &[Tensor], indices: &[usize], value: f64) -> Tensor {
    assert!(!sequences.is_empty(), "sequences: there are none, of which no batch has a shape");
    let longest = indices.iter().map(|&i| sequences[i].dim(0)).max().unwrap_or(0);
    let pad = |&i: &usize| sequences[i].pad(0, 0, longest - sequences[i].dim(0), value);
    let padded: Vec<Tensor> = indices.iter().map(pad).collect();
    if padded.is_empty() {
        return sequences[0].slice(0, 0..0).unsqueeze(0).slice(0, 0..0);
    }
    Tensor::stack(&padded.iter().collect::<Vec<_>>(), 0)
}
