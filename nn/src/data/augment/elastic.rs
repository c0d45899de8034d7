//! Elastic deformation: every pixel comes from somewhere else, and neighbours from near each other.
//!
//! f = α (G_H · u · G_Wᵀ) with u uniform in ±1 and (G)ᵢⱼ = g(i - j), g the density of the normal
//! distribution with standard deviation σ. Smoothing a field along both axes is two matrix products,
//! which are much faster than loops with the bell's weights. Beyond the edge u is 0.

use plies_tensor::{DType, Device, Elementwise, Rng, Tensor, formula};

/// Uniform numbers in ±1 for the fields of one picture, 2 · OH · OW of them.
pub(super) fn draw([h, w]: [usize; 2], rng: &mut Rng) -> Vec<f32> {
    let unit = rng.uniform([2, h, w], DType::F32, &Device::cpu());
    let numbers = Tensor::map(formula!(|u| 2.0 * u - 1.0), &[&unit], &[]).to_vec();
    numbers.expect("a tensor on the CPU can be read")
}

/// Fields [N, 2, OH, OW], smoothed.
pub(super) fn smooth(fields: Vec<f32>, n: usize, [h, w]: [usize; 2], sigma: f64) -> Vec<f32> {
    if fields.is_empty() {
        return fields;
    }
    let rows = Tensor::from_vec(fields, [2 * n * h, w]).matmul(&bell(w, sigma));
    let columns = bell(h, sigma).matmul(&rows.reshape([2 * n, h, w]));
    columns.to_vec().expect("a tensor on the CPU can be read")
}

/// G [N, N], whose rows add up to 1 but for what lies beyond the edge.
fn bell(n: usize, sigma: f64) -> Tensor {
    let density = |distance: f64| (-0.5 * (distance / sigma).powi(2)).exp();
    // The whole numbers from -∞ to ∞; beyond 40 σ the density is 0 in F64.
    let reach = (40.0 * sigma).ceil();
    let mut total = density(0.0);
    let mut distance = 1.0;
    while distance <= reach && density(distance) > 0.0 {
        total += 2.0 * density(distance);
        distance += 1.0;
    }
    let weights: Vec<f32> = (0..n).map(|i| (density(i as f64) / total) as f32).collect();
    let cells = (0..n * n).map(|at| weights[(at / n).abs_diff(at % n)]);
    Tensor::from_vec(cells.collect(), [n, n])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sums over the whole field, in F64.
    #[test]
    fn smoothing_is_the_convolution_with_the_bell() {
        let (n, [h, w]) = (2, [5, 9]);
        for sigma in [0.3, 1.0, 4.0] {
            let u = (0..n).flat_map(|i| draw([h, w], &mut Rng::new(i as u64))).collect::<Vec<_>>();
            let smoothed = smooth(u.clone(), n, [h, w], sigma);
            let g = |d: usize| (-0.5 * (d as f64 / sigma).powi(2)).exp();
            let total: f64 = g(0) + 2.0 * (1..300).map(g).sum::<f64>();
            for (plane, found) in u.chunks(h * w).zip(smoothed.chunks(h * w)) {
                for (at, found) in found.iter().enumerate() {
                    let weigh = |from: usize| {
                        let (dy, dx) = ((at / w).abs_diff(from / w), (at % w).abs_diff(from % w));
                        g(dy) * g(dx) * f64::from(plane[from])
                    };
                    let expected = (0..h * w).map(weigh).sum::<f64>() / total.powi(2);
                    assert!((f64::from(*found) - expected).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn the_bell_adds_up_to_one_away_from_the_edge() {
        for sigma in [0.2, 1.0, 4.0] {
            let g = bell(81, sigma).select(0, 40).sum_all().item().unwrap();
            assert!((g - 1.0).abs() < 1e-6, "{g} at {sigma}");
        }
    }

    #[test]
    fn one_pixel_and_no_pixels_are_fields_too() {
        assert_eq!(smooth(vec![1.0, -1.0], 1, [1, 1], 1e-3), [1.0, -1.0]);
        assert!(smooth(draw([0, 4], &mut Rng::new(1)), 1, [0, 4], 1.0).is_empty());
    }
}
