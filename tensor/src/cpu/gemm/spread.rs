//! A product handed out to where its elements belong: transposed, among the images of a batch, or
//! added up where windows overlap.
//!
//! to\[rows.offset(i) + columns.offset(j)\] (+)= product\[i, j\]

use super::GemmElement;
use super::block::DEPTH;
use super::groups::Axes;
use super::vector::{Job, Vector};

/// The rows `first..first + n_rows` of a product and the columns from `first_col` on, all in
/// `product`, and their places.
pub(crate) struct Spread<'a, T> {
    pub(crate) product: &'a [T],
    pub(crate) to: *mut T,
    pub(crate) rows: &'a Axes,
    pub(crate) cols: &'a Axes,
    pub(crate) first: [usize; 2],
    pub(crate) dims: [usize; 2],
    pub(crate) add: bool,
}

impl<T: GemmElement> Job<T> for Spread<'_, T> {
    /// # Safety
    /// The CPU has the instruction set of `V`; every place that the axes name is valid and nobody
    /// else's.
    #[inline(always)]
    unsafe fn run<V: Vector<Element = T>>(self) {
        let Spread { product, to, rows, cols, first, dims: [m, n], add } = self;
        assert!(product.len() >= m * n);
        // Rows that follow each other are neighbours inside a window and hit the same elements one
        // place further on, before the last store is through. Rows of other channels go in between.
        let window = rows.inner_len();
        let inner = if m.is_multiple_of(window) { window } else { 1 };
        let (col_stride, _) = cols.run();
        let mut offsets = [0isize; DEPTH];
        for i in 0..inner {
            let count = (m - i).div_ceil(inner);
            for start in (0..count).step_by(DEPTH) {
                let offsets = &mut offsets[..DEPTH.min(count - start)];
                if inner == 1 {
                    rows.offsets(first[0] + start, offsets);
                } else {
                    rows.outer_offsets(first[0] + i + start * inner, offsets);
                }
                let row = i + start * inner;
                for (place, offset, run) in cols.runs(first[1], n) {
                    // SAFETY: the caller vouches for the places; the product has `n` elements a row.
                    unsafe {
                        let mut from = product.as_ptr().add(row * n + place);
                        let to = to.offset(offset);
                        if col_stride == 1 {
                            for &row in &*offsets {
                                put::<V>(from, run, to.offset(row), add);
                                from = from.wrapping_add(inner * n);
                            }
                        } else {
                            for &row in &*offsets {
                                put_apart::<V>(from, run, to.offset(row), col_stride, add);
                                from = from.wrapping_add(inner * n);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One row of results side by side.
///
/// What a whole register doesn't fit goes by halves, quarters and so on, not under a mask: what was
/// stored under a mask can't be loaded before it is in the cache, and the next window loads it.
#[inline(always)]
unsafe fn put<V: Vector>(from: *const V::Element, run: usize, to: *mut V::Element, add: bool) {
    // SAFETY: the caller vouches for `run` elements of both.
    unsafe {
        let mut c = 0;
        while c + V::LANES <= run {
            let x = V::load(from.add(c));
            let x = if add { V::load(to.add(c)).add(x) } else { x };
            x.store(to.add(c));
            c += V::LANES;
        }
        if run & 8 != 0 && V::LANES > 8 {
            put_few::<V::Element, 8>(from.add(c), to.add(c), add);
            c += 8;
        }
        if run & 4 != 0 && V::LANES > 4 {
            put_few::<V::Element, 4>(from.add(c), to.add(c), add);
            c += 4;
        }
        if run & 2 != 0 && V::LANES > 2 {
            put_few::<V::Element, 2>(from.add(c), to.add(c), add);
            c += 2;
        }
        if run & 1 != 0 {
            put_few::<V::Element, 1>(from.add(c), to.add(c), add);
        }
    }
}

/// Part of a register: a shorter one, since all elements are read before any is written.
#[inline(always)]
unsafe fn put_few<T: GemmElement, const N: usize>(from: *const T, to: *mut T, add: bool) {
    // SAFETY: the caller vouches for `N` elements of both.
    unsafe {
        let (x, to) = (from.cast::<[T; N]>().read(), to.cast::<[T; N]>());
        let old = if add { to.read() } else { x };
        to.write(std::array::from_fn(|i| if add { old[i] + x[i] } else { x[i] }));
    }
}

/// One row of results that lie apart.
#[inline(always)]
unsafe fn put_apart<V: Vector>(
    from: *const V::Element,
    run: usize,
    to: *mut V::Element,
    stride: isize,
    add: bool,
) {
    for c in 0..run {
        // SAFETY: the caller vouches for `run` elements of both.
        unsafe {
            let to = to.offset(c as isize * stride);
            *to = if add { *to + *from.add(c) } else { *from.add(c) };
        }
    }
}
