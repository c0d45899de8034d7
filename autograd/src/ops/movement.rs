//! Views and rearrangements. The gradient of each moves the elements back; where elements were
//! repeated it adds them up, and where they were dropped it puts zeros.

use std::ops::{Range, RangeBounds};

use plies_tensor::{Shape, Tensor, resolve_axis, resolve_range};

use crate::graph::{Part, Run, record};
use crate::{Op, Reads, Var, apply};

/// y is x with its axes reordered. The gradient is reordered back.
struct Permute {
    axes: Vec<isize>,
}

impl Op for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].permute(&self.axes)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let rank = inputs[0].rank() as isize;
        let mut back = vec![0; self.axes.len()];
        for (to, &from) in self.axes.iter().enumerate() {
            back[from.rem_euclid(rank) as usize] = to as isize;
        }
        vec![Some(d_y.permute(&back))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y is x under other dimensions, and so is its gradient.
struct Reshape {
    shape: Shape,
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].reshape(self.shape)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(d_y.reshape(inputs[0].shape()))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y is x repeated along axes. The gradient is the sum over the repetitions.
struct Broadcast {
    shape: Shape,
}

impl Op for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast_to"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].broadcast_to(self.shape)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(d_y.sum_to(inputs[0].shape()))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y is every `step`-th element of a range of an axis. The gradient is spread out again, with zeros
/// for the elements that were left out.
///
/// With step 1 this vjp is not called: the walk back collects the gradients of all parts of one
/// value and puts them together in one go.
struct Slice {
    axis: isize,
    start: usize,
    end: usize,
    step: usize,
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].slice_step(self.axis, self.start..self.end, self.step)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let positions: Vec<i32> =
            (self.start..self.end).step_by(self.step).map(|i| i as i32).collect();
        let index = Tensor::from_slice_on(&positions, [positions.len()], d_y.value().device());
        let zeros = Var::constant(inputs[0].value().zeros_like());
        vec![Some(zeros.index_add(self.axis, &index, d_y))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y is x with an axis reversed, and so is its gradient.
struct Flip {
    axis: isize,
}

impl Op for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].flip(self.axis)
    }

    fn vjp(&self, _inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(d_y.flip(self.axis))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y is x with a constant before and behind an axis. The gradient is the part in between.
struct Pad {
    axis: isize,
    before: usize,
    after: usize,
    value: f64,
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].pad(self.axis, self.before, self.after, self.value)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(d_y.narrow(self.axis, self.before, inputs[0].dim(self.axis)))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y is the inputs one behind the other along an axis. Each gets its part of the gradient.
struct Cat {
    axis: isize,
}

impl Op for Cat {
    fn name(&self) -> &'static str {
        "cat"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        Tensor::cat(inputs, self.axis)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let sizes: Vec<usize> = inputs.iter().map(|x| x.dim(self.axis)).collect();
        d_y.split(self.axis, &sizes).into_iter().map(Some).collect()
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

impl Var {
    /// Exchanges the last two axes.
    ///
    /// # Panics
    /// Below rank 2.
    #[track_caller]
    pub fn t(&self) -> Var {
        assert!(self.rank() >= 2, "t: shape {} has no matrices", self.shape());
        self.transpose(-2, -1)
    }

    /// Exchanges two axes.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Var {
        let rank = self.rank();
        let mut axes: Vec<isize> = (0..rank as isize).collect();
        axes.swap(resolve_axis("transpose", a, rank), resolve_axis("transpose", b, rank));
        self.permute(&axes)
    }

    /// Reorders the axes: axis `i` of the result is axis `axes[i]` of this value.
    #[track_caller]
    pub fn permute(&self, axes: &[isize]) -> Var {
        apply(Permute { axes: axes.to_vec() }, &[self])
    }

    /// The same elements under other dimensions.
    #[track_caller]
    pub fn reshape(&self, dims: impl Into<Shape>) -> Var {
        let shape = dims.into();
        if shape == self.shape() {
            return self.clone();
        }
        apply(Reshape { shape }, &[self])
    }

    /// All elements as one axis.
    pub fn flatten(&self) -> Var {
        self.reshape([self.elem_count()])
    }

    /// Inserts an axis of size 1 before `axis` (`-1`: at the end).
    #[track_caller]
    pub fn unsqueeze(&self, axis: isize) -> Var {
        self.reshape(self.value().unsqueeze(axis).shape())
    }

    /// Removes an axis of size 1.
    #[track_caller]
    pub fn squeeze(&self, axis: isize) -> Var {
        self.reshape(self.value().squeeze(axis).shape())
    }

    /// Removes axes of size 1.
    #[track_caller]
    pub(crate) fn squeeze_axes(&self, axes: &[isize]) -> Var {
        let rank = self.rank() as isize;
        let removed: Vec<usize> = axes.iter().map(|a| a.rem_euclid(rank) as usize).collect();
        let kept: Vec<usize> =
            (0..self.rank()).filter(|a| !removed.contains(a)).map(|a| self.dims()[a]).collect();
        self.reshape(kept)
    }

    /// Repeats axes of size 1, and adds leading ones, up to `dims`.
    #[track_caller]
    pub fn broadcast_to(&self, dims: impl Into<Shape>) -> Var {
        let shape = dims.into();
        if shape == self.shape() {
            return self.clone();
        }
        apply(Broadcast { shape }, &[self])
    }

    /// The reverse of [`broadcast_to`](Var::broadcast_to): adds up over the axes that `dims` does
    /// not have, or has with size 1.
    #[track_caller]
    pub fn sum_to(&self, dims: impl Into<Shape>) -> Var {
        let shape = dims.into();
        if shape == self.shape() {
            return self.clone();
        }
        assert!(
            shape.broadcast(&self.shape()) == Some(self.shape()),
            "sum_to: {} is not {shape} with axes repeated",
            self.shape()
        );
        let lead = self.rank() - shape.len();
        let is_summed = |&axis: &usize| axis < lead || shape[axis - lead] != self.dims()[axis];
        let axes: Vec<isize> = (0..self.rank()).filter(is_summed).map(|a| a as isize).collect();
        self.sum(&axes, true).reshape(shape)
    }

    /// The elements `range` along an axis.
    #[track_caller]
    pub fn slice(&self, axis: isize, range: impl RangeBounds<usize>) -> Var {
        self.slice_step(axis, range, 1)
    }

    /// Every `step`-th of the elements `range` along an axis.
    #[track_caller]
    pub fn slice_step(&self, axis: isize, range: impl RangeBounds<usize>, step: usize) -> Var {
        let dim = self.dims()[resolve_axis("slice", axis, self.rank())];
        let Range { start, end } = resolve_range(range, dim);
        let y = self.value().slice_step(axis, start..end, step);
        let resolved = axis.rem_euclid(self.rank() as isize) as usize;
        let part = Part::Run(Run { axis: resolved, start, whole: self.dim(axis) });
        record(Slice { axis, start, end, step }, &[self], y, (step == 1).then_some(part))
    }

    /// `len` elements along an axis, from `start` on.
    #[track_caller]
    pub fn narrow(&self, axis: isize, start: usize, len: usize) -> Var {
        self.slice(axis, start..start.saturating_add(len))
    }

    /// The part at one index of an axis, without that axis.
    #[track_caller]
    pub fn select(&self, axis: isize, index: usize) -> Var {
        assert!(
            index < self.dims()[resolve_axis("select", axis, self.rank())],
            "select: index {index} is out of range for axis {axis} of {}",
            self.shape()
        );
        self.narrow(axis, index, 1).squeeze(axis)
    }

    /// Reverses an axis.
    #[track_caller]
    pub fn flip(&self, axis: isize) -> Var {
        apply(Flip { axis }, &[self])
    }

    /// Puts `before` elements of `value` in front of an axis and `after` behind it.
    #[track_caller]
    pub fn pad(&self, axis: isize, before: usize, after: usize, value: f64) -> Var {
        apply(Pad { axis, before, after, value }, &[self])
    }

    /// Cuts an axis into consecutive parts of the given sizes.
    #[track_caller]
    pub fn split(&self, axis: isize, sizes: &[usize]) -> Vec<Var> {
        self.shape().split(axis, sizes).into_iter().map(|part| self.slice(axis, part)).collect()
    }

    /// Cuts an axis into at most `n` parts of equal size, the last perhaps smaller.
    #[track_caller]
    pub fn chunk(&self, axis: isize, n: usize) -> Vec<Var> {
        let parts = self.value().chunk(axis, n);
        self.split(axis, &parts.iter().map(|part| part.dim(axis)).collect::<Vec<_>>())
    }

    /// Joins values along an existing axis.
    #[track_caller]
    pub fn cat(parts: &[&Var], axis: isize) -> Var {
        apply(Cat { axis }, parts)
    }

    /// Joins values of one shape along a new axis.
    #[track_caller]
    pub fn stack(parts: &[&Var], axis: isize) -> Var {
        let Some(first) = parts.first() else { panic!("stack: nothing to join") };
        resolve_axis("stack", axis, first.rank() + 1);
        let mut unsqueezed = Vec::with_capacity(parts.len());
        for part in parts {
            assert!(
                part.shape() == first.shape(),
                "stack: shapes {} and {} differ",
                first.shape(),
                part.shape()
            );
            unsqueezed.push(part.unsqueeze(axis));
        }
        Var::cat(&unsqueezed.iter().collect::<Vec<_>>(), axis)
    }
}
