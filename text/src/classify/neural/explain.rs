//! Why a label was given: what each word's vector adds, on the way from no vectors to all of them.
//!
//!   c_t = Σ_d x_td ∫₀¹ ∂F(αx) / ∂x_td dα,        F(x) = F(0) + Σ_t c_t
//!
//! F is what the scores say for the label (`Link::contrast`). The integral is a sum over points in the middle of equal
//! steps, which are the examples of one batch, so it takes one pass there and one back.
//!
//! # Source
//! Sundararajan, Taly, Yan, *Axiomatic Attribution for Deep Networks*, 2017 (integrated gradients).

use plies_nn::data::Dataset;
use plies_nn::plies_autograd::no_grad;
use plies_nn::{Module, Pass, Var};
use plies_tensor::Tensor;

use super::super::explanation::Explanation;
use super::NeuralClassifier;
use super::texts::Texts;
use crate::Result;

/// Points on the way, for a text of so many words; a long one has fewer, so that memory is bounded.
fn n_points(words: usize) -> usize {
    (6400 / words.max(1)).clamp(16, 64)
}

impl NeuralClassifier {
    /// What each word says for a label and against the others.
    ///
    /// # Errors
    /// What the device says.
    ///
    /// # Panics
    /// When the label does not exist.
    #[track_caller]
    pub fn explain(&self, text: &str, label: usize) -> Result<Explanation> {
        assert!(label < self.labels.len(), "explain: label {label} of {}", self.labels.len());
        let mut seen = String::new();
        let rows = self.rows(text, &mut seen);
        let (n, points) = (rows.len(), n_points(rows.len()));
        let batch = Texts::new([rows.iter().map(|row| row.0).collect()]).batch(&[0]);
        let x = no_grad(|| self.network.vectors(&batch.inputs)).into_value(); // [1, T, D]
        let nothing = Var::constant(&x * 0.0);
        let mut pass = Pass::eval().with_lengths(batch.lengths);
        let scores = no_grad(|| self.network.scores(&nothing, &mut pass)).to_vec::<f32>()?;
        let bias = self.link.contrast(&scores, label);
        let mut by = vec![0.0; n];
        if n > 0 {
            let middle = |i: usize| (i as f32 + 0.5) / points as f32;
            let alpha = Tensor::from_vec((0..points).map(middle).collect(), [points, 1, 1]);
            let way = Var::leaf(&alpha * &x); // [P, T, D]
            let scores = self.network.scores(&way, &mut Pass::eval()); // [P, C]
            // F is linear in the scores: its coefficients are its values for one score at a time.
            let n_labels = self.labels.len();
            let one = |i: usize| (0..n_labels).map(|j| f32::from(i == j)).collect::<Vec<f32>>();
            let coefficients = (0..n_labels).map(|i| self.link.contrast(&one(i), label)).collect();
            let coefficients = Var::constant(Tensor::from_vec(coefficients, [n_labels]));
            (&scores * &coefficients).sum_all().backward();
            self.network.zero_grad();
            let d_x = way.grad().expect("the scores depend on the way");
            let mean = d_x.value().mean(&[0], true); // [1, T, D]
            by = (&mean * &x).sum(&[-1], false).to_vec::<f32>()?;
        }
        let words = rows.into_iter().zip(by).map(|((_, range), by)| (range, by)).collect();
        Ok(Explanation { text: seen, words, bias })
    }
}
