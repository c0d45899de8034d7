//! Batches of matrix products: the matrices of a view, handed to [`gemm`](super::gemm).

use super::gemm::{Batch, GemmElement, MatrixMut, MatrixRef, gemm_batched, gemm_i32};
use super::memory::{Memory, elements};
use crate::backend::{Buffer, View};
use crate::{DType, Element, Layout, Shape};

/// `out[…, M, N] = a[…, M, K] · b[…, K, N]`; returns the dimensions of `out`.
pub(super) fn product(a: View<'_>, b: View<'_>, out: &mut Buffer) -> Shape {
    let rank = a.layout.rank();
    let mut dims = a.layout.shape();
    dims[rank - 1] = b.layout.dims()[rank - 1];
    if out.is_empty() {
        return dims;
    }
    match out.dtype() {
        DType::F32 => float::<f32>(&a, &b, out),
        DType::F64 => float::<f64>(&a, &b, out),
        DType::I32 => integer(&a, &b, out),
    }
    dims
}

fn float<T: GemmElement + Element>(a: &View<'_>, b: &View<'_>, out: &mut Buffer) {
    let out: &mut [T] = out.memory_mut::<Memory>().as_slice_mut();
    if a.layout.rank() == 2 {
        let starts = [a.layout.offset(), b.layout.offset()];
        let (a, b) = (batch(a, &starts[..1]), batch(b, &starts[1..]));
        return gemm_batched(a, b, out, false);
    }
    let (starts_a, starts_b) = (starts(a.layout), starts(b.layout));
    gemm_batched(batch(a, &starts_a), batch(b, &starts_b), out, false);
}

fn integer(a: &View<'_>, b: &View<'_>, out: &mut Buffer) {
    let out: &mut [i32] = out.memory_mut::<Memory>().as_slice_mut();
    let (starts_a, starts_b) = (starts(a.layout), starts(b.layout));
    let (a, b) = (batch::<i32>(a, &starts_a), batch::<i32>(b, &starts_b));
    let [m, n] = [a.dims[0], b.dims[1]];
    for (i, c) in out.chunks_exact_mut(m * n).enumerate() {
        let a = MatrixRef::new(a.data, a.starts[i], a.dims, a.strides);
        let b = MatrixRef::new(b.data, b.starts[i], b.dims, b.strides);
        gemm_i32(a, b, MatrixMut::new(c, [m, n], n));
    }
}

/// Where each matrix of a batch begins in its buffer. An operand without elements (K = 0) is never
/// read, but its matrices are counted.
fn starts(layout: &Layout) -> Vec<usize> {
    let rank = layout.rank();
    if layout.elem_count() == 0 {
        return vec![layout.offset(); layout.dims()[..rank - 2].iter().product()];
    }
    layout.select(-1, 0).select(-1, 0).indices().collect()
}

fn batch<'a, T: Element>(view: &View<'a>, starts: &'a [usize]) -> Batch<'a, T> {
    let (dims, strides) = (view.layout.dims(), view.layout.strides());
    let rank = dims.len();
    Batch {
        data: elements(view),
        starts,
        dims: [dims[rank - 2], dims[rank - 1]],
        strides: [strides[rank - 2], strides[rank - 1]],
    }
}
