//! Logistic regression and support vector machines, by coordinate descent on their dual problem. For
//! each output, with y = 1 for its documents and −1 for the others:
//!
//!   least of  ½ Σ_f w_f² / s_f + C Σ_i ℓ(mᵢ),   mᵢ = yᵢ (w·xᵢ + b)
//!
//!   logistic        ℓ(m) = ln(1 + e⁻ᵐ)
//!   squared hinge   ℓ(m) = max(0, 1 − m)²
//!
//! The dual variables αᵢ = −C ℓ'(mᵢ) say how hard a document pulls, and w_f = s_f Σᵢ αᵢ yᵢ x_if. One
//! document after the other is given the α that suits the margin which it has *after* the step:
//!
//!   m' = m + q (α' − α)   and   α' = −C ℓ'(m'),    q = Σ_f s_f x_if²
//!
//! one equation in m', whose left side rises and whose right side falls: a step of gradient descent that
//! is implicit, takes no learning rate and cannot overshoot. Some ten passes do; the error falls by a
//! constant factor with each.
//!
//! **Variances.** s_f is how large w_f is expected to be, 1 if nothing is known. NB-SVM, which multiplies
//! each feature by naive Bayes' log-ratio r_f, is exactly s_f = r_f²: it says that n-grams which naive
//! Bayes finds telling may have large weights.
//!
//! **The bias** is not drawn to 0. It has a part that is a weight like the others, of a feature that is
//! always 1, and an offset to which that part is added after each pass: the method of multipliers for
//! the constraint Σ αᵢ yᵢ = 0.
//!
//! **Held out.** Some documents join only when the others are done. What the model says of them until
//! then tells how sure it may be of what it has not seen; to go on with them takes a few passes more.
//!
//! Outputs are independent problems, so threads share blocks of them without a word; a single output has
//! one thread.
//!
//! # Source
//! Hsieh, Chang, Lin, Keerthi, Sundararajan, *A Dual Coordinate Descent Method for Large-scale Linear
//! SVM*, 2008; Yu, Huang, Lin, *Dual Coordinate Descent Methods for Logistic Regression and Maximum
//! Entropy Models*, 2011, which solves for α' in place of m'. Wang and Manning, *Baselines and Bigrams*,
//! 2012.

use plies_tensor::Rng;

use super::features::Rows;
use super::labels::Targets;
use super::linear::{Fitted, Linear, gather, is_positive};
use super::naive_bayes::Side;
use super::parallel::map_parts;

/// What a margin costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Logistic,
    SquaredHinge,
}

/// When a descent ends, and in which order it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descent {
    /// C: what a document weighs against the size of the weights.
    pub(crate) cost: f32,
    pub(crate) max_epochs: usize,
    /// Enough is done when a pass changes the mean α by no more than this share of C.
    pub(crate) tolerance: f32,
    pub(crate) seed: u64,
}

impl Loss {
    /// The α that suits the margin after the step to it.
    #[inline]
    fn step(self, margin: f32, q: f32, alpha: f32, cost: f32) -> f32 {
        match self {
            // m' is where m' = m + q (C σ(−m') − α): between the m' of α' = 0 and that of α' = C.
            Loss::Logistic => {
                let (mut low, mut high) = (margin - q * alpha, margin + q * (cost - alpha));
                let (mut m, mut last) = (margin, high - low);
                for _ in 0..60 {
                    let pull = 1.0 / (1.0 + m.exp());
                    let error = m - margin - q * (cost * pull - alpha);
                    if error > 0.0 {
                        high = m;
                    } else {
                        low = m;
                    }
                    let mut step = error / (1.0 + q * cost * pull * (1.0 - pull));
                    // Newton's step, unless it leaves the interval in which the solution is, or is not
                    // half as long as the last one: it may go round in a circle.
                    if m - step < low || m - step > high || step.abs() > 0.5 * last {
                        step = m - 0.5 * (low + high);
                    }
                    (m, last) = (m - step, step.abs());
                    if last <= 1e-5 * (1.0 + m.abs()) {
                        break;
                    }
                }
                cost / (1.0 + m.exp())
            }
            // α' = 2C (1 − m') where that is positive.
            Loss::SquaredHinge => {
                let m = (margin + q * (2.0 * cost - alpha)) / (1.0 + 2.0 * cost * q);
                (2.0 * cost * (1.0 - m)).max(0.0)
            }
        }
    }
}

