//! Multinomial naive Bayes: words are drawn independently of one another, from a distribution that
//! depends on the label.
//!
//!   P(f | y) = (N_fy + α) / (N_y + α·V)      N_fy = Σ of x_f over documents with label y
//!   score_y(x) = ln P(y) + Σ_f x_f · ln P(f | y)
//!
//! Where a document may have several labels each has a model of its own, whose other side is all documents
//! without it, and its score is the logarithm of the odds
//!
//!   score_y(x) = ln P(y | x) / P(¬y | x) = ln P(y)/P(¬y) + Σ_f x_f · ln P(f | y)/P(f | ¬y)
//!
//! So it is where one output tells two labels apart.
//!
//! One pass over the data. What the model would say of a document without having seen it is known
//! exactly, by taking the document out of the counts again.
//!
//! # Source
//! McCallum and Nigam, *A Comparison of Event Models for Naive Bayes Text Classification*, 1998. With
//! several labels it is scikit-learn's `OneVsRestClassifier(MultinomialNB())`.

use super::features::Rows;
use super::labels::Targets;
use super::linear::{Fitted, Linear, is_positive};

/// What is counted on one side of each output: of the documents that it speaks for, or of all others.
pub(crate) struct Side {
    /// N_fo, of `value(x_f)` [features, outputs].
    pub(crate) counts: Vec<f32>,
    /// N_o, their sums over features.
    pub(crate) totals: Vec<f64>,
    documents: Vec<f64>,
}

impl Side {
    /// Both sides, of some documents. A document counts once on one side of an output, however many labels
    /// it has.
    pub(crate) fn both(
        rows: &Rows,
        targets: &Targets,
        n_outputs: usize,
        documents: impl Iterator<Item = usize>,
        value: impl Fn(f32) -> f32,
    ) -> [Side; 2] {
        let mut mine = vec![0.0f32; rows.n_columns() * n_outputs];
        let mut of_all = vec![0.0f32; rows.n_columns()];
        let (mut n_mine, mut n_all) = (vec![0.0f64; n_outputs], 0.0f64);
        let mut outputs = Vec::new();
        for document in documents {
            outputs.clear();
            outputs
                .extend((0..n_outputs).filter(|&o| is_positive(targets, document, o, n_outputs)));
            n_all += 1.0;
            outputs.iter().for_each(|&o| n_mine[o] += 1.0);
            for &(column, x) in rows.row(document) {
                let (column, x) = (column as usize, value(x));
                of_all[column] += x;
                outputs.iter().for_each(|&o| mine[column * n_outputs + o] += x);
            }
        }
        let of_all = of_all.iter().flat_map(|&all| std::iter::repeat_n(all, n_outputs));
        // Sums of numbers that are not whole are rounded.
        let others = of_all.zip(&mine).map(|(all, mine)| (all - mine).max(0.0)).collect();
        let n_others = n_mine.iter().map(|mine| n_all - mine).collect();
        [(mine, n_mine), (others, n_others)].map(|(counts, documents)| {
            let totals = totals(&counts, n_outputs);
            Side { counts, totals, documents }
        })
    }

    /// ln P(o) and ln P(f | o), with the logarithm of the number of all documents.
    fn linear(&self, alpha: f32, n_documents: f64) -> Linear {
        let n_outputs = self.totals.len();
        let smooth = f64::from(alpha) * (self.counts.len() / n_outputs) as f64;
        let log_total: Vec<f32> = self.totals.iter().map(|n| (n + smooth).ln() as f32).collect();
        let of = |counts: &[f32]| -> Vec<f32> {
            counts.iter().zip(&log_total).map(|(n, total)| (n + alpha).ln() - total).collect()
        };
        let weights = self.counts.chunks_exact(n_outputs).flat_map(of).collect();
        let bias = self.documents.iter().map(|&n| log_prior(n, n_documents)).collect();
        Linear { bias, weights }
    }

    /// The score of an output for one of the documents of this side, without that document.
    fn without(&self, row: &[(u32, f32)], o: usize, alpha: f32, n_documents: f64) -> f32 {
        let n_outputs = self.totals.len();
        let smooth = f64::from(alpha) * (self.counts.len() / n_outputs) as f64;
        let size: f64 = row.iter().map(|entry| f64::from(entry.1)).sum();
        let log_total = ((self.totals[o] - size).max(0.0) + smooth).ln() as f32;
        let of_words = row.iter().map(|&(column, x)| {
            let n = self.counts[column as usize * n_outputs + o] - x;
            x * ((n.max(0.0) + alpha).ln() - log_total)
        });
        log_prior(self.documents[o] - 1.0, n_documents - 1.0) + of_words.sum::<f32>()
    }
}

/// ln P(y); half a document stands for none, whose logarithm is no number.
fn log_prior(documents: f64, all: f64) -> f32 {
    (documents.max(0.5) / all.max(1.0)).ln() as f32
}

/// For each output the sum of its counts.
fn totals(counts: &[f32], n_outputs: usize) -> Vec<f64> {
    let mut totals = vec![0.0; n_outputs];
    for counts in counts.chunks_exact(n_outputs) {
        totals.iter_mut().zip(counts).for_each(|(total, &n)| *total += f64::from(n));
    }
    totals
}

/// Learns from rows of counts; `alpha` is added to each count. `held_out` are documents whose scores
/// without themselves are wanted.
pub(crate) fn fit(
    rows: &Rows,
    targets: &Targets,
    n_outputs: usize,
    alpha: f32,
    held_out: Vec<usize>,
) -> Fitted {
    let n_documents = targets.len() as f64;
    let sides = Side::both(rows, targets, n_outputs, 0..rows.len(), |x| x);
    let [mine, others] = &sides;
    // A softmax of several outputs sees joint likelihoods; an output alone, odds.
    let has_odds = n_outputs == 1 || targets.are_many();
    let of_mine = mine.linear(alpha, n_documents);
    let of_others = has_odds.then(|| others.linear(alpha, n_documents));

    let mut held_out_scores = Vec::with_capacity(held_out.len() * n_outputs);
    let (mut scores, mut against) = (vec![0.0; n_outputs], vec![0.0; n_outputs]);
    // Without it there is one document fewer in priors.
    let fewer = (n_documents / (n_documents - 1.0).max(1.0)).ln() as f32;
    for &document in &held_out {
        let row = rows.row(document);
        of_mine.scores(row, &mut scores);
        if let Some(of_others) = &of_others {
            of_others.scores(row, &mut against);
        }
        for o in 0..n_outputs {
            let is_mine = is_positive(targets, document, o, n_outputs);
            let [mut score, mut other] = [scores[o] + fewer, against[o] + fewer];
            if is_mine {
                score = mine.without(row, o, alpha, n_documents);
            } else if has_odds {
                other = others.without(row, o, alpha, n_documents);
            }
            held_out_scores.push(if has_odds { score - other } else { score });
        }
    }
    let linear = match of_others {
        None => of_mine,
        Some(of_others) => {
            let less = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a - b).collect();
            let weights = less(&of_mine.weights, &of_others.weights);
            Linear { bias: less(&of_mine.bias, &of_others.bias), weights }
        }
    };
    Fitted { linear, held_out, held_out_scores }
}
