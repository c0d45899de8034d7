//! Numbers of any size as probabilities, or as the logarithms of probabilities.
//!
//! p_i = exp(x_i) / Σ_j exp(x_j)
//!
//! Losses take logits and do this themselves: see [`loss`](crate::loss).

use plies_autograd::Var;

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// y = exp(x) / Σ exp(x) along an axis, `-1` being the last, without overflow.
///
/// # Shapes
/// x [...] -> [...]
///
/// # Gradient
/// d_x = y · (d_y - Σ y · d_y)
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Module, Pass, Softmax};
/// use plies_tensor::Tensor;
/// let y = Softmax(-1).forward(&Var::constant(Tensor::from([7f32, 7.0])), &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [0.5, 0.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Softmax(pub isize);

/// y = x - ln Σ exp(x) along an axis, `-1` being the last, without overflow.
///
/// # Shapes
/// x [...] -> [...]
///
/// # Gradient
/// d_x = d_y - exp(y) · Σ d_y
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{LogSoftmax, Module, Pass};
/// use plies_tensor::Tensor;
/// let y = LogSoftmax(0).forward(&Var::constant(Tensor::from([1e4f32, 0.0])), &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [0.0, -1e4]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmax(pub isize);

impl Module for Softmax {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        x.softmax(self.0)
    }

    fn export(&self, x: &Value, _graph: &Graph) -> onnx::Result<Value> {
        Ok(x.softmax(self.0 as i64))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

impl Module for LogSoftmax {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        x.log_softmax(self.0)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(graph.op("LogSoftmax", &[x], [("axis", (self.0 as i64).into())]))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
