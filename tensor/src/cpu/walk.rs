//! The elements of a view, or of some rows of a matrix, in the order that formulas run over them.

use super::prefetch;
use crate::shape::Strides;
use crate::{Layout, MAX_RANK, Shape};

/// The order in which a view's elements are visited: row-major, with neighbouring axes merged where
/// the layout allows it, so that a contiguous tensor of any rank is one long axis.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    shape: Shape,
    strides: Strides,
    offset: usize,
}

impl Walk {
    pub(super) fn new(layout: &Layout) -> Walk {
        let mut shape = Shape::SCALAR;
        let mut strides = [0isize; MAX_RANK];
        for (&dim, &stride) in layout.dims().iter().zip(layout.strides()) {
            if dim == 1 {
                continue;
            }
            match shape.len().checked_sub(1) {
                Some(last) if strides[last] == stride * dim as isize => {
                    shape[last] *= dim;
                    strides[last] = stride;
                }
                _ => {
                    strides[shape.len()] = stride;
                    shape.push(dim);
                }
            }
        }
        Walk { shape, strides, offset: layout.offset() }
    }

    /// Whether every `row` elements the same ones come again.
    pub(super) fn repeats(&self, row: usize) -> bool {
        matches!(self.shape[..], [_, last] if last == row) && self.strides[0] == 0
    }

    /// Calls `run(place, buffer index, stride, length)` on the constant-stride runs that make up
    /// the elements `start..start + len`; `place` counts from 0.
    pub(super) fn runs(
        &self,
        start: usize,
        len: usize,
        mut run: impl FnMut(usize, isize, isize, usize),
    ) {
        let rank = self.shape.len();
        if rank == 0 {
            run(0, self.offset as isize, 0, len);
            return;
        }
        let inner = rank - 1;
        let mut position = [0usize; MAX_RANK];
        let mut index = self.offset as isize;
        let mut rest = start;
        for axis in (0..rank).rev() {
            position[axis] = rest % self.shape[axis];
            rest /= self.shape[axis];
            index += position[axis] as isize * self.strides[axis];
        }
        let mut done = 0;
        while done < len {
            let count = (self.shape[inner] - position[inner]).min(len - done);
            run(done, index, self.strides[inner], count);
            done += count;
            // On to the next row.
            index -= position[inner] as isize * self.strides[inner];
            position[inner] = 0;
            for axis in (0..inner).rev() {
                position[axis] += 1;
                index += self.strides[axis];
                if position[axis] < self.shape[axis] {
                    break;
                }
                index -= self.strides[axis] * self.shape[axis] as isize;
                position[axis] = 0;
            }
        }
    }
}

/// Copies the elements `start..start + n` of a walk to `out`.
///
/// # Safety
/// The walk stays inside `data`; `out` has room for `n` elements.
pub(super) unsafe fn gather<T: Copy>(
    data: *const T,
    walk: &Walk,
    start: usize,
    out: *mut T,
    n: usize,
) {
    walk.runs(start, n, |place, index, stride, count| {
        // SAFETY: the caller's promise; `place + count` is at most `n`.
        unsafe {
            let (from, out) = (data.offset(index), out.add(place));
            match stride {
                1 => from.copy_to_nonoverlapping(out, count),
                0 => std::slice::from_raw_parts_mut(out, count).fill(*from),
                _ => {
                    for i in 0..count {
                        *out.add(i) = *from.offset(i as isize * stride);
                    }
                }
            }
        }
    });
}

/// Writes `values` to the elements `start..start + n` of a walk.
///
/// # Safety
/// The walk stays inside `data`, which nobody else uses meanwhile; there are `n` values.
pub(super) unsafe fn scatter<T: Copy>(
    data: *mut T,
    walk: &Walk,
    start: usize,
    values: *const T,
    n: usize,
) {
    walk.runs(start, n, |place, index, stride, count| {
        // SAFETY: the caller's promise; `place + count` is at most `n`.
        unsafe {
            let (to, values) = (data.offset(index), values.add(place));
            match stride {
                1 => values.copy_to_nonoverlapping(to, count),
                _ => {
                    for i in 0..count {
                        *to.offset(i as isize * stride) = *values.add(i);
                    }
                }
            }
        }
    });
}

