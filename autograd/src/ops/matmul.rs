//! Matrix products.

use plies_tensor::{Shape, Tensor, formula};

use crate::{Op, Reads, Var, apply};

/// y = a · b for two matrices or batches of them, leading dimensions broadcast.
///
/// # Gradient
/// d_a = d_y · bᵀ, d_b = aᵀ · d_y, each summed over the dimensions that were broadcast
struct MatMul;

impl Op for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].matmul(inputs[1])
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let [a, b] = inputs else { return vec![] };
        let d_b = || match b.rank() {
            // One matrix for the whole batch: one product of all rows, not a product for each
            // member of the batch that would then be added up.
            2 => a.rows().t().matmul(&d_y.rows()),
            _ => a.t().matmul(d_y).sum_to(b.shape()),
        };
        vec![
            a.requires_grad().then(|| d_y.matmul(&b.t()).sum_to(a.shape())),
            b.requires_grad().then(d_b),
        ]
    }

    fn reads(&self, inputs: &[&Var]) -> Reads {
        Reads::inputs((0..2).filter(|&i| inputs[1 - i].requires_grad()))
    }
}

/// y = x · wᵀ + bias
///
/// # Gradient
/// d_x = d_y · w, d_w = d_yᵀ · x, d_bias = Σ_rows d_y
struct Linear;

impl Op for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].matmul_then(&inputs[1].t(), formula!(|y, b| y + b), &[inputs[2]], &[])
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let [x, w, bias] = inputs else { return vec![] };
        vec![
            x.requires_grad().then(|| d_y.matmul(w)),
            w.requires_grad().then(|| d_y.rows().t().matmul(&x.rows())),
            bias.requires_grad().then(|| d_y.sum_to(bias.shape())),
        ]
    }

    fn reads(&self, inputs: &[&Var]) -> Reads {
        Reads::inputs((0..2).filter(|&i| inputs[1 - i].requires_grad()))
    }
}

/// An affine map: y = x · wᵀ + bias.
///
/// # Shapes
/// `x [..., I], weight [O, I], bias [O] -> [..., O]`
///
/// # Gradient
/// d_x = d_y · weight, d_weight = d_yᵀ · x over all rows, d_bias = Σ d_y over all rows
///
/// # Panics
/// When the shapes are others.
#[track_caller]
pub fn linear(x: &Var, weight: &Var, bias: Option<&Var>) -> Var {
    assert!(
        weight.rank() == 2
            && x.rank() > 0
            && x.dim(-1) == weight.dim(1)
            && bias.is_none_or(|bias| bias.dims() == [weight.dim(0)]),
        "linear: x {}, weight {}, bias {}; expected [..., I], [O, I] and [O]",
        x.shape(),
        weight.shape(),
        bias.map_or("none".to_owned(), |bias| bias.shape().to_string())
    );
    match bias {
        Some(bias) if x.rank() >= 2 => apply(Linear, &[x, weight, bias]),
        Some(bias) => x.matmul(&weight.t()) + bias,
        None => x.matmul(&weight.t()),
    }
}

impl Var {
    /// The matrix product by NumPy's rules; see [`Tensor::matmul`].
    #[track_caller]
    pub fn matmul(&self, other: &Var) -> Var {
        // Vectors become matrices of one row or column, whose axis the result drops.
        let row = if self.rank() == 1 { Some(self.unsqueeze(0)) } else { None };
        let column = if other.rank() == 1 { Some(other.unsqueeze(1)) } else { None };
        let mut y =
            apply(MatMul, &[row.as_ref().unwrap_or(self), column.as_ref().unwrap_or(other)]);
        if column.is_some() {
            y = y.squeeze(-1);
        }
        if row.is_some() {
            y = y.squeeze(if column.is_some() { -1 } else { -2 });
        }
        y
    }

    /// All leading dimensions as one: [..., N] -> [rows, N].
    fn rows(&self) -> Var {
        if self.rank() == 2 {
            return self.clone();
        }
        let n = self.dim(-1);
        let rows = self.dims()[..self.rank() - 1].iter().product();
        self.reshape(Shape::from([rows, n]))
    }
}
