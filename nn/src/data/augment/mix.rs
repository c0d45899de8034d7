//! Two examples in one, and both of their targets.
//!
//! Mixup: x = λ x₁ + (1 - λ) x₂, y = λ y₁ + (1 - λ) y₂ with λ from Beta(α, α), which has the mean ½ and
//! lies near 0 or 1 when α is small. CutMix: x is x₁ with a rectangle of x₂ in it, and λ what is left of
//! the area of x₁.

use std::f64::consts::TAU;

use plies_tensor::{DType, Elementwise, Rng, Tensor, formula};

use super::erase::Rectangle;
use super::images::Images;
use crate::check;

/// How a picture is mixed with its partner.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// All of one over all of the other.
    Over,
    /// A rectangle of the other in its place.
    Cut,
}

/// Mixes each picture with that of a random other example of the batch; returns the targets, mixed as
/// much.
///
/// # Shapes
/// targets `[N]` (I32) -> [N, n_classes], or targets [N, ...] (floats) -> the same
#[track_caller]
pub(super) fn mix(
    how: How,
    alpha: f64,
    n_classes: usize,
    images: &mut Images,
    targets: &Tensor,
    examples: &mut [Rng],
    batch: &mut Rng,
) -> Tensor {
    let partners = batch.permutation_vec(images.count);
    let len = images.len();
    let [_, h, w] = images.dims;
    let before = images.pixels.clone();
    let mut kept = Vec::with_capacity(images.count);
    for (i, rng) in examples.iter_mut().enumerate() {
        let lambda = beta(alpha, rng);
        let partner = &before[partners[i] * len..][..len];
        let image = &mut images.pixels[i * len..][..len];
        kept.push(match how {
            How::Over => {
                let share = lambda as f32;
                for (x, other) in image.iter_mut().zip(partner) {
                    *x = share * *x + (1.0 - share) * other;
                }
                lambda
            }
            How::Cut => {
                let part = cut(1.0 - lambda, h, w, rng);
                part.for_each_row(h, w, len, |row| {
                    image[row.clone()].copy_from_slice(&partner[row]);
                });
                1.0 - (part.height * part.width) as f64 / (h * w).max(1) as f64
            }
        });
    }
    mix_targets(targets, n_classes, &partners, &kept)
}

/// A rectangle with the picture's ratio and the share `area` of its area, centred anywhere, as far as it
/// lies in the picture.
fn cut(area: f64, h: usize, w: usize, rng: &mut Rng) -> Rectangle {
    let side = |n: usize, rng: &mut Rng| {
        let half = area.sqrt() * n as f64 / 2.0;
        let centre = rng.next_f64() * n as f64;
        let [start, end] =
            [centre - half, centre + half].map(|at| (at.round().max(0.0) as usize).min(n));
        (start, end - start)
    };
    let ((top, height), (left, width)) = (side(h, rng), side(w, rng));
    Rectangle { top, left, height, width }
}

/// λ yᵢ + (1 - λ) y of the partner.
#[track_caller]
fn mix_targets(targets: &Tensor, n_classes: usize, partners: &[usize], kept: &[f64]) -> Tensor {
    let own = if targets.dtype().is_float() {
        targets.clone()
    } else {
        assert!(
            targets.rank() == 1,
            "augment: targets {} cannot be mixed; expected one class for each example",
            targets.shape()
        );
        check::numbers("augment", "target", targets, n_classes, None);
        targets.one_hot(n_classes, DType::F32)
    };
    let other: Vec<i32> = partners.iter().map(|&i| i as i32).collect();
    let other = own.index_select(0, &Tensor::from_vec(other, [kept.len()]));
    let mut dims = vec![1; own.rank()];
    dims[0] = kept.len();
    let kept = Tensor::from_vec(kept.to_vec(), dims).to_dtype(own.dtype());
    let f = formula!(|own, other, kept| kept * own + (1.0 - kept) * other);
    Tensor::map(f, &[&own, &other, &kept], &[])
}

/// A number from Beta(α, α): G / (G + G') of two numbers from Gamma(α).
fn beta(alpha: f64, rng: &mut Rng) -> f64 {
    let [a, b] = [ln_gamma_draw(alpha, rng), ln_gamma_draw(alpha, rng)];
    // In logarithms: for a small α both are often too small for an F64.
    1.0 / (1.0 + (b - a).exp())
}

/// The logarithm of a number from the gamma distribution of shape α and scale 1.
///
/// # Source
/// Marsaglia, Tsang: A simple method for generating gamma variables (2000); for α < 1 their note in
/// section 6: G(α) = G(α + 1) u^(1/α).
fn ln_gamma_draw(alpha: f64, rng: &mut Rng) -> f64 {
    if alpha < 1.0 {
        let u = 1.0 - rng.next_f64();
        return ln_gamma_draw(alpha + 1.0, rng) + u.ln() / alpha;
    }
    let d = alpha - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let radius = (-2.0 * (1.0 - rng.next_f64()).ln()).sqrt();
        let x = radius * (TAU * rng.next_f64()).cos(); // normal
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - rng.next_f64();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d.ln() + v.ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean ½ and variance 1 / (4 (2α + 1)), to five standard errors of 20 000 draws.
    #[test]
    fn beta_has_the_moments_of_the_distribution() {
        let mut rng = Rng::new(4);
        let n = 20_000;
        for alpha in [0.05, 0.2, 1.0, 3.0] {
            let draws: Vec<f64> = (0..n).map(|_| beta(alpha, &mut rng)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let var = draws.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / f64::from(n);
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            let error = 5.0 * (expected / f64::from(n)).sqrt();
            assert!((mean - 0.5).abs() < error, "mean {mean} at {alpha}");
            // (x - ½)² lies in 0..=¼, so its variance is at most expected · ¼.
            let error = 5.0 * (expected / 4.0 / f64::from(n)).sqrt();
            assert!((var - expected).abs() < error, "variance {var} for {expected} at {alpha}");
        }
    }
}
