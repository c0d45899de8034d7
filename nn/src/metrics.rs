//! How good predictions are.

use plies_tensor::{Result, Tensor};

/// Counts of (true class, predicted class) pairs.
///
/// # Example
/// ```
/// use plies_nn::metrics::ConfusionMatrix;
/// let mut confusion = ConfusionMatrix::new(2);
/// for (truth, predicted) in [(0, 0), (0, 1), (1, 1), (1, 1)] {
///     confusion.add(truth, predicted);
/// }
/// assert_eq!(confusion.accuracy(), 0.75);
/// assert_eq!(confusion.precision(1), 2.0 / 3.0);
/// assert_eq!(confusion.recall(1), 1.0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    n_classes: usize,
    counts: Vec<usize>,
}

impl ConfusionMatrix {
    /// No observations yet of `n_classes` classes.
    pub fn new(n_classes: usize) -> Self {
        ConfusionMatrix { n_classes, counts: vec![0; n_classes * n_classes] }
    }

    /// Counts one observation.
    ///
    /// # Panics
    /// When a class does not exist.
    #[track_caller]
    pub fn add(&mut self, truth: usize, predicted: usize) {
        let n = self.n_classes;
        assert!(truth < n && predicted < n, "confusion: classes {truth}, {predicted} of {n}");
        self.counts[truth * n + predicted] += 1;
    }

    /// Counts a batch: the predicted class is that of the largest logit.
    ///
    /// # Shapes
    /// logits [B, C], targets [B] (I32)
    ///
    /// # Errors
    /// A fault of the device.
    #[track_caller]
    pub fn add_batch(&mut self, logits: &Tensor, targets: &Tensor) -> Result<()> {
        let predicted = logits.argmax(-1, false).to_vec::<i32>()?;
        for (truth, predicted) in targets.to_vec::<i32>()?.into_iter().zip(predicted) {
            self.add(truth as usize, predicted as usize);
        }
        Ok(())
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// How often `truth` was taken for `predicted`.
    pub fn count(&self, truth: usize, predicted: usize) -> usize {
        self.counts[truth * self.n_classes + predicted]
    }

    /// Number of observations.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Observations whose class was predicted.
    pub fn correct(&self) -> usize {
        (0..self.n_classes).map(|c| self.count(c, c)).sum()
    }

    /// correct / total; NaN without observations.
    pub fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.total() as f64
    }

    /// Of those predicted as `class`, the share that is of it; 0 when nothing was.
    pub fn precision(&self, class: usize) -> f64 {
        let predicted: usize = (0..self.n_classes).map(|truth| self.count(truth, class)).sum();
        ratio(self.count(class, class), predicted)
    }

    /// Of those of `class`, the share that was predicted as it; 0 when there are none.
    pub fn recall(&self, class: usize) -> f64 {
        let actual: usize = (0..self.n_classes).map(|c| self.count(class, c)).sum();
        ratio(self.count(class, class), actual)
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(&self, class: usize) -> f64 {
        let (precision, recall) = (self.precision(class), self.recall(class));
        if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
    }

    /// The mean of F1 over the classes.
    pub fn macro_f1(&self) -> f64 {
        (0..self.n_classes).map(|c| self.f1(c)).sum::<f64>() / self.n_classes as f64
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

/// Share of rows whose largest logit is at the target.
///
/// # Shapes
/// logits [B, C], targets [B] (I32)
///
/// # Errors
/// A fault of the device.
#[track_caller]
pub fn accuracy(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    top_k_accuracy(logits, targets, 1)
}

/// Share of rows whose target is among the `k` largest logits.
///
/// # Shapes
/// logits [B, C], targets [B] (I32)
///
/// # Errors
/// A fault of the device.
#[track_caller]
pub fn top_k_accuracy(logits: &Tensor, targets: &Tensor, k: usize) -> Result<f64> {
    let (_, best) = logits.topk(k, -1);
    let (best, targets) = (best.to_vec::<i32>()?, targets.to_vec::<i32>()?);
    let hits = best.chunks(k).zip(&targets).filter(|(best, target)| best.contains(target)).count();
    Ok(hits as f64 / targets.len() as f64)
}

/// Wilson's interval for a share of which `k` of `n` were observed: with `z` = 1.96 it holds the
/// true share in 95 % of cases, also when that is close to 0.
///
/// # Source
/// Wilson: Probable inference, the law of succession, and statistical inference (1927).
///
/// # Example
/// ```
/// let (low, high) = plies_nn::metrics::wilson_interval(150, 10_000, 1.96);
/// assert!((low - 0.01280).abs() < 1e-5 && (high - 0.01758).abs() < 1e-5);
/// ```
pub fn wilson_interval(k: usize, n: usize, z: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (n as f64, k as f64 / n as f64);
    let z2 = z * z;
    let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((center - half).max(0.0), (center + half).min(1.0))
}
