//! Every element-wise function, every sum, and the gradients of both: one operation.
//!
//! [`MapSum`] is y = Σ f(x₁, …, xₙ) over some axes, the inputs broadcast against each other, in one
//! pass. The gradient of xᵢ is d_y · ∂f/∂xᵢ, added up over the axes that were broadcast for xᵢ: again
//! a formula followed by a sum. So the operation is closed under differentiation, to any order.

use plies_tensor::{
    Elementwise, Formula, Reduce, Shape, Tensor, elementwise_operators, formula, resolve_axis,
};

use crate::derivative::derivatives;
use crate::{Op, Reads, Var, apply};

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

impl MapSum {
    fn new(formula: &Formula, scalars: &[f64], axes: Vec<isize>) -> MapSum {
        let (formula, scalars) = (formula.clone(), scalars.to_vec());
        MapSum { formula, scalars, axes }
    }

    /// Whether the output is f(x₁, …, xₙ) itself.
    fn y_is_known(&self) -> bool {
        self.axes.is_empty()
    }
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

    fn vjp(&self, inputs: &[Var], output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let derivatives = derivatives(&self.formula);
        let full = broadcast_shape(inputs);
        let gradient = |(i, x): (usize, &Var)| {
            let partial =
                x.requires_grad().then(|| derivatives.partial(i, self.y_is_known())).flatten()?;
            if partial.is_identity() {
                let is_same = d_y.shape() == x.shape() && d_y.shape() == full;
                return Some(match is_same {
                    true => d_y.clone(),
                    false => d_y.broadcast_to(full).sum_to(x.shape()),
                });
            }
            let operand =
                |&i: &usize| inputs.get(i).unwrap_or(if i == inputs.len() { d_y } else { output });
            let operands: Vec<&Var> = partial.used.iter().map(operand).collect();
            let in_one_pass = !partial.compact.reduces_rows() || x.shape() == full;
            if in_one_pass && broadcast_shape(operands.iter().copied()) == full {
                return Some(map_sum_to(&partial.compact, &self.scalars, &operands, x.shape()));
            }
            // Inside a sum that was cut to what ∂f/∂xᵢ reads, the gradient is the same along some
            // axes: compute it once there. Where rows are reduced, they cannot be added up as well.
            let d_x = Var::map(&partial.compact, &operands, &self.scalars);
            Some(d_x.broadcast_to(full).sum_to(x.shape()))
        };
        inputs.iter().enumerate().map(gradient).collect()
    }

    fn reads(&self, inputs: &[&Var]) -> Reads {
        let derivatives = derivatives(&self.formula);
        let partial = |(i, x): (usize, &&Var)| {
            x.requires_grad().then(|| derivatives.partial(i, self.y_is_known())).flatten()
        };
        let partials = inputs.iter().enumerate().filter_map(partial);
        partials.fold(Reads::NOTHING, |reads, partial| reads | partial.reads)
    }
}

fn broadcast_shape<'a>(inputs: impl IntoIterator<Item = &'a Var>) -> Shape {
    let mut inputs = inputs.into_iter();
    let first = inputs.next().map_or(Shape::SCALAR, Var::shape);
    inputs.fold(first, |shape, x| match x.shape() == shape {
        true => shape,
        false => shape.broadcast(&x.shape()).unwrap_or(shape),
    })
}

/// f(inputs) added up over the axes that `shape` does not have, or has with size 1.
#[track_caller]
fn map_sum_to(formula: &Formula, scalars: &[f64], inputs: &[&Var], shape: Shape) -> Var {
    let full = broadcast_shape(inputs.iter().copied());
    let lead = full.len() - shape.len();
    let is_summed = |&axis: &usize| axis < lead || (shape[axis - lead] == 1 && full[axis] != 1);
    let axes = (0..full.len()).filter(is_summed).map(|axis| axis as isize).collect();
    apply(MapSum::new(formula, scalars, axes), inputs).reshape(shape)
}

