//! The dimensions of a tensor, stored inline so that making a view allocates nothing.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Bound, Deref, DerefMut, Range, RangeBounds};

/// The largest number of axes a tensor can have.
pub const MAX_RANK: usize = 8;

/// Dimensions of a tensor, outermost first: `[B, I]` is B rows of I elements.
///
/// Rank 0 (`[]`) is a scalar with one element; a dimension of 0 makes the tensor empty.
///
/// # Example
/// ```
/// use plies_tensor::Shape;
/// let shape = Shape::from([2, 3, 4]);
/// assert_eq!(shape.elem_count(), 24);
/// assert_eq!(shape.to_string(), "[2, 3, 4]");
/// assert_eq!(shape.broadcast(&Shape::from([3, 1])), Some(Shape::from([2, 3, 4])));
/// ```
#[derive(Clone, Copy, Eq)]
pub struct Shape {
    rank: u8,
    dims: [usize; MAX_RANK],
}

impl Shape {
    /// The shape of a scalar.
    pub const SCALAR: Shape = Shape { rank: 0, dims: [0; MAX_RANK] };

    /// Number of elements: the product of the dimensions, 1 for a scalar.
    ///
    /// # Panics
    /// When there are more than `isize::MAX`, which no memory can address.
    #[track_caller]
    pub fn elem_count(&self) -> usize {
        match self.checked_elem_count() {
            Some(n) => n,
            None => panic!("shape {self}: more elements than memory can address"),
        }
    }

    /// Number of elements, or `None` when there are more than `isize::MAX`: strides, and with them
    /// the places of all elements, are numbers of that type.
    pub fn checked_elem_count(&self) -> Option<usize> {
        if self.contains(&0) {
            return Some(0);
        }
        let n = self.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        (n <= isize::MAX as usize).then_some(n)
    }

    /// The common shape of two operands by NumPy's rule: axes are aligned at the end, and each pair
    /// of dimensions must be equal or contain a 1. `None` when they do not fit.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let (long, short) = if self.rank >= other.rank { (self, other) } else { (other, self) };
        let mut out = *long;
        let lead = long.len() - short.len();
        for (axis, &d) in short.iter().enumerate() {
            let e = out[lead + axis];
            out[lead + axis] = match (e, d) {
                _ if e == d => e,
                (1, _) => d,
                (_, 1) => e,
                _ => return None,
            };
        }
        Some(out)
    }

    /// The consecutive ranges of the given sizes that an axis is cut into.
    ///
    /// # Panics
    /// When there is no such axis, or the sizes do not add up to it.
    #[track_caller]
    pub fn split(&self, axis: isize, sizes: &[usize]) -> Vec<Range<usize>> {
        let dim = self[resolve_axis("split", axis, self.len())];
        let mut end = 0usize;
        let mut ranges = Vec::with_capacity(sizes.len());
        for &size in sizes {
            ranges.push(end..end.saturating_add(size));
            end = end.saturating_add(size);
        }
        assert!(
            end == dim,
            "split: sizes {sizes:?} add up to {end}, axis {axis} of {self} is another size"
        );
        ranges
    }

    /// Appends a dimension.
    ///
    /// # Panics
    /// Beyond [`MAX_RANK`].
    #[track_caller]
    pub fn push(&mut self, dim: usize) {
        assert!(self.len() < MAX_RANK, "shape: more than {MAX_RANK} axes are not supported");
        self.dims[self.len()] = dim;
        self.rank += 1;
    }

    /// Removes the dimension at `axis`.
    #[track_caller]
    pub fn remove(&mut self, axis: usize) -> usize {
        let dim = self[axis];
        self.dims.copy_within(axis + 1.., axis);
        self.rank -= 1;
        self.dims[self.len()] = 0;
        dim
    }

    /// Inserts a dimension before `axis`.
    #[track_caller]
    pub fn insert(&mut self, axis: usize, dim: usize) {
        assert!(self.len() < MAX_RANK, "shape: more than {MAX_RANK} axes are not supported");
        assert!(axis <= self.len(), "insert: axis {axis} is beyond rank {}", self.len());
        self.dims.copy_within(axis..MAX_RANK - 1, axis + 1);
        self.dims[axis] = dim;
        self.rank += 1;
    }

    /// Row-major strides: the last axis has stride 1.
    pub(crate) fn contiguous_strides(&self) -> Strides {
        let mut strides = [0isize; MAX_RANK];
        let mut step = 1isize;
        for axis in (0..self.len()).rev() {
            strides[axis] = step;
            step = step.wrapping_mul(self.dims[axis].max(1) as isize);
        }
        strides
    }
}

