//! How a tensor's elements lie in its buffer: dimensions, strides and an offset. Every view
//! operation is arithmetic on these numbers and copies nothing.

use std::fmt;

use crate::shape::{Shape, Strides, resolve_axis};

/// A strided view of a buffer. Element `[i, j, …]` is at `offset + i·strides[0] + j·strides[1] + …`;
/// strides count elements, may be 0 (a broadcast axis) or negative (a flipped one).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    shape: Shape,
    strides: Strides,
    offset: usize,
}

impl Layout {
    /// The row-major layout of a fresh buffer.
    #[track_caller]
    pub fn contiguous(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Layout { shape, strides: shape.contiguous_strides(), offset: 0 }
    }

    /// Dimensions, outermost first.
    #[inline]
    pub fn dims(&self) -> &[usize] {
        &self.shape
    }

    /// Dimensions as a [`Shape`].
    #[inline]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    #[inline]
    pub(crate) fn as_shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether this is how a fresh buffer of that shape lies.
    #[inline]
    pub(crate) fn is_row_major(&self, shape: &Shape) -> bool {
        self.offset == 0 && self.shape == *shape && self.is_contiguous()
    }

    /// Strides in elements, one for each axis.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides[..self.shape.len()]
    }

    /// Index in the buffer of the first element.
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Number of axes.
    #[inline]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    #[inline]
    pub fn elem_count(&self) -> usize {
        self.shape.elem_count()
    }

    /// Whether the elements lie row-major without gaps, so that the view is one slice.
    pub fn is_contiguous(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let mut step = 1isize;
        for axis in (0..self.rank()).rev() {
            let dim = self.shape[axis];
            if dim > 1 && self.strides[axis] != step {
                return false;
            }
            step *= dim as isize;
        }
        true
    }

    /// Smallest and largest buffer index that the view touches; `None` when it is empty.
    pub fn extent(&self) -> Option<(usize, usize)> {
        if self.shape.contains(&0) {
            return None;
        }
        let (mut low, mut high) = (self.offset as isize, self.offset as isize);
        for (&dim, &stride) in self.shape.iter().zip(&self.strides) {
            let span = (dim as isize - 1) * stride;
            if span < 0 { low += span } else { high += span }
        }
        Some((low as usize, high as usize))
    }

    /// Panics unless all elements lie inside a buffer of `len`: what all reading and writing by
    /// pointers stands on.
    #[inline]
    pub(crate) fn assert_inside(&self, len: usize) {
        if let Some((low, high)) = self.extent() {
            assert!(low <= high && high < len, "a view reaches outside its buffer");
        }
    }

    /// Exchanges two axes.
    #[track_caller]
    pub(crate) fn transpose(mut self, a: isize, b: isize) -> Self {
        let (a, b) =
            (resolve_axis("transpose", a, self.rank()), resolve_axis("transpose", b, self.rank()));
        self.shape.swap(a, b);
        self.strides.swap(a, b);
        self
    }

    /// Reorders the axes: axis `i` of the result is axis `axes[i]` of the source.
    #[track_caller]
    pub(crate) fn permute(&self, axes: &[isize]) -> Self {
        assert!(
            axes.len() == self.rank(),
            "permute: {axes:?} names {} axes, the tensor {} has {}",
            axes.len(),
            self.shape,
            self.rank()
        );
        let mut out = *self;
        let mut seen = [false; crate::MAX_RANK];
        for (i, &axis) in axes.iter().enumerate() {
            let source = resolve_axis("permute", axis, self.rank());
            assert!(!seen[source], "permute: axis {axis} is named twice in {axes:?}");
            seen[source] = true;
            out.shape[i] = self.shape[source];
            out.strides[i] = self.strides[source];
        }
        out
    }

    /// Keeps every `step`-th of the elements `start..end` along `axis`.
    #[track_caller]
    pub(crate) fn slice(mut self, axis: isize, start: usize, end: usize, step: usize) -> Self {
        let a = resolve_axis("slice", axis, self.rank());
        let dim = self.shape[a];
        assert!(step > 0, "slice: step must be positive; use flip for a reversed axis");
        assert!(
            start <= end && end <= dim,
            "slice: {start}..{end} is out of range for axis {axis} of {}",
            self.shape
        );
        let len = (end - start).div_ceil(step);
        if len > 0 {
            self.offset = (self.offset as isize + start as isize * self.strides[a]) as usize;
        }
        self.shape[a] = len;
        if len > 1 {
            self.strides[a] *= step as isize;
        }
        self
    }

    /// Reverses an axis.
    #[track_caller]
    pub(crate) fn flip(mut self, axis: isize) -> Self {
        let a = resolve_axis("flip", axis, self.rank());
        if self.shape[a] > 1 {
            let last = (self.shape[a] - 1) as isize * self.strides[a];
            self.offset = (self.offset as isize + last) as usize;
            self.strides[a] = -self.strides[a];
        }
        self
    }

    /// Repeats axes of size 1, and adds leading ones, by setting their strides to 0.
    #[track_caller]
    pub(crate) fn broadcast_to(&self, shape: Shape) -> Self {
        let lead = shape.len().checked_sub(self.rank());
        let fits = lead.is_some_and(|lead| {
            self.shape.iter().zip(&shape[lead..]).all(|(&from, &to)| from == to || from == 1)
        });
        assert!(fits, "broadcast_to: {} does not broadcast to {shape}", self.shape);
        assert!(
            shape.checked_elem_count().is_some(),
            "broadcast_to: {shape} has more elements than can be counted"
        );
        let lead = lead.unwrap_or(0);
        let mut out = Layout { shape, strides: [0; crate::MAX_RANK], offset: self.offset };
        for axis in 0..self.rank() {
            if self.shape[axis] == shape[lead + axis] {
                out.strides[lead + axis] = self.strides[axis];
            }
        }
        out
    }

    /// Windows of `size` elements, `dilation` apart, along an axis; each begins `stride` elements
    /// after the one before. The axis becomes that of the windows, and what is in a window a new
    /// last axis. At least one window fits.
    pub(crate) fn windows(
        mut self,
        axis: usize,
        size: usize,
        stride: usize,
        dilation: usize,
    ) -> Self {
        let span = (size - 1) * dilation + 1;
        debug_assert!(span <= self.shape[axis]);
        let step = self.strides[axis];
        // From a single one there is no step to another, which might be longer than can be said.
        let times = |n: usize, count: usize| if count > 1 { step * n as isize } else { step };
        let count = (self.shape[axis] - span) / stride + 1;
        self.shape[axis] = count;
        self.strides[axis] = times(stride, count);
        self.strides[self.shape.len()] = times(dilation, size);
        self.shape.push(size);
        self
    }

    /// Inserts an axis of size 1 before `axis` (`-1`: at the end).
    #[track_caller]
    pub(crate) fn unsqueeze(mut self, axis: isize) -> Self {
        let a = resolve_axis("unsqueeze", axis, self.rank() + 1);
        self.shape.insert(a, 1);
        self.strides.copy_within(a..crate::MAX_RANK - 1, a + 1);
        self.strides[a] = 0;
        self
    }

    /// Removes an axis of size 1.
    #[track_caller]
    pub(crate) fn squeeze(mut self, axis: isize) -> Self {
        let a = resolve_axis("squeeze", axis, self.rank());
        assert!(
            self.shape[a] == 1,
            "squeeze: axis {axis} of {} has {} elements, not 1",
            self.shape,
            self.shape[a]
        );
        self.remove_axis(a);
        self
    }

    /// Forgets an axis: what is left is its first element, or the one that it repeats.
    pub(crate) fn remove_axis(&mut self, axis: usize) {
        self.shape.remove(axis);
        self.strides.copy_within(axis + 1.., axis);
        self.strides[self.shape.len()] = 0;
    }

    /// Fixes the index of an axis and removes it.
    #[track_caller]
    pub(crate) fn select(self, axis: isize, index: usize) -> Self {
        let a = resolve_axis("select", axis, self.rank());
        assert!(
            index < self.shape[a],
            "select: index {index} is out of range for axis {axis} of {}",
            self.shape
        );
        let mut out = self.slice(a as isize, index, index + 1, 1);
        out.remove_axis(a);
        out
    }

    /// The same elements in the same row-major order under other dimensions, when strides can say
    /// so; `None` when only a copy can.
    ///
    /// Old axes are cut into the longest runs that are contiguous among themselves; the new
    /// dimensions must cut the same runs.
    pub(crate) fn reshape(&self, shape: Shape) -> Option<Self> {
        debug_assert_eq!(shape.elem_count(), self.elem_count());
        if self.is_contiguous() {
            return Some(Layout {
                shape,
                strides: shape.contiguous_strides(),
                offset: self.offset,
            });
        }
        let mut out = Layout { shape, strides: [0; crate::MAX_RANK], offset: self.offset };
        let mut new_axis = shape.len();
        let mut old_axis = self.rank();
        while old_axis > 0 {
            // One run of old axes, from its innermost outwards.
            let run_end = old_axis;
            old_axis -= 1;
            let mut run_len = self.shape[old_axis];
            let mut run_stride = self.strides[old_axis];
            while old_axis > 0 {
                let dim = self.shape[old_axis - 1];
                let innermost = self.shape[old_axis..run_end].iter().all(|&d| d == 1);
                if innermost {
                    run_stride = self.strides[old_axis - 1];
                } else if dim != 1 && self.strides[old_axis - 1] != run_stride * run_len as isize {
                    break;
                }
                run_len *= dim;
                old_axis -= 1;
            }
            // Fill the run with new axes.
            let mut covered = 1;
            while covered < run_len {
                new_axis = new_axis.checked_sub(1)?;
                out.strides[new_axis] = run_stride * covered as isize;
                covered *= shape[new_axis];
            }
            if covered != run_len {
                return None;
            }
        }
        // What is left has size 1; its strides do not matter.
        Some(out)
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout")
            .field("dims", &self.dims())
            .field("strides", &self.strides())
            .field("offset", &self.offset)
            .finish()
    }
}

