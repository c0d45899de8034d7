//! The features of each example: y = (x - μ) / √(σ² + ε) · weight + bias, μ and σ² over the last axes.

use plies_autograd::Var;
use plies_tensor::Shape;

use super::{Affine, EPS, normalise, rows};
use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// Normalises the features of each example: μ and σ² over the last axes.
///
/// # Shapes
/// x [..., dims], weight and bias \[dims\] -> [..., dims]
///
/// # Source
/// Ba, Kiros, Hinton: Layer normalization (2016).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{LayerNorm, Module, Pass};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[1f32, 3.0], [10.0, 30.0]]));
/// let y = LayerNorm::new([2]).forward(&x, &mut Pass::eval());
/// for (y, expected) in y.to_vec::<f32>().unwrap().into_iter().zip([-1.0, 1.0, -1.0, 1.0]) {
///     assert!((y - expected).abs() < 1e-4f32);
/// }
/// ```
#[derive(Debug)]
pub struct LayerNorm {
    dims: Shape,
    affine: Affine,
    eps: f64,
}

impl LayerNorm {
    /// Over the last axes, which have the sizes `dims`; weight 1, bias 0, ε = 1e-5.
    ///
    /// # Panics
    /// When memory cannot address so many numbers.
    #[track_caller]
    pub fn new(dims: impl Into<Shape>) -> Self {
        let dims = dims.into();
        LayerNorm { dims, affine: Affine::new("layer_norm", dims), eps: EPS }
    }

    /// The same layer without a bias.
    pub fn without_bias(mut self) -> Self {
        self.affine.bias = None;
        self
    }

    /// The same layer without weight and bias.
    pub fn without_affine(mut self) -> Self {
        self.affine = Affine { weight: None, bias: None };
        self
    }

    /// Another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }
}

impl Module for LayerNorm {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let rows = rows("layer_norm", x, &self.dims); // [..., N]
        let affine = self.affine.spread(x, Var::flatten); // [N]
        normalise(&rows, affine, self.eps).reshape(x.shape())
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let [weight, bias] = self.affine.export(x, self.dims, graph);
        let axis = -(self.dims.len() as i64);
        let attributes = [("axis", axis.into()), ("epsilon", self.eps.into())];
        Ok(graph.op("LayerNormalization", &[x, &weight, &bias], attributes))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.affine.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.affine.visit_mut(visitor);
    }
}
