//! t-distributed stochastic neighbour embedding.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use plies_tensor::{DType, Device, Rng, Tensor};

use super::{pca, quadtree::Quadtree};
use crate::{Error, Result, classify::parallel::map_parts};

/// Rows of numbers as points on a plane, near each other where the rows are.
///
/// Row i takes row j for its neighbour with the probability
///
///   p(j|i) = exp(−βᵢ dᵢⱼ²) / Σₖ exp(−βᵢ dᵢₖ²)        pᵢⱼ = (p(j|i) + p(i|j)) / 2N
///
/// where βᵢ makes the entropy of p(·|i) the logarithm of the perplexity. On the plane it is
/// qᵢⱼ = (1 + |yᵢ − yⱼ|²)⁻¹ / Z. The points go downhill on KL(P‖Q) = Σ pᵢⱼ log(pᵢⱼ / qᵢⱼ), whose gradient is
///
///   ∂/∂yᵢ = 4 Σⱼ (pᵢⱼ − qᵢⱼ) (1 + |yᵢ − yⱼ|²)⁻¹ (yᵢ − yⱼ)
///
/// Only the 3 × perplexity nearest neighbours are looked at, found by comparing all; points far away push together, as
/// [`theta`](Tsne::theta) says, so a step takes O(N log N). Points begin as the first two principal components,
/// small, so that a seed changes little. The result does not depend on the number of threads.
///
/// # Source
/// van der Maaten, Hinton: Visualizing data using t-SNE (JMLR 2008); van der Maaten: Accelerating t-SNE using
/// tree-based algorithms (JMLR 2014); learning rate after Belkina et al. (Nature Communications 2019).
///
/// # Example
/// ```
/// use plies_text::map::Tsne;
/// use std::ops::ControlFlow;
/// // Two groups of five.
/// let rows: Vec<f32> = (0..10).flat_map(|i| [if i < 5 { 0.0 } else { 9.0 }, i as f32 / 10.0]).collect();
/// let tsne = Tsne { perplexity: 3.0, iterations: 300, ..Tsne::default() };
/// let map = tsne.embed(&rows, 2, &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(map.points.len(), 10);
/// # Ok::<(), plies_text::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tsne {
    /// How many neighbours count, more or less; less than the number of rows.
    pub perplexity: f64,
    /// Steps downhill.
    pub iterations: usize,
    /// What neighbours' probabilities are multiplied with in the first quarter of the steps, so that groups form.
    pub exaggeration: f64,
    /// 0 for exact forces; the larger, the rougher and faster.
    pub theta: f64,
    /// Where random numbers begin: the points' first places are moved a little, so that equal rows part.
    pub seed: u64,
}

impl Default for Tsne {
    fn default() -> Tsne {
        Tsne { perplexity: 30.0, iterations: 1000, exaggeration: 12.0, theta: 0.5, seed: 1 }
    }
}

/// Points, and how well they show what they should.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// A point for each row.
    pub points: Vec<[f64; 2]>,
    /// KL(P‖Q), in nats.
    pub divergence: f64,
    /// Steps that were made: fewer than wanted when the caller ended it.
    pub iterations: usize,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Steps made, from 1.
    pub iteration: usize,
    /// KL(P‖Q) before this step.
    pub divergence: f64,
    /// Since it began.
    pub elapsed: Duration,
}