/// Buffer indices of a view's elements in row-major order.
pub(crate) struct Indices {
    layout: Layout,
    position: [usize; crate::MAX_RANK],
    index: isize,
    left: usize,
}

impl Layout {
    pub(crate) fn indices(&self) -> Indices {
        Indices {
            layout: *self,
            position: [0; crate::MAX_RANK],
            index: self.offset as isize,
            left: self.elem_count(),
        }
    }
}

impl Iterator for Indices {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let index = self.index as usize;
        for axis in (0..self.layout.rank()).rev() {
            self.position[axis] += 1;
            self.index += self.layout.strides[axis];
            if self.position[axis] < self.layout.shape[axis] {
                break;
            }
            self.index -= self.layout.strides[axis] * self.layout.shape[axis] as isize;
            self.position[axis] = 0;
        }
        Some(index)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(layout: &Layout) -> Vec<usize> {
        layout.indices().collect()
    }

    #[test]
    fn a_transposed_view_walks_down_the_columns() {
        let l = Layout::contiguous([2, 3]).transpose(0, 1);
        assert_eq!(list(&l), [0, 3, 1, 4, 2, 5]);
        assert!(!l.is_contiguous());
    }

    #[test]
    fn a_flipped_step_slice_counts_backwards() {
        let l = Layout::contiguous([7]).slice(0, 1, 7, 2).flip(0);
        assert_eq!(list(&l), [5, 3, 1]);
        assert_eq!(l.extent(), Some((1, 5)));
    }

    #[test]
    #[should_panic(expected = "more elements than can be counted")]
    fn a_view_cannot_have_more_elements_than_a_number_can_say() {
        Layout::contiguous([1]).broadcast_to([1 << 32, 1 << 32].into());
    }

    #[test]
    fn reshape_copies_only_when_strides_cannot_say_it() {
        let base = Layout::contiguous([4, 6]);
        assert!(base.transpose(0, 1).reshape([24].into()).is_none());
        let split = base.transpose(0, 1).reshape([2, 3, 4].into()).unwrap();
        assert_eq!(list(&split), list(&base.transpose(0, 1)));
        let stepped = base.slice(1, 0, 6, 2).reshape([2, 2, 3, 1].into()).unwrap();
        assert_eq!(list(&stepped), list(&base.slice(1, 0, 6, 2)));
        let repeated = Layout::contiguous([1, 3]).broadcast_to([4, 3].into());
        assert!(repeated.reshape([12].into()).is_none());
        assert_eq!(list(&repeated.reshape([2, 2, 3].into()).unwrap()), list(&repeated));
    }
}