/// Outputs that are learnt together: their weights for one feature are a line of the cache. It does not
/// depend on the number of threads, as when a block is done does depend on what is in it.
const BLOCK: usize = 16;

/// What is to be made small.
pub(crate) struct Problem<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) targets: &'a Targets,
    pub(crate) n_outputs: usize,
    /// s, [features, outputs], or empty where it is 1.
    pub(crate) variances: &'a [f32],
    /// s as long as some documents are held out, which must not know them either.
    pub(crate) first_variances: &'a [f32],
    pub(crate) loss: Loss,
}

/// Learns all outputs.
pub(crate) fn fit(
    problem: &Problem<'_>,
    descent: Descent,
    held_out: Vec<usize>,
    go_on: &(dyn Fn(f64) -> bool + Sync),
) -> Fitted {
    let &Problem { rows, targets, n_outputs, variances, first_variances, loss } = problem;
    let n_blocks = n_outputs.div_ceil(BLOCK);
    let descend = |block: usize| {
        let outputs = block * BLOCK..n_outputs.min((block + 1) * BLOCK);
        let n = outputs.len();
        let is_mine: Vec<bool> = (0..rows.len())
            .flat_map(|i| outputs.clone().map(move |o| is_positive(targets, i, o, n_outputs)))
            .collect();
        let mine = |variances: &[f32]| -> Vec<f32> {
            let of_columns = variances.chunks_exact(n_outputs);
            of_columns.flat_map(|of_column| &of_column[outputs.clone()]).copied().collect()
        };
        let variances = [mine(first_variances), mine(variances)];
        let part = Part { rows, is_positive: is_mine, variances, n, loss, descent };
        part.fit(&held_out, &|share| go_on((block as f64 + share) / n_blocks as f64))
    };
    let parts = map_parts(n_blocks, |blocks| blocks.map(descend).collect::<Vec<_>>());
    let parts: Vec<Found> = parts.into_iter().flatten().collect();
    let mut linear = Linear {
        bias: parts.iter().flat_map(|part| part.linear.bias.iter().copied()).collect(),
        weights: Vec::with_capacity(rows.n_columns() * n_outputs),
    };
    let mut held_out_scores = Vec::with_capacity(held_out.len() * n_outputs);
    if parts.len() == 1 {
        let part = parts.into_iter().next().expect("there is one");
        return Fitted { linear: part.linear, held_out, held_out_scores: part.held_out_scores };
    }
    for column in 0..rows.n_columns() {
        for part in &parts {
            linear.weights.extend_from_slice(part.linear.of(column as u32));
        }
    }
    for i in 0..held_out.len() {
        for part in &parts {
            let n = part.linear.n_outputs();
            held_out_scores.extend_from_slice(&part.held_out_scores[i * n..][..n]);
        }
    }
    Fitted { linear, held_out, held_out_scores }
}

/// Some of the outputs.
struct Part<'a> {
    rows: &'a Rows,
    /// [documents, n]
    is_positive: Vec<bool>,
    /// [features, n] or empty, before and after those that were held out have joined.
    variances: [Vec<f32>; 2],
    n: usize,
    loss: Loss,
    descent: Descent,
}

struct Found {
    linear: Linear,
    held_out_scores: Vec<f32>,
}

