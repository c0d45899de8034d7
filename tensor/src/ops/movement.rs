//! Views, and the few operations that must copy to arrange elements anew.

use std::ops::RangeBounds;

use crate::backend::{Buffer, Target};
use crate::shape::{resolve_axis, resolve_range};
use crate::tensor::check_same;
use crate::{Layout, Shape, Tensor, formula};

/// Views: they share the buffer and copy nothing. Axes may count from the end (`-1` is the last).
impl Tensor {
    /// Exchanges the last two axes: the transpose of a matrix, or of each matrix of a batch.
    ///
    /// # Panics
    /// Below rank 2.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        assert!(self.rank() >= 2, "t: shape {} has no matrices", self.shape());
        self.transpose(-2, -1)
    }

    /// Exchanges two axes.
    #[doc(alias = "swapaxes")]
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Tensor {
        self.with_layout(self.layout().transpose(a, b))
    }

    /// Reorders the axes: axis `i` of the result is axis `axes[i]` of this tensor.
    #[track_caller]
    pub fn permute(&self, axes: &[isize]) -> Tensor {
        self.with_layout(self.layout().permute(axes))
    }

    /// The elements `range` along an axis.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::Tensor;
    /// let x = Tensor::arange(6).reshape([2, 3]);
    /// assert_eq!(x.slice(1, 1..).to_vec::<i32>().unwrap(), [1, 2, 4, 5]);
    /// ```
    #[track_caller]
    pub fn slice(&self, axis: isize, range: impl RangeBounds<usize>) -> Tensor {
        self.slice_step(axis, range, 1)
    }

    /// Every `step`-th of the elements `range` along an axis.
    #[track_caller]
    pub fn slice_step(&self, axis: isize, range: impl RangeBounds<usize>, step: usize) -> Tensor {
        let dim = self.dims()[resolve_axis("slice", axis, self.rank())];
        let range = resolve_range(range, dim);
        self.with_layout(self.layout().slice(axis, range.start, range.end, step))
    }

    /// `len` elements along an axis, from `start` on.
    #[track_caller]
    pub fn narrow(&self, axis: isize, start: usize, len: usize) -> Tensor {
        self.slice(axis, start..start.saturating_add(len))
    }

    /// The part at one index of an axis, without that axis.
    #[doc(alias = "index")]
    #[track_caller]
    pub fn select(&self, axis: isize, index: usize) -> Tensor {
        self.with_layout(self.layout().select(axis, index))
    }

    /// Repeats axes of size 1, and adds leading ones, up to `dims`.
    #[doc(alias = "expand")]
    #[track_caller]
    pub fn broadcast_to(&self, dims: impl Into<Shape>) -> Tensor {
        self.with_layout(self.layout().broadcast_to(dims.into()))
    }

    /// Inserts an axis of size 1 before `axis` (`-1`: at the end).
    #[doc(alias("expand_dims", "newaxis"))]
    #[track_caller]
    pub fn unsqueeze(&self, axis: isize) -> Tensor {
        self.with_layout(self.layout().unsqueeze(axis))
    }

    /// Removes an axis of size 1.
    #[track_caller]
    pub fn squeeze(&self, axis: isize) -> Tensor {
        self.with_layout(self.layout().squeeze(axis))
    }

    /// Reverses an axis.
    #[track_caller]
    pub fn flip(&self, axis: isize) -> Tensor {
        self.with_layout(self.layout().flip(axis))
    }

    /// The same elements in the same row-major order under other dimensions. Copies only when
    /// strides cannot express it.
    ///
    /// # Panics
    /// When the number of elements differs.
    #[doc(alias = "view")]
    #[track_caller]
    pub fn reshape(&self, dims: impl Into<Shape>) -> Tensor {
        let shape = dims.into();
        assert!(
            shape.checked_elem_count() == Some(self.elem_count()),
            "reshape: {} has {} elements, {shape} needs another number",
            self.shape(),
            self.elem_count()
        );
        match self.layout().reshape(shape) {
            Some(layout) => self.with_layout(layout),
            None => self.copy().with_layout(Layout::contiguous(shape)),
        }
    }

    /// All elements as one axis.
    #[doc(alias = "ravel")]
    #[track_caller]
    pub fn flatten(&self) -> Tensor {
        self.reshape([self.elem_count()])
    }

    /// Cuts an axis into consecutive parts of the given sizes.
    ///
    /// # Panics
    /// When the sizes do not add up to the axis.
    #[track_caller]
    pub fn split(&self, axis: isize, sizes: &[usize]) -> Vec<Tensor> {
        self.shape().split(axis, sizes).into_iter().map(|part| self.slice(axis, part)).collect()
    }

    /// Cuts an axis into at most `n` parts of equal size, the last perhaps smaller.
    #[track_caller]
    pub fn chunk(&self, axis: isize, n: usize) -> Vec<Tensor> {
        assert!(n > 0, "chunk: at least one part is needed");
        let dim = self.dims()[resolve_axis("chunk", axis, self.rank())];
        let size = dim.div_ceil(n).max(1);
        let sizes: Vec<usize> =
            (0..dim.max(1)).step_by(size).map(|start| size.min(dim - start)).collect();
        self.split(axis, &sizes)
    }
}

