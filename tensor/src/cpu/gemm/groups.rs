//! Matrices whose rows, and whose columns, are each a group of axes: the operands of a convolution
//! that runs as a matrix product.
//!
//! Row i of the matrix is the i-th index of the group in row-major order. Element (i, j) is at
//! `start + rows.offset(i) + columns.offset(j)`: nothing is copied to see windows that overlap as
//! columns. Packing walks the runs of elements that lie side by side.

use std::marker::PhantomData;

use super::matrix::MatrixRef;
use crate::MAX_RANK;

/// Axes that are counted as one, the last running fastest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axes {
    rank: usize,
    dims: [usize; MAX_RANK],
    strides: [isize; MAX_RANK],
}

impl Axes {
    /// Axes of length 1 are left out, and axes that continue each other become one.
    pub(crate) fn new(axes: impl IntoIterator<Item = (usize, isize)>) -> Self {
        let mut group = Axes { rank: 0, dims: [1; MAX_RANK], strides: [1; MAX_RANK] };
        for (dim, stride) in axes {
            if dim == 1 {
                continue;
            }
            let last = group.rank.wrapping_sub(1);
            if group.rank > 0 && group.strides[last] == stride * dim as isize {
                group.dims[last] *= dim;
                group.strides[last] = stride;
            } else {
                group.dims[group.rank] = dim;
                group.strides[group.rank] = stride;
                group.rank += 1;
            }
        }
        group
    }

    /// Number of indices.
    pub(crate) fn len(&self) -> usize {
        self.dims[..self.rank].iter().product()
    }

    /// The stride of the whole group, if one says it all.
    pub(crate) fn stride(&self) -> Option<isize> {
        (self.rank <= 1).then_some(self.strides[0])
    }

    /// How many indices share one of the outermost axis.
    pub(crate) fn inner_len(&self) -> usize {
        self.dims[..self.rank].iter().skip(1).product()
    }

    /// The stride inside a run, and the length of one.
    pub(crate) fn run(&self) -> (isize, usize) {
        let last = self.rank.saturating_sub(1);
        (self.strides[last], self.dims[last])
    }

    /// From the first element to the last one.
    pub(crate) fn reach(&self) -> [isize; 2] {
        let mut reach = [0, 0];
        for (&dim, &stride) in self.dims[..self.rank].iter().zip(&self.strides) {
            let span = (dim as isize - 1) * stride;
            reach[usize::from(span > 0)] += span;
        }
        reach
    }

    /// Whether different indices of the outermost axis never lead to one element, whatever the
    /// indices of the axes inside it and of `others`.
    pub(crate) fn is_apart(&self, others: &Axes) -> bool {
        let step = self.strides[0].unsigned_abs();
        let axes = |group: &Axes, skip: usize| {
            let axes = (skip..group.rank).map(|a| (group.strides[a].unsigned_abs(), group.dims[a]));
            axes.collect::<Vec<_>>()
        };
        let all = [axes(self, 1), axes(others, 0)].concat();
        let small = all.iter().filter(|(stride, _)| *stride < step);
        let reach: usize = small.map(|(stride, dim)| stride * (dim - 1)).sum();
        let whole = reach + step * (self.dims[0] - 1);
        let mut large = all.iter().filter(|(stride, _)| *stride >= step);
        reach < step && large.all(|(stride, _)| *stride > whole)
    }

    /// The runs that make up the indices `first..first + count`: for each where it begins, counted
    /// from `first`, its offset and its length.
    #[inline(always)]
    pub(super) fn runs(&self, first: usize, count: usize) -> Runs<'_> {
        let mut position = [0; MAX_RANK];
        let (mut rest, mut offset) = (first, 0);
        for axis in (0..self.rank).rev() {
            position[axis] = rest % self.dims[axis];
            rest /= self.dims[axis];
            offset += position[axis] as isize * self.strides[axis];
        }
        Runs { axes: self, position, offset, done: 0, count }
    }

    /// The offsets of the indices from `first` on.
    #[inline(always)]
    pub(super) fn offsets(&self, first: usize, offsets: &mut [isize]) {
        let (stride, _) = self.run();
        for (place, start, count) in self.runs(first, offsets.len()) {
            let mut offset = start;
            for to in &mut offsets[place..place + count] {
                *to = offset;
                offset += stride;
            }
        }
    }
}

impl Axes {
    /// The offsets of `first` and of what follows it one step of the outermost axis after another.
    #[inline(always)]
    pub(super) fn outer_offsets(&self, first: usize, offsets: &mut [isize]) {
        let mut offset = self.runs(first, 1).offset;
        for to in offsets {
            *to = offset;
            offset += self.strides[0];
        }
    }
}

pub(super) struct Runs<'a> {
    axes: &'a Axes,
    position: [usize; MAX_RANK],
    offset: isize,
    done: usize,
    count: usize,
}