impl Tsne {
    /// Finds the points of rows [N, dim]. `watch` hears of every step and may end it; the points are then those so
    /// far.
    ///
    /// # Errors
    /// A setting that makes no sense for so many rows.
    ///
    /// # Panics
    /// When the number of numbers is no multiple of `dim`.
    #[track_caller]
    pub fn embed(
        &self,
        rows: &[f32],
        dim: usize,
        watch: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Embedding> {
        assert!(
            dim > 0 && rows.len().is_multiple_of(dim),
            "Tsne: {} numbers in rows of {dim}",
            rows.len()
        );
        let n = rows.len() / dim;
        let is_between = |x: f64, low: f64, high: f64| (low..=high).contains(&x);
        if n < 2 {
            return Err(Error::setting("t-SNE", format!("needs two rows or more; there are {n}")));
        }
        if !is_between(self.perplexity, 1.0, (n - 1) as f64) {
            let reason = format!("is {}; it may be 1 to {}, with {n} rows", self.perplexity, n - 1);
            return Err(Error::setting("perplexity", reason));
        }
        if !is_between(self.theta, 0.0, 1.0) {
            return Err(Error::setting("theta", format!("is {}; it may be 0 to 1", self.theta)));
        }
        if !is_between(self.exaggeration, 1.0, 1000.0) {
            let reason = format!("is {}; it may be 1 to 1000", self.exaggeration);
            return Err(Error::setting("exaggeration", reason));
        }
        let began = Instant::now();
        let affinities = Affinities::new(rows, dim, self.perplexity);
        let mut points = self.start(rows, dim);
        let (mut speed, mut gains) = (vec![[0.0; 2]; n], vec![[1f64; 2]; n]);
        let lr = (n as f64 / self.exaggeration / 4.0).max(50.0);
        let early = self.iterations / 4;
        for iteration in 1..=self.iterations {
            let is_early = iteration <= early;
            let exaggeration = if is_early { self.exaggeration } else { 1.0 };
            let momentum = if is_early { 0.5 } else { 0.8 };
            let (gradient, divergence) = affinities.gradient(&points, self.theta, exaggeration);
            for i in 0..n {
                for axis in 0..2 {
                    let (g, v) = (gradient[i][axis], &mut speed[i][axis]);
                    // A step that turns back was too long (Jacobs 1988).
                    let gain = &mut gains[i][axis];
                    *gain =
                        if (g > 0.0) == (*v > 0.0) { (*gain * 0.8).max(0.01) } else { *gain + 0.2 };
                    *v = momentum * *v - lr * *gain * g;
                    points[i][axis] += *v;
                }
            }
            centre(&mut points);
            let step = Step { iteration, divergence, elapsed: began.elapsed() };
            if watch(&step).is_break() {
                let divergence = affinities.gradient(&points, self.theta, 1.0).1;
                return Ok(Embedding { points, divergence, iterations: iteration });
            }
        }
        let divergence = affinities.gradient(&points, self.theta, 1.0).1;
        Ok(Embedding { points, divergence, iterations: self.iterations })
    }

    /// Two principal components, a ten-thousandth wide, and a little noise.
    fn start(&self, rows: &[f32], dim: usize) -> Vec<[f64; 2]> {
        let components = pca(rows, dim, 2);
        let k = components.explained.len();
        let n = rows.len() / dim;
        let width = components.points.iter().step_by(k).map(|x| x * x).sum::<f64>() / n as f64;
        let scale = if width > 0.0 { 1e-4 / width.sqrt() } else { 0.0 };
        let noise = Rng::new(self.seed).normal([2 * n], DType::F32, &Device::cpu());
        let noise = noise.to_vec::<f32>().expect("the CPU does not fail");
        let at = |i: usize, axis: usize| {
            let point = if axis < k { components.points[i * k + axis] * scale } else { 0.0 };
            point + 1e-6 * f64::from(noise[2 * i + axis])
        };
        (0..n).map(|i| [at(i, 0), at(i, 1)]).collect()
    }
}

/// Probabilities that rows are neighbours: for each row some others, sparse and symmetric.
#[derive(Debug)]
struct Affinities {
    /// Where each row's neighbours begin, and the end of all.
    starts: Vec<usize>,
    others: Vec<u32>,
    p: Vec<f64>,
}

impl Affinities {
    fn new(rows: &[f32], dim: usize, perplexity: f64) -> Affinities {
        let n = rows.len() / dim;
        let k = ((3.0 * perplexity).ceil() as usize).clamp(1, n - 1);
        let near = nearest(rows, dim, k);
        let parts = map_parts(n, |part| {
            part.flat_map(|i| conditional(&near[i * k..][..k], perplexity)).collect::<Vec<f64>>()
        });
        let conditional = parts.concat();
        // (i, j) and (j, i) of every pair; equal ones then lie beside each other.
        let mut pairs: Vec<(u32, u32, f64)> = Vec::with_capacity(2 * n * k);
        for (at, (&(_, j), p)) in near.iter().zip(conditional).enumerate() {
            let (i, p) = ((at / k) as u32, p / (2 * n) as f64);
            pairs.extend([(i, j, p), (j, i, p)]);
        }
        pairs.sort_unstable_by_key(|&(i, j, _)| (i, j));
        let mut sparse = Affinities { starts: vec![0; n + 1], others: Vec::new(), p: Vec::new() };
        for pair in pairs.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            sparse.starts[pair[0].0 as usize + 1] += 1;
            sparse.others.push(pair[0].1);
            sparse.p.push(pair.iter().map(|(.., p)| p).sum());
        }
        (0..n).for_each(|i| sparse.starts[i + 1] += sparse.starts[i]);
        sparse
    }

