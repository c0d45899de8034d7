//! A linear model that was learnt, by whichever method.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use super::calibration::{self, Link};
use super::evaluation::{self, Evaluation};
use super::features::Features;
use super::linear::{self, Fitted, Linear};
use super::predictor::Predictor;
use super::{Bags, Method, NGrams, Settings, averaged, dual, naive_bayes, parallel};
use crate::{Error, Result};

/// The most documents from which probabilities are calibrated.
const MAX_HELD_OUT: usize = 4000;

/// A trained model.
///
/// # Example
/// ```
/// use plies_text::classify::{Bags, Classifier, Method, NGrams, Settings};
/// use plies_text::labelled::Labelled;
/// let bags = Bags::read(&Labelled::embedded(), &NGrams::default())?;
/// let model = Classifier::train(&bags, &Settings::new(Method::NaiveBayes))?;
/// let (label, probability) = model.predictor().predict("What a wonderful film!");
/// assert!(label == "1" && probability > 0.8);
/// # Ok::<(), plies_text::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Classifier {
    pub(super) method: Method,
    pub(super) labels: Vec<String>,
    pub(super) features: Features,
    pub(super) linear: Linear,
    pub(super) link: Link,
}

impl Classifier {
    /// Learns from documents.
    ///
    /// # Errors
    /// Settings that make no sense, documents that all have one label, or a training that diverges.
    pub fn train(bags: &Bags, settings: &Settings) -> Result<Classifier> {
        Self::train_with(bags, settings, &|_| ControlFlow::Continue(()))
    }

    /// Learns from documents, and tells `progress` from time to time which share of the longest possible
    /// training is done. When that answers `Break` the model is what was learnt until then.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn train_with(
        bags: &Bags,
        settings: &Settings,
        progress: &(dyn Fn(f64) -> ControlFlow<()> + Sync),
    ) -> Result<Classifier> {
        settings.check()?;
        bags.check()?;
        let (weighting, norm) = settings.method.weighting();
        let weighting = settings.weighting.unwrap_or(weighting);
        let norm = settings.norm.unwrap_or(norm);
        let usual = if bags.mean_size() <= 100 { 1 } else { 2 };
        let min_documents = settings.min_documents.unwrap_or(usual);
        let features = Features::fit(bags, min_documents, weighting, norm)?;
        let fitted = fit(bags, &features, settings, progress);
        let mut weights = fitted.linear.weights.iter().chain(&fitted.linear.bias);
        if !weights.all(|weight| weight.is_finite()) {
            let reason =
                "diverged: weights are no finite numbers; lower the learning rate or the cost";
            return Err(Error::format("training", reason));
        }
        let many = bags.targets.are_many();
        let (held_out, scores) = (&fitted.held_out, &fitted.held_out_scores);
        let link = Link { scale: calibration::scale(scores, held_out, &bags.targets, many), many };
        let labels = bags.labels.clone();
        Ok(Classifier { method: settings.method, labels, features, linear: fitted.linear, link })
    }

    /// How it was learnt.
    pub fn method(&self) -> Method {
        self.method
    }

    /// What it can answer, in the order of probabilities.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The n-grams that it looks at.
    pub fn ngrams(&self) -> &NGrams {
        &self.features.ngrams
    }

    /// Number of different n-grams that it knows.
    pub fn n_features(&self) -> usize {
        self.features.columns.len()
    }

    /// Trained numbers: a weight for each n-gram and output, and their biases.
    pub fn parameter_count(&self) -> usize {
        self.linear.weights.len() + self.linear.bias.len()
    }

    /// Whether a document may have several labels.
    pub fn has_many_labels(&self) -> bool {
        self.link.many
    }

    /// What answers, with memory that it uses again: one for each thread.
    pub fn predictor(&self) -> Predictor<'_> {
        Predictor::new(self)
    }

    /// Compares the model's answers with labels. A label that the model does not know is a mistake of
    /// the model, and is no row of the confusion matrix.
    ///
    /// # Errors
    /// Documents that were taken apart in another way.
    pub fn test(&self, bags: &Bags) -> Result<Evaluation> {
        if bags.ngrams != self.features.ngrams {
            let reason = "was taken apart into other n-grams than those of the model";
            return Err(Error::format(bags.origin(), reason));
        }
        let numbers = evaluation::numbers(&self.labels, &bags.labels);
        let answers = parallel::map_parts(bags.len(), |documents| {
            let mut predictor = self.predictor();
            let answer = |document| {
                let p = predictor.probabilities_of(bags, document);
                evaluation::answer(p, bags.labels_of(document), &numbers)
            };
            documents.map(answer).collect::<Vec<_>>()
        });
        let answers = answers.into_iter().flatten();
        Ok(Evaluation::of(answers, &self.labels, &bags.labels, &bags.targets))
    }
}

