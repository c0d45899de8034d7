//! fastText's `supervised`: a document is the mean of its n-grams' vectors, and a softmax on it.
//!
//!   h = Σ_f x_f E_f,   p = softmax(O h),   loss = −ln p_y
//!   d_z = p − y,   O_c ← O_c − η d_zc h,   E_f ← E_f − η x_f Σ_c d_zc O_c
//!
//! with x_f the share of n-gram f among all of the document's, and η falling linearly to 0. Since p sees
//! E and O through their product alone, what is kept is the product: one number for each n-gram and
//! label in place of a hundred for each n-gram, and no second kind of model.
//!
//! Where a document may have several labels each is told from its absence instead (fastText's `-loss ova`):
//!
//!   p_y = σ(z_y),   loss = −Σ_y ln (p_y where the document has y, 1 − p_y where not),   d_z = p − y again
//!
//! so that a score is the logarithm of the label's odds.
//!
//! # Source
//! Joulin, Grave, Bojanowski, Mikolov, *Bag of Tricks for Efficient Text Classification*, 2017. It has
//! ten hidden units; the program's 100 learn the same and take ten times as long.

use plies_tensor::Rng;

use super::features::Rows;
use super::labels::Targets;
use super::linear::{Fitted, Linear};

/// Numbers of a vector.
const DIM: usize = 16;

/// How long, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descent {
    pub(crate) epochs: usize,
    pub(crate) lr: f32,
    pub(crate) seed: u64,
}

/// Learns from all documents but those that are held out.
pub(crate) fn fit(
    rows: &Rows,
    targets: &Targets,
    n_labels: usize,
    n_outputs: usize,
    descent: Descent,
    held_out: Vec<usize>,
    go_on: &dyn Fn(f64) -> bool,
) -> Fitted {
    let mut rng = Rng::new(descent.seed);
    let mut embedding = vec![[0.0f32; DIM]; rows.n_columns()];
    for x in embedding.as_flattened_mut() {
        *x = (2.0 * rng.next_f64() as f32 - 1.0) / DIM as f32;
    }
    let mut output = vec![[0.0f32; DIM]; n_labels];
    let many = targets.are_many();
    let mut is_held_out = vec![false; rows.len()];
    held_out.iter().for_each(|&i| is_held_out[i] = true);
    let mut order: Vec<usize> = (0..rows.len()).filter(|&i| !is_held_out[i]).collect();
    let steps = (descent.epochs * order.len()).max(1);
    let (mut step, mut z) = (0usize, vec![0.0; n_labels]);
    'all: for _ in 0..descent.epochs {
        rng.shuffle(&mut order);
        for &i in &order {
            let lr = descent.lr * (1.0 - step as f32 / steps as f32);
            learn(rows.row(i), targets.of(i), many, &mut embedding, &mut output, &mut z, lr);
            step += 1;
            if step.is_multiple_of(1024) && !go_on(step as f64 / steps as f64) {
                break 'all;
            }
        }
    }
    let weights = embedding.iter().flat_map(|e| {
        let by_label: Vec<f32> = output.iter().map(|o| product(e, o)).collect();
        as_outputs(&by_label, n_outputs)
    });
    let linear = Linear { weights: weights.collect(), bias: vec![0.0; n_outputs] };
    let mut scores = vec![0.0; n_outputs];
    let mut held_out_scores = Vec::with_capacity(held_out.len() * n_outputs);
    for &i in &held_out {
        linear.scores(rows.row(i), &mut scores);
        held_out_scores.extend_from_slice(&scores);
    }
    Fitted { linear, held_out, held_out_scores }
}

/// Of two labels of which a document has one, only the difference matters.
fn as_outputs(by_label: &[f32], n_outputs: usize) -> Vec<f32> {
    match by_label {
        [a, b] if n_outputs == 1 => vec![b - a],
        all => all.to_vec(),
    }
}

