//! Answers of a linear model.

use std::collections::HashMap;

use super::evaluation::most;
use super::explanation::Explanation;
use super::ngrams::{Analyzer, Tally};
use super::{Bags, Classifier};
use crate::hash::Quick;

/// Answers of a classifier.
pub struct Predictor<'m> {
    model: &'m Classifier,
    analyzer: Analyzer,
    tally: Tally,
    features: Vec<(u64, u32)>,
    row: Vec<(u32, f32)>,
    scores: Vec<f32>,
    probabilities: Vec<f32>,
}

impl<'m> Predictor<'m> {
    pub(super) fn new(model: &'m Classifier) -> Predictor<'m> {
        Predictor {
            model,
            analyzer: Analyzer::new(&model.features.ngrams),
            tally: Tally::default(),
            features: Vec::new(),
            row: Vec::new(),
            scores: vec![0.0; model.linear.n_outputs()],
            probabilities: Vec::new(),
        }
    }

    /// The probability of each label.
    pub fn probabilities(&mut self, text: &str) -> &[f32] {
        self.features.clear();
        let features = &mut self.features;
        self.analyzer.for_each(text, |fingerprint, _, _| features.push((fingerprint, 1)));
        self.tally.merge(features, 0);
        self.answer()
    }

    /// The probability of each label of a document that was taken apart in the same way.
    pub fn probabilities_of(&mut self, bags: &Bags, document: usize) -> &[f32] {
        self.features.clear();
        self.features.extend_from_slice(bags.features(document));
        self.answer()
    }

    fn answer(&mut self) -> &[f32] {
        self.row.clear();
        self.model.features.push_row(&self.features, &mut self.row);
        self.model.linear.scores(&self.row, &mut self.scores);
        self.model.link.probabilities(&self.scores, &mut self.probabilities);
        &self.probabilities
    }

    /// The likeliest label, and its probability.
    pub fn predict(&mut self, text: &str) -> (&'m str, f32) {
        let (label, p) = most(self.probabilities(text));
        (&self.model.labels[label], p)
    }

    /// The likeliest label, as a number, and its probability, of a document that was taken apart in the
    /// same way.
    pub fn predict_of(&mut self, bags: &Bags, document: usize) -> (usize, f32) {
        most(self.probabilities_of(bags, document))
    }

    /// What each word says for a label and against the others: an n-gram's contribution is shared
    /// evenly among its words.
    ///
    /// # Panics
    /// When the label does not exist.
    pub fn explain(&mut self, text: &str, label: usize) -> Explanation {
        self.probabilities(text);
        // An n-gram's number in a row is a sum over where it occurs; each place has its share.
        let model = self.model;
        let values: HashMap<u32, f32, Quick> = self.row.iter().copied().collect();
        let each = self.features.iter().filter_map(|&(fingerprint, n)| {
            let column = model.features.columns.find(fingerprint)?;
            let x = values.get(&column)?;
            Some((fingerprint, x / n as f32 * model.link.contrast(model.linear.of(column), label)))
        });
        let each: HashMap<u64, f32, Quick> = each.collect();
        let mut found: Vec<(f32, usize, usize)> = Vec::new();
        let (text, tokens) = self.analyzer.for_each(text, |fingerprint, first, last| {
            found.push((each.get(&fingerprint).copied().unwrap_or(0.0), first, last))
        });
        let mut words: Vec<f32> = vec![0.0; tokens.len()];
        for (contribution, first, last) in found {
            let share = contribution / (last - first + 1) as f32;
            words[first..=last].iter_mut().for_each(|word| *word += share);
        }
        let words = tokens
            .iter()
            .zip(words)
            .map(|(token, by)| (token.start as usize..token.end as usize, by))
            .collect();
        let bias = model.link.contrast(&model.linear.bias, label);
        Explanation { text: text.to_owned(), words, bias }
    }
}
