//! Answers of a network, many texts at once.

use plies_nn::data::Dataset;
use plies_nn::plies_autograd::no_grad;
use plies_nn::{Module, Pass, Var};

use super::super::evaluation::{self, Evaluation};
use super::texts::Texts;
use super::{NeuralClassifier, Sequences};
use crate::{Error, Result};

/// Texts in a batch.
const BATCH: usize = 64;

impl NeuralClassifier {
    /// The probability of each label, for each text.
    ///
    /// # Errors
    /// What the device says.
    pub fn probabilities(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let mut seen = String::new();
        let rows = texts.iter().map(|text| {
            self.rows(text, &mut seen).into_iter().map(|(row, _)| row).collect::<Vec<i32>>()
        });
        let scores = self.scores(&Texts::new(rows))?;
        let of = |scores: &[f32]| {
            let mut p = Vec::new();
            self.link.probabilities(scores, &mut p);
            p
        };
        Ok(scores.chunks_exact(self.labels.len()).map(of).collect())
    }

    /// Compares the model's answers with labels. A label that the model does not know is a mistake of
    /// the model, and is no row of the confusion matrix.
    ///
    /// # Errors
    /// Documents that were read in another way, and what the device says.
    pub fn test(&self, documents: &Sequences) -> Result<Evaluation> {
        if documents.reading != self.reading {
            let reason = "was read in another way than the model reads";
            return Err(Error::format(documents.origin(), reason));
        }
        let rows = self.rows_of_words(documents);
        let of = |i| documents.of(i).iter().map(|&word| rows[word as usize]).collect();
        let scores = self.scores(&Texts::new((0..documents.len()).map(of)))?;
        let numbers = evaluation::numbers(&self.labels, &documents.labels);
        let mut p = Vec::new();
        let answers = scores.chunks_exact(self.labels.len()).enumerate().map(|(i, scores)| {
            self.link.probabilities(scores, &mut p);
            evaluation::answer(&p, documents.targets.of(i), &numbers)
        });
        Ok(Evaluation::of(answers, &self.labels, &documents.labels, &documents.targets))
    }

    /// Scores [texts, labels]; texts of about the same length are read together.
    pub(super) fn scores(&self, texts: &Texts) -> Result<Vec<f32>> {
        let n_labels = self.labels.len();
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&i| texts.steps(i));
        let mut scores = vec![0.0; texts.len() * n_labels];
        for some in order.chunks(BATCH) {
            let batch = texts.batch(some);
            let mut pass = Pass::eval().with_lengths(batch.lengths);
            let found = no_grad(|| self.network.forward(&Var::constant(batch.inputs), &mut pass));
            let found = found.to_vec::<f32>()?;
            for (&i, found) in some.iter().zip(found.chunks_exact(n_labels)) {
                scores[i * n_labels..(i + 1) * n_labels].copy_from_slice(found);
            }
        }
        Ok(scores)
    }
}
