//! How good predictions are.
//!
//! With TP true positives, FP false ones and FN misses of a class: precision TP / (TP + FP),
//! recall TP / (TP + FN), F1 their harmonic mean 2TP / (2TP + FP + FN).

use std::{f64::consts::FRAC_PI_2, fmt};

use plies_tensor::{Result, Tensor};

use crate::check;

/// Checks that logits [B, C] fit targets `[B]`.
#[track_caller]
pub(crate) fn check_logits(logits: &Tensor, targets: &Tensor) {
    assert!(
        logits.rank() == 2 && targets.dims() == [logits.dim(0)],
        "confusion: logits {} with targets {}; expected [B, C] and [B]",
        logits.shape(),
        targets.shape()
    );
}

/// Counts of (true class, predicted class) pairs: a row for each true class.
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
    ///
    /// # Panics
    /// When memory cannot address a count for each pair.
    #[track_caller]
    pub fn new(n_classes: usize) -> Self {
        check::size("confusion", &[n_classes, n_classes]);
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
    /// logits [B, C], targets `[B]` (I32)
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When the shapes are others, or a class is outside those that are counted.
    #[track_caller]
    pub fn add_batch(&mut self, logits: &Tensor, targets: &Tensor) -> Result<()> {
        check_logits(logits, targets);
        let predicted = logits.argmax(-1, false).to_vec::<i32>()?;
        self.add_all(&targets.to_vec()?, &predicted);
        Ok(())
    }

    /// Counts an observation for each pair.
    #[track_caller]
    pub(crate) fn add_all(&mut self, truth: &[i32], predicted: &[i32]) {
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            self.add(truth as usize, predicted as usize);
        }
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

    /// The mean of precision over the classes, each counting the same.
    pub fn macro_precision(&self) -> f64 {
        self.mean(|class| self.precision(class))
    }

    /// The mean of recall over the classes, also called balanced accuracy.
    pub fn macro_recall(&self) -> f64 {
        self.mean(|class| self.recall(class))
    }

    /// The mean of F1 over the classes.
    pub fn macro_f1(&self) -> f64 {
        self.mean(|class| self.f1(class))
    }

    /// F1 of all decisions taken together. With one class predicted for each example every wrong
    /// positive is another class's miss, so micro precision, micro recall and micro F1 are all the
    /// [`accuracy`](ConfusionMatrix::accuracy).
    pub fn micro_f1(&self) -> f64 {
        self.accuracy()
    }

    /// Adds what another matrix counted.
    ///
    /// # Panics
    /// When it has other classes.
    #[track_caller]
    pub fn merge(&mut self, other: &ConfusionMatrix) {
        let (n, m) = (self.n_classes, other.n_classes);
        assert!(n == m, "confusion: {n} classes and {m} classes");
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    }

    fn mean(&self, of: impl Fn(usize) -> f64) -> f64 {
        (0..self.n_classes).map(of).sum::<f64>() / self.n_classes as f64
    }
}

/// One row for each true class, one column for each predicted class.
///
/// # Example
/// ```
/// use plies_nn::metrics::ConfusionMatrix;
/// let mut confusion = ConfusionMatrix::new(2);
/// confusion.add(0, 1);
/// assert_eq!(confusion.to_string(), "truth\\predicted  0  1\n              0  0  1\n              1  0  0\n");
/// ```
impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CORNER: &str = "truth\\predicted";
        let largest = self.counts.iter().copied().max().unwrap_or(0).max(self.n_classes);
        let width = largest.to_string().len();
        write!(f, "{CORNER}")?;
        (0..self.n_classes).try_for_each(|predicted| write!(f, "  {predicted:width$}"))?;
        for truth in 0..self.n_classes {
            write!(f, "\n{truth:>corner$}", corner = CORNER.len())?;
            (0..self.n_classes)
                .try_for_each(|predicted| write!(f, "  {:width$}", self.count(truth, predicted)))?;
        }
        writeln!(f)
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

