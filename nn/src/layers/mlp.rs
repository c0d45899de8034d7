//! The multi-layer perceptron.

use std::fmt::{self, Write};

use plies_autograd::Var;
use plies_tensor::Rng;

use crate::init::{self, Distribution::Normal, Fan};
use crate::onnx::{self, Graph, Value};
use crate::{Activation, Dropout, Linear, Module, Pass, Visitor, VisitorMut, check};

/// Affine layers with an activation, and dropout if wanted, between them: logits at the end.
///
/// Parameters are `layers.0.weight`, `layers.0.bias`, `layers.1.weight`, …
///
/// # Shapes
/// x [B, sizes\[0\]] -> [B, sizes\[last\]]
///
/// # Example
/// ```
/// use plies_nn::{Activation, Mlp, Module};
/// use plies_tensor::Rng;
/// let model = Mlp::new(&[784, 128, 10], Activation::Relu, &mut Rng::new(1)).dropout(0.2, 0.5);
/// assert_eq!(model.parameter_count(), 784 * 128 + 128 + 128 * 10 + 10);
/// ```
pub struct Mlp {
    layers: Vec<Linear>,
    activation: Activation,
    input_dropout: Dropout,
    hidden_dropout: Dropout,
}

impl Mlp {
    /// A network with `sizes[0]` inputs and as many further layers as sizes. Weights are normal with
    /// variance gain² / fan-in, where the gain is the activation's ([`init::gain`]); biases are 0.
    ///
    /// # Panics
    /// When there are fewer than two sizes, or memory cannot address so many weights.
    #[track_caller]
    pub fn new(sizes: &[usize], activation: Activation, rng: &mut Rng) -> Self {
        assert!(sizes.len() >= 2, "mlp: sizes {sizes:?} name no layer");
        let gain = init::gain(activation);
        for pair in sizes.windows(2) {
            check::size("mlp", &[pair[1], pair[0]]);
        }
        let layers = sizes.windows(2).map(|pair| {
            let dims = [pair[1], pair[0]];
            let weight = init::variance_scaling(dims, gain, Fan::In, Normal, rng);
            Linear::from_weights(weight, Some(init::zeros([pair[1]])))
        });
        Mlp::from_layers(layers.collect(), activation)
    }

    /// A network of given layers, such as a [`Stack`](crate::pretrain::Stack) has learnt.
    ///
    /// # Panics
    /// When there are no layers, or one does not take as many numbers as the one before it gives.
    #[track_caller]
    pub fn from_layers(layers: Vec<Linear>, activation: Activation) -> Self {
        assert!(!layers.is_empty(), "mlp: no layers");
        for (i, pair) in layers.windows(2).enumerate() {
            let (from, to) = (pair[0].weight().dim(0), pair[1].weight().dim(1));
            assert!(from == to, "mlp: layer {} takes {to} numbers, layer {i} gives {from}", i + 1);
        }
        Mlp {
            layers,
            activation,
            input_dropout: Dropout::new(0.0),
            hidden_dropout: Dropout::new(0.0),
        }
    }

    /// Drops inputs and hidden units with these probabilities while training.
    ///
    /// # Panics
    /// When one is no probability.
    #[track_caller]
    pub fn dropout(mut self, input: f64, hidden: f64) -> Self {
        self.input_dropout = Dropout::new(input);
        self.hidden_dropout = Dropout::new(hidden);
        self
    }

    /// For inference with small batches; see [`Linear::prepacked`].
    pub fn prepacked(mut self) -> Self {
        self.layers = self.layers.into_iter().map(Linear::prepacked).collect();
        self
    }

    /// The affine layers in order.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }
}

/// The sizes, the activation and what is dropped: `Mlp(784-512-10 relu)`.
impl fmt::Debug for Mlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims = |layer: &Linear| (layer.weight().dim(1), layer.weight().dim(0));
        write!(f, "Mlp({}", dims(&self.layers[0]).0)?;
        for layer in &self.layers {
            write!(f, "-{}", dims(layer).1)?;
        }
        write!(f, " {}", self.activation)?;
        for (what, dropout) in [("inputs", &self.input_dropout), ("units", &self.hidden_dropout)] {
            if dropout.p() > 0.0 {
                write!(f, ", drops {} of {what}", dropout.p())?;
            }
        }
        f.write_char(')')
    }
}

impl Module for Mlp {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let mut x = self.input_dropout.forward(x, pass);
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = self.activation.apply(&x);
                x = self.hidden_dropout.forward(&x, pass);
            }
            x = layer.forward(&x, pass);
        }
        x
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let mut x = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = self.activation.apply(&x);
            }
            x = graph.child(&format!("layers.{i}"), layer, &x)?;
        }
        Ok(x)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, layer) in self.layers.iter().enumerate() {
            visitor.child(&format!("layers.{i}"), layer);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            visitor.child(&format!("layers.{i}"), layer);
        }
    }
}
