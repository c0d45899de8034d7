//! Exponentials that are normalised by their sum. Their gradients need the result, not the steps in
//! between, so each is one operation.

use plies_tensor::{Elementwise, Formula, Tensor, formula};

use crate::{Op, Reads, Var, apply};

/// y = ln Σ eˣ over axes, kept with size 1.
///
/// # Gradient
/// d_x = d_y · e^(x - y)
struct LogSumExp {
    axes: Vec<isize>,
}

impl Op for LogSumExp {
    fn name(&self) -> &'static str {
        "logsumexp"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].logsumexp(&self.axes, true)
    }

    fn vjp(&self, inputs: &[Var], output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        // Where everything is -∞ so is y, and the gradient is 0, not e^(-∞ + ∞).
        let f = formula!(|d, x, y| y.eq(f64::NEG_INFINITY).select(0.0, d * (x - y).exp()));
        vec![Some(Var::map(f, &[d_y, &inputs[0], output], &[]))]
    }
}

/// y = eˣ / Σ eˣ along an axis
///
/// # Gradient
/// d_x = y · (d_y - Σ d_y · y)
struct Softmax {
    axis: isize,
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].softmax(self.axis)
    }

    fn vjp(&self, _inputs: &[Var], y: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(by_rows(formula!(|d, y| y * (d - (d * y).row_sum())), [d_y, y], self.axis))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::OUTPUT
    }
}

/// y = x - ln Σ eˣ along an axis
///
/// # Gradient
/// d_x = d_y - eʸ · Σ d_y
struct LogSoftmax {
    axis: isize,
}

impl Op for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].log_softmax(self.axis)
    }

    fn vjp(&self, _inputs: &[Var], y: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(by_rows(formula!(|d, y| d - y.exp() * d.row_sum()), [d_y, y], self.axis))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::OUTPUT
    }
}

/// A formula that reduces rows, along another axis than the last one, too.
fn by_rows(formula: &Formula, inputs: [&Var; 2], axis: isize) -> Var {
    let rows = inputs.map(|x| x.transpose(axis, -1));
    Var::map(formula, &rows.each_ref(), &[]).transpose(axis, -1)
}

impl Var {
    /// ln Σ eˣ over axes, without overflow.
    #[track_caller]
    pub fn logsumexp(&self, axes: &[isize], keepdim: bool) -> Var {
        let y = apply(LogSumExp { axes: axes.to_vec() }, &[self]);
        if keepdim { y } else { y.squeeze_axes(axes) }
    }

    /// eˣ / Σ eˣ along an axis.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Var {
        apply(Softmax { axis }, &[self])
    }

    /// x - ln Σ eˣ along an axis.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Var {
        apply(LogSoftmax { axis }, &[self])
    }
}
