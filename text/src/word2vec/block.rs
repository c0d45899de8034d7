//! The arithmetic: a block of hidden rows against rows of targets, as small matrix products.
//!
//!   score    s_tj = y_t · h_j
//!   objective  Σ w_tj · log σ(s_tj) where the label l_t is 1, log σ(−s_tj) where it is 0
//!   gradient   g_tj = w_tj · (l_t − σ(s_tj))
//!   step       Δh_j = lr · Σ_t g_tj · y_t        Δy_t = lr · Σ_j g_tj · h_j
//!
//! Every model is this, with other rows. Hidden rows are the words around (skip-gram) or means of them
//! (CBOW), of words or of their n-grams. Targets are the word itself and words drawn at random (negative
//! sampling) or the inner nodes of a tree on the way to it (hierarchical softmax). Which target meets which
//! hidden rows is said by groups: some targets and a range of hidden rows, with a weight for each pair.
//!
//! All scores are of the rows as they were when the block began; so the work is products of matrices, of
//! which the rows are fetched once and changed once for a dozen words.
//!
//! # Source
//! Ji, Satish, Li, Dubey: Parallelizing Word2Vec in Shared and Distributed Memory, 2016 (HogBatch), does
//! this for one word and those around it. Here neighbouring words share what they have in common: the
//! words around them, and the negative samples.

use std::ops::Range;

use plies_tensor::{Loop, vectorised};

use super::LANES;
use super::buffer::Buffer;

/// Some targets, the hidden rows that all of them meet, and where the weights of the pairs begin.
struct Group {
    targets: Range<usize>,
    hidden: Range<usize>,
    pairs: usize,
}

/// Rows [R, width] and what is to be added to them.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) values: Buffer,
    pub(crate) changes: Buffer,
}

impl Rows {
    /// Room for so many floats; the values have no meaning yet, the changes are zero.
    pub(crate) fn begin(&mut self, floats: usize) {
        self.values.resize(floats);
        self.changes.resize(floats);
        self.changes.floats_mut().fill(0.0);
    }
}

/// Memory for one block after the other.
#[derive(Default)]
pub(crate) struct Block {
    /// Floats of a row, a multiple of [`LANES`].
    width: usize,
    pub(crate) hidden: Rows,
    pub(crate) outputs: Rows,
    /// For each target, its row of `outputs`, and its label.
    targets: Vec<(usize, f32)>,
    groups: Vec<Group>,
    /// For each pair of a group, target by target: the weight, then lr · g.
    pairs: Vec<f32>,
    sums: Sums,
}

impl Block {
    pub(crate) fn begin(&mut self, n_hidden: usize, n_outputs: usize, width: usize) {
        self.width = width;
        self.hidden.begin(n_hidden * width);
        self.outputs.begin(n_outputs * width);
        self.targets.clear();
        self.groups.clear();
        self.pairs.clear();
    }

    /// Adds a group of targets (rows of `outputs` and their labels) that meet a range of hidden rows;
    /// returns the weights [targets, hidden], all 1, to be changed.
    pub(crate) fn group(
        &mut self,
        targets: impl IntoIterator<Item = (usize, f32)>,
        hidden: Range<usize>,
    ) -> &mut [f32] {
        let (first, pairs) = (self.targets.len(), self.pairs.len());
        self.targets.extend(targets);
        let targets = first..self.targets.len();
        self.pairs.resize(pairs + targets.len() * hidden.len(), 1.0);
        self.groups.push(Group { targets, hidden, pairs });
        &mut self.pairs[pairs..]
    }

    /// The weights of all pairs.
    #[cfg(test)]
    pub(crate) fn weights(&mut self) -> &mut [f32] {
        &mut self.pairs
    }

    /// Computes all changes, which takes the place of the weights.
    pub(crate) fn step(&mut self, lr: f32) {
        vectorised(Step { block: self, lr });
    }

    /// The objective for the rows as they are, and the sum of the weights.
    pub(crate) fn objective(&self) -> (f64, f64) {
        let (mut sum, mut weight) = (0.0, 0.0);
        let row =
            |rows: &Rows, at: usize| rows.values.floats()[at * self.width..][..self.width].to_vec();
        for group in &self.groups {
            for (t, target) in group.targets.clone().enumerate() {
                let (output, label) = self.targets[target];
                let y = row(&self.outputs, output);
                for (j, hidden) in group.hidden.clone().enumerate() {
                    let h = row(&self.hidden, hidden);
                    let score: f64 =
                        y.iter().zip(h).map(|(&y, h)| f64::from(y) * f64::from(h)).sum();
                    let signed = if label == 1.0 { score } else { -score };
                    let w = f64::from(self.pairs[group.pairs + t * group.hidden.len() + j]);
                    sum += w * -(-signed).exp().ln_1p();
                    weight += w;
                }
            }
        }
        (sum, weight)
    }
}