fn product(a: &[f32; DIM], b: &[f32; DIM]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f32; DIM], factor: f32, x: &[f32; DIM]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += factor * x);
}

/// One step on one document; returns its loss.
fn learn(
    row: &[(u32, f32)],
    labels: &[u32],
    many: bool,
    embedding: &mut [[f32; DIM]],
    output: &mut [[f32; DIM]],
    z: &mut [f32],
    lr: f32,
) -> f32 {
    let mut hidden = [0.0; DIM];
    for &(column, x) in row {
        add(&mut hidden, x, &embedding[column as usize]);
    }
    z.iter_mut().zip(&*output).for_each(|(z, o)| *z = product(&hidden, o));
    let loss = if many { to_differences(z, labels) } else { to_difference(z, labels[0]) };
    let mut d_hidden = [0.0; DIM];
    for (&d_z, o) in z.iter().zip(output) {
        add(&mut d_hidden, d_z, o);
        add(o, -lr * d_z, &hidden);
    }
    for &(column, x) in row {
        add(&mut embedding[column as usize], -lr * x, &d_hidden);
    }
    loss
}

/// Scores become σ(z) − y; returns the logistic losses' sum.
fn to_differences(z: &mut [f32], labels: &[u32]) -> f32 {
    let mut loss = 0.0;
    for (label, z) in (0..).zip(z) {
        let y = f32::from(labels.contains(&label));
        // ln(1 + eᶻ) − y z, where no power is large.
        loss += z.max(0.0) + (-z.abs()).exp().ln_1p() - y * *z;
        *z = 1.0 / (1.0 + (-*z).exp()) - y;
    }
    loss
}

/// Scores become softmax(z) − y; returns the cross-entropy.
fn to_difference(z: &mut [f32], label: u32) -> f32 {
    let most = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of_label = z[label as usize] - most;
    z.iter_mut().for_each(|z| *z = (*z - most).exp());
    let sum: f32 = z.iter().sum();
    z.iter_mut().for_each(|z| *z /= sum);
    z[label as usize] -= 1.0;
    sum.ln() - of_label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_the_gradient_of_the_loss() {
        let row = [(0, 0.75), (2, 0.25)];
        for (labels, many) in [(&[1][..], false), (&[0, 3], true), (&[], true)] {
            check_step(&row, labels, many);
        }
    }

    fn check_step(row: &[(u32, f32)], labels: &[u32], many: bool) {
        let mut rng = Rng::new(3);
        let mut draw = |n: usize| -> Vec<[f32; DIM]> {
            (0..n).map(|_| std::array::from_fn(|_| rng.next_f64() as f32 - 0.5)).collect()
        };
        let (embedding, output) = (draw(3), draw(4));
        let loss = |e: &[[f32; DIM]], o: &[[f32; DIM]]| {
            learn(row, labels, many, &mut e.to_vec(), &mut o.to_vec(), &mut [0.0; 4], 0.0)
        };
        let (mut e, mut o) = (embedding.clone(), output.clone());
        let lr = 1e-3;
        learn(row, labels, many, &mut e, &mut o, &mut [0.0; 4], lr);
        let (n, h) = (embedding.len() * DIM, 1e-2);
        for i in 0..n + output.len() * DIM {
            let moved = |by: f32| {
                let (mut e, mut o) = (embedding.clone(), output.clone());
                if i < n {
                    e.as_flattened_mut()[i] += by;
                } else {
                    o.as_flattened_mut()[i - n] += by;
                }
                loss(&e, &o)
            };
            let numeric = (moved(h) - moved(-h)) / (2.0 * h);
            let (new, old) = if i < n {
                (e.as_flattened()[i], embedding.as_flattened()[i])
            } else {
                (o.as_flattened()[i - n], output.as_flattened()[i - n])
            };
            let ours = (old - new) / lr;
            assert!((ours - numeric).abs() < 2e-3, "{i}: {ours} and {numeric}");
        }
    }
}
