//! How accuracy grows with the number of labelled documents, and how methods compare.
//!
//! All methods learn from the same documents: those of a size and a seed hold every label in proportion,
//! and belong to those of the next size with that seed.

use std::ops::ControlFlow;

use plies_nn::metrics::student_interval;

use super::neural::{NeuralClassifier, NeuralSettings, Sequences};
use super::{Bags, Classifier, Settings};
use crate::{Error, Result};

/// A method, with the documents that it learns from and is tested on.
#[derive(Clone, Debug)]
pub enum Contestant<'d> {
    /// A linear model.
    Linear {
        /// Documents to learn from.
        train: &'d Bags,
        /// Documents to be tested on.
        test: &'d Bags,
        /// How it learns.
        settings: Settings,
    },
    /// A network.
    Neural {
        /// Documents to learn from.
        train: &'d Sequences,
        /// Documents to be tested on.
        test: &'d Sequences,
        /// How it learns.
        settings: NeuralSettings,
    },
}

/// Is told which share is done, and answers whether to go on.
type Done<'a> = &'a (dyn Fn(f64) -> ControlFlow<()> + Sync);

impl Contestant<'_> {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Contestant::Linear { settings, .. } => settings.method.name(),
            Contestant::Neural { settings, .. } => settings.encoder.name(),
        }
    }

    /// Documents to learn from, in an order by chance.
    fn order(&self, seed: u64) -> Vec<usize> {
        match self {
            Contestant::Linear { train, .. } => train.targets.stratified(seed),
            Contestant::Neural { train, .. } => train.targets.stratified(seed),
        }
    }

    /// Accuracy after learning from some of the documents.
    fn accuracy(&self, documents: &[usize], seed: u64, done: Done<'_>) -> Result<f64> {
        match self {
            Contestant::Linear { train, test, settings } => {
                let settings = Settings { seed, ..settings.clone() };
                let model = Classifier::train_with(&train.select(documents), &settings, done)?;
                Ok(model.test(test)?.accuracy())
            }
            Contestant::Neural { train, test, settings } => {
                let settings = NeuralSettings { seed, ..settings.clone() };
                let model = NeuralClassifier::train_with(
                    &train.select(documents),
                    &settings,
                    &mut |progress| done(progress.share),
                )?
                .into_result()?;
                Ok(model.test(test)?.accuracy())
            }
        }
    }
}

/// Accuracy at one number of documents.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// Labelled documents to learn from.
    pub n_documents: usize,
    /// Accuracy for each seed, which chooses the documents.
    pub accuracy: Vec<f64>,
}

/// A mean over seeds, and half the width of the interval that holds it in 95 of 100 cases, by Student's
/// distribution; 0 for a single seed, of which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half the width of its interval.
    pub margin: f64,
}

impl Estimate {
    /// Of one number for each seed.
    pub fn of(values: &[f64]) -> Estimate {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        if values.len() < 2 {
            return Estimate { mean, margin: 0.0 };
        }
        let (low, high) = student_interval(values, 0.95);
        Estimate { mean, margin: (high - low) / 2.0 }
    }
}

impl CurvePoint {
    /// The mean accuracy.
    pub fn estimate(&self) -> Estimate {
        Estimate::of(&self.accuracy)
    }

    /// How much larger the error is than that of another method with the same documents, as a share of
    /// that: error / error of the other − 1, seed by seed.
    pub fn relative_error(&self, other: &CurvePoint) -> Estimate {
        let pairs = self.accuracy.iter().zip(&other.accuracy);
        let ratio = |(ours, theirs): (&f64, &f64)| (1.0 - ours) / (1.0 - theirs).max(1e-9) - 1.0;
        Estimate::of(&pairs.map(ratio).collect::<Vec<_>>())
    }
}

/// 100, 300, 1,000 … and all.
pub fn sizes(n_documents: usize) -> Vec<usize> {
    let steps = (2..9).flat_map(|power| [10usize.pow(power), 3 * 10usize.pow(power)]);
    // A size that is almost all tells what all tell.
    let mut sizes: Vec<usize> = steps.take_while(|n| n * 5 < n_documents * 4).collect();
    sizes.push(n_documents);
    sizes
}

/// Trains on `n_documents`, drawn anew for each of `seeds`, and tests.
/// `progress` is told which share of the seeds is done.
///
/// # Errors
/// As [`Classifier::train`]; [`Error::Stopped`] when `progress` wanted an end.
pub fn curve(
    contestant: &Contestant<'_>,
    n_documents: usize,
    seeds: &[u64],
    progress: &(dyn Fn(f64) -> ControlFlow<()> + Sync),
) -> Result<CurvePoint> {
    let (mut accuracy, mut n) = (Vec::with_capacity(seeds.len()), 0);
    for (i, &seed) in seeds.iter().enumerate() {
        let order = contestant.order(seed);
        n = n_documents.min(order.len());
        let share = |share: f64| (i as f64 + share) / seeds.len() as f64;
        let found = contestant.accuracy(&order[..n], seed, &|done| progress(share(done)))?;
        if progress(share(1.0)).is_break() {
            return Err(Error::Stopped);
        }
        accuracy.push(found);
    }
    Ok(CurvePoint { n_documents: n, accuracy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_to_all() {
        assert_eq!(sizes(2400), [100, 300, 1000, 2400]);
        assert_eq!(sizes(50), [50]);
    }

    #[test]
    fn an_interval_is_student_s() {
        let Estimate { mean, margin } = Estimate::of(&[0.7, 0.8, 0.9]);
        assert!((mean - 0.8).abs() < 1e-12);
        assert!((margin - 4.302_652_73 * 0.1 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(Estimate::of(&[0.7]), Estimate { mean: 0.7, margin: 0.0 });
    }

    #[test]
    fn errors_are_compared_seed_by_seed() {
        let point = |accuracy: &[f64]| CurvePoint { n_documents: 1, accuracy: accuracy.to_vec() };
        let found = point(&[0.7, 0.4]).relative_error(&point(&[0.8, 0.6]));
        assert!((found.mean - 0.5).abs() < 1e-12 && found.margin < 1e-9);
    }
}