    /// The gradient with all p multiplied by `exaggeration`, and the divergence without.
    fn gradient(&self, points: &[[f64; 2]], theta: f64, exaggeration: f64) -> (Vec<[f64; 2]>, f64) {
        let tree = Quadtree::new(points);
        let away = map_parts(points.len(), |part| {
            part.map(|i| tree.repulsion(points[i], theta)).collect::<Vec<_>>()
        });
        let away = away.concat();
        // Each point was its own neighbour, with q = 1 and no force.
        let z = away.iter().map(|(z, _)| z - 1.0).sum::<f64>().max(f64::MIN_POSITIVE);
        let forces = map_parts(points.len(), |part| {
            part.map(|i| {
                let (mut force, mut divergence) = ([0.0; 2], 0.0);
                for at in self.starts[i]..self.starts[i + 1] {
                    let (p, r) = (self.p[at], points[self.others[at] as usize]);
                    let d = [points[i][0] - r[0], points[i][1] - r[1]];
                    let q = 1.0 / (1.0 + d[0] * d[0] + d[1] * d[1]);
                    (0..2).for_each(|axis| force[axis] += exaggeration * p * q * d[axis]);
                    if p > 0.0 {
                        divergence += p * (p * z / q).ln();
                    }
                }
                let [x, y] = [0, 1].map(|axis| 4.0 * (force[axis] - away[i].1[axis] / z));
                ([x, y], divergence)
            })
            .collect::<Vec<_>>()
        });
        // In the order of the rows, however many threads there were.
        let forces = forces.concat();
        let divergence = forces.iter().map(|(_, divergence)| divergence).sum();
        (forces.into_iter().map(|(force, _)| force).collect(), divergence)
    }
}

/// For each row its `k` nearest others, by squared distance, row-major.
fn nearest(rows: &[f32], dim: usize, k: usize) -> Vec<(f32, u32)> {
    let n = rows.len() / dim;
    // Around the mean, so that little is lost where the rows are far from zero and near each other.
    let all = Tensor::from_vec(rows.to_vec(), [n, dim]);
    let all = &all - &all.mean(&[0], true);
    let rows = all.to_vec::<f32>().expect("the CPU does not fail");
    let squares: Vec<f32> =
        rows.chunks_exact(dim).map(|row| row.iter().map(|x| x * x).sum()).collect();
    let mut near = Vec::with_capacity(n * k);
    for from in (0..n).step_by(256) {
        let to = n.min(from + 256);
        let products = all.slice(0, from..to).matmul(&all.t()).to_vec::<f32>();
        let products = products.expect("the CPU does not fail");
        let parts = map_parts(to - from, |part| {
            let mut near: Vec<(f32, u32)> = Vec::with_capacity(part.len() * k);
            for i in part {
                let row = &products[i * n..][..n];
                let distance = |j: usize| (squares[from + i] + squares[j] - 2.0 * row[j]).max(0.0);
                let others = (0..n).filter(|&j| j != from + i);
                let mut found: Vec<(f32, u32)> = others.map(|j| (distance(j), j as u32)).collect();
                let by_distance =
                    |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
                found.select_nth_unstable_by(k - 1, by_distance);
                let exact = |j: u32| {
                    let [a, b] = [from + i, j as usize].map(|row| &rows[row * dim..][..dim]);
                    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
                };
                near.extend(found[..k].iter().map(|&(_, j)| (exact(j), j)));
            }
            near
        });
        near.extend(parts.into_iter().flatten());
    }
    near
}

