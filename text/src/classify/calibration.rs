//! Probabilities that are what they say: of documents called positive with probability 0.8, eight in
//! ten should be.
//!
//!   P(y | x) = softmax(t · scores)_y      or σ(t · score) of each label, where documents have several
//!
//! where in the second case every method's score is the logarithm of a label's odds, or a margin, above 0 for
//! a document that has the label rather than not.
//!
//! Naive Bayes is far too sure of itself, a support vector machine's scores are no probabilities at all;
//! one number t, chosen so that documents from outside the training are as likely as can be, mends most
//! of that and leaves the order of labels as it is.
//!
//! # Source
//! Guo, Pleiss, Sun, Weinberger, *On Calibration of Modern Neural Networks*, 2017 (temperature scaling).

use super::labels::Targets;
use super::linear::is_positive;

/// How scores become probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Link {
    /// t
    pub(crate) scale: f32,
    /// Whether a document may have several labels.
    pub(crate) many: bool,
}

impl Link {
    /// Replaces scores by probabilities, one for each label.
    pub(crate) fn probabilities(self, scores: &[f32], probabilities: &mut Vec<f32>) {
        probabilities.clear();
        let sigmoid = |z: f32| 1.0 / (1.0 + (-self.scale * z).exp());
        match scores {
            &[score] => probabilities.extend([sigmoid(-score), sigmoid(score)]),
            _ if self.many => probabilities.extend(scores.iter().map(|&z| sigmoid(z))),
            _ => {
                let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                probabilities.extend(scores.iter().map(|z| (self.scale * (z - most)).exp()));
                let sum: f32 = probabilities.iter().sum();
                probabilities.iter_mut().for_each(|p| *p /= sum);
            }
        }
    }

    /// What scores say for a label, in units of the logarithm of odds: against not having it where documents
    /// have several labels, otherwise against another label, the mean over all others,
    ///
    ///   1/(L − 1) Σ_{o ≠ y} ln P(y | x) / P(o | x) = t · (z_y − mean of the other z)
    ///
    /// which with two labels is the logarithm of the odds. It is linear in the scores.
    pub(crate) fn contrast(self, scores: &[f32], label: usize) -> f32 {
        let z = match scores {
            &[one] if label == 1 => one,
            &[one] => -one,
            all if self.many => all[label],
            all => {
                let others = all.iter().sum::<f32>() - all[label];
                all[label] - others / (all.len() - 1) as f32
            }
        };
        self.scale * z
    }
}

/// t for a model, from its scores [documents, outputs] of documents that it has not seen.
pub(crate) fn scale(scores: &[f32], documents: &[usize], targets: &Targets, many: bool) -> f32 {
    if documents.is_empty() {
        return 1.0;
    }
    let n = scores.len() / documents.len();
    let loss = |scale: f32| -> f64 {
        let documents = documents.iter().zip(scores.chunks_exact(n));
        documents.map(|(&document, z)| surprise(z, targets, document, scale, many)).sum()
    };
    // The loss is convex in t, and has one least value over ln t too.
    let golden = 0.618_034;
    let (mut low, mut high) = (-7.0f32, 7.0f32);
    let at = |low: f32, high: f32, share: f32| low + share * (high - low);
    let [mut a, mut b] = [at(low, high, 1.0 - golden), at(low, high, golden)];
    let [mut loss_a, mut loss_b] = [loss(a.exp()), loss(b.exp())];
    while high - low > 0.01 {
        if loss_a < loss_b {
            (high, b, loss_b) = (b, a, loss_a);
            a = at(low, high, 1.0 - golden);
            loss_a = loss(a.exp());
        } else {
            (low, a, loss_a) = (a, b, loss_b);
            b = at(low, high, golden);
            loss_b = loss(b.exp());
        }
    }
    (0.5 * (low + high)).exp()
}

/// −ln P(labels of the document).
fn surprise(z: &[f32], targets: &Targets, document: usize, scale: f32, many: bool) -> f64 {
    let soft = |z: f32| f64::from(if z > 0.0 { z + (-z).exp().ln_1p() } else { z.exp().ln_1p() });
    let n = z.len();
    if n == 1 || many {
        let margin = |o: usize| {
            if is_positive(targets, document, o, n) { scale * z[o] } else { -scale * z[o] }
        };
        return (0..n).map(|o| soft(-margin(o))).sum();
    }
    let most = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = z.iter().map(|z| (scale * (z - most)).exp()).sum();
    let y = targets.of(document)[0] as usize;
    f64::from(sum.ln() - scale * (z[y] - most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_boast_are_scaled_down() {
        // Three in four are right, whatever the score of 10 says: σ(10 t) = 3/4.
        let mut targets = Targets::default();
        [1, 1, 1, 0].iter().for_each(|&label| targets.push(&[label]));
        let scale = scale(&[10.0; 4], &[0, 1, 2, 3], &targets, false);
        let link = Link { scale, many: false };
        assert!((link.scale - 3f32.ln() / 10.0).abs() < 1e-3, "{}", link.scale);
        let mut probabilities = Vec::new();
        link.probabilities(&[10.0], &mut probabilities);
        assert!((probabilities[1] - 0.75).abs() < 2e-3);
    }

    #[test]
    fn probabilities_of_one_label_add_up_and_those_of_many_stand_alone() {
        let mut p = Vec::new();
        Link { scale: 2.0, many: false }.probabilities(&[1.0, 1.0, 0.0], &mut p);
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6 && p[0] == p[1]);
        assert!((p[0] / p[2] - 2f32.exp()).abs() < 1e-4);
        Link { scale: 1.0, many: true }.probabilities(&[0.0, 100.0, -200.0], &mut p);
        assert_eq!(p, [0.5, 1.0, 0.0]);
    }
}
