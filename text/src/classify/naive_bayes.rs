//! Multinomial naive Bayes: words are drawn independently of one another, from a distribution that
//! depends on the label.
//!
//!   P(f | y) = (N_fy + α) / (N_y + α·V)      N_fy = Σ of x_f over documents with label y
//!   score_y(x) = ln P(y) + Σ_f x_f · ln P(f | y)
//!
//! One pass over the data. What the model would say of a document without having seen it is known
//! exactly, by taking the document out of the counts again.
//!
//! # Source
//! McCallum and Nigam, *A Comparison of Event Models for Naive Bayes Text Classification*, 1998.

use super::features::Rows;
use super::labels::Targets;
use super::linear::{Fitted, Linear};

/// [features, labels]: N_fy, of `value(x_f)` in some documents.
pub(crate) fn count(
    rows: &Rows,
    targets: &Targets,
    n_labels: usize,
    documents: impl Iterator<Item = usize>,
    value: impl Fn(f32) -> f32,
) -> Vec<f32> {
    let mut counts = vec![0.0; rows.n_columns() * n_labels];
    for document in documents {
        for &label in targets.of(document) {
            for &(column, x) in rows.row(document) {
                counts[column as usize * n_labels + label as usize] += value(x);
            }
        }
    }
    counts
}

/// For each label the sum of its counts.
pub(crate) fn totals(counts: &[f32], n_labels: usize) -> Vec<f64> {
    let mut totals = vec![0.0; n_labels];
    for counts in counts.chunks_exact(n_labels) {
        totals.iter_mut().zip(counts).for_each(|(total, &n)| *total += f64::from(n));
    }
    totals
}

/// Learns from rows of counts; `alpha` is added to each count. `held_out` are documents whose scores
/// without themselves are wanted.
pub(crate) fn fit(
    rows: &Rows,
    targets: &Targets,
    n_labels: usize,
    n_outputs: usize,
    alpha: f32,
    held_out: Vec<usize>,
) -> Fitted {
    let counts = count(rows, targets, n_labels, 0..rows.len(), |x| x);
    let totals = totals(&counts, n_labels);
    let smooth = f64::from(alpha) * rows.n_columns() as f64;
    let mut documents = vec![0.0f64; n_labels];
    (0..targets.len())
        .for_each(|i| targets.of(i).iter().for_each(|&label| documents[label as usize] += 1.0));
    let log_total: Vec<f32> = totals.iter().map(|n| (n + smooth).ln() as f32).collect();
    let weights: Vec<f32> = counts
        .chunks_exact(n_labels)
        .flat_map(|counts| counts.iter().zip(&log_total).map(|(n, total)| (n + alpha).ln() - total))
        .collect();
    let all = documents.iter().sum::<f64>();
    let bias: Vec<f32> = documents.iter().map(|n| (n / all).ln() as f32).collect();
    let by_label = Linear { bias, weights };

    let mut held_out_scores = Vec::with_capacity(held_out.len() * n_outputs);
    let mut scores = vec![0.0; n_labels];
    for &document in &held_out {
        let row = rows.row(document);
        by_label.scores(row, &mut scores);
        // Without it there is one document fewer.
        scores.iter_mut().for_each(|score| *score += (all / (all - 1.0).max(1.0)).ln() as f32);
        let size: f64 = row.iter().map(|entry| f64::from(entry.1)).sum();
        for &label in targets.of(document) {
            let y = label as usize;
            let log_total = (totals[y] - size + smooth).ln() as f32;
            let without = row.iter().map(|&(column, x)| {
                let n = counts[column as usize * n_labels + y] - x;
                x * ((n.max(0.0) + alpha).ln() - log_total)
            });
            let prior = ((documents[y] - 1.0).max(0.5) / (all - 1.0).max(1.0)).ln() as f32;
            scores[y] = prior + without.sum::<f32>();
        }
        held_out_scores.extend(as_outputs(&scores, n_outputs));
    }
    let linear = Linear {
        bias: as_outputs(&by_label.bias, n_outputs).collect(),
        weights: by_label
            .weights
            .chunks_exact(n_labels)
            .flat_map(|weights| as_outputs(weights, n_outputs))
            .collect(),
    };
    Fitted { linear, held_out, held_out_scores }
}

/// Of two labels only the difference matters.
pub(crate) fn as_outputs(by_label: &[f32], n_outputs: usize) -> impl Iterator<Item = f32> {
    let is_single = n_outputs == 1;
    let wanted = if is_single { 1..2 } else { 0..by_label.len() };
    wanted.map(move |i| if is_single { by_label[1] - by_label[0] } else { by_label[i] })
}