/// Some rows of a row-major matrix.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    numbers: &'a [usize],
    width: usize,
}

impl<'a> Rows<'a> {
    /// # Panics
    /// When the numbers do not ascend: threads write different rows.
    pub(super) fn new(numbers: &'a [usize], width: usize) -> Self {
        assert!(width > 0 && numbers.is_sorted_by(|a, b| a < b));
        Rows { numbers, width }
    }

    pub(super) fn elem_count(&self) -> usize {
        self.numbers.len() * self.width
    }

    /// Panics unless all rows lie among the first `len` elements.
    pub(super) fn assert_inside(&self, len: usize) {
        let height = len / self.width;
        assert!(self.numbers.last().is_none_or(|&last| last < height));
    }

    /// Calls `run(place, index, length)` on the runs of consecutive elements that make up the elements
    /// `start..start + len` of these rows.
    fn runs(&self, start: usize, len: usize, mut run: impl FnMut(usize, usize, usize)) {
        let (mut done, mut column) = (0, start % self.width);
        for &number in &self.numbers[start / self.width..] {
            if done >= len {
                break;
            }
            let count = (self.width - column).min(len - done);
            run(done, number * self.width + column, count);
            (done, column) = (done + count, 0);
        }
    }

    /// Copies the elements `start..start + n` of these rows to `out`.
    ///
    /// # Safety
    /// The rows lie inside `data`; `out` has room for `n` elements.
    pub(super) unsafe fn gather<T: Copy>(
        &self,
        data: *const T,
        start: usize,
        out: *mut T,
        n: usize,
    ) {
        // Rows far apart are not foreseen by the processor: those of the next block are asked for.
        let next = (start + n).min(self.elem_count());
        self.runs(next, n.min(self.elem_count() - next), |_, index, count| {
            prefetch::lines(data.wrapping_add(index), count);
        });
        self.runs(start, n, |place, index, count| {
            // SAFETY: the caller's promise; `place + count` is at most `n`.
            unsafe { data.add(index).copy_to_nonoverlapping(out.add(place), count) };
        });
    }

    /// Writes `values` to the elements `start..start + n` of these rows.
    ///
    /// # Safety
    /// The rows lie inside `data`, which nobody else uses meanwhile; there are `n` values.
    pub(super) unsafe fn scatter<T: Copy>(
        &self,
        data: *mut T,
        start: usize,
        values: *const T,
        n: usize,
    ) {
        self.runs(start, n, |place, index, count| {
            // SAFETY: the caller's promise; `place + count` is at most `n`.
            unsafe { values.add(place).copy_to_nonoverlapping(data.add(index), count) };
        });
    }

    /// The elements `start..start + n` of the whole matrix, of which `data` has these rows one after
    /// another and all others are 0.
    ///
    /// # Safety
    /// `data` has all of these rows; `out` has room for `n` elements.
    pub(super) unsafe fn spread<T: Copy + Default>(
        &self,
        data: *const T,
        start: usize,
        out: *mut T,
        n: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(out, n) }.fill(T::default());
        let first = self.numbers.partition_point(|&number| (number + 1) * self.width <= start);
        for (i, &number) in self.numbers.iter().enumerate().skip(first) {
            let row = number * self.width;
            if row >= start + n {
                break;
            }
            let (from, to) = (row.max(start), (row + self.width).min(start + n));
            // SAFETY: `from..to` is in row `i` of the data and in `start..start + n`.
            unsafe {
                let data = data.add(i * self.width + from - row);
                data.copy_to_nonoverlapping(out.add(from - start), to - from);
            }
        }
    }
}
