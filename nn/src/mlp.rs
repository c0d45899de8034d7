//! The multi-layer perceptron.

use plies_autograd::Var;
use plies_tensor::Rng;

use crate::module::{visit_child, visit_child_mut};
use crate::{Activation, Dropout, Linear, Module, Pass};

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
    /// A network with `sizes[0]` inputs and as many further layers as sizes, weights by He's rule.
    ///
    /// # Panics
    /// When there are fewer than two sizes.
    #[track_caller]
    pub fn new(sizes: &[usize], activation: Activation, rng: &mut Rng) -> Self {
        assert!(sizes.len() >= 2, "mlp: sizes {sizes:?} name no layer");
        let layers = sizes.windows(2).map(|pair| Linear::new(pair[0], pair[1], rng)).collect();
        Mlp {
            layers,
            activation,
            input_dropout: Dropout::new(0.0),
            hidden_dropout: Dropout::new(0.0),
        }
    }

    /// Drops inputs and hidden units with these probabilities while training.
    #[track_caller]
    pub fn dropout(mut self, input: f64, hidden: f64) -> Self {
        self.input_dropout = Dropout::new(input);
        self.hidden_dropout = Dropout::new(hidden);
        self
    }

    /// The affine layers in order.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
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

    fn visit(&self, f: &mut dyn FnMut(&str, &Var)) {
        for (i, layer) in self.layers.iter().enumerate() {
            visit_child(&format!("layers.{i}"), layer, f);
        }
    }

    fn visit_mut(&mut self, f: &mut dyn FnMut(&str, &mut Var)) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            visit_child_mut(&format!("layers.{i}"), layer, f);
        }
    }
}