fn fit(
    bags: &Bags,
    features: &Features,
    settings: &Settings,
    progress: &(dyn Fn(f64) -> ControlFlow<()> + Sync),
) -> Fitted {
    let rows = features.rows(bags);
    let (targets, n_labels) = (&bags.targets, bags.labels.len());
    let n_outputs = linear::n_outputs(bags);
    let is_stopped = AtomicBool::new(false);
    let go_on = |share: f64| {
        if progress(share).is_break() {
            is_stopped.store(true, Ordering::Relaxed);
        }
        !is_stopped.load(Ordering::Relaxed)
    };
    let sample = |n: usize| -> Vec<usize> {
        (0..bags.len()).step_by(bags.len().div_ceil(n.max(1)).max(1)).collect()
    };
    let descend = |[first_variances, variances]: [&[f32]; 2], held_out, loss, cost: f32| {
        let descent = dual::Descent {
            cost: settings.cost.unwrap_or(cost),
            max_epochs: settings.epochs.unwrap_or(50),
            tolerance: settings.tolerance,
            seed: settings.seed,
        };
        let problem =
            dual::Problem { rows: &rows, targets, n_outputs, variances, first_variances, loss };
        dual::fit(&problem, descent, held_out, &go_on)
    };
    let tenth = sample((bags.len() / 10).min(MAX_HELD_OUT));
    match settings.method {
        Method::NaiveBayes => {
            let held_out = sample(MAX_HELD_OUT);
            naive_bayes::fit(&rows, targets, n_outputs, settings.alpha, held_out)
        }
        Method::LogisticRegression => descend([&[], &[]], tenth, dual::Loss::Logistic, 10.0),
        Method::Svm => descend([&[], &[]], tenth, dual::Loss::SquaredHinge, 1.0),
        Method::NbSvm => {
            let mut is_held_out = vec![false; bags.len()];
            tenth.iter().for_each(|&i| is_held_out[i] = true);
            let variances = |is_wanted: &dyn Fn(usize) -> bool| {
                let documents = (0..bags.len()).filter(|&i| is_wanted(i));
                let alpha = settings.alpha;
                dual::log_ratio_variances(&rows, targets, n_outputs, alpha, documents)
            };
            let (first, all) = (variances(&|i| !is_held_out[i]), variances(&|_| true));
            descend([&first, &all], tenth, dual::Loss::SquaredHinge, 1.0)
        }
        Method::FastText => {
            let passes = match bags.len() {
                0..5_000 => 50,
                5_000..100_000 => 25,
                _ => 5,
            };
            let descent = averaged::Descent {
                epochs: settings.epochs.unwrap_or(passes),
                lr: settings.lr,
                seed: settings.seed,
            };
            // It has to do without a twentieth: what it says of documents that it saw tells nothing.
            let held_out = sample((bags.len() / 20).min(MAX_HELD_OUT / 2));
            averaged::fit(&rows, targets, n_labels, n_outputs, descent, held_out, &go_on)
        }
    }
}
