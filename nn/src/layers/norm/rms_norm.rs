//! The features of each example by their size alone: y = x / √(mean x² + ε) · weight.

use plies_autograd::Var;
use plies_tensor::{Elementwise, Shape, formula};

use super::{Affine, EPS, ones, rows};
use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// Divides the features of each example by their root mean square: y = x / √(mean x² + ε) · weight.
///
/// # Shapes
/// x [..., dims], weight \[dims\] -> [..., dims]
///
/// # Source
/// Zhang, Sennrich: Root mean square layer normalization (2019).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Module, Pass, RmsNorm};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[3f64, 4.0, 0.0, 0.0]]));
/// let y = RmsNorm::new([4]).eps(0.0);
/// # let y = { let mut y = y; y.for_each_parameter_mut(&mut |_, p| *p = Var::leaf(p.value().to_dtype(plies_tensor::DType::F64))); y };
/// let y = y.forward(&x, &mut Pass::eval()).to_vec::<f64>().unwrap();
/// assert_eq!(y, [1.2, 1.6, 0.0, 0.0]);
/// ```
#[derive(Debug)]
pub struct RmsNorm {
    dims: Shape,
    affine: Affine,
    eps: f64,
}

impl RmsNorm {
    /// Over the last axes, which have the sizes `dims`; weight 1, ε = 1e-5, where PyTorch's is the dtype's
    /// epsilon.
    ///
    /// # Panics
    /// When memory cannot address so many numbers.
    #[track_caller]
    pub fn new(dims: impl Into<Shape>) -> Self {
        let dims = dims.into();
        let affine = Affine { weight: Some(ones("rms_norm", dims)), bias: None };
        RmsNorm { dims, affine, eps: EPS }
    }

    /// The same layer without a weight.
    pub fn without_affine(mut self) -> Self {
        self.affine.weight = None;
        self
    }

    /// Another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }
}

impl Module for RmsNorm {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let rows = rows("rms_norm", x, &self.dims); // [..., N]
        let [weight, _] = self.affine.spread(x, Var::flatten); // [N]
        let f = formula!(|x, weight; n, eps| x / ((x * x).row_sum() / n + eps).sqrt() * weight);
        let scalars = [rows.dim(-1) as f64, self.eps];
        Var::map(f, &[&rows, &weight], &scalars).reshape(x.shape())
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let axes: Vec<i64> = (-(self.dims.len() as i64)..0).collect();
        let mean = graph.op("ReduceMean", &[&x.sqr(), &graph.ints(&axes)], []);
        let y = x / (mean + self.eps).sqrt();
        Ok(match &self.affine.weight {
            Some(weight) => y * graph.tensor("weight", weight.value()),
            None => y,
        })
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.affine.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.affine.visit_mut(visitor);
    }
}