struct Step<'a> {
    block: &'a mut Block,
    lr: f32,
}

impl Loop for Step<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Step { block, lr } = self;
        let width = block.width;
        let Block { hidden, outputs, targets, groups, pairs, sums, .. } = block;
        let (h, d_h) = (hidden.values.floats(), hidden.changes.floats_mut());
        let (y, d_y) = (outputs.values.floats(), outputs.changes.floats_mut());
        for group in groups.iter() {
            let targets = &targets[group.targets.clone()];
            let n = group.hidden.len();
            let pairs = &mut pairs[group.pairs..][..targets.len() * n];
            let span = group.hidden.start * width..group.hidden.end * width;
            let h = &h[span.clone()];

            for (&(row, label), pairs) in targets.iter().zip(pairs.chunks_exact_mut(n.max(1))) {
                let y = &y[row * width..][..width];
                gradients::<FMA>(y, label, h, lr, pairs, sums);
                // Δy [width] += g [J] · h [J, width]
                let d_y = &mut d_y[row * width..][..width];
                let mut j = 0;
                while j + 8 <= n {
                    combine::<8, FMA>(d_y, |k| &h[(j + k) * width..], |k| pairs[j + k]);
                    j += 8;
                }
                if j + 4 <= n {
                    combine::<4, FMA>(d_y, |k| &h[(j + k) * width..], |k| pairs[j + k]);
                    j += 4;
                }
                while j < n {
                    combine::<1, FMA>(d_y, |k| &h[(j + k) * width..], |k| pairs[j + k]);
                    j += 1;
                }
            }

            // Δh [J, width] += gᵀ [J, T] · y [T, width]
            for (j, d_h) in d_h[span].chunks_exact_mut(width).enumerate() {
                let row = |t: usize| &y[targets[t].0 * width..];
                let mut t = 0;
                while t + 8 <= targets.len() {
                    combine::<8, FMA>(d_h, |k| row(t + k), |k| pairs[(t + k) * n + j]);
                    t += 8;
                }
                if t + 4 <= targets.len() {
                    combine::<4, FMA>(d_h, |k| row(t + k), |k| pairs[(t + k) * n + j]);
                    t += 4;
                }
                while t < targets.len() {
                    combine::<1, FMA>(d_h, |k| row(t + k), |k| pairs[(t + k) * n + j]);
                    t += 1;
                }
            }
        }
    }
}

#[inline(always)]
fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Sums of products on their way to a sum. That they lie in memory, and not in registers alone, shows the
/// compiler which floats belong into one vector; left to itself it mixes rows.
struct Sums {
    lanes: Vec<[[f32; LANES]; 4]>,
    quarters: Vec<[f32; 4]>,
}

impl Default for Sums {
    fn default() -> Sums {
        Sums { lanes: vec![Default::default()], quarters: vec![[0.0; 4]; LANES] }
    }
}

/// Turns the weights of a target's pairs [J] into lr · g.
#[inline(always)]
fn gradients<const FMA: bool>(
    y: &[f32],
    label: f32,
    h: &[f32],
    lr: f32,
    pairs: &mut [f32],
    sums: &mut Sums,
) {
    let width = y.len();
    for (h, pairs) in h.chunks(LANES * width).zip(pairs.chunks_mut(LANES)) {
        let n = pairs.len();
        if n >= 4 {
            // The last four may overlap with those before.
            let mut j = 0;
            loop {
                let four: &mut [[f32; 4]; 4] =
                    (&mut sums.quarters[j..j + 4]).try_into().expect("four");
                four_dots::<FMA>(y, &h[j * width..][..4 * width], &mut sums.lanes[0], four);
                if j + 4 == n {
                    break;
                }
                j = (j + 4).min(n - 4);
            }
        } else {
            for j in 0..n {
                sums.quarters[j] = [dot::<FMA>(y, &h[j * width..][..width]), 0.0, 0.0, 0.0];
            }
        }
        let mut g = [0f32; LANES];
        for (g, q) in g.iter_mut().zip(&sums.quarters) {
            *g = (q[0] + q[2]) + (q[1] + q[3]);
        }
        for g in &mut g {
            *g = lr * (label - sigmoid::<FMA>(*g));
        }
        for (pair, g) in pairs.iter_mut().zip(g) {
            *pair *= g;
        }
    }
}

