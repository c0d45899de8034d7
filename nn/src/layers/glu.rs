//! The gated linear unit: half of the features say how much of the other half passes.
//!
//! y = a · sigmoid(b), where x = [a, b] along an axis

use plies_autograd::Var;
use plies_tensor::{Elementwise, formula, resolve_axis};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// y = a · sigmoid(b), where a and b are the halves of x along an axis, `-1` being the last.
///
/// # Shapes
/// x [.., 2N, ..] -> [.., N, ..]
///
/// # Gradient
/// d_a = d_y · sigmoid(b), d_b = d_y · y · (1 - sigmoid(b))
///
/// # Panics
/// `forward`, when x does not have the axis, or it cannot be halved
///
/// # Source
/// Dauphin, Fan, Auli, Grangier: Language modeling with gated convolutional networks (2017), equation 1.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Glu, Module, Pass};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[3f32, -4.0, 0.0, 0.0]]));
/// let y = Glu(-1).forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [1.5, -2.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Glu(pub isize);

impl Module for Glu {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let n = x.dims()[resolve_axis("glu", self.0, x.rank())];
        assert!(n.is_multiple_of(2), "glu: axis {} of {} cannot be halved", self.0, x.shape());
        let (a, b) = (x.narrow(self.0, 0, n / 2), x.narrow(self.0, n / 2, n / 2));
        Var::map(formula!(|a, b| a * b.sigmoid()), &[&a, &b], &[])
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let attributes = [("axis", (self.0 as i64).into()), ("num_outputs", 2.into())];
        let halves = graph.ops("Split", &[Some(x)], 2, attributes);
        Ok(&halves[0] * halves[1].sigmoid())
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