/// Copies that arrange elements anew.
impl Tensor {
    /// Joins tensors along an existing axis; the other dimensions agree.
    ///
    /// # Panics
    /// When there is none, or shapes, dtypes or devices do not agree.
    #[doc(alias("concat", "concatenate"))]
    #[track_caller]
    pub fn cat(parts: &[&Tensor], axis: isize) -> Tensor {
        let Some(first) = parts.first() else { panic!("cat: nothing to join") };
        let a = resolve_axis("cat", axis, first.rank());
        let mut shape = first.shape();
        shape[a] = 0;
        for part in parts {
            check_same("cat", first, part);
            let fits = part.rank() == first.rank()
                && (0..shape.len()).all(|i| i == a || part.dims()[i] == shape[i]);
            assert!(
                fits,
                "cat: shapes {} and {} differ outside axis {axis}",
                first.shape(),
                part.shape()
            );
            shape[a] = shape[a].saturating_add(part.dims()[a]);
        }
        assert!(
            shape.checked_elem_count().is_some(),
            "cat: {shape} has more elements than can be counted"
        );
        let whole = Layout::contiguous(shape);
        Tensor::fresh(first.device(), first.dtype(), shape, |_, buffer| {
            let mut start = 0;
            for part in parts {
                let end = start + part.dims()[a];
                place(part, buffer, &whole.slice(a as isize, start, end, 1));
                start = end;
            }
        })
    }

    /// Joins tensors of one shape along a new axis.
    ///
    /// # Panics
    /// When there is none, or shapes, dtypes or devices do not agree.
    #[track_caller]
    pub fn stack(parts: &[&Tensor], axis: isize) -> Tensor {
        let Some(first) = parts.first() else { panic!("stack: nothing to join") };
        resolve_axis("stack", axis, first.rank() + 1);
        let mut unsqueezed = Vec::with_capacity(parts.len());
        for part in parts {
            check_same("stack", first, part);
            assert!(
                part.shape() == first.shape(),
                "stack: shapes {} and {} differ",
                first.shape(),
                part.shape()
            );
            unsqueezed.push(part.unsqueeze(axis));
        }
        Tensor::cat(&unsqueezed.iter().collect::<Vec<_>>(), axis)
    }

    /// Puts `before` elements of `value` in front of an axis and `after` behind it.
    #[track_caller]
    pub fn pad(&self, axis: isize, before: usize, after: usize, value: f64) -> Tensor {
        let a = resolve_axis("pad", axis, self.rank());
        let mut shape = self.shape();
        let dim = shape[a];
        self.dtype().check_holds("pad", value);
        shape[a] = dim.saturating_add(before).saturating_add(after);
        assert!(
            shape.checked_elem_count().is_some(),
            "pad: axis {axis} of {} with {before} and {after} more has more elements than can be \
             counted",
            self.shape()
        );
        let whole = Layout::contiguous(shape);
        Tensor::fresh(self.device(), self.dtype(), shape, |backend, buffer| {
            for (start, end) in [(0, before), (before + dim, before + dim + after)] {
                let layout = whole.slice(a as isize, start, end, 1);
                if layout.elem_count() > 0 {
                    let target = Target { buffer: &mut *buffer, layout: &layout };
                    backend.map(formula!(|; c| c), &[], &[value], &mut [target], false);
                }
            }
            place(self, buffer, &whole.slice(a as isize, before, before + dim, 1));
        })
    }
}

/// Copies a tensor to a part of a buffer.
pub(super) fn place(part: &Tensor, buffer: &mut Buffer, layout: &Layout) {
    if layout.elem_count() > 0 {
        let backend = part.device().backend();
        backend.map(formula!(|x| x), &[part.view()], &[], &mut [Target { buffer, layout }], false);
    }
}
