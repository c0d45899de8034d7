//! Principal components.

use plies_tensor::{DType, Tensor};

/// Rows in the directions in which they differ most.
#[derive(Clone, Debug)]
pub struct Components {
    /// The rows' coordinates [N, K], row-major; each column has the mean 0.
    pub points: Vec<f64>,
    /// The directions [K, D], row-major, each of length 1; the largest number of each is positive.
    pub axes: Vec<f64>,
    /// The share of the variance that lies in each of the K directions, the largest first.
    pub explained: Vec<f64>,
}

/// The `k` principal components of rows [N, D].
///
///   C = (X − x̄)ᵀ (X − x̄) / (N − 1)        C aₖ = λₖ aₖ        points = (X − x̄) A
///
/// C is brought to a diagonal by Jacobi's rotations, in F64: all of its eigenvalues at once, without a start that
/// might be an unlucky one. There are never more components than numbers in a row.
///
/// # Panics
/// When the number of numbers is no multiple of `dim`.
///
/// # Example
/// ```
/// use plies_text::map::pca;
/// let components = pca(&[1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 2, 1);
/// assert!((components.explained[0] - 1.0).abs() < 1e-12);
/// assert!((components.points[2] - 2f64.sqrt()).abs() < 1e-12);
/// ```
///
/// # Source
/// Golub, Van Loan: *Matrix Computations*, 8.5 (cyclic Jacobi).
#[track_caller]
pub fn pca(rows: &[f32], dim: usize, k: usize) -> Components {
    assert!(
        dim > 0 && rows.len().is_multiple_of(dim),
        "pca: {} numbers in rows of {dim}",
        rows.len()
    );
    let (n, k) = (rows.len() / dim, k.min(dim));
    let x = Tensor::from_vec(rows.to_vec(), [n, dim]).to_dtype(DType::F64);
    let centred = &x - &x.mean(&[0], true);
    let product =
        |a: &Tensor, b: &Tensor| a.matmul(b).to_vec::<f64>().expect("the CPU does not fail");
    let mut covariance = product(&centred.t(), &centred);
    covariance.iter_mut().for_each(|c| *c /= n.saturating_sub(1).max(1) as f64);
    let mut vectors = jacobi(&mut covariance, dim);
    let variances: Vec<f64> = (0..dim).map(|i| covariance[i * dim + i].max(0.0)).collect();
    let total = variances.iter().sum::<f64>();
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| variances[b].total_cmp(&variances[a]));
    order.truncate(k);
    let axes: Vec<f64> = order
        .iter()
        .flat_map(|&column| {
            let axis = &mut vectors[column * dim..][..dim];
            let largest =
                axis.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
            axis.iter_mut().for_each(|a| *a *= largest.signum());
            axis.to_vec()
        })
        .collect();
    let a = Tensor::from_vec(axes.clone(), [k, dim]);
    let points = product(&centred, &a.t());
    let explained =
        order.iter().map(|&i| if total > 0.0 { variances[i] / total } else { 0.0 }).collect();
    Components { points, axes, explained }
}

/// Turns a symmetric matrix [D, D] until it is diagonal; its eigenvectors are the rows of what is returned.
fn jacobi(matrix: &mut [f64], d: usize) -> Vec<f64> {
    let mut vectors = vec![0.0; d * d];
    (0..d).for_each(|i| vectors[i * d + i] = 1.0);
    let norm = matrix.iter().map(|c| c * c).sum::<f64>().sqrt();
    for _sweep in 0..60 {
        let beside: f64 =
            (0..d).map(|i| (0..i).map(|j| matrix[i * d + j].powi(2)).sum::<f64>()).sum();
        if beside.sqrt() <= 1e-14 * norm {
            break;
        }
        for p in 0..d {
            for q in p + 1..d {
                let off = matrix[p * d + q];
                if off == 0.0 {
                    continue;
                }
                // The angle that makes (p, q) zero, the smaller of the two.
                let theta = (matrix[q * d + q] - matrix[p * d + p]) / (2.0 * off);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cos = 1.0 / t.hypot(1.0);
                let sin = t * cos;
                for i in 0..d {
                    let (a, b) = (matrix[i * d + p], matrix[i * d + q]);
                    matrix[i * d + p] = cos * a - sin * b;
                    matrix[i * d + q] = sin * a + cos * b;
                }
                rotate(matrix, d, [p, q], [cos, sin]);
                rotate(&mut vectors, d, [p, q], [cos, sin]);
            }
        }
    }
    vectors
}

/// Rows p and q turned towards each other.
fn rotate(matrix: &mut [f64], d: usize, [p, q]: [usize; 2], [cos, sin]: [f64; 2]) {
    let (before, from_q) = matrix.split_at_mut(q * d);
    for (a, b) in before[p * d..][..d].iter_mut().zip(&mut from_q[..d]) {
        (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// numpy 2: `numpy.linalg.eigh(numpy.cov(x.T))` of these five rows.
    #[test]
    fn components_are_numpys() {
        let rows = [2.0, 0.5, -1.0, 0.0, 1.5, 3.0, -1.0, 2.0, 0.25, 4.0, -2.0, 1.0, 1.0, 1.0, 1.0];
        let found = pca(&rows, 3, 3);
        let expected = [0.7433844465005601, 0.24735469832796408, 0.009260855171475787];
        for (ours, theirs) in found.explained.iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-9, "{:?}", found.explained);
        }
    }

    proptest! {
        #[test]
        fn axes_are_orthonormal_and_points_lose_nothing(
            (dim, rows) in (1usize..7).prop_flat_map(|dim| {
                (Just(dim), prop::collection::vec(-10f32..10.0, dim..dim * 9)).prop_map(|(dim, mut rows)| {
                    rows.truncate(rows.len() / dim * dim);
                    (dim, rows)
                })
            })
        ) {
            let found = pca(&rows, dim, dim);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            for i in 0..dim {
                for j in 0..dim {
                    let product = dot(&found.axes[i * dim..][..dim], &found.axes[j * dim..][..dim]);
                    prop_assert!((product - f64::from(u8::from(i == j))).abs() < 1e-9);
                }
            }
            prop_assert!(found.explained.is_sorted_by(|a, b| a >= b));
            let n = rows.len() / dim;
            for column in 0..dim {
                let mean = rows[column..].iter().step_by(dim).map(|&x| f64::from(x)).sum::<f64>() / n as f64;
                for row in 0..n {
                    let again: f64 = (0..dim)
                        .map(|k| found.points[row * dim + k] * found.axes[k * dim + column])
                        .sum();
                    prop_assert!((again + mean - f64::from(rows[row * dim + column])).abs() < 1e-8);
                }
            }
        }
    }
}
