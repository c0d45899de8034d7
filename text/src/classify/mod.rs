//! Text classification by bags of n-grams: naive Bayes, logistic regression, NB-SVM, fastText. Networks that
//! read words in their order are in [`neural`], and a [`Model`] is of either kind.
//!
//!   text ─► n-grams' fingerprints ([`ngrams`]) ─► bags ([`Bags`]) ─► sparse rows ─► one linear model
//!
//! Methods differ in what their rows hold and in how weights are learnt ([`Method`]). What they learn is
//! of one form, so predicting, probabilities, explanations and files are written once.

mod averaged;
mod bags;
mod calibration;
mod classifier;
mod curve;
mod dual;
mod evaluation;
mod explanation;
mod features;
mod file;
#[cfg(test)]
mod golden;
mod labels;
mod linear;
mod method;
mod model;
mod naive_bayes;
pub mod neural;
pub mod ngrams;
pub(crate) mod parallel;
mod predictor;
#[cfg(test)]
mod tests;

pub use bags::Bags;
pub use classifier::Classifier;
pub use curve::{Contestant, CurvePoint, Estimate, curve, sizes};
pub use evaluation::Evaluation;
pub use explanation::Explanation;
pub use features::{Norm, Weighting};
pub use method::{Method, Settings};
pub use model::Model;
pub use ngrams::{NGrams, Tokens};
pub use predictor::Predictor;
