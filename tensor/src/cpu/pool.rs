//! The largest element of each window of a plane, and where it stands.
//!
//! y\[i, j\] = max over (k, l) of x\[stride·i + k - padding, stride·j + l - padding\], inside x
//!
//! The loops run along a row of results, or along the whole plane where windows lie side by side,
//! so that each step is a vector.

use super::isa::{Loop, vectorised};
use super::memory::elements;
use super::parallel::{Slots, for_each_range};
use super::primitive::Primitive;
use crate::backend::{View, Windows};

/// Elements of the input that are worth another thread.
const GRAIN: usize = 1 << 16;

pub(super) fn max_pool<T: Primitive + PartialOrd>(
    input: View<'_>,
    windows: Windows,
    values: &mut [T],
    positions: &mut [i32],
) {
    let rank = input.layout.rank();
    let plane = [input.layout.dims()[rank - 2], input.layout.dims()[rank - 1]];
    let n_in = plane[0] * plane[1];
    let n_out = windows.count[0] * windows.count[1];
    let data = &elements::<T>(&input)[input.layout.offset()..][..input.layout.elem_count()];
    let (values, positions) = (Slots::new(values), Slots::new(positions));
    for_each_range(data.len() / n_in, GRAIN.div_ceil(n_in), |range| {
        // SAFETY: ranges of planes are disjoint.
        let (values, positions) = unsafe {
            let out = range.start * n_out..range.end * n_out;
            (values.slice(out.clone()), positions.slice(out))
        };
        let data = &data[range.start * n_in..range.end * n_in];
        vectorised(Planes { data, plane, windows, values, positions });
    });
}

struct Planes<'a, T> {
    data: &'a [T],
    plane: [usize; 2],
    windows: Windows,
    values: &'a mut [T],
    positions: &'a mut [i32],
}

impl<T: Primitive + PartialOrd> Loop for Planes<'_, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Planes { data, plane: [h, w], windows, values, positions } = self;
        let [oh, ow] = windows.count;
        let Windows { size, stride, padding, .. } = windows;
        let halves = size == [2, 2] && stride == size && padding == [0, 0] && w == 2 * ow;
        let mut columns = (vec![T::default(); oh * w], vec![0i32; oh * w]);
        let planes = data.chunks_exact(h * w).zip(values.chunks_exact_mut(oh * ow));
        for ((x, y), at) in planes.zip(positions.chunks_exact_mut(oh * ow)) {
            if halves {
                columns_of_two(x, w, &mut columns.0, &mut columns.1);
                neighbours(&columns.0, &columns.1, y, at);
                continue;
            }
            for (i, (y, at)) in y.chunks_exact_mut(ow).zip(at.chunks_exact_mut(ow)).enumerate() {
                at.fill(-1);
                for k in 0..size[0] {
                    let Some(row) = (stride[0] * i + k).checked_sub(padding[0]) else { continue };
                    if row >= h {
                        continue;
                    }
                    let first = row * w;
                    for l in 0..size[1] {
                        // The windows whose element l is inside the row.
                        let start = padding[1].saturating_sub(l).div_ceil(stride[1]).min(ow);
                        let end = (w + padding[1]).saturating_sub(l).div_ceil(stride[1]).min(ow);
                        if start >= end {
                            continue;
                        }
                        let from = start * stride[1] + l - padding[1];
                        let x = &x[first + from..first + w];
                        let (y, at) = (&mut y[start..end], &mut at[start..end]);
                        along(x, stride[1], (first + from) as i32, y, at);
                    }
                }
            }
        }
    }
}

/// Whether b, which stands behind a, takes its place: the first of equals stays, and the first NaN.
#[inline(always)]
fn replaces<T: PartialOrd>(b: T, a: T) -> bool {
    #[allow(clippy::eq_op)]
    let a_is_number = a == a;
    #[allow(clippy::neg_cmp_op_on_partial_ord)]
    let b_is_more = !(b <= a);
    b_is_more & a_is_number
}

/// One element of each window of a row.
#[inline(always)]
fn along<T: Primitive + PartialOrd>(
    x: &[T],
    stride: usize,
    first: i32,
    y: &mut [T],
    at: &mut [i32],
) {
    for (j, (y, at)) in y.iter_mut().zip(at).enumerate() {
        let x = x[j * stride];
        let replace = replaces(x, *y) | (*at < 0);
        *y = if replace { x } else { *y };
        *at = if replace { first + (j * stride) as i32 } else { *at };
    }
}

/// Lanes of the loops over columns.
const LANES: usize = 8;

/// The larger of two elements one below the other, for windows of two rows side by side.
#[inline(always)]
fn columns_of_two<T: Primitive + PartialOrd>(x: &[T], w: usize, y: &mut [T], at: &mut [i32]) {
    let rows = x.chunks_exact(2 * w).zip(y.chunks_exact_mut(w)).zip(at.chunks_exact_mut(w));
    for (i, ((x, y), at)) in rows.enumerate() {
        let (above, below) = x.split_at(w);
        let first = (2 * i * w) as i32;
        let mut step = |j: usize| {
            let (a, b) = (above[j], below[j]);
            let replace = replaces(b, a);
            y[j] = if replace { b } else { a };
            at[j] = first + j as i32 + if replace { w as i32 } else { 0 };
        };
        let whole = w / LANES * LANES;
        for j in (0..whole).step_by(LANES) {
            for lane in 0..LANES {
                step(j + lane);
            }
        }
        for j in whole..w {
            step(j);
        }
    }
}

/// The larger of two neighbours that are each the larger of a column. Of equal ones that which
/// stands first in the plane.
#[inline(always)]
fn neighbours<T: Primitive + PartialOrd>(x: &[T], from: &[i32], y: &mut [T], at: &mut [i32]) {
    let pairs = x.as_chunks::<2>().0.iter().zip(from.as_chunks::<2>().0);
    for ((&[a, b], &[at_a, at_b]), (y, at)) in pairs.zip(y.iter_mut().zip(at)) {
        let as_large = !(replaces(a, b) | replaces(b, a));
        let replace = replaces(b, a) | (as_large & (at_b < at_a));
        *y = if replace { b } else { a };
        *at = if replace { at_b } else { at_a };
    }
}
