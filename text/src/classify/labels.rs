//! Labels of documents as numbers, and what follows from them alone: whether there is something to
//! learn, and parts that hold every label in proportion.

use std::collections::HashMap;

use plies_nn::data::Split;

use crate::labelled::Labels;
use crate::{Error, Result};

/// Labels as numbers: those of document i.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets {
    starts: Vec<usize>,
    labels: Vec<u32>,
}

impl Targets {
    pub(crate) fn of(&self, document: usize) -> &[u32] {
        &self.labels[self.starts[document]..self.starts[document + 1]]
    }

    pub(crate) fn push(&mut self, labels: &[u32]) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.labels.extend_from_slice(labels);
        self.starts.push(self.labels.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether some document has not exactly one label.
    pub(crate) fn are_many(&self) -> bool {
        (0..self.len()).any(|i| self.of(i).len() != 1)
    }

    pub(crate) fn select(&self, documents: &[usize]) -> Targets {
        let mut some = Targets::default();
        documents.iter().for_each(|&document| some.push(self.of(document)));
        some
    }

    /// The documents in an order, by chance, of which every piece holds each label in proportion; that of
    /// several labels that has the smallest number.
    pub(crate) fn stratified(&self, seed: u64) -> Vec<usize> {
        let first = |i: usize| self.of(i).iter().min().map_or(-1, |&label| label as i32);
        let classes: Vec<i32> = (0..self.len()).map(first).collect();
        Split::stratified(&classes, seed).order().to_vec()
    }

    /// Two parts: one document of `n` in the second, with every label in proportion.
    pub(crate) fn split(&self, n: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
        let order = self.stratified(seed);
        let (test, train) = order.split_at(self.len() / n.max(1));
        (train.to_vec(), test.to_vec())
    }

    /// Whether there is something to learn: documents that do not all have the same label.
    ///
    /// # Errors
    /// When they have.
    pub(crate) fn check(&self, names: &[String], origin: &str) -> Result<()> {
        let n_documents = self.len();
        if !self.are_many() && (1..n_documents).all(|i| self.of(i) == self.of(0)) {
            let label = &names[self.of(0)[0] as usize];
            let reason = format!(
                "all {n_documents} documents have the label {label:?}; a classifier needs two labels"
            );
            return Err(Error::format(origin, reason));
        }
        Ok(())
    }
}

/// Labels that are being read, numbered as they come.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    numbers: HashMap<String, u32>,
    targets: Targets,
    of_document: Vec<u32>,
}

impl Numbering {
    /// The labels of the next document.
    pub(crate) fn push(&mut self, labels: &Labels) {
        self.of_document.clear();
        for label in labels.iter() {
            let number = match self.numbers.get(label) {
                Some(&number) => number,
                None => {
                    let number = self.numbers.len() as u32;
                    self.numbers.insert(label.to_owned(), number);
                    number
                }
            };
            if !self.of_document.contains(&number) {
                self.of_document.push(number);
            }
        }
        self.targets.push(&self.of_document);
    }

    /// The labels in the order of their names, so that a model does not depend on which document comes
    /// first, and those of each document.
    pub(crate) fn finish(mut self) -> (Vec<String>, Targets) {
        let mut sorted: Vec<(String, u32)> = self.numbers.into_iter().collect();
        sorted.sort();
        let mut place = vec![0; sorted.len()];
        for (new, (_, old)) in sorted.iter().enumerate() {
            place[*old as usize] = new as u32;
        }
        self.targets.labels.iter_mut().for_each(|label| *label = place[*label as usize]);
        (sorted.into_iter().map(|(name, _)| name).collect(), self.targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_holds_every_label_in_proportion() {
        let mut targets = Targets::default();
        (0..1000).for_each(|i| targets.push(&[u32::from(i % 10 == 0)]));
        let (train, test) = targets.split(5, 1);
        let rare = |part: &[usize]| part.iter().filter(|&&i| targets.of(i) == [1]).count();
        assert_eq!((train.len(), rare(&train), test.len(), rare(&test)), (800, 80, 200, 20));
        let mut all = [train, test].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1000));
    }
}
