//! Reductions: many elements to one, over any set of axes.
//!
//! `axes` lists the axes to reduce, `-1` being the last; an empty list reduces nothing. With
//! `keepdim` they stay as axes of size 1, so that the result broadcasts against the input. The
//! `_all` forms reduce every axis to a scalar.

use std::cell::OnceCell;

use crate::backend::{ArgReduce, Buffer};
use crate::shape::{MAX_RANK, axis_mask, resolve_axis};
use crate::tensor::{check_operands, with_views};
use crate::{DType, Elementwise, Formula, Reduce, Shape, Tensor, formula};

/// The shape that is left when the marked axes are reduced.
fn reduced(shape: Shape, mask: &[bool; MAX_RANK], keepdim: bool) -> Shape {
    let mut out = Shape::SCALAR;
    for (axis, &dim) in shape.iter().enumerate() {
        match (mask[axis], keepdim) {
            (false, _) => out.push(dim),
            (true, true) => out.push(1),
            (true, false) => {}
        }
    }
    out
}

/// Number of elements that meet in one result.
fn count(shape: Shape, mask: &[bool; MAX_RANK]) -> usize {
    let reduced = shape.iter().zip(mask).filter(|(_, reduced)| **reduced);
    reduced.fold(1, |n, (&dim, _)| n.saturating_mul(dim))
}

fn all_axes(rank: usize) -> Vec<isize> {
    (0..rank as isize).collect()
}

impl Tensor {
    /// Joins the values of a formula over axes in one pass, without storing them: the sum of x·y,
    /// of (x - mean)², of a gradient's formula over the axes that were broadcast.
    ///
    /// # Panics
    /// When shapes do not broadcast, an axis does not exist, or dtypes or devices differ; for
    /// [`Reduce::Max`] and [`Reduce::Min`] also when there is nothing to choose from.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Reduce, Tensor, formula};
    /// let x = Tensor::from([[1f32, 2.0], [3.0, 4.0]]);
    /// let y = Tensor::from([10f32, 1.0]);
    /// let dot = Tensor::map_reduce(Reduce::Sum, formula!(|x, y| x * y), &[&x, &y], &[], &[-1], false);
    /// assert_eq!(dot.to_vec::<f32>().unwrap(), [12.0, 34.0]);
    /// ```
    #[track_caller]
    pub fn map_reduce(
        op: Reduce,
        formula: &Formula,
        inputs: &[&Tensor],
        scalars: &[f64],
        axes: &[isize],
        keepdim: bool,
    ) -> Tensor {
        let name = match op {
            Reduce::Sum => "sum",
            Reduce::Prod => "prod",
            Reduce::Max => "max",
            Reduce::Min => "min",
        };
        Self::reduction(name, op, formula, inputs, scalars, axes, keepdim)
    }

    /// [`map_reduce`](Tensor::map_reduce) on behalf of the operation `name`.
    #[track_caller]
    fn reduction(
        name: &str,
        op: Reduce,
        formula: &Formula,
        inputs: &[&Tensor],
        scalars: &[f64],
        axes: &[isize],
        keepdim: bool,
    ) -> Tensor {
        let joint = OnceCell::new();
        let shape = *check_operands(formula, inputs, scalars, &joint);
        assert!(formula.n_outputs() == 1, "map_reduce: the formula must have one output");
        assert!(!formula.reduces_rows(), "{name}: {formula} reduces rows already; map it first");
        let mask = axis_mask(name, axes, shape.len());
        let out = reduced(shape, &mask, keepdim);
        if matches!(op, Reduce::Max | Reduce::Min) {
            assert!(
                count(shape, &mask) > 0 || out.elem_count() == 0,
                "{name}: no elements to choose from in shape {shape} over axes {axes:?}"
            );
        }
        if axes.is_empty() {
            return Tensor::evaluate(formula, inputs, scalars);
        }
        Tensor::fresh(inputs[0].device(), inputs[0].dtype(), out, |backend, buffer| {
            with_views(inputs, &shape, |views| {
                backend.reduce(op, formula, views, scalars, &mask[..shape.len()], buffer);
            });
        })
    }

    #[track_caller]
    fn check_float(&self, operation: &str) {
        assert!(
            self.dtype().is_float(),
            "{operation}: not defined on {}; cast with to_dtype first",
            self.dtype()
        );
    }

    #[track_caller]
    fn reduce(&self, op: Reduce, axes: &[isize], keepdim: bool) -> Tensor {
        Self::map_reduce(op, formula!(|x| x), &[self], &[], axes, keepdim)
    }

