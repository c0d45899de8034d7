//! Reductions and scans that are not sums of a formula.

use plies_tensor::{Elementwise, Reduce, Tensor, formula, resolve_axis};

use crate::{Op, Reads, Var, apply};

/// The largest (or smallest) over axes, kept with size 1.
///
/// # Gradient
/// d_y, shared equally among the elements that equal the extreme
struct Extreme {
    op: Reduce,
    axes: Vec<isize>,
}

impl Op for Extreme {
    fn name(&self) -> &'static str {
        if self.op == Reduce::Max { "max" } else { "min" }
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        Tensor::map_reduce(self.op, formula!(|x| x), inputs, &[], &self.axes, true)
    }

    fn vjp(&self, inputs: &[Var], output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        // Which elements were chosen does not change under small changes: a constant.
        let (x, y) = (inputs[0].detach(), output.detach());
        let count = Var::map_sum(formula!(|x, y| x.eq(y)), &[&x, &y], &[], &self.axes, true);
        let share = formula!(|d, x, y, count| x.eq(y).select(d / count, 0.0));
        vec![Some(Var::map(share, &[d_y, &x, &y, &count], &[]))]
    }
}

/// Running sums along an axis.
///
/// # Gradient
/// running sums of d_y from the other end
struct CumSum {
    axis: isize,
}

impl Op for CumSum {
    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].cumsum(self.axis)
    }

    fn vjp(&self, _inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(d_y.flip(self.axis).cumsum(self.axis).flip(self.axis))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

impl Var {
    #[track_caller]
    fn extreme(&self, op: Reduce, axes: &[isize], keepdim: bool) -> Var {
        let y = apply(Extreme { op, axes: axes.to_vec() }, &[self]);
        if keepdim { y } else { y.squeeze_axes(axes) }
    }

    /// The largest over axes. Equal ones share the gradient equally.
    #[track_caller]
    pub fn max(&self, axes: &[isize], keepdim: bool) -> Var {
        self.extreme(Reduce::Max, axes, keepdim)
    }

    /// The largest of all elements.
    #[track_caller]
    pub fn max_all(&self) -> Var {
        self.max(&self.all_axes(), false)
    }

    /// The smallest over axes. Equal ones share the gradient equally.
    #[track_caller]
    pub fn min(&self, axes: &[isize], keepdim: bool) -> Var {
        self.extreme(Reduce::Min, axes, keepdim)
    }

    /// The smallest of all elements.
    #[track_caller]
    pub fn min_all(&self) -> Var {
        self.min(&self.all_axes(), false)
    }

    /// Index of the largest along an axis (I32), a constant; see [`Tensor::argmax`].
    #[track_caller]
    pub fn argmax(&self, axis: isize, keepdim: bool) -> Tensor {
        self.value().argmax(axis, keepdim)
    }

    /// Index of the smallest along an axis (I32), a constant; see [`Tensor::argmin`].
    #[track_caller]
    pub fn argmin(&self, axis: isize, keepdim: bool) -> Tensor {
        self.value().argmin(axis, keepdim)
    }

    /// Π x over axes, by halving: the gradient of each factor is the product of the others, which
    /// stays right when some of them are 0.
    #[track_caller]
    pub fn prod(&self, axes: &[isize], keepdim: bool) -> Var {
        let mut y = self.clone();
        for &axis in axes {
            resolve_axis("prod", axis, y.rank());
            if y.dim(axis) == 0 {
                y = y.pad(axis, 0, 1, 1.0);
            }
            while y.dim(axis) > 1 {
                let n = y.dim(axis);
                let half = n / 2;
                let pairs = y.narrow(axis, 0, half) * y.narrow(axis, half, half);
                let odd = (n % 2 == 1).then(|| y.narrow(axis, n - 1, 1));
                y = odd.map_or(pairs.clone(), |odd| Var::cat(&[&pairs, &odd], axis));
            }
        }
        if keepdim { y } else { y.squeeze_axes(axes) }
    }

    /// Π x over all elements.
    #[track_caller]
    pub fn prod_all(&self) -> Var {
        self.prod(&self.all_axes(), false)
    }

    /// Running sums along an axis.
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Var {
        apply(CumSum { axis }, &[self])
    }

    /// The elements along an axis in order, and where they stood (I32).
    #[track_caller]
    pub fn sort(&self, axis: isize, descending: bool) -> (Var, Tensor) {
        let (_, indices) = self.value().sort(axis, descending);
        (self.gather(axis, &indices), indices)
    }

    /// The `k` largest along an axis in descending order, and where they stood (I32).
    #[track_caller]
    pub fn topk(&self, k: usize, axis: isize) -> (Var, Tensor) {
        let (_, indices) = self.value().topk(k, axis);
        (self.gather(axis, &indices), indices)
    }
}
