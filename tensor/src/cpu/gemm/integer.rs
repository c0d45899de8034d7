//! The product of integers, which wraps around as integer arithmetic does everywhere in plies. It
//! serves counts and masks; nobody waits for it, so it is the plain loop.

use super::{MatrixMut, MatrixRef};

/// C = A · B modulo 2³².
///
/// # Shapes
/// a \[m, k\], b \[k, n\], c \[m, n\]
#[track_caller]
pub(crate) fn gemm_i32(a: MatrixRef<'_, i32>, b: MatrixRef<'_, i32>, mut c: MatrixMut<'_, i32>) {
    assert!(a.cols == b.rows && a.rows == c.rows && b.cols == c.cols, "matmul: shapes differ");
    c.fill(0);
    for i in 0..a.rows {
        for p in 0..a.cols {
            for j in 0..b.cols {
                // SAFETY: (i, p), (p, j) and (i, j) lie inside the three views.
                unsafe {
                    let to = c.at(i, j);
                    *to = (*a.at(i, p)).wrapping_mul(*b.at(p, j)).wrapping_add(*to);
                }
            }
        }
    }
}