impl Elementwise for Var {
    #[track_caller]
    fn map(formula: &Formula, inputs: &[&Var], scalars: &[f64]) -> Var {
        apply(MapSum::new(formula, scalars, Vec::new()), inputs)
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
        let sum = apply(MapSum::new(formula, scalars, axes.to_vec()), inputs);
        if keepdim { sum } else { sum.squeeze_axes(axes) }
    }

    /// Σ x over axes.
    #[track_caller]
    pub fn sum(&self, axes: &[isize], keepdim: bool) -> Var {
        Self::map_sum(formula!(|x| x), &[self], &[], axes, keepdim)
    }

    /// Σ x over all elements.
    #[track_caller]
    pub fn sum_all(&self) -> Var {
        self.sum(&self.all_axes(), false)
    }

    /// Σ x / n over axes; NaN over nothing.
    #[track_caller]
    pub fn mean(&self, axes: &[isize], keepdim: bool) -> Var {
        let n = self.count("mean", axes) as f64;
        if n == 0.0 {
            return self.sum(axes, keepdim) / n;
        }
        Self::map_sum(formula!(|x; n| x / n), &[self], &[n], axes, keepdim)
    }

    /// Σ x / n over all elements.
    #[track_caller]
    pub fn mean_all(&self) -> Var {
        self.mean(&self.all_axes(), false)
    }

    /// Σ (x - mean)² / (n - correction) over axes.
    #[track_caller]
    pub fn var(&self, axes: &[isize], correction: usize, keepdim: bool) -> Var {
        let n = self.count("var", axes).saturating_sub(correction) as f64;
        let mean = self.mean(axes, true);
        let f = formula!(|x, mean; n| (x - mean).sqr() / n);
        Self::map_sum(f, &[self, &mean], &[n], axes, keepdim)
    }

    /// √Σ x² over axes. At 0 the norm has no gradient; it is taken as 0.
    #[track_caller]
    pub fn norm(&self, axes: &[isize], keepdim: bool) -> Var {
        self.count("norm", axes);
        let squares = Self::map_sum(formula!(|x| x * x), &[self], &[], axes, keepdim);
        Self::map(formula!(|s| s.eq(0.0).select(0.0, s.sqrt())), &[&squares], &[])
    }

    /// (Σ |x|ᵖ)^(1/p) over axes; see [`Tensor::norm_p`]. At 0 the gradient is taken as 0.
    #[track_caller]
    pub fn norm_p(&self, p: f64, axes: &[isize], keepdim: bool) -> Var {
        self.count("norm_p", axes);
        match p {
            0.0 => Var::constant(self.value().norm_p(p, axes, keepdim)),
            1.0 => Self::map_sum(formula!(|x| x.abs()), &[self], &[], axes, keepdim),
            2.0 => self.norm(axes, keepdim),
            f64::INFINITY => self.abs().max(axes, keepdim),
            _ => {
                // 0ᵖ is 0, or infinite for p < 0; the constant has no gradient.
                let power = formula!(|x; p, at_0| x.eq(0.0).select(at_0, x.abs().pow(p)));
                let root = formula!(|s; q, at_0| s.eq(0.0).select(at_0, s.pow(q)));
                let sum = Self::map_sum(power, &[self], &[p, 0f64.powf(p)], axes, keepdim);
                Self::map(root, &[&sum], &[1.0 / p, 0f64.powf(1.0 / p)])
            }
        }
    }

    /// √Σ x² over all elements.
    #[track_caller]
    pub fn norm_all(&self) -> Var {
        self.norm(&self.all_axes(), false)
    }

    pub(super) fn all_axes(&self) -> Vec<isize> {
        (0..self.rank() as isize).collect()
    }

    /// Number of elements that meet in one result of an operation over axes.
    #[track_caller]
    fn count(&self, operation: &str, axes: &[isize]) -> usize {
        let mut n = 1;
        for &axis in axes {
            n *= self.dims()[resolve_axis(operation, axis, self.rank())];
        }
        n
    }
}
