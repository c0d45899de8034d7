//! The autoencoder of one hidden layer.
//!
//! h = s(x̃ Wᵀ + b), y = h W'ᵀ + b', with x̃ a damaged x

use plies_autograd::{Var, linear};
use plies_tensor::Rng;

use super::Corruption;
use crate::init::{self, Distribution::Uniform, Fan};
use crate::onnx::{self, Graph, Value};
use crate::{Activation, Module, Pass, Visitor, VisitorMut};

/// Restores its input from fewer, or sparser, or otherwise constrained, hidden units. Its targets are
/// its inputs ([`Stack::codes`](super::Stack::codes)).
///
/// The outputs are logits or numbers, as the loss has it:
/// [`binary_cross_entropy`](crate::loss::binary_cross_entropy) for inputs from 0 to 1,
/// [`mse`](crate::loss::mse) for any.
///
/// Parameters are `weight` [H, V], `bias` `[H]`, `back.bias` `[V]`, and unless weights are tied
/// `back.weight` [V, H].
///
/// # Shapes
/// x [B, V] -> [B, V]
///
/// # Source
/// Vincent, Larochelle, Lajoie, Bengio, Manzagol: Stacked denoising autoencoders: Learning useful
/// representations in a deep network with a local denoising criterion (2010).
///
/// # Example
/// ```
/// use plies_nn::pretrain::{Autoencoder, Corruption};
/// use plies_nn::{Activation, Module};
/// use plies_tensor::Rng;
/// let free = Autoencoder::new(784, 500, Activation::Sigmoid, &mut Rng::new(1))
///     .corruption(Corruption::Masking(0.25));
/// assert_eq!(free.parameter_count(), 2 * 784 * 500 + 784 + 500);
/// assert_eq!(free.tied().parameter_count(), 784 * 500 + 784 + 500);
/// ```
#[derive(Debug)]
pub struct Autoencoder {
    weight: Var,
    bias: Var,
    /// W' [V, H]; Wᵀ when there is none.
    back_weight: Option<Var>,
    back_bias: Var,
    activation: Activation,
    corruption: Corruption,
}

impl Autoencoder {
    /// V visible and H hidden units with weights of their own in both directions, uniform by Glorot's
    /// rule, biases 0; nothing is corrupted.
    ///
    /// # Panics
    /// When memory cannot address so many weights.
    #[track_caller]
    pub fn new(visible: usize, hidden: usize, activation: Activation, rng: &mut Rng) -> Self {
        crate::check::size("autoencoder", &[hidden, visible]);
        let mut weight = |dims: [usize; 2]| {
            Var::leaf(init::variance_scaling(dims, 1.0, Fan::Mean, Uniform, rng))
        };
        Autoencoder {
            weight: weight([hidden, visible]),
            bias: Var::leaf(init::zeros([hidden])),
            back_weight: Some(weight([visible, hidden])),
            back_bias: Var::leaf(init::zeros([visible])),
            activation,
            corruption: Corruption::None,
        }
    }

    /// With W' = Wᵀ.
    pub fn tied(mut self) -> Self {
        self.back_weight = None;
        self
    }

    /// Inputs damaged while training: a denoising autoencoder.
    ///
    /// # Panics
    /// When a probability is not in 0..=1 or a standard deviation is negative or not finite.
    #[track_caller]
    pub fn corruption(mut self, corruption: Corruption) -> Self {
        corruption.check();
        self.corruption = corruption;
        self
    }

    /// The hidden units of x [..., V] -> [..., H].
    ///
    /// # Panics
    /// When x has another width.
    #[track_caller]
    pub fn encode(&self, x: &Var) -> Var {
        self.activation.apply(&linear(x, &self.weight, Some(&self.bias)))
    }

    /// The outputs, logits or numbers, of hidden units [..., H] -> [..., V].
    ///
    /// # Panics
    /// When h has another width.
    #[track_caller]
    pub fn decode(&self, h: &Var) -> Var {
        linear(h, &self.back_weight(), Some(&self.back_bias))
    }

    /// weight [H, V]
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// bias `[H]`
    pub fn bias(&self) -> &Var {
        &self.bias
    }

    /// The weight of the way back, [V, H].
    pub fn back_weight(&self) -> Var {
        self.back_weight.clone().unwrap_or_else(|| self.weight.t())
    }

    /// The bias of the way back, `[V]`.
    pub fn back_bias(&self) -> &Var {
        &self.back_bias
    }

    /// What the hidden units are a function of.
    pub fn activation(&self) -> Activation {
        self.activation
    }
}

impl Module for Autoencoder {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let damaged = self.corruption.forward(x, pass);
        self.decode(&self.encode(&damaged))
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let tensor = |name, v: &Var| graph.tensor(name, v.value());
        let weight = tensor("weight", &self.weight); // [H, V]
        let h = x.matmul(&weight.permute(&[1, 0])) + tensor("bias", &self.bias);
        let h = self.activation.export(&h, graph)?;
        let back = match &self.back_weight {
            Some(back) => tensor("back.weight", back).permute(&[1, 0]), // [H, V]
            None => weight,
        };
        Ok(h.matmul(&back) + tensor("back.bias", &self.back_bias))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        visitor.parameter("bias", &self.bias);
        if let Some(weight) = &self.back_weight {
            visitor.parameter("back.weight", weight);
        }
        visitor.parameter("back.bias", &self.back_bias);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        visitor.parameter("bias", &mut self.bias);
        if let Some(weight) = &mut self.back_weight {
            visitor.parameter("back.weight", weight);
        }
        visitor.parameter("back.bias", &mut self.back_bias);
    }
}