    /// Σ x. In F32 and F64 the error is that of a few roundings, whatever the number of elements;
    /// integers wrap around.
    #[track_caller]
    pub fn sum(&self, axes: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Reduce::Sum, axes, keepdim)
    }

    /// Σ x over all elements.
    #[track_caller]
    pub fn sum_all(&self) -> Tensor {
        self.sum(&all_axes(self.rank()), false)
    }

    /// Σ x / n; NaN over nothing.
    ///
    /// # Panics
    /// On integers.
    #[track_caller]
    pub fn mean(&self, axes: &[isize], keepdim: bool) -> Tensor {
        self.check_float("mean");
        let n = count(self.shape(), &axis_mask("mean", axes, self.rank()));
        let sum = self.sum(axes, keepdim);
        Self::evaluate(formula!(|s; n| s / n), &[&sum], &[n as f64])
    }

    /// Σ x / n over all elements.
    #[track_caller]
    pub fn mean_all(&self) -> Tensor {
        self.mean(&all_axes(self.rank()), false)
    }

    /// The largest; NaN when any is NaN.
    ///
    /// # Panics
    /// Over nothing.
    #[doc(alias = "amax")]
    #[track_caller]
    pub fn max(&self, axes: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Reduce::Max, axes, keepdim)
    }

    /// The largest of all elements.
    #[track_caller]
    pub fn max_all(&self) -> Tensor {
        self.max(&all_axes(self.rank()), false)
    }

    /// The smallest; NaN when any is NaN.
    ///
    /// # Panics
    /// Over nothing.
    #[doc(alias = "amin")]
    #[track_caller]
    pub fn min(&self, axes: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Reduce::Min, axes, keepdim)
    }

    /// The smallest of all elements.
    #[track_caller]
    pub fn min_all(&self) -> Tensor {
        self.min(&all_axes(self.rank()), false)
    }

    /// Π x; 1 over nothing.
    #[track_caller]
    pub fn prod(&self, axes: &[isize], keepdim: bool) -> Tensor {
        self.reduce(Reduce::Prod, axes, keepdim)
    }

    /// Π x over all elements.
    #[track_caller]
    pub fn prod_all(&self) -> Tensor {
        self.prod(&all_axes(self.rank()), false)
    }

    /// Σ (x - mean)² / (n - correction), in two passes. `correction` 0 is the variance of a whole
    /// population, 1 the unbiased estimate from a sample (Bessel's correction).
    ///
    /// # Panics
    /// On integers.
    #[track_caller]
    pub fn var(&self, axes: &[isize], correction: usize, keepdim: bool) -> Tensor {
        self.check_float("var");
        let n = count(self.shape(), &axis_mask("var", axes, self.rank()));
        let mean = self.mean(axes, true);
        let square = formula!(|x, mean| (x - mean).sqr());
        let sum = Self::map_reduce(Reduce::Sum, square, &[self, &mean], &[], axes, keepdim);
        let divisor = n.saturating_sub(correction) as f64;
        Self::evaluate(formula!(|s; n| s / n), &[&sum], &[divisor])
    }

    /// ln Σ eˣ without overflow: m + ln Σ exp(x - m) with m the largest; -∞ over nothing.
    ///
    /// # Panics
    /// On integers.
    #[track_caller]
    pub fn logsumexp(&self, axes: &[isize], keepdim: bool) -> Tensor {
        self.check_float("logsumexp");
        let mask = axis_mask("logsumexp", axes, self.rank());
        if self.elem_count() == 0 {
            return self.sum(axes, keepdim).ln();
        }
        // An infinite maximum would make ∞ - ∞; 0 in its place gives the right limit.
        let largest = self.max(axes, true);
        let finite = formula!(|m| m.abs().eq(f64::INFINITY).select(0.0, m));
        let m = Self::evaluate(finite, &[&largest], &[]);
        let sum = Self::map_reduce(
            Reduce::Sum,
            formula!(|x, m| (x - m).exp()),
            &[self, &m],
            &[],
            axes,
            true,
        );
        let out = Self::evaluate(formula!(|s, m| s.ln() + m), &[&sum, &m], &[]);
        out.reshape(reduced(self.shape(), &mask, keepdim))
    }

    /// √Σ x², the Euclidean norm.
    ///
    /// # Panics
    /// On integers.
    #[track_caller]
    pub fn norm(&self, axes: &[isize], keepdim: bool) -> Tensor {
        self.check_float("norm");
        let square = formula!(|x| x * x);
        Self::reduction("norm", Reduce::Sum, square, &[self], &[], axes, keepdim).sqrt()
    }

    /// √Σ x² over all elements.
    #[track_caller]
    pub fn norm_all(&self) -> Tensor {
        self.norm(&all_axes(self.rank()), false)
    }

    /// (Σ |x|ᵖ)^(1/p): the number of elements that are not 0 for p = 0, the largest |x| for p = ∞.
    #[track_caller]
    pub fn norm_p(&self, p: f64, axes: &[isize], keepdim: bool) -> Tensor {
        let (op, formula) = match p {
            0.0 => (Reduce::Sum, formula!(|x| 1.0 - x.eq(0.0))),
            1.0 => (Reduce::Sum, formula!(|x| x.abs())),
            2.0 => return self.norm(axes, keepdim),
            f64::INFINITY => (Reduce::Max, formula!(|x| x.abs())),
            _ => {
                self.check_float("norm_p");
                let power = formula!(|x; p| x.abs().pow(p));
                let sum =
                    Self::reduction("norm_p", Reduce::Sum, power, &[self], &[p], axes, keepdim);
                return sum.powf(1.0 / p);
            }
        };
        Self::reduction("norm_p", op, formula, &[self], &[], axes, keepdim)
    }

    /// exp(x) / Σ exp(x) along an axis, computed from x - max in one pass.
    ///
    /// # Panics
    /// On integers.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Tensor {
        let f = formula!(|x| {
            let e = (x - x.row_max()).exp();
            e * e.row_sum().recip()
        });
        self.by_rows("softmax", f, axis)
    }

    /// x - ln Σ exp(x) along an axis, in one pass.
    ///
    /// # Panics
    /// On integers.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Tensor {
        let f = formula!(|x| {
            let d = x - x.row_max();
            d - d.exp().row_sum().ln()
        });
        self.by_rows("log_softmax", f, axis)
    }

    /// A formula that reduces rows, along another axis than the last one, too.
    #[track_caller]
    fn by_rows(&self, name: &str, formula: &Formula, axis: isize) -> Tensor {
        self.check_float(name);
        resolve_axis(name, axis, self.rank());
        let rows = self.transpose(axis, -1);
        Self::evaluate(formula, &[&rows], &[]).transpose(axis, -1)
    }

    #[track_caller]
    fn arg_reduce(&self, op: ArgReduce, axis: isize, keepdim: bool) -> Tensor {
        let name = match op {
            ArgReduce::Max => "argmax",
            ArgReduce::Min => "argmin",
        };
        let a = resolve_axis(name, axis, self.rank());
        let mask = axis_mask(name, &[axis], self.rank());
        let shape = reduced(self.shape(), &mask, keepdim);
        assert!(
            self.dims()[a] > 0 || shape.elem_count() == 0,
            "{name}: axis {axis} of {} is empty",
            self.shape()
        );
        Tensor::fresh(self.device(), DType::I32, shape, |backend, buffer| {
            backend.arg_reduce(op, self.view(), a, buffer);
        })
    }

    /// Index of the largest along an axis (I32); the first of equals, the first NaN if any.
    #[track_caller]
    pub fn argmax(&self, axis: isize, keepdim: bool) -> Tensor {
        self.arg_reduce(ArgReduce::Max, axis, keepdim)
    }

    /// Index of the smallest along an axis (I32); the first of equals, the first NaN if any.
    #[track_caller]
    pub fn argmin(&self, axis: isize, keepdim: bool) -> Tensor {
        self.arg_reduce(ArgReduce::Min, axis, keepdim)
    }

    /// Running sums along an axis: yᵢ = x₀ + … + xᵢ.
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Tensor {
        let a = resolve_axis("cumsum", axis, self.rank());
        Tensor::fresh(self.device(), self.dtype(), self.shape(), |backend, buffer| {
            backend.cumsum(self.view(), a, buffer);
        })
    }

    #[track_caller]
    fn sorted(&self, axis: isize, descending: bool, k: Option<usize>) -> (Tensor, Tensor) {
        let name = if k.is_some() { "topk" } else { "sort" };
        let a = resolve_axis(name, axis, self.rank());
        let n = self.dims()[a];
        let k = k.unwrap_or(n);
        assert!(k <= n, "topk: k = {k} exceeds axis {axis} of {}", self.shape());
        let mut shape = self.shape();
        shape[a] = k;
        let mut indices = Buffer::allocate(self.device(), DType::I32, &shape);
        let values = Tensor::fresh(self.device(), self.dtype(), shape, |backend, values| {
            backend.sort(self.view(), a, descending, k, values, &mut indices);
        });
        (values, Tensor::from_buffer(indices, shape))
    }

    /// The elements of each line along an axis in order, and the indices (I32) where they stood.
    /// Equal elements keep their order; NaN counts as larger than every number.
    #[doc(alias = "argsort")]
    #[track_caller]
    pub fn sort(&self, axis: isize, descending: bool) -> (Tensor, Tensor) {
        self.sorted(axis, descending, None)
    }

    /// The `k` largest along an axis in descending order, and their indices (I32).
    ///
    /// # Panics
    /// When the axis has fewer than `k` elements.
    #[track_caller]
    pub fn topk(&self, k: usize, axis: isize) -> (Tensor, Tensor) {
        self.sorted(axis, true, Some(k))
    }
}
