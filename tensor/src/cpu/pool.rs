//! The largest element of each window of a plane, and where it stands.
//!
//! y\[i, j\] = max over (k, l) of x\[stride·i + k - padding, stride·j + l - padding\], inside x
//!
//! First the largest of each column of a row of windows, then the largest of neighbouring columns:
//! both loops run along rows, so that each step is a vector.

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
        // The largest of each column of the windows in a row of them; the last step may look a
        // stride beyond.
        let mut columns = Largest::new(oh * w + stride[1]);
        // Side by side, the windows of a plane are one long row of them.
        let is_flat = size[1] == stride[1] && padding[1] == 0 && w == stride[1] * ow;
        let (n_rows, w_row, n) = if is_flat { (1, oh * w, oh * ow) } else { (oh, w, ow) };
        let planes = data.chunks_exact(h * w).zip(values.chunks_exact_mut(oh * ow));
        for ((x, y), at) in planes.zip(positions.chunks_exact_mut(oh * ow)) {
            for i in 0..oh {
                let start = (stride[0] * i).saturating_sub(padding[0]);
                let end = (stride[0] * i + size[0] - padding[0]).min(h);
                let (y, at) = columns.row(i * w, w);
                let row = |row: usize| &x[row * w..][..w];
                first_two(row(start), row((start + 1).min(end - 1)), start * w, y, at);
                for k in start + 2..end {
                    below(row(k), k * w, y, at);
                }
            }
            at.fill(-1);
            for i in 0..n_rows {
                for l in 0..size[1].min(w_row + padding[1]) {
                    // The windows whose column l is inside the row.
                    let start = padding[1].saturating_sub(l).div_ceil(stride[1]).min(n);
                    let end = (w_row + padding[1]).saturating_sub(l).div_ceil(stride[1]).min(n);
                    if start >= end {
                        continue;
                    }
                    let from = i * w + start * stride[1] + l - padding[1];
                    let (x, p) = columns.row(from, (end - start) * stride[1]);
                    let out = i * n + start..i * n + end;
                    let (y, at) = (&mut y[out.clone()], &mut at[out]);
                    match stride[1] {
                        1 => beside::<T, 1>(x, p, y, at),
                        2 => beside::<T, 2>(x, p, y, at),
                        3 => beside::<T, 3>(x, p, y, at),
                        stride => beside_apart(x, p, stride, y, at),
                    }
                }
            }
        }
    }
}

/// Elements and their positions in the plane.
struct Largest<T> {
    values: Vec<T>,
    positions: Vec<i32>,
}

impl<T: Primitive> Largest<T> {
    fn new(n: usize) -> Self {
        Largest { values: vec![T::default(); n], positions: vec![0; n] }
    }

    #[inline(always)]
    fn row(&mut self, start: usize, len: usize) -> (&mut [T], &mut [i32]) {
        let range = start..start + len;
        (&mut self.values[range.clone()], &mut self.positions[range])
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

/// The first two rows of windows, which may be the same one.
#[inline(always)]
fn first_two<T: Primitive + PartialOrd>(
    above: &[T],
    below: &[T],
    first: usize,
    y: &mut [T],
    at: &mut [i32],
) {
    let (first, w) = (first as i32, above.len() as i32);
    for (j, (((&a, &b), y), at)) in above.iter().zip(below).zip(y).zip(at).enumerate() {
        let replace = replaces(b, a);
        *y = if replace { b } else { a };
        *at = first + j as i32 + if replace { w } else { 0 };
    }
}

/// The next row of windows: x\[j\] stands at `first` + j.
#[inline(always)]
fn below<T: Primitive + PartialOrd>(x: &[T], first: usize, y: &mut [T], at: &mut [i32]) {
    let first = first as i32;
    for (j, ((&x, y), at)) in x.iter().zip(y).zip(at).enumerate() {
        let replace = replaces(x, *y);
        *y = if replace { x } else { *y };
        *at = if replace { first + j as i32 } else { *at };
    }
}

/// The next column of windows, or the first where there is none yet. Of equal elements that which
/// stands first in the plane stays.
#[inline(always)]
fn choose<T: PartialOrd + Copy>(x: T, position: i32, y: &mut T, at: &mut i32) {
    let as_large = !(replaces(*y, x) | replaces(x, *y));
    let replace = replaces(x, *y) | (as_large & (position < *at)) | (*at < 0);
    *y = if replace { x } else { *y };
    *at = if replace { position } else { *at };
}

/// [`choose`] for every `STRIDE`-th element.
#[inline(always)]
fn beside<T: Primitive + PartialOrd, const STRIDE: usize>(
    x: &[T],
    positions: &[i32],
    y: &mut [T],
    at: &mut [i32],
) {
    let columns = x.as_chunks::<STRIDE>().0.iter().zip(positions.as_chunks::<STRIDE>().0);
    for ((x, position), (y, at)) in columns.zip(y.iter_mut().zip(at)) {
        choose(x[0], position[0], y, at);
    }
}

/// The same for any stride.
#[inline(always)]
fn beside_apart<T: Primitive + PartialOrd>(
    x: &[T],
    positions: &[i32],
    stride: usize,
    y: &mut [T],
    at: &mut [i32],
) {
    for (j, (y, at)) in y.iter_mut().zip(at).enumerate() {
        choose(x[j * stride], positions[j * stride], y, at);
    }
}
