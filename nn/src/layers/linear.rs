//! The affine layer.
//!
//! y = x · Wᵀ + b

use plies_autograd::{Var, linear};
use plies_tensor::{Rng, Tensor};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut, check, init};

/// y = x · weightᵀ + bias
///
/// # Shapes
/// x [..., I], weight [O, I], bias `[O]` -> [..., O]
///
/// # Gradient
/// d_x = d_y · weight, d_weight = d_yᵀ · x, d_bias = Σ d_y
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Linear, Module, Pass};
/// use plies_tensor::Tensor;
/// let layer = Linear::from_weights(Tensor::from([[1f32, 2.0]]), Some(Tensor::from([0.5f32])));
/// let y = layer.forward(&Var::constant(Tensor::from([[3f32, 4.0]])), &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [11.5]);
/// ```
#[derive(Debug)]
pub struct Linear {
    weight: Var,
    bias: Option<Var>,
}

impl Linear {
    /// A layer from I inputs to O outputs in F32; weights by He's rule for ReLU
    /// ([`init::kaiming_normal`]), bias 0.
    ///
    /// # Panics
    /// When memory cannot address so many weights.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, rng: &mut Rng) -> Self {
        check::size("linear", &[outputs, inputs]);
        let weight = init::kaiming_normal([outputs, inputs], rng);
        let bias = init::zeros([outputs]);
        Self::from_weights(weight, Some(bias))
    }

    /// A layer of given weights [O, I] and, unless it has none, bias `[O]`.
    ///
    /// # Panics
    /// When the shapes do not fit.
    #[track_caller]
    pub fn from_weights(weight: Tensor, bias: Option<Tensor>) -> Self {
        assert!(weight.rank() == 2, "linear: weight must be [O, I], not {}", weight.shape());
        if let Some(bias) = &bias {
            assert!(
                bias.dims() == [weight.dim(0)],
                "linear: bias {} for weight {}",
                bias.shape(),
                weight.shape()
            );
        }
        Linear { weight: Var::leaf(weight), bias: bias.map(Var::leaf) }
    }

    /// The same layer without a bias.
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }

    /// The same layer with its weight laid out in memory as [I, O], which products with few rows read
    /// in place: for inference with small batches, where turning the weight around costs as much as
    /// the product. Shapes and numbers stay; steps of an optimiser would be slower.
    ///
    /// # Example
    /// ```
    /// use plies_nn::Linear;
    /// use plies_tensor::Rng;
    /// let layer = Linear::new(784, 512, &mut Rng::new(1)).prepacked();
    /// assert_eq!(layer.weight().dims(), [512, 784]);
    /// assert!(layer.weight().value().t().is_contiguous());
    /// ```
    pub fn prepacked(mut self) -> Self {
        self.weight = Var::leaf(self.weight.value().t().contiguous().t());
        self
    }

    /// weight [O, I]
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// bias `[O]`
    pub fn bias(&self) -> Option<&Var> {
        self.bias.as_ref()
    }
}

impl Module for Linear {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        linear(x, &self.weight, self.bias.as_ref())
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let y = x.matmul(&graph.tensor("weight", self.weight.value()).permute(&[1, 0]));
        Ok(match &self.bias {
            Some(bias) => y + graph.tensor("bias", bias.value()),
            None => y,
        })
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        if let Some(bias) = &self.bias {
            visitor.parameter("bias", bias);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        if let Some(bias) = &mut self.bias {
            visitor.parameter("bias", bias);
        }
    }
}
