//! A classifier as a file holds it, whichever kind it is.

use std::path::Path;

use plies_nn::Checkpoint;

use super::neural::{NeuralClassifier, Sequences};
use super::{Bags, Classifier, Evaluation, Explanation, file, neural};
use crate::labelled::Labelled;
use crate::{Error, Result};

/// A linear model or a network: what a program that only asks need not tell apart.
#[derive(Debug)]
pub enum Model {
    /// A linear model on bags of n-grams.
    Linear(Box<Classifier>),
    /// A network that reads words in their order.
    Neural(Box<NeuralClassifier>),
}

impl Model {
    /// Reads a file that [`Classifier::save`] or [`NeuralClassifier::save`] wrote.
    ///
    /// # Errors
    /// What the operating system says; a file that is no classifier, or damaged.
    pub fn load(path: &Path) -> Result<Model> {
        Self::from_checkpoint(&Checkpoint::load(path)?, &path.display().to_string())
    }

    /// Reads the bytes of such a file; `origin` names them in errors.
    ///
    /// # Errors
    /// Bytes that are no classifier.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Model> {
        Self::from_checkpoint(&Checkpoint::from_bytes(bytes, origin)?, origin)
    }

    fn from_checkpoint(file: &Checkpoint, origin: &str) -> Result<Model> {
        match file.get("architecture") {
            None => Err(Error::format(origin, "is no classifier of this program")),
            Some(neural::KIND) => {
                Ok(Model::Neural(Box::new(NeuralClassifier::from_checkpoint(file, origin)?)))
            }
            Some(file::KIND) => {
                Ok(Model::Linear(Box::new(Classifier::from_checkpoint(file, origin)?)))
            }
            Some(other) => {
                let reason = format!("is no classifier of this program, but {other:?}");
                Err(Error::format(origin, reason))
            }
        }
    }

    /// The name of its method or of what reads the words.
    pub fn name(&self) -> &'static str {
        match self {
            Model::Linear(model) => model.method().name(),
            Model::Neural(model) => model.encoder().name(),
        }
    }

    /// What it can answer, in the order of probabilities.
    pub fn labels(&self) -> &[String] {
        match self {
            Model::Linear(model) => model.labels(),
            Model::Neural(model) => model.labels(),
        }
    }

    /// The probability of each label, for each text.
    ///
    /// # Errors
    /// What the device of a network says.
    pub fn probabilities(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        match self {
            Model::Linear(model) => {
                let mut predictor = model.predictor();
                Ok(texts.iter().map(|text| predictor.probabilities(text).to_vec()).collect())
            }
            Model::Neural(model) => model.probabilities(texts),
        }
    }

    /// What each word says for a label and against the others.
    ///
    /// # Errors
    /// What the device of a network says.
    ///
    /// # Panics
    /// When the label does not exist.
    pub fn explain(&self, text: &str, label: usize) -> Result<Explanation> {
        match self {
            Model::Linear(model) => Ok(model.predictor().explain(text, label)),
            Model::Neural(model) => model.explain(text, label),
        }
    }

    /// Compares its answers with labels.
    ///
    /// # Errors
    /// Documents that cannot be read.
    pub fn test(&self, set: &Labelled) -> Result<Evaluation> {
        match self {
            Model::Linear(model) => model.test(&Bags::read(set, model.ngrams())?),
            Model::Neural(model) => model.test(&Sequences::read(set, model.reading())?),
        }
    }
}