impl Part<'_> {
    fn fit(&self, held_out: &[usize], go_on: &(dyn Fn(f64) -> bool + Sync)) -> Found {
        let (n, n_documents) = (self.n, self.rows.len());
        let Descent { cost, max_epochs, tolerance, seed } = self.descent;
        let mut linear =
            Linear { bias: vec![0.0; n], weights: vec![0.0; self.rows.n_columns() * n] };
        let mut alphas = vec![0.0f32; n_documents * n];
        let mut variances = &self.variances[usize::from(held_out.is_empty())];
        let mut q = self.curvatures(variances);
        // As many as outputs, or one for all of them.
        let each = q.len() / n_documents;
        let (mut z, mut steps) = (vec![0.0; n], vec![0.0; n]);
        let mut rng = Rng::new(seed);
        let mut is_held_out = vec![false; n_documents];
        held_out.iter().for_each(|&i| is_held_out[i] = true);
        let mut order: Vec<usize> = (0..n_documents).filter(|&i| !is_held_out[i]).collect();
        let mut held_out_scores = Vec::with_capacity(held_out.len() * n);
        let mut are_all_in = held_out.is_empty();
        for epoch in 0..max_epochs {
            rng.shuffle(&mut order);
            let mut change = 0.0f64;
            for &i in &order {
                let row = self.rows.row(i);
                gather(row, &linear.weights, &linear.bias, &mut z);
                let mut largest = 0.0f32;
                for o in 0..n {
                    let sign = if self.is_positive[i * n + o] { 1.0 } else { -1.0 };
                    let alpha = &mut alphas[i * n + o];
                    let new = self.loss.step(sign * z[o], q[i * each + o % each], *alpha, cost);
                    steps[o] = sign * (new - *alpha);
                    *alpha = new;
                    linear.bias[o] += steps[o];
                    largest = largest.max(steps[o].abs());
                    change += f64::from(steps[o].abs());
                }
                if largest > 0.0 {
                    self.scatter(row, &steps, variances, &mut linear.weights);
                }
            }
            let is_close = change <= f64::from(tolerance * cost) * (order.len() * n) as f64;
            let stops = !go_on((epoch + 1) as f64 / max_epochs as f64);
            if !are_all_in && (is_close || stops || 2 * (epoch + 1) >= max_epochs) {
                for &i in held_out {
                    linear.scores(self.rows.row(i), &mut z);
                    held_out_scores.extend_from_slice(&z);
                }
                // They have told what they had to, and are learnt from like the others.
                order.extend_from_slice(held_out);
                are_all_in = true;
                // The same pulls with other variances are other weights.
                variances = &self.variances[1];
                q = self.curvatures(variances);
                linear.weights.fill(0.0);
                for i in 0..n_documents {
                    for (o, step) in steps.iter_mut().enumerate() {
                        let alpha = alphas[i * n + o];
                        *step = if self.is_positive[i * n + o] { alpha } else { -alpha };
                    }
                    self.scatter(self.rows.row(i), &steps, variances, &mut linear.weights);
                }
            } else if is_close {
                break;
            }
            if stops {
                break;
            }
            // Σ αᵢ yᵢ is what the bias's weight is now, and what its offset becomes larger by.
            for (i, alpha) in alphas.iter().enumerate() {
                linear.bias[i % n] += if self.is_positive[i] { *alpha } else { -*alpha };
            }
        }
        Found { linear, held_out_scores }
    }

    /// q of each document and output, or of each document where it is the same for all outputs; the bias
    /// is a feature of variance 1.
    fn curvatures(&self, variances: &[f32]) -> Vec<f32> {
        let documents = 0..self.rows.len();
        if variances.is_empty() {
            let square = |i| self.rows.row(i).iter().map(|entry| entry.1 * entry.1).sum::<f32>();
            return documents.map(|i| 1.0 + square(i)).collect();
        }
        let mut all = Vec::with_capacity(documents.len() * self.n);
        let (ones, mut q, mut squares) = (vec![1.0; self.n], vec![0.0; self.n], Vec::new());
        for i in documents {
            squares.clear();
            squares.extend(self.rows.row(i).iter().map(|&(column, x)| (column, x * x)));
            gather(&squares, variances, &ones, &mut q);
            all.extend_from_slice(&q);
        }
        all
    }

    /// W_fo += s_fo · x_f · step_o
    #[inline]
    fn scatter(&self, row: &[(u32, f32)], steps: &[f32], variances: &[f32], weights: &mut [f32]) {
        let n = self.n;
        match (steps, variances.is_empty()) {
            (&[step], true) => {
                for &(column, x) in row {
                    weights[column as usize] += step * x;
                }
            }
            (&[step], false) => {
                for &(column, x) in row {
                    weights[column as usize] += step * x * variances[column as usize];
                }
            }
            (_, true) => {
                for &(column, x) in row {
                    let weights = &mut weights[column as usize * n..][..n];
                    weights.iter_mut().zip(steps).for_each(|(w, step)| *w += step * x);
                }
            }
            (_, false) => {
                for &(column, x) in row {
                    let weights = &mut weights[column as usize * n..][..n];
                    let variances = &variances[column as usize * n..][..n];
                    for ((w, step), s) in weights.iter_mut().zip(steps).zip(variances) {
                        *w += step * x * s;
                    }
                }
            }
        }
    }
}

