//! The arithmetic: a block of hidden rows against rows of targets, as small matrix products.
//!
//!   score    s_tj = y_t · h_j
//!   objective  Σ w_tj · log σ(s_tj) where the label l_t is 1, log σ(−s_tj) where it is 0
//!   gradient   g_tj = w_tj · (l_t − σ(s_tj)) = v_tj · σ(−s_tj · sign v_tj),    v = w where l is 1, −w where l is 0
//!   step       Δh_j = lr · Σ_t g_tj · y_t        Δy_t = lr · Σ_j g_tj · h_j
//!
//! Every model is this, with other rows. Hidden rows are the words around (skip-gram) or means of them
//! (CBOW), of words or of their n-grams. Targets are the word itself and words drawn at random (negative
//! sampling) or the inner nodes of a tree on the way to it (hierarchical softmax). Which target meets which
//! hidden rows is said by groups: some targets and a range of hidden rows, with a weight for each pair.
//!
//! All scores are of the rows as they were when the block began; so the work is products of matrices, of
//! which the rows are fetched once and changed once for a dozen words. They are too small for a product of
//! matrices as a library has it: a word as a target meets the seven rows of its window and no others. So each
//! of the three products is a loop with as little around it as possible: all scores, then σ of all of them,
//! sixteen at a time whatever the groups are, then each row that changes, which stays in registers meanwhile.
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
    /// For each target, its row of `outputs`.
    targets: Vec<usize>,
    groups: Vec<Group>,
    /// For each pair of a group, target by target: v, the weight with the label as its sign, then lr · g.
    pairs: Vec<f32>,
    /// For each pair, four numbers whose sum is the score.
    quarters: Vec<[f32; 4]>,
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

    /// Adds a group of targets, rows of `outputs` and whether their label is 1, that meet a range of hidden
    /// rows; returns v [targets, hidden], all 1 or −1, to be changed.
    pub(crate) fn group(
        &mut self,
        targets: impl IntoIterator<Item = (usize, bool)>,
        hidden: Range<usize>,
    ) -> &mut [f32] {
        let (first, pairs) = (self.targets.len(), self.pairs.len());
        for (row, is_one) in targets {
            self.targets.push(row);
            self.pairs.resize(self.pairs.len() + hidden.len(), if is_one { 1.0 } else { -1.0 });
        }
        self.groups.push(Group { targets: first..self.targets.len(), hidden, pairs });
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
                let y = row(&self.outputs, self.targets[target]);
                for (j, hidden) in group.hidden.clone().enumerate() {
                    let h = row(&self.hidden, hidden);
                    let score: f64 =
                        y.iter().zip(h).map(|(&y, h)| f64::from(y) * f64::from(h)).sum();
                    let v = f64::from(self.pairs[group.pairs + t * group.hidden.len() + j]);
                    sum += v.abs() * -(-score * 1f64.copysign(v)).exp().ln_1p();
                    weight += v.abs();
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
        let width = block.width / LANES;
        let Block { hidden, outputs, targets, groups, pairs, quarters, .. } = block;
        let (h, _) = hidden.values.floats().as_chunks::<LANES>();
        let (y, _) = outputs.values.floats().as_chunks::<LANES>();
        let (d_h, _) = hidden.changes.floats_mut().as_chunks_mut::<LANES>();
        let (d_y, _) = outputs.changes.floats_mut().as_chunks_mut::<LANES>();
        let row = |target: usize| target * width..(target + 1) * width;
        let span = |group: &Group| group.hidden.start * width..group.hidden.end * width;

        // s [T, J] = y [T, width] · hᵀ [width, J]
        quarters.resize(pairs.len(), [0.0; 4]);
        for group in groups.iter() {
            let (h, n) = (&h[span(group)], group.hidden.len());
            for (t, &target) in targets[group.targets.clone()].iter().enumerate() {
                let y = &y[row(target)];
                let (fours, rest) = quarters[group.pairs + t * n..][..n].as_chunks_mut::<4>();
                let h_rest = &h[4 * fours.len() * width..];
                for (j, four) in fours.iter_mut().enumerate() {
                    *four = dots::<4, FMA>(y, &h[4 * j * width..]);
                }
                match rest.len() {
                    3 => rest.copy_from_slice(&dots::<3, FMA>(y, h_rest)),
                    2 => rest.copy_from_slice(&dots::<2, FMA>(y, h_rest)),
                    1 => rest.copy_from_slice(&dots::<1, FMA>(y, h_rest)),
                    _ => {}
                }
            }
        }
        for (pair, q) in pairs.iter_mut().zip(quarters.iter()) {
            let score = (q[0] + q[2]) + (q[1] + q[3]);
            *pair = lr * *pair * sigmoid::<FMA>(-score * 1f32.copysign(*pair));
        }
        for group in groups.iter() {
            let (h, n) = (&h[span(group)], group.hidden.len());
            let targets = &targets[group.targets.clone()];
            let pairs = &pairs[group.pairs..][..targets.len() * n];
            // Δy [T, width] += g [T, J] · h [J, width]
            for (t, &target) in targets.iter().enumerate() {
                let d_y = &mut d_y[row(target)];
                add_rows::<FMA>(d_y, n, |j| pairs[t * n + j], |j| &h[j * width..]);
            }
            // Δh [J, width] += gᵀ [J, T] · y [T, width]
            for (j, d_h) in d_h[span(group)].chunks_exact_mut(width).enumerate() {
                let y = |t: usize| &y[targets[t] * width..];
                add_rows::<FMA>(d_h, targets.len(), |t| pairs[t * n + j], y);
            }
        }
    }
}

