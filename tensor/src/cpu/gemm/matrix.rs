//! The operands: strided views of slices, checked once when they are made.

use std::marker::PhantomData;

/// A matrix to read: element (i, j) is `data[offset + i · row_stride + j · col_stride]`.
///
/// Strides count elements and may be negative (flipped), zero (broadcast) or in any order
/// (transposed): what a view costs is decided later, by how it is packed.
#[derive(Clone, Copy)]
pub(crate) struct MatrixRef<'a, T> {
    pub(super) start: *const T,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: isize,
    pub(super) col_stride: isize,
    lifetime: PhantomData<&'a [T]>,
}

// SAFETY: a shared view, like the `&[T]` it was made from.
unsafe impl<T: Sync> Send for MatrixRef<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for MatrixRef<'_, T> {}

impl<'a, T> MatrixRef<'a, T> {
    /// A view of `data`, with element (0, 0) at `offset`.
    ///
    /// # Panics
    /// If any element of the view lies outside `data`.
    #[track_caller]
    pub(crate) fn new(
        data: &'a [T],
        offset: usize,
        [rows, cols]: [usize; 2],
        [row_stride, col_stride]: [isize; 2],
    ) -> Self {
        check_bounds(data.len(), offset, [rows, cols], [row_stride, col_stride]);
        // An empty view may start one past the end; it is never read.
        let start = data.as_ptr().wrapping_add(offset);
        let view = MatrixRef { start, rows, cols, row_stride, col_stride, lifetime: PhantomData };
        view.with_canonical_strides()
    }

    /// A part of a view that was checked when it was made.
    #[inline(always)]
    pub(super) fn part(
        start: *const T,
        [rows, cols]: [usize; 2],
        [row_stride, col_stride]: [isize; 2],
    ) -> Self {
        MatrixRef { start, rows, cols, row_stride, col_stride, lifetime: PhantomData }
    }

    /// The stride of an axis of length one is never used; calling it 1 lets such a view pass for
    /// contiguous.
    fn with_canonical_strides(mut self) -> Self {
        if self.cols <= 1 {
            self.col_stride = 1;
        }
        if self.rows <= 1 && self.col_stride != 1 {
            self.row_stride = 1;
        }
        self
    }

    pub(super) fn t(self) -> Self {
        MatrixRef {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Where element (i, j) lies; it may only be read if i < rows and j < cols.
    #[inline(always)]
    pub(super) fn at(&self, i: usize, j: usize) -> *const T {
        self.start.wrapping_offset(i as isize * self.row_stride + j as isize * self.col_stride)
    }

    /// The `rows` x `cols` block whose first element is (i, j).
    #[inline(always)]
    pub(super) fn block(&self, [i, j]: [usize; 2], [rows, cols]: [usize; 2]) -> Self {
        assert!(i + rows <= self.rows && j + cols <= self.cols);
        MatrixRef { start: self.at(i, j), rows, cols, ..*self }
    }
}

/// A matrix to write, with the elements of a row side by side, or those of a column once it has been
/// transposed.
pub(crate) struct MatrixMut<'a, T> {
    pub(super) start: *mut T,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: isize,
    pub(super) col_stride: isize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: an exclusive view, like the `&mut [T]` it was made from: two views of one matrix that
// exist at the same time share no element, for which the callers of `part` and `from_raw` vouch.
unsafe impl<T: Send> Send for MatrixMut<'_, T> {}
// SAFETY: a shared view gives addresses and parts, and who asks for a part vouches for it.
unsafe impl<T: Send> Sync for MatrixMut<'_, T> {}

impl<'a, T> MatrixMut<'a, T> {
    /// A view of `data`, with element (0, 0) at its beginning and rows `row_stride` apart.
    ///
    /// # Panics
    /// If any element lies outside `data`, or if rows overlap.
    #[track_caller]
    pub(crate) fn new(data: &'a mut [T], [rows, cols]: [usize; 2], row_stride: usize) -> Self {
        check_bounds(data.len(), 0, [rows, cols], [row_stride as isize, 1]);
        assert!(rows <= 1 || row_stride >= cols, "rows of the result overlap");
        MatrixMut {
            start: data.as_mut_ptr(),
            rows,
            cols,
            row_stride: row_stride as isize,
            col_stride: 1,
            lifetime: PhantomData,
        }
    }

    /// A view of the elements from `start` on, with rows `row_stride` apart.
    ///
    /// # Safety
    /// They exist, and nobody else uses them while the view lives.
    pub(crate) unsafe fn from_raw(
        start: *mut T,
        [rows, cols]: [usize; 2],
        row_stride: isize,
    ) -> Self {
        MatrixMut { start, rows, cols, row_stride, col_stride: 1, lifetime: PhantomData }
    }

    pub(super) fn t(self) -> Self {
        MatrixMut {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    #[inline(always)]
    pub(super) fn at(&self, i: usize, j: usize) -> *mut T {
        self.start.wrapping_offset(i as isize * self.row_stride + j as isize * self.col_stride)
    }

    /// The `rows` x `cols` block whose first element is (i, j).
    ///
    /// # Safety
    /// Nobody else uses the block while it lives.
    pub(super) unsafe fn part(&self, [i, j]: [usize; 2], [rows, cols]: [usize; 2]) -> Self {
        assert!(i + rows <= self.rows && j + cols <= self.cols);
        MatrixMut { start: self.at(i, j), rows, cols, ..*self }
    }

    /// Sets every element, as an empty sum does.
    pub(super) fn fill(&mut self, value: T)
    where
        T: Copy,
    {
        for i in 0..self.rows {
            for j in 0..self.cols {
                // SAFETY: (i, j) lies inside the view, which was checked when it was made.
                unsafe { *self.at(i, j) = value };
            }
        }
    }
}

/// Checks the smallest and the largest index that a view reaches.
#[track_caller]
fn check_bounds(len: usize, offset: usize, dims: [usize; 2], strides: [isize; 2]) {
    if dims[0] == 0 || dims[1] == 0 {
        return;
    }
    let mut smallest = offset as i128;
    let mut largest = offset as i128;
    for (dim, stride) in dims.into_iter().zip(strides) {
        let reach = (dim as i128 - 1) * stride as i128;
        *(if reach < 0 { &mut smallest } else { &mut largest }) += reach;
    }
    assert!(
        smallest >= 0 && largest < len as i128,
        "matmul: a {dims:?} view with strides {strides:?} at offset {offset} reaches from \
         {smallest} to {largest}, outside a buffer of {len} elements"
    );
}
