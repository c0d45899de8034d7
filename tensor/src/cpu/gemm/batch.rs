//! Many products of one shape.

use super::{GemmElement, MatrixMut, MatrixRef, gemm, gemm_serial, plan};
use crate::cpu::parallel::{Slots, for_each_range};

/// The matrices of one operand: all `dims`, with `strides`, each from its own start on.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) starts: &'a [usize],
    pub(crate) dims: [usize; 2],
    pub(crate) strides: [isize; 2],
}

impl<'a, T> Batch<'a, T> {
    fn matrix(&self, i: usize) -> MatrixRef<'a, T> {
        MatrixRef::new(self.data, self.starts[i], self.dims, self.strides)
    }

    /// All matrices one below the other as a single one, if that is how they lie.
    fn stacked(&self) -> Option<MatrixRef<'a, T>> {
        let height = self.dims[0] as isize * self.strides[0];
        let follows = |pair: &[usize]| pair[1] as isize - pair[0] as isize == height;
        let rows = self.dims[0] * self.starts.len();
        self.starts
            .windows(2)
            .all(follows)
            .then(|| MatrixRef::new(self.data, self.starts[0], [rows, self.dims[1]], self.strides))
    }
}

/// Cᵢ = Aᵢ · Bᵢ for each i, or Cᵢ += Aᵢ · Bᵢ.
///
/// When all share one B (a batch of sequences times a weight) and the Aᵢ lie one below the other,
/// this is one product; when there are many, each thread takes some of them.
///
/// # Shapes
/// a \[m, k\] each, b \[k, n\] each, c \[batch, m, n\] without gaps
#[track_caller]
pub(crate) fn gemm_batched<T: GemmElement>(
    a: Batch<'_, T>,
    b: Batch<'_, T>,
    c: &mut [T],
    accumulate: bool,
) {
    let (batch, [m, k], n) = (a.starts.len(), a.dims, b.dims[1]);
    assert_eq!(batch, b.starts.len(), "matmul: batches differ");
    assert_eq!(c.len(), batch * m * n, "matmul: result of {batch} x [{m}, {n}]");
    if c.is_empty() {
        return;
    }
    if b.starts.iter().all(|&start| start == b.starts[0])
        && let Some(a) = a.stacked()
    {
        return gemm(a, b.matrix(0), MatrixMut::new(c, [batch * m, n], n), accumulate);
    }
    let threads = plan::worthwhile_threads(2 * m * k * n * batch, crate::threads()).min(batch);
    if threads == 1 || batch < 2 * threads {
        for (i, c) in c.chunks_exact_mut(m * n).enumerate() {
            gemm(a.matrix(i), b.matrix(i), MatrixMut::new(c, [m, n], n), accumulate);
        }
    } else {
        let c = Slots::new(c);
        for_each_range(batch, batch.div_ceil(threads), |range| {
            for i in range {
                // SAFETY: product i is computed by one thread.
                let c = unsafe { c.slice(i * m * n..(i + 1) * m * n) };
                gemm_serial(a.matrix(i), b.matrix(i), MatrixMut::new(c, [m, n], n), accumulate);
            }
        });
    }
}