/// A vector's floats.
type Lanes = [f32; LANES];

/// Vectors of a row that are summed in registers: a hundred numbers and their padding. Eight would be one too
/// many, as the compiler takes a loop of eight for the lanes of a vector and gathers them from eight places.
const TILE: usize = 7;

#[inline(always)]
fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// The first vectors of a row.
#[inline(always)]
fn first<const V: usize>(row: &[Lanes]) -> &[Lanes; V] {
    row.first_chunk().expect("a row is as wide as its block")
}

/// A quarter of the way to y · h_k, for `N` rows of h: four floats for each.
#[inline(always)]
fn dots<const N: usize, const FMA: bool>(y: &[Lanes], h: &[Lanes]) -> [[f32; 4]; N] {
    #[repr(align(64))]
    struct Lines<const N: usize>([Lanes; N]);

    let width = y.len();
    let rows: [&[Lanes]; N] = std::array::from_fn(|k| &h[k * width..][..width]);
    let mut sums = Lines([[0.0; LANES]; N]);
    for i in 0..width {
        for (sum, row) in sums.0.iter_mut().zip(rows) {
            for l in 0..LANES {
                sum[l] = mul_add::<FMA>(y[i][l], row[i][l], sum[l]);
            }
        }
    }
    // Sums that lie in memory, and not in registers alone, show the compiler which floats belong into one
    // vector; left to itself it mixes rows.
    let Lines(sums) = std::hint::black_box(sums);
    let mut quarters = [[0.0; 4]; N];
    for (quarter, sum) in quarters.iter_mut().zip(&sums) {
        for l in 0..4 {
            quarter[l] = (sum[l] + sum[l + 8]) + (sum[l + 4] + sum[l + 12]);
        }
    }
    quarters
}

/// out [width] += Σ_k c_k · row_k [width]
#[inline(always)]
fn add_rows<'a, const FMA: bool>(
    out: &mut [Lanes],
    n: usize,
    c: impl Fn(usize) -> f32,
    row: impl Fn(usize) -> &'a [Lanes],
) {
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let row = |k: usize| &row(k)[tile * TILE..];
        match out.len() {
            TILE => add_tiles::<TILE, FMA>(out, n, &c, row),
            6 => add_tiles::<6, FMA>(out, n, &c, row),
            5 => add_tiles::<5, FMA>(out, n, &c, row),
            4 => add_tiles::<4, FMA>(out, n, &c, row),
            3 => add_tiles::<3, FMA>(out, n, &c, row),
            2 => add_tiles::<2, FMA>(out, n, &c, row),
            _ => add_tiles::<1, FMA>(out, n, &c, row),
        }
    }
}

/// The same for `V` vectors, which are read and written once for all rows.
#[inline(always)]
fn add_tiles<'a, const V: usize, const FMA: bool>(
    out: &mut [Lanes],
    n: usize,
    c: impl Fn(usize) -> f32,
    row: impl Fn(usize) -> &'a [Lanes],
) {
    let mut sums = *first::<V>(out);
    for k in 0..n {
        let (c, row) = (c(k), first::<V>(row(k)));
        for v in 0..V {
            for l in 0..LANES {
                sums[v][l] = mul_add::<FMA>(c, row[v][l], sums[v][l]);
            }
        }
    }
    out.copy_from_slice(&sums);
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