/// p(j|i) of one row's neighbours; β by halving, on the scale of the distances.
fn conditional(near: &[(f32, u32)], perplexity: f64) -> Vec<f64> {
    let least = near.iter().map(|(d, _)| f64::from(*d)).fold(f64::INFINITY, f64::min);
    let distances: Vec<f64> = near.iter().map(|(d, _)| f64::from(*d) - least).collect();
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    if mean <= 0.0 {
        return vec![1.0 / near.len() as f64; near.len()];
    }
    let wanted = perplexity.ln();
    let (mut low, mut high, mut beta) = (0.0, f64::INFINITY, 1.0 / mean);
    for _ in 0..100 {
        let weights = distances.iter().map(|d| ((-beta * d).exp(), *d));
        let (sum, weighted) = weights.fold((0.0, 0.0), |(s, w), (e, d)| (s + e, w + e * d));
        // H = log Σ exp(−β d) + β Σ d exp(−β d) / Σ exp(−β d)
        let entropy = f64::ln(sum) + beta * weighted / sum;
        if (entropy - wanted).abs() < 1e-6 {
            break;
        }
        if entropy > wanted {
            low = beta;
            beta = if high.is_finite() { (beta + high) / 2.0 } else { 2.0 * beta };
        } else {
            high = beta;
            beta = (beta + low) / 2.0;
        }
    }
    let weights: Vec<f64> = distances.iter().map(|d| (-beta * d).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

fn centre(points: &mut [[f64; 2]]) {
    let mean = [0, 1].map(|axis| points.iter().map(|p| p[axis]).sum::<f64>() / points.len() as f64);
    points.iter_mut().for_each(|p| (0..2).for_each(|axis| p[axis] -= mean[axis]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(n: usize, each: usize, dim: usize) -> Vec<f32> {
        let noise = Rng::new(3)
            .normal([n * each * dim], DType::F32, &Device::cpu())
            .to_vec::<f32>()
            .unwrap();
        let at = |i: usize| if i % dim == (i / dim / each) % dim { 8.0 } else { 0.0 };
        noise.iter().enumerate().map(|(i, x)| x + at(i)).collect()
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let rows = groups(2, 8, 4);
        let affinities = Affinities::new(&rows, 4, 4.0);
        let noise = Rng::new(1).normal([32], DType::F32, &Device::cpu()).to_vec::<f32>().unwrap();
        let points: Vec<[f64; 2]> =
            noise.chunks(2).map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
        let (gradient, _) = affinities.gradient(&points, 0.0, 1.0);
        for i in 0..16 {
            for axis in 0..2 {
                let at = |step: f64| {
                    let mut moved = points.clone();
                    moved[i][axis] += step;
                    affinities.gradient(&moved, 0.0, 1.0).1
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((slope - gradient[i][axis]).abs() < 1e-8, "{slope} {}", gradient[i][axis]);
            }
        }
    }

    #[test]
    fn affinities_are_symmetric_sum_to_one_and_have_the_perplexity() {
        let rows = groups(3, 20, 5);
        let affinities = Affinities::new(&rows, 5, 7.0);
        assert!((affinities.p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let find = |i: usize, j: u32| {
            let range = affinities.starts[i]..affinities.starts[i + 1];
            let at = range.clone().find(|&at| affinities.others[at] == j);
            at.map(|at| affinities.p[at])
        };
        for i in 0..60 {
            for at in affinities.starts[i]..affinities.starts[i + 1] {
                assert_eq!(find(affinities.others[at] as usize, i as u32), Some(affinities.p[at]));
            }
        }
        let near = nearest(&rows, 5, 21);
        for row in near.chunks(21) {
            let p = conditional(row, 7.0);
            let entropy: f64 = -p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>();
            assert!((entropy.exp() - 7.0).abs() < 1e-4, "{}", entropy.exp());
        }
    }

    #[test]
    fn groups_stay_together_whatever_the_number_of_threads() {
        let (rows, each) = (groups(4, 25, 10), 25);
        let tsne = Tsne { perplexity: 10.0, iterations: 250, ..Tsne::default() };
        let map =
            |watch: &mut dyn FnMut(&Step) -> ControlFlow<()>| tsne.embed(&rows, 10, watch).unwrap();
        let found = map(&mut |_| ControlFlow::Continue(()));
        for (i, p) in found.points.iter().enumerate() {
            let distance = |r: &[f64; 2]| (p[0] - r[0]).powi(2) + (p[1] - r[1]).powi(2);
            let others = (0..100).filter(|&j| j != i);
            let nearest = others
                .min_by(|&a, &b| distance(&found.points[a]).total_cmp(&distance(&found.points[b])));
            assert_eq!(nearest.unwrap() / each, i / each);
        }
        let threads = plies_tensor::threads();
        plies_tensor::set_threads(1);
        let alone = map(&mut |_| ControlFlow::Continue(()));
        plies_tensor::set_threads(threads);
        assert_eq!(found.points, alone.points);
        let stopped = map(&mut |step| match step.iteration {
            20 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert_eq!(stopped.iterations, 20);
        assert!(stopped.divergence > found.divergence);
    }

    #[test]
    fn equal_rows_part_and_settings_that_make_no_sense_are_refused() {
        let tsne = Tsne { perplexity: 2.0, iterations: 50, ..Tsne::default() };
        let found = tsne.embed(&[1.0; 24], 3, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(found.points.iter().flatten().all(|x| x.is_finite()));
        for wrong in [
            Tsne { perplexity: 8.0, ..tsne.clone() },
            Tsne { theta: -1.0, ..tsne.clone() },
            Tsne { exaggeration: f64::NAN, ..tsne.clone() },
        ] {
            let refused = wrong.embed(&[1.0; 24], 3, &mut |_| ControlFlow::Continue(()));
            assert!(refused.is_err(), "{wrong:?}");
        }
        assert!(tsne.embed(&[1.0; 3], 3, &mut |_| ControlFlow::Continue(())).is_err());
    }
}
