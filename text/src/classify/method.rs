//! How weights are learnt, and what can be chosen about it.

use super::{Norm, Weighting};
use crate::{Error, Result};

/// How weights are learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Multinomial naive Bayes on counts: one pass, and hard to beat with a hundred documents.
    NaiveBayes,
    /// A support vector machine whose weights may be the larger the more naive Bayes thinks of them.
    NbSvm,
    /// Logistic regression on tf-idf.
    LogisticRegression,
    /// A linear support vector machine (squared hinge) on tf-idf.
    Svm,
    /// fastText's: averaged embeddings and a softmax.
    FastText,
}

impl Method {
    /// All of them, by the names that the program and files use.
    pub const NAMES: [(&str, Method); 5] = [
        ("nb", Method::NaiveBayes),
        ("nb-svm", Method::NbSvm),
        ("lr", Method::LogisticRegression),
        ("svm", Method::Svm),
        ("fasttext", Method::FastText),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|row| row.1 == self).expect("each has a name").0
    }

    /// The one with a name.
    pub fn from_name(name: &str) -> Option<Method> {
        Self::NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    pub(super) fn weighting(self) -> (Weighting, Norm) {
        match self {
            Method::NaiveBayes => (Weighting::Counts, Norm::None),
            Method::NbSvm => (Weighting::TfIdf, Norm::Length),
            Method::LogisticRegression | Method::Svm => (Weighting::TfIdf, Norm::Length),
            Method::FastText => (Weighting::Counts, Norm::Sum),
        }
    }
}

/// What can be chosen about a training. `None` stands for what suits the method.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How weights are learnt.
    pub method: Method,
    /// What rows hold.
    pub weighting: Option<Weighting>,
    /// What rows are divided by.
    pub norm: Option<Norm>,
    /// n-grams of fewer documents are left out. By itself 1, and 2 where documents have more than a
    /// hundred of them: of so many one can be spared that no other document has.
    pub min_documents: Option<u32>,
    /// C of logistic regression and support vector machines: what a document weighs against the size of
    /// the weights.
    pub cost: Option<f32>,
    /// What naive Bayes and NB-SVM add to each count.
    pub alpha: f32,
    /// At most so many passes.
    pub epochs: Option<usize>,
    /// How little a pass changes when logistic regression and support vector machines are done.
    pub tolerance: f32,
    /// fastText's first learning rate.
    pub lr: f32,
    /// For the order of documents, and fastText's first vectors.
    pub seed: u64,
}

impl Settings {
    /// What suits a method.
    pub fn new(method: Method) -> Settings {
        Settings {
            method,
            weighting: None,
            norm: None,
            min_documents: None,
            cost: None,
            alpha: 1.0,
            epochs: None,
            tolerance: 0.02,
            lr: 0.5,
            seed: 1,
        }
    }

    /// Whether its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<()> {
        let positive = |name, x: f32| {
            let is_good = x.is_finite() && x > 0.0;
            let reason = || format!("{x}; it takes a number above 0");
            if is_good { Ok(()) } else { Err(Error::setting(name, reason())) }
        };
        positive("cost", self.cost.unwrap_or(1.0))?;
        positive("alpha", self.alpha)?;
        positive("learning rate", self.lr)?;
        if self.epochs == Some(0) {
            return Err(Error::setting("epochs", "0; it takes at least one"));
        }
        Ok(())
    }
}