impl Iterator for Runs<'_> {
    type Item = (usize, isize, usize);

    // Inlined so that loops over runs keep the instruction set of the function they stand in.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done == self.count {
            return None;
        }
        let Axes { rank, dims, strides } = self.axes;
        let inner = rank.saturating_sub(1);
        let length = (dims[inner] - self.position[inner]).min(self.count - self.done);
        let run = (self.done, self.offset, length);
        self.done += length;
        self.offset -= self.position[inner] as isize * strides[inner];
        self.position[inner] = 0;
        for axis in (0..inner).rev() {
            self.position[axis] += 1;
            self.offset += strides[axis];
            if self.position[axis] < dims[axis] {
                break;
            }
            self.offset -= strides[axis] * dims[axis] as isize;
            self.position[axis] = 0;
        }
        Some(run)
    }
}

/// A matrix to read whose rows and columns are groups of axes, or a block of one.
#[derive(Clone, Copy)]
pub(crate) struct GroupsRef<'a, T> {
    pub(super) start: *const T,
    /// The groups of the whole matrix.
    pub(super) row_axes: &'a Axes,
    pub(super) col_axes: &'a Axes,
    /// Where the block begins,
    pub(super) first: [usize; 2],
    /// and its size.
    pub(super) rows: usize,
    pub(super) cols: usize,
    lifetime: PhantomData<&'a [T]>,
}

// SAFETY: a shared view, like the `&[T]` it was made from.
unsafe impl<T: Sync> Send for GroupsRef<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for GroupsRef<'_, T> {}

impl<T> GroupsRef<'_, T> {
    fn t(self) -> Self {
        GroupsRef {
            row_axes: self.col_axes,
            col_axes: self.row_axes,
            first: [self.first[1], self.first[0]],
            rows: self.cols,
            cols: self.rows,
            ..self
        }
    }

    fn block(&self, [i, j]: [usize; 2], [rows, cols]: [usize; 2]) -> Self {
        assert!(i + rows <= self.rows && j + cols <= self.cols);
        GroupsRef { first: [self.first[0] + i, self.first[1] + j], rows, cols, ..*self }
    }
}

/// An operand of a product.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a, T> {
    /// Rows and columns have one stride each.
    Matrix(MatrixRef<'a, T>),
    /// They are groups of axes.
    Groups(GroupsRef<'a, T>),
}

impl<'a, T> Operand<'a, T> {
    /// The matrix whose element (i, j) is `data[offset + rows.offset(i) + columns.offset(j)]`.
    ///
    /// # Panics
    /// If any element lies outside `data`.
    pub(crate) fn new(data: &'a [T], offset: usize, rows: &'a Axes, cols: &'a Axes) -> Self {
        let dims = [rows.len(), cols.len()];
        if let (Some(row), Some(col)) = (rows.stride(), cols.stride()) {
            return Operand::Matrix(MatrixRef::new(data, offset, dims, [row, col]));
        }
        if !dims.contains(&0) {
            let [row_reach, col_reach] = [rows.reach(), cols.reach()];
            let smallest = offset as isize + row_reach[0] + col_reach[0];
            let largest = offset as isize + row_reach[1] + col_reach[1];
            assert!(
                smallest >= 0 && largest < data.len() as isize,
                "contract: a {dims:?} view reaches from {smallest} to {largest}, outside a buffer \
                 of {} elements",
                data.len()
            );
        }
        Operand::Groups(GroupsRef {
            start: data.as_ptr().wrapping_add(offset),
            row_axes: rows,
            col_axes: cols,
            first: [0, 0],
            rows: dims[0],
            cols: dims[1],
            lifetime: PhantomData,
        })
    }

    /// Rows and columns.
    pub(crate) fn dims(&self) -> [usize; 2] {
        match self {
            Operand::Matrix(x) => [x.rows, x.cols],
            Operand::Groups(x) => [x.rows, x.cols],
        }
    }

    pub(crate) fn t(self) -> Self {
        match self {
            Operand::Matrix(x) => Operand::Matrix(x.t()),
            Operand::Groups(x) => Operand::Groups(x.t()),
        }
    }

    /// The `rows` x `cols` block whose first element is (i, j).
    pub(crate) fn block(&self, first: [usize; 2], dims: [usize; 2]) -> Self {
        match self {
            Operand::Matrix(x) => Operand::Matrix(x.block(first, dims)),
            Operand::Groups(x) => Operand::Groups(x.block(first, dims)),
        }
    }

    /// The matrix that it is where nothing else is expected.
    pub(super) fn matrix(self) -> MatrixRef<'a, T> {
        match self {
            Operand::Matrix(x) => x,
            Operand::Groups(_) => unreachable!("a group of axes where a matrix is needed"),
        }
    }
}
