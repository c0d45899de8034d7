//! Batches of matrix products on the CPU: the matrices of a view, one [`gemm`](super::gemm) each.

use super::memory::{Memory, elements};
use crate::backend::{Buffer, View};
use crate::{DType, Element, Layout, Shape};

/// `out[…, M, N] = a[…, M, K] · b[…, K, N]`; returns the dimensions of `out`.
pub(super) fn product(a: View<'_>, b: View<'_>, out: &mut Buffer) -> Shape {
    let rank = a.layout.rank();
    let mut dims = a.layout.shape();
    dims[rank - 1] = b.layout.dims()[rank - 1];
    match out.dtype() {
        DType::F32 => batches::<f32>(a, b, out.memory_mut::<Memory>().as_slice_mut(), dims),
        DType::F64 => batches::<f64>(a, b, out.memory_mut::<Memory>().as_slice_mut(), dims),
        DType::I32 => batches::<i32>(a, b, out.memory_mut::<Memory>().as_slice_mut(), dims),
    }
    dims
}

trait Product: Element {
    fn zero_add_mul(acc: Self, x: Self, y: Self) -> Self;
}
impl Product for f32 {
    fn zero_add_mul(acc: Self, x: Self, y: Self) -> Self {
        acc + x * y
    }
}
impl Product for f64 {
    fn zero_add_mul(acc: Self, x: Self, y: Self) -> Self {
        acc + x * y
    }
}
impl Product for i32 {
    fn zero_add_mul(acc: Self, x: Self, y: Self) -> Self {
        acc.wrapping_add(x.wrapping_mul(y))
    }
}

fn batches<T: Product>(a: View<'_>, b: View<'_>, out: &mut [T], dims: Shape) {
    let rank = dims.len();
    let (m, n, k) = (dims[rank - 2], dims[rank - 1], a.layout.dims()[rank - 1]);
    let (x, y): (&[T], &[T]) = (elements(&a), elements(&b));
    let leading = |l: &Layout| {
        if l.elem_count() == 0 {
            return *l;
        }
        l.select(-1, 0).select(-1, 0)
    };
    out.fill(T::default());
    if k == 0 {
        return;
    }
    let (sa, sb) = (a.layout.strides(), b.layout.strides());
    let starts = leading(&a.layout).indices().zip(leading(&b.layout).indices());
    for ((pa, pb), c) in starts.zip(out.chunks_exact_mut(m * n)) {
        for i in 0..m {
            for l in 0..k {
                let xv = x[(pa as isize + i as isize * sa[rank - 2] + l as isize * sa[rank - 1])
                    as usize];
                for j in 0..n {
                    let yv = y[(pb as isize + l as isize * sb[rank - 2] + j as isize * sb[rank - 1])
                        as usize];
                    c[i * n + j] = T::zero_add_mul(c[i * n + j], xv, yv);
                }
            }
        }
    }
}