/// NB-SVM's variances, r², [features, outputs]:
///
///   r_fo = ln( (N_fo + α) / ‖N_o + α‖₁ ) − ln( (M_fo + α) / ‖M_o + α‖₁ )
///
/// where N counts the documents of the output that have f, and M the others that do, each document once. Wang
/// and Manning then interpolate the weights with their mean magnitude (β = 0.25); that is left out here: the
/// weights are those of the problem above.
pub(crate) fn log_ratio_variances(
    rows: &Rows,
    targets: &Targets,
    n_outputs: usize,
    alpha: f32,
    documents: impl Iterator<Item = usize>,
) -> Vec<f32> {
    let [mine, others] = Side::both(rows, targets, n_outputs, documents, |_| 1.0);
    let smooth = f64::from(alpha) * rows.n_columns() as f64;
    let log = |total: &f64| (total + smooth).ln() as f32;
    let logs: Vec<f32> =
        mine.totals.iter().zip(&others.totals).map(|(n, m)| log(n) - log(m)).collect();
    let counts = mine.counts.iter().zip(&others.counts).zip(logs.iter().cycle());
    let ratio = |((n, m), log): ((&f32, &f32), &f32)| (n + alpha).ln() - (m + alpha).ln() - log;
    counts.map(ratio).map(|ratio| ratio * ratio).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXACTLY: Descent = Descent { cost: 0.7, max_epochs: 3000, tolerance: 1e-7, seed: 1 };

    fn targets(labels: &[u32]) -> Targets {
        let mut targets = Targets::default();
        labels.iter().for_each(|&label| targets.push(&[label]));
        targets
    }

    fn random(n: usize, d: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = plies_tensor::Rng::new(seed);
        let mut number = || if rng.below(3) == 0 { 0.0 } else { rng.next_f64() as f32 - 0.4 };
        (0..n).map(|_| (0..d).map(|_| number()).collect()).collect()
    }

    #[test]
    fn the_gradient_vanishes_where_a_descent_ends() {
        let (n, d) = (40, 6);
        let dense = random(n, d, 5);
        let rows = Rows::from_dense(&dense);
        for (loss, n_labels) in [
            (Loss::Logistic, 2),
            (Loss::Logistic, 3),
            (Loss::SquaredHinge, 2),
            (Loss::SquaredHinge, 3),
        ] {
            let labels: Vec<u32> = (0..n).map(|i| (i * 5 % 7) as u32 % n_labels).collect();
            let targets = targets(&labels);
            let n_outputs = if n_labels == 2 { 1 } else { n_labels as usize };
            for variances in [vec![], (0..d * n_outputs).map(|i| 0.5 + i as f32 % 3.0).collect()] {
                let first: Vec<f32> = variances.iter().rev().copied().collect();
                let problem = Problem {
                    rows: &rows,
                    targets: &targets,
                    n_outputs,
                    variances: &variances,
                    first_variances: &first,
                    loss,
                };
                let found = fit(&problem, EXACTLY, vec![0, 7, 9], &|_| true).linear;
                for o in 0..n_outputs {
                    let mut gradient: Vec<f64> = (0..d)
                        .map(|f| {
                            let s = variances.get(f * n_outputs + o).copied().unwrap_or(1.0);
                            f64::from(found.weights[f * n_outputs + o] / s)
                        })
                        .collect();
                    let mut of_bias = 0.0;
                    for (i, row) in dense.iter().enumerate() {
                        let mut z = vec![0.0; n_outputs];
                        found.scores(rows.row(i), &mut z);
                        let y = if is_positive(&targets, i, o, n_outputs) { 1.0 } else { -1.0 };
                        let m = y * f64::from(z[o]);
                        let pull = match loss {
                            Loss::Logistic => 1.0 / (1.0 + m.exp()),
                            Loss::SquaredHinge => 2.0 * (1.0 - m).max(0.0),
                        };
                        let pull = f64::from(EXACTLY.cost) * pull * y;
                        of_bias -= pull;
                        gradient.iter_mut().zip(row).for_each(|(g, &x)| *g -= pull * f64::from(x));
                    }
                    let largest = gradient.iter().fold(of_bias.abs(), |most, g| most.max(g.abs()));
                    assert!(largest < 2e-4, "{loss:?} {n_labels} {of_bias} {gradient:?}");
                }
            }
        }
    }

    #[test]
    fn variances_are_features_multiplied_by_their_roots() {
        let dense = random(30, 5, 9);
        let targets = targets(&(0..30).map(|i| i % 7 % 2).collect::<Vec<u32>>());
        let ratio: Vec<f32> = vec![0.3, -2.0, 1.0, 0.0, 1.5];
        let scaled: Vec<Vec<f32>> =
            dense.iter().map(|row| row.iter().zip(&ratio).map(|(x, r)| x * r).collect()).collect();
        let squares: Vec<f32> = ratio.iter().map(|r| r * r).collect();
        let learn = |dense: &[Vec<f32>], variances: &[f32]| {
            let rows = Rows::from_dense(dense);
            let loss = Loss::SquaredHinge;
            let problem = Problem {
                rows: &rows,
                targets: &targets,
                n_outputs: 1,
                variances,
                first_variances: variances,
                loss,
            };
            fit(&problem, EXACTLY, Vec::new(), &|_| true).linear
        };
        let (ours, theirs) = (learn(&dense, &squares), learn(&scaled, &[]));
        assert!((ours.bias[0] - theirs.bias[0]).abs() < 1e-4);
        for ((w, v), r) in ours.weights.iter().zip(&theirs.weights).zip(&ratio) {
            assert!((w - v * r).abs() < 1e-4, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn variances_count_a_document_of_several_labels_once() {
        // Feature 0 is in all documents, 1 in the first two; labels are {0, 1}, {0}, {1}.
        let rows = Rows::from_dense(&[vec![1.0, 1.0], vec![1.0, 2.0], vec![3.0, 0.0]]);
        let mut targets = Targets::default();
        [&[0, 1][..], &[0], &[1]].into_iter().for_each(|labels| targets.push(labels));
        let found = log_ratio_variances(&rows, &targets, 2, 1.0, 0..3);
        // N_0 = (2, 2), M_0 = (1, 0); N_1 = (2, 1), M_1 = (1, 1); 1 is added to each.
        let r = |n: f32, n_all: f32, m: f32, m_all: f32| ((n / n_all) / (m / m_all)).ln().powi(2);
        let expected = [r(3., 6., 2., 3.), r(3., 5., 2., 4.), r(3., 6., 1., 3.), r(2., 5., 2., 4.)];
        for (ours, theirs) in found.iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-5, "{found:?} {expected:?}");
        }
        assert_eq!(found.len(), expected.len());
    }

    proptest! {
        #[test]
        fn a_step_ends_where_its_margin_suits(
            margin in -50f32..50.0, q in 0.01f32..100.0, share in 0f32..1.0, cost in 0.01f32..100.0,
        ) {
            for loss in [Loss::Logistic, Loss::SquaredHinge] {
                let alpha = share * cost;
                let new = f64::from(loss.step(margin, q, alpha, cost));
                let [margin, q, alpha, cost] = [margin, q, alpha, cost].map(f64::from);
                let pull = |m: f64| match loss {
                    Loss::Logistic => cost / (1.0 + m.exp()),
                    Loss::SquaredHinge => 2.0 * cost * (1.0 - m).max(0.0),
                };
                // m' − m − q (α' − α) rises with m'; α' is 0 at least, and no more than at the low end.
                let low = margin - q * alpha;
                let (mut low, mut high) = (low, low + q * pull(low));
                for _ in 0..100 {
                    let m = 0.5 * (low + high);
                    if m - margin < q * (pull(m) - alpha) { low = m } else { high = m }
                }
                let wanted = pull(0.5 * (low + high));
                let room = 1e-5 * (cost + wanted);
                prop_assert!((new - wanted).abs() < room, "{loss:?} {new} {wanted}");
            }
        }
    }
}