impl PartialEq for Shape {
    /// Dimensions beyond the rank are 0, so all are compared, at once instead of by a call.
    #[inline]
    fn eq(&self, other: &Shape) -> bool {
        let dims = self.dims.iter().zip(&other.dims);
        self.rank == other.rank && dims.fold(0, |bits, (a, b)| bits | (a ^ b)) == 0
    }
}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

/// Strides of each axis in elements; entries beyond the rank are 0.
pub(crate) type Strides = [isize; MAX_RANK];

impl Deref for Shape {
    type Target = [usize];
    #[inline]
    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }
}

impl DerefMut for Shape {
    #[inline]
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.dims[..self.rank as usize]
    }
}

impl From<&[usize]> for Shape {
    #[track_caller]
    fn from(dims: &[usize]) -> Self {
        assert!(
            dims.len() <= MAX_RANK,
            "shape {dims:?}: {} axes, at most {MAX_RANK} are supported",
            dims.len()
        );
        let mut shape = Shape::SCALAR;
        shape.rank = dims.len() as u8;
        shape.dims[..dims.len()].copy_from_slice(dims);
        shape
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    #[track_caller]
    fn from(dims: [usize; N]) -> Self {
        dims.as_slice().into()
    }
}

impl<const N: usize> From<&[usize; N]> for Shape {
    #[track_caller]
    fn from(dims: &[usize; N]) -> Self {
        dims.as_slice().into()
    }
}

impl From<&Vec<usize>> for Shape {
    #[track_caller]
    fn from(dims: &Vec<usize>) -> Self {
        dims.as_slice().into()
    }
}

impl From<Vec<usize>> for Shape {
    #[track_caller]
    fn from(dims: Vec<usize>) -> Self {
        dims.as_slice().into()
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        *shape
    }
}

impl From<usize> for Shape {
    fn from(dim: usize) -> Self {
        [dim].into()
    }
}

impl From<()> for Shape {
    fn from((): ()) -> Self {
        Shape::SCALAR
    }
}

impl PartialEq<[usize]> for Shape {
    fn eq(&self, other: &[usize]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:?}", &**self))
    }
}

/// The bounds of a range of indices of an axis of `dim` elements, which it may exceed.
pub fn resolve_range(range: impl RangeBounds<usize>, dim: usize) -> Range<usize> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => dim,
    };
    start..end
}

/// Turns an axis that may count from the end (`-1` is the last) into an index below `rank`.
///
/// # Panics
/// When there is no such axis; `operation` names the caller.
#[track_caller]
pub fn resolve_axis(operation: &str, axis: isize, rank: usize) -> usize {
    let resolved = if axis < 0 { axis + rank as isize } else { axis };
    assert!(
        (0..rank as isize).contains(&resolved),
        "{operation}: axis {axis} does not exist in a tensor of rank {rank}"
    );
    resolved as usize
}

/// The set of axes as a mask.
///
/// # Panics
/// When an axis does not exist or is named twice.
#[track_caller]
pub(crate) fn axis_mask(operation: &str, axes: &[isize], rank: usize) -> [bool; MAX_RANK] {
    let mut mask = [false; MAX_RANK];
    for &axis in axes {
        let axis_index = resolve_axis(operation, axis, rank);
        assert!(!mask[axis_index], "{operation}: axis {axis} is named twice in {axes:?}");
        mask[axis_index] = true;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let b = |x: &[usize], y: &[usize]| Shape::from(x).broadcast(&Shape::from(y));
        assert_eq!(b(&[2, 3], &[3]), Some([2, 3].into()));
        assert_eq!(b(&[2, 1], &[1, 5]), Some([2, 5].into()));
        assert_eq!(b(&[], &[0, 4]), Some([0, 4].into()));
        assert_eq!(b(&[1], &[0]), Some([0].into()));
        assert_eq!(b(&[2], &[3]), None);
        assert_eq!(b(&[2], &[0]), None);
    }

    #[test]
    fn insert_and_remove_are_inverse() {
        let mut s = Shape::from([2, 3, 4]);
        s.insert(1, 7);
        assert_eq!(s, [2, 7, 3, 4]);
        assert_eq!(s.remove(1), 7);
        assert_eq!(s, Shape::from([2, 3, 4]));
    }

    #[test]
    fn an_empty_shape_has_no_elements_however_large_its_other_dimensions() {
        assert_eq!(Shape::from([usize::MAX, 0, 7]).elem_count(), 0);
        assert_eq!(Shape::from([usize::MAX, 2]).checked_elem_count(), None);
        assert_eq!(Shape::from([usize::MAX]).checked_elem_count(), None);
    }
}
