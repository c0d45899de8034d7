//! Every element-wise function, every sum, and the gradients of both: one operation.
//!
//! [`MapSum`] is y = Σ f(x₁, …, xₙ) over some axes, the inputs broadcast against each other, in one
//! pass. The gradient of xᵢ is d_y · ∂f/∂xᵢ, added up over the axes that were broadcast for xᵢ: again
//! a formula followed by a sum. So the operation is closed under differentiation, to any order.

use plies_tensor::{Elementwise, Formula, Reduce, Shape, Tensor, elementwise_operators, formula};

use crate::{Op, Var, apply, derivative};

/// y = Σ_axes f(x₁, …, xₙ)
///
/// # Gradient
/// d_xᵢ = Σ_broadcast d_y · ∂f/∂xᵢ
struct MapSum {
    formula: Formula,
    scalars: Vec<f64>,
    /// Axes of the broadcast inputs that are summed, kept with size 1; mostly none.
    axes: Vec<isize>,
}

impl Op for MapSum {
    fn name(&self) -> &'static str {
        if self.axes.is_empty() { "map" } else { "sum" }
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        if self.axes.is_empty() {
            return Tensor::map(&self.formula, inputs, &self.scalars);
        }
        Tensor::map_reduce(Reduce::Sum, &self.formula, inputs, &self.scalars, &self.axes, true)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let operands: Vec<&Var> = inputs.iter().chain([d_y]).collect();
        let gradient = |(i, x): (usize, &Var)| {
            let formula = x.requires_grad().then(|| derivative(&self.formula, i)).flatten()?;
            Some(map_sum_to(&formula, &self.scalars, &operands, x.shape()))
        };
        inputs.iter().enumerate().map(gradient).collect()
    }
}

/// f(inputs) added up over the axes that `shape` does not have, or has with size 1.
#[track_caller]
fn map_sum_to(formula: &Formula, scalars: &[f64], inputs: &[&Var], shape: Shape) -> Var {
    let full = inputs.iter().fold(Shape::SCALAR, |s, x| s.broadcast(&x.shape()).unwrap_or(s));
    let lead = full.len() - shape.len();
    let is_summed = |&axis: &usize| axis < lead || (shape[axis - lead] == 1 && full[axis] != 1);
    let axes = (0..full.len()).filter(is_summed).map(|axis| axis as isize).collect();
    let op = MapSum { formula: formula.clone(), scalars: scalars.to_vec(), axes };
    let sum = apply(op, inputs);
    if lead > 0 { sum.reshape(shape) } else { sum }
}

impl Elementwise for Var {
    #[track_caller]
    fn map(formula: &Formula, inputs: &[&Var], scalars: &[f64]) -> Var {
        let (formula, scalars) = (formula.clone(), scalars.to_vec());
        apply(MapSum { formula, scalars, axes: Vec::new() }, inputs)
    }
}

elementwise_operators!(Var);

impl Var {
    /// Σ f(inputs) over `axes` in one pass, forward and backward: a dot product is the sum of x·y.
    #[track_caller]
    pub fn map_sum(
        formula: &Formula,
        inputs: &[&Var],
        scalars: &[f64],
        axes: &[isize],
        keepdim: bool,
    ) -> Var {
        let (formula, scalars) = (formula.clone(), scalars.to_vec());
        let sum = apply(MapSum { formula, scalars, axes: axes.to_vec() }, inputs);
        if keepdim { sum } else { sum.squeeze_axes(axes) }
    }

    /// Σ x over axes.
    #[track_caller]
    pub fn sum(&self, axes: &[isize], keepdim: bool) -> Var {
        Self::map_sum(formula!(|x| x), &[self], &[], axes, keepdim)
    }

    /// Σ x over all elements.
    pub fn sum_all(&self) -> Var {
        self.sum(&self.all_axes(), false)
    }

    /// Σ x / n over axes; NaN over nothing.
    #[track_caller]
    pub fn mean(&self, axes: &[isize], keepdim: bool) -> Var {
        let n = self.count(axes) as f64;
        Self::map_sum(formula!(|x; n| x / n), &[self], &[n], axes, keepdim)
    }

    /// Σ x / n over all elements.
    pub fn mean_all(&self) -> Var {
        self.mean(&self.all_axes(), false)
    }

    /// Σ (x - mean)² / (n - correction) over axes.
    #[track_caller]
    pub fn var(&self, axes: &[isize], correction: usize, keepdim: bool) -> Var {
        let mean = self.mean(axes, true);
        let n = self.count(axes).saturating_sub(correction) as f64;
        let f = formula!(|x, mean; n| (x - mean).sqr() / n);
        Self::map_sum(f, &[self, &mean], &[n], axes, keepdim)
    }

    /// √Σ x² over axes. Its gradient at 0 is NaN, as the norm has none there.
    #[track_caller]
    pub fn norm(&self, axes: &[isize], keepdim: bool) -> Var {
        Self::map_sum(formula!(|x| x * x), &[self], &[], axes, keepdim).sqrt()
    }

    /// √Σ x² over all elements.
    pub fn norm_all(&self) -> Var {
        self.norm(&self.all_axes(), false)
    }

    /// ln Σ eˣ over axes, computed from x - max.
    ///
    /// The maximum is a constant shift that cancels, so no gradient needs to flow through it.
    #[track_caller]
    pub fn logsumexp(&self, axes: &[isize], keepdim: bool) -> Var {
        if self.elem_count() == 0 {
            return self.sum(axes, keepdim).ln();
        }
        let largest = self.value().max(axes, true);
        let finite = formula!(|m; zero, infinity| m.abs().eq(infinity).select(zero, m));
        let m = Var::constant(Tensor::map(finite, &[&largest], &[0.0, f64::INFINITY]));
        let sum = Self::map_sum(formula!(|x, m| (x - m).exp()), &[self, &m], &[], axes, true);
        let out = Self::map(formula!(|s, m| s.ln() + m), &[&sum, &m], &[]);
        if keepdim { out } else { out.squeeze_axes(axes) }
    }

    /// x - ln Σ eˣ along an axis.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Var {
        let total = self.logsumexp(&[axis], true);
        Self::map(formula!(|x, total| x - total), &[self, &total], &[])
    }

    /// eˣ / Σ eˣ along an axis.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Var {
        let total = self.logsumexp(&[axis], true);
        Self::map(formula!(|x, total| (x - total).exp()), &[self, &total], &[])
    }

    fn all_axes(&self) -> Vec<isize> {
        (0..self.rank() as isize).collect()
    }

    #[track_caller]
    fn count(&self, axes: &[isize]) -> usize {
        axes.iter().map(|&axis| self.dim(axis)).product()
    }
}