/// Share of rows whose largest logit is at the target.
///
/// # Shapes
/// logits [B, C], targets `[B]` (I32)
///
/// # Errors
/// A fault of the device.
///
/// # Panics
/// When the shapes are others.
#[track_caller]
pub fn accuracy(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    top_k_accuracy(logits, targets, 1)
}

/// Share of rows whose target is among the `k` largest logits; NaN of no rows.
///
/// # Shapes
/// logits [B, C], targets `[B]` (I32)
///
/// # Errors
/// A fault of the device.
///
/// # Panics
/// When the shapes do not fit or `k` is 0.
///
/// # Example
/// ```
/// use plies_nn::metrics::{accuracy, top_k_accuracy};
/// use plies_tensor::Tensor;
/// let logits = Tensor::from([[0.1f32, 0.7, 0.2], [0.5, 0.1, 0.4]]);
/// let targets = Tensor::from([1, 2]);
/// assert_eq!(accuracy(&logits, &targets).unwrap(), 0.5);
/// assert_eq!(top_k_accuracy(&logits, &targets, 2).unwrap(), 1.0);
/// ```
#[track_caller]
pub fn top_k_accuracy(logits: &Tensor, targets: &Tensor, k: usize) -> Result<f64> {
    assert!(
        logits.rank() == 2 && targets.dims() == [logits.dim(0)] && k > 0,
        "top_k_accuracy: logits {} with targets {} and k = {k}; expected [B, C], [B] and k > 0",
        logits.shape(),
        targets.shape()
    );
    let k = k.min(logits.dim(-1));
    let (_, best) = logits.topk(k, -1);
    let (best, targets) = (best.to_vec::<i32>()?, targets.to_vec::<i32>()?);
    let hits =
        best.chunks(k.max(1)).zip(&targets).filter(|(best, target)| best.contains(target)).count();
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

/// Student's interval for the mean of what `values` are a sample of: with `confidence` = 0.95 it holds the true
/// mean in 95 % of cases, if they are normally distributed.
///
/// mean ± t · s / √n, with s² = Σ (x - mean)² / (n - 1) and t the quantile of n - 1 degrees of freedom. Two settings
/// that were tried with the same seeds are compared by the interval of their differences: it holds 0 unless one is
/// better. A single value tells nothing, and has the interval from -∞ to ∞.
///
/// # Panics
/// Unless 0 ≤ `confidence` < 1.
///
/// # Source
/// Student: The probable error of a mean (1908). The distribution in closed form is that of Abramowitz and Stegun:
/// Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4.
///
/// # Example
/// ```
/// let (low, high) = plies_nn::metrics::student_interval(&[1.1, 1.3, 1.2], 0.95);
/// assert!((low - 0.9516).abs() < 1e-4 && (high - 1.4484).abs() < 1e-4);
/// ```
#[track_caller]
pub fn student_interval(values: &[f64], confidence: f64) -> (f64, f64) {
    assert!((0.0..1.0).contains(&confidence), "student_interval: a confidence of {confidence}");
    if values.len() < 2 {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    let half = student_quantile(values.len() - 1, confidence) * (squares / (n - 1.0) / n).sqrt();
    (mean - half, mean + half)
}

/// The t that a number of Student's distribution lies within, on either side, with this probability.
fn student_quantile(freedom: usize, probability: f64) -> f64 {
    // t = √freedom · tan θ. The probability grows with θ, so θ is halved in.
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        let is_within = student_probability(freedom, middle) < probability;
        if is_within { low = middle } else { high = middle }
    }
    (freedom as f64).sqrt() * low.tan()
}

/// The probability of less than √freedom · tan θ on either side.
fn student_probability(freedom: usize, theta: f64) -> f64 {
    let (sin, cos) = theta.sin_cos();
    // 1 + 1/2 cos² + 1·3/2·4 cos⁴ + … for even freedom, cos + 2/3 cos³ + 2·4/3·5 cos⁵ + … for odd.
    let odd = freedom % 2;
    let (mut term, mut sum) = (if odd == 1 { cos } else { 1.0 }, 0.0);
    for i in (odd..freedom.saturating_sub(1)).step_by(2) {
        sum += term;
        term *= cos * cos * (i + 1) as f64 / (i + 2) as f64;
    }
    if odd == 1 { (theta + sin * sum) / FRAC_PI_2 } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 of class 0 (one taken for 1), 4 of class 1 (one taken for 0, one for 2), none of class 2.
    fn example() -> ConfusionMatrix {
        let mut confusion = ConfusionMatrix::new(3);
        for pair in [(0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (1, 0), (1, 2)] {
            confusion.add(pair.0, pair.1);
        }
        confusion
    }

    #[test]
    fn precision_recall_and_f1_are_those_of_the_definitions() {
        let c = example();
        assert_eq!((c.total(), c.correct(), c.count(1, 2)), (7, 4, 1));
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} for {b}");
        for (class, precision, recall) in [(0, 2.0 / 3.0, 2.0 / 3.0), (1, 2.0 / 3.0, 0.5)] {
            close(c.precision(class), precision);
            close(c.recall(class), recall);
            close(c.f1(class), 2.0 * precision * recall / (precision + recall));
        }
        assert_eq!((c.precision(2), c.recall(2), c.f1(2)), (0.0, 0.0, 0.0));
        close(c.macro_precision(), (2.0 / 3.0 + 2.0 / 3.0) / 3.0);
        close(c.macro_recall(), (2.0 / 3.0 + 0.5) / 3.0);
        close(c.micro_f1(), 4.0 / 7.0);
    }

    #[test]
    fn a_batch_counts_like_its_examples() {
        let logits = Tensor::from([[1f32, 0.0, -1.0], [0.0, 0.5, 1.0], [3.0, 2.0, 1.0]]);
        let mut batch = ConfusionMatrix::new(3);
        batch.add_batch(&logits, &Tensor::from([0, 1, 1])).unwrap();
        let mut single = ConfusionMatrix::new(3);
        [(0, 0), (1, 2), (1, 0)].into_iter().for_each(|(t, p)| single.add(t, p));
        assert_eq!(batch, single);
        let mut both = example();
        both.merge(&single);
        assert_eq!((both.total(), both.correct()), (10, 5));
    }

    /// Against tables of the distribution, `scipy.stats.t.ppf((1 + p) / 2, freedom)`.
    #[test]
    fn quantiles_are_student_s() {
        for (freedom, probability, t) in [
            (1, 0.95, 12.706_204_736),
            (2, 0.95, 4.302_652_730),
            (3, 0.95, 3.182_446_305),
            (4, 0.95, 2.776_445_105),
            (5, 0.99, 4.032_142_984),
            (9, 0.95, 2.262_157_163),
            (10, 0.5, 0.699_812_061),
            (30, 0.95, 2.042_272_456),
            (999, 0.95, 1.962_341_461),
        ] {
            let found = student_quantile(freedom, probability);
            assert!((found - t).abs() < 1e-8, "{freedom}, {probability}: {found} for {t}");
        }
        assert_eq!(student_quantile(7, 0.0), 0.0);
    }

    #[test]
    fn one_value_has_an_interval_that_holds_everything() {
        assert_eq!(student_interval(&[3.0], 0.95), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!(student_interval(&[], 0.95), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!(student_interval(&[3.0, 3.0], 0.95), (3.0, 3.0));
    }

    #[test]
    fn nothing_observed_is_not_a_number() {
        assert!(ConfusionMatrix::new(2).accuracy().is_nan());
        assert_eq!(wilson_interval(0, 0, 1.96), (0.0, 1.0));
        assert_eq!(wilson_interval(0, 10, 1.96).0, 0.0);
    }
}
