//! How accuracy grows with the number of labelled documents.

use std::ops::ControlFlow;

use plies_nn::metrics::student_interval;
use plies_tensor::Rng;

use super::{Bags, Classifier, Settings};
use crate::{Error, Result};

/// Accuracy at one number of documents.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// Labelled documents to learn from.
    pub n_documents: usize,
    /// Accuracy for each seed, which chooses the documents.
    pub accuracy: Vec<f64>,
}

impl CurvePoint {
    /// The mean over seeds.
    pub fn mean(&self) -> f64 {
        self.accuracy.iter().sum::<f64>() / self.accuracy.len() as f64
    }

    /// Half the width of the interval that holds the mean in 95 of 100 cases, by Student's distribution;
    /// 0 for a single seed, of which nothing is known.
    pub fn margin(&self) -> f64 {
        match &self.accuracy[..] {
            [] | [_] => 0.0,
            accuracy => {
                let (low, high) = student_interval(accuracy, 0.95);
                (high - low) / 2.0
            }
        }
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

/// Trains on `n_documents` of `train`, drawn anew for each of `seeds`, and tests on `test`.
/// `progress` is told which share of the seeds is done.
///
/// # Errors
/// As [`Classifier::train`]; [`Error::Stopped`] when `progress` wanted an end.
pub fn curve(
    train: &Bags,
    test: &Bags,
    settings: &Settings,
    n_documents: usize,
    seeds: &[u64],
    progress: &(dyn Fn(f64) -> ControlFlow<()> + Sync),
) -> Result<CurvePoint> {
    let mut accuracy = Vec::with_capacity(seeds.len());
    for (i, &seed) in seeds.iter().enumerate() {
        let order = Rng::new(seed).permutation_vec(train.len());
        let some = train.select(&order[..n_documents.min(order.len())]);
        let settings = Settings { seed, ..settings.clone() };
        let share = |share: f64| (i as f64 + share) / seeds.len() as f64;
        let model = Classifier::train_with(&some, &settings, &|done| progress(share(done)))?;
        if progress(share(1.0)).is_break() {
            return Err(Error::Stopped);
        }
        accuracy.push(model.test(test)?.accuracy());
    }
    Ok(CurvePoint { n_documents: n_documents.min(train.len()), accuracy })
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
        let point = CurvePoint { n_documents: 1, accuracy: vec![0.7, 0.8, 0.9] };
        assert!((point.mean() - 0.8).abs() < 1e-12);
        assert!((point.margin() - 4.302_652_73 * 0.1 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(CurvePoint { accuracy: vec![0.7], ..point }.margin(), 0.0);
    }
}
