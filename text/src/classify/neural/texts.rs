//! Texts as batches: numbers of words, filled up to the longest text of the batch.

use plies_nn::data::{Batch, Dataset};
use plies_tensor::Tensor;

use super::super::labels::Targets;

/// The row of words that the network does not know, and what a batch is filled up with.
pub(super) const UNKNOWN: i32 = 0;

/// Texts as rows of the embedding, with what the network should say of them.
pub(super) struct Texts {
    starts: Vec<usize>,
    rows: Vec<i32>,
    targets: Wanted,
}

/// What the network should say.
enum Wanted {
    /// One label of each text.
    Class(Vec<i32>),
    /// For each text and label 1 or 0: [texts, labels]
    Each(Vec<f32>, usize),
}

impl Texts {
    /// Texts without a wanted answer.
    pub(super) fn new(texts: impl IntoIterator<Item = Vec<i32>>) -> Texts {
        let (mut starts, mut rows) = (vec![0], Vec::new());
        for text in texts {
            rows.extend(text);
            starts.push(rows.len());
        }
        let targets = Wanted::Class(vec![0; starts.len() - 1]);
        Texts { starts, rows, targets }
    }

    pub(super) fn with_targets(mut self, targets: &Targets, n_labels: usize) -> Texts {
        let documents = 0..targets.len();
        self.targets = if targets.are_many() {
            let is_wanted = |i: usize| {
                (0..n_labels as u32).map(move |label| f32::from(targets.of(i).contains(&label)))
            };
            Wanted::Each(documents.flat_map(is_wanted).collect(), n_labels)
        } else {
            Wanted::Class(documents.map(|i| targets.of(i)[0] as i32).collect())
        };
        self
    }

    fn of(&self, text: usize) -> &[i32] {
        &self.rows[self.starts[text]..self.starts[text + 1]]
    }
}

impl Dataset for Texts {
    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// inputs [B, longest T]
    fn batch(&self, indices: &[usize]) -> Batch {
        let lengths: Vec<usize> = indices.iter().map(|&i| self.steps(i)).collect();
        // A batch of empty texts has a word too, as there are no tensors without.
        let time = lengths.iter().copied().max().unwrap_or(0).max(1);
        let mut inputs = vec![UNKNOWN; indices.len() * time];
        for (row, &i) in inputs.chunks_exact_mut(time).zip(indices) {
            row[..self.steps(i)].copy_from_slice(self.of(i));
        }
        let n = indices.len();
        let targets = match &self.targets {
            Wanted::Class(all) => {
                let some: Vec<i32> = indices.iter().map(|&i| all[i]).collect();
                Tensor::from_vec(some, [n])
            }
            Wanted::Each(all, n_labels) => {
                let row = |&i: &usize| &all[i * n_labels..(i + 1) * n_labels];
                let some: Vec<f32> = indices.iter().flat_map(row).copied().collect();
                Tensor::from_vec(some, [n, *n_labels])
            }
        };
        Batch { inputs: Tensor::from_vec(inputs, [n, time]), targets, lengths: Some(lengths) }
    }

    fn steps(&self, index: usize) -> usize {
        self.starts[index + 1] - self.starts[index]
    }
}