/// A quarter of the way to y · h_j, for four rows of h: four floats for each.
#[inline(always)]
fn four_dots<const FMA: bool>(
    y: &[f32],
    h: &[f32],
    lanes: &mut [[f32; LANES]; 4],
    quarters: &mut [[f32; 4]; 4],
) {
    let width = y.len();
    let (y, _) = y.as_chunks::<LANES>();
    let row = |j: usize| h[j * width..][..width].as_chunks::<LANES>().0;
    let rows = row(0).iter().zip(row(1)).zip(row(2).iter().zip(row(3)));
    let (mut a, mut b, mut c, mut d) = ([0f32; LANES], [0f32; LANES], [0f32; LANES], [0f32; LANES]);
    for (y, ((h0, h1), (h2, h3))) in y.iter().zip(rows) {
        add_products::<FMA>(&mut a, y, h0);
        add_products::<FMA>(&mut b, y, h1);
        add_products::<FMA>(&mut c, y, h2);
        add_products::<FMA>(&mut d, y, h3);
    }
    *lanes = [a, b, c, d];
    for (quarter, lanes) in quarters.iter_mut().zip(lanes.iter()) {
        for l in 0..4 {
            quarter[l] = (lanes[l] + lanes[l + 8]) + (lanes[l + 4] + lanes[l + 12]);
        }
    }
}

#[inline(always)]
fn dot<const FMA: bool>(y: &[f32], h: &[f32]) -> f32 {
    let mut sum = [0f32; LANES];
    for (y, h) in y.as_chunks::<LANES>().0.iter().zip(h.as_chunks::<LANES>().0) {
        add_products::<FMA>(&mut sum, y, h);
    }
    sum.into_iter().sum()
}

#[inline(always)]
fn add_products<const FMA: bool>(sum: &mut [f32; LANES], x: &[f32; LANES], y: &[f32; LANES]) {
    for l in 0..LANES {
        sum[l] = mul_add::<FMA>(x[l], y[l], sum[l]);
    }
}

/// out [width] += Σ_k c_k · row_k [width], for `K` rows at once, so that `out` is read and written once
/// for all of them.
#[inline(always)]
fn combine<'a, const K: usize, const FMA: bool>(
    out: &mut [f32],
    row: impl Fn(usize) -> &'a [f32],
    c: impl Fn(usize) -> f32,
) {
    let n = out.len();
    let mut rows = [&[][..]; K];
    let mut factors = [0f32; K];
    for k in 0..K {
        rows[k] = &row(k)[..n];
        factors[k] = c(k);
    }
    for i in 0..n {
        let mut sum = out[i];
        for k in 0..K {
            sum = mul_add::<FMA>(factors[k], rows[k][i], sum);
        }
        out[i] = sum;
    }
}

/// 1 / (1 + e⁻ˣ), to 2 in 10⁷.
///
/// e⁻ˣ is 2 to an integer, which is put into the exponent's bits, times 2 to a fraction, by a polynomial.
#[inline(always)]
fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    let t = (-x.clamp(-40.0, 40.0)) * std::f32::consts::LOG2_E;
    // Adding 1.5 · 2²³ leaves the nearest integer in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    let shifted = t + MAGIC;
    let f = t - (shifted - MAGIC);
    let p =
        [1.339_887_4e-3, 9.618_437e-3, 5.550_332_6e-2, 0.240_226_48, std::f32::consts::LN_2, 1.0];
    let mut power = 1.540_353e-4f32;
    for c in p {
        power = mul_add::<FMA>(power, f, c);
    }
    let exponent = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23;
    1.0 / (1.0 + power * f32::from_bits(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_is_right_everywhere() {
        for i in -5000..=5000 {
            let x = i as f32 * 0.02;
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            for ours in [sigmoid::<true>(x), sigmoid::<false>(x)] {
                assert!((f64::from(ours) - exact).abs() < 2e-7, "{x}: {ours} {exact}");
            }
        }
        assert_eq!(sigmoid::<true>(f32::INFINITY), 1.0);
    }
}
