//! What every method here learns in the end, and all that predicting and explaining have to know:
//!
//!   score_o(x) = b_o + Σ_f x_f · W_fo
//!
//! with one output for each label, or a single one, which speaks for the second label, when there are
//! two labels of which each document has one. Naive Bayes is of this form (Minsky 1961), logistic
//! regression and support vector machines by definition, and averaged embeddings when their two
//! matrices are multiplied.

use super::Bags;
use super::labels::Targets;

/// Scores that are linear in a sparse row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Linear {
    pub(crate) bias: Vec<f32>,
    /// [features, outputs]
    pub(crate) weights: Vec<f32>,
}

impl Linear {
    pub(crate) fn n_outputs(&self) -> usize {
        self.bias.len()
    }

    /// The weights of a column, one for each output.
    pub(crate) fn of(&self, column: u32) -> &[f32] {
        let n = self.n_outputs();
        &self.weights[column as usize * n..][..n]
    }

    pub(crate) fn scores(&self, row: &[(u32, f32)], scores: &mut [f32]) {
        gather(row, &self.weights, &self.bias, scores);
    }
}

/// A linear model, and what it says of some of the documents that it learnt from as if it had not.
pub(crate) struct Fitted {
    pub(crate) linear: Linear,
    /// The documents.
    pub(crate) held_out: Vec<usize>,
    /// [documents, outputs]
    pub(crate) held_out_scores: Vec<f32>,
}

/// Outputs that a set of documents needs.
pub(crate) fn n_outputs(bags: &Bags) -> usize {
    let n_labels = bags.labels.len();
    if n_labels == 2 && !bags.targets.are_many() { 1 } else { n_labels }
}

/// Whether an output speaks for one of the labels of a document.
pub(crate) fn is_positive(
    targets: &Targets,
    document: usize,
    output: usize,
    n_outputs: usize,
) -> bool {
    // The single output of two labels is the second one's.
    let label = if n_outputs == 1 { 1 } else { output as u32 };
    targets.of(document).contains(&label)
}

/// z_o = b_o + Σ_f x_f · W_fo
#[inline]
pub(crate) fn gather(row: &[(u32, f32)], weights: &[f32], bias: &[f32], z: &mut [f32]) {
    if let [z] = z {
        *z = bias[0] + dot(row, weights);
        return;
    }
    let n = z.len();
    z.copy_from_slice(bias);
    for &(column, x) in row {
        let weights = &weights[column as usize * n..][..n];
        for (z, w) in z.iter_mut().zip(weights) {
            *z += x * w;
        }
    }
}

/// Σ_f x_f · w_f, in four sums, as one would wait for each of its additions.
#[inline]
fn dot(row: &[(u32, f32)], weights: &[f32]) -> f32 {
    let mut sums = [0.0; 4];
    let (fours, rest) = row.as_chunks::<4>();
    for four in fours {
        for (sum, &(column, x)) in sums.iter_mut().zip(four) {
            *sum += x * weights[column as usize];
        }
    }
    let rest: f32 = rest.iter().map(|&(column, x)| x * weights[column as usize]).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}
