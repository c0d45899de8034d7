//! Normalisation: mean 0 and variance 1, then a scale and a shift that are learnt.
//!
//! y = (x - μ) / √(σ² + ε) · weight + bias
//!
//! The layers differ in the elements that μ and σ² are taken over: the features of one example
//! ([`LayerNorm`]; [`RmsNorm`], without μ), a group of its channels ([`GroupNorm`]), one channel of all
//! examples ([`BatchNorm`]). The first three are rows of x, so that forward is one pass over memory, and
//! so is the gradient of x.

mod batch_norm;
mod group_norm;
mod layer_norm;
mod rms_norm;

use plies_autograd::Var;
use plies_tensor::{DType, Device, Elementwise, Shape, Tensor, formula};

use crate::onnx::{Graph, Value};
use crate::{Visitor, VisitorMut, check};

pub use batch_norm::BatchNorm;
pub use group_norm::GroupNorm;
pub use layer_norm::LayerNorm;
pub use rms_norm::RmsNorm;

const EPS: f64 = 1e-5;

#[track_caller]
fn ones(layer: &str, dims: Shape) -> Var {
    check::size(layer, &dims);
    Var::leaf(Tensor::ones(dims, DType::F32, &Device::cpu()))
}

fn zeros(dims: Shape) -> Var {
    Var::leaf(Tensor::zeros(dims, DType::F32, &Device::cpu()))
}

/// A scale and a shift that are learnt; a layer may do without either.
#[derive(Debug)]
struct Affine {
    weight: Option<Var>,
    bias: Option<Var>,
}

impl Affine {
    /// weight 1, bias 0
    #[track_caller]
    fn new(layer: &str, dims: Shape) -> Self {
        Affine { weight: Some(ones(layer, dims)), bias: Some(zeros(dims)) }
    }

    /// Weight and bias as `f` spreads them out over elements; where there is none, 1 and 0, which change
    /// no number.
    fn spread(&self, x: &Var, f: impl Fn(&Var) -> Var) -> [Var; 2] {
        let or = |v: &Option<Var>, value: f64| match v {
            Some(v) => f(v),
            None => Var::constant(Tensor::full([], value, x.dtype(), x.device())),
        };
        [or(&self.weight, 1.0), or(&self.bias, 0.0)]
    }

    /// Weight and bias of `dims`, which operators of ONNX ask for.
    fn export(&self, x: &Value, dims: Shape, graph: &Graph) -> [Value; 2] {
        let or = |name, v: &Option<Var>, value: f64| match v {
            Some(v) => graph.tensor(name, v.value()),
            None => graph.tensor(name, &Tensor::full(dims, value, x.dtype(), &Device::cpu())),
        };
        [or("weight", &self.weight, 1.0), or("bias", &self.bias, 0.0)]
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        if let Some(weight) = &self.weight {
            visitor.parameter("weight", weight);
        }
        if let Some(bias) = &self.bias {
            visitor.parameter("bias", bias);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        if let Some(weight) = &mut self.weight {
            visitor.parameter("weight", weight);
        }
        if let Some(bias) = &mut self.bias {
            visitor.parameter("bias", bias);
        }
    }
}

/// Each row of x with mean 0 and variance 1, then scaled and shifted.
///
/// # Shapes
/// x [..., N], weight and bias [..., N] broadcast -> [..., N]
fn normalise(x: &Var, [weight, bias]: [Var; 2], eps: f64) -> Var {
    let f = formula!(|x, weight, bias; n, eps| {
        let d = x - x.row_sum() / n;
        d / ((d * d).row_sum() / n + eps).sqrt() * weight + bias
    });
    Var::map(f, &[x, &weight, &bias], &[x.dim(-1) as f64, eps])
}

/// x with its last axes, which are `dims`, as one.
#[track_caller]
fn rows(layer: &str, x: &Var, dims: &[usize]) -> Var {
    let lead = x.rank().saturating_sub(dims.len());
    assert!(
        x.dims()[lead..] == *dims,
        "{layer}: input {}, expected {dims:?} at its end",
        x.shape()
    );
    let mut shape = Shape::from(&x.dims()[..lead]);
    shape.push(dims.iter().product());
    x.reshape(shape)
}

#[track_caller]
fn check_channels(layer: &str, x: &Var, channels: usize) {
    assert!(
        x.rank() >= 2 && x.dim(1) == channels,
        "{layer}: input {}, expected [B, {channels}, ...]",
        x.shape()
    );
}
