//! Activations as layers: names for the element-wise functions of
//! [`Elementwise`](plies_tensor::Elementwise).

use std::fmt;
use std::str::FromStr;

use plies_autograd::Var;
use plies_tensor::Elementwise;

use crate::{Module, Pass};

/// An element-wise non-linearity.
///
/// # Example
/// ```
/// use plies_nn::Activation;
/// assert_eq!("relu".parse(), Ok(Activation::Relu));
/// assert_eq!(Activation::Tanh.to_string(), "tanh");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0)
    Relu,
    /// x above 0, 0.01 x below
    LeakyRelu,
    /// x above 0, eˣ - 1 below
    Elu,
    /// The self-normalising ELU
    Selu,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)
    Tanh,
    /// ln(1 + eˣ)
    Softplus,
    /// x · sigmoid(x)
    Silu,
    /// x Φ(x)
    Gelu,
    /// x Φ(x) with Φ approximated through tanh, as in GPT-2
    GeluTanh,
    /// x tanh(softplus(x))
    Mish,
    /// x / (1 + |x|)
    Softsign,
    /// x between -1 and 1, constant beyond
    Hardtanh,
}

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 14] = [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Elu,
        Activation::Selu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Mish,
        Activation::Softsign,
        Activation::Hardtanh,
    ];

    /// Its lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Relu => "relu",
            Activation::LeakyRelu => "leaky_relu",
            Activation::Elu => "elu",
            Activation::Selu => "selu",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Softplus => "softplus",
            Activation::Silu => "silu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
            Activation::Mish => "mish",
            Activation::Softsign => "softsign",
            Activation::Hardtanh => "hardtanh",
        }
    }

    /// The function's value at each element.
    pub fn apply<T: Elementwise + Clone>(self, x: &T) -> T {
        match self {
            Activation::Identity => x.clone(),
            Activation::Relu => x.relu(),
            Activation::LeakyRelu => x.leaky_relu(0.01),
            Activation::Elu => x.elu(1.0),
            Activation::Selu => x.selu(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::Tanh => x.tanh(),
            Activation::Softplus => x.softplus(),
            Activation::Silu => x.silu(),
            Activation::Gelu => x.gelu(),
            Activation::GeluTanh => x.gelu_tanh(),
            Activation::Mish => x.mish(),
            Activation::Softsign => x.softsign(),
            Activation::Hardtanh => x.hardtanh(),
        }
    }
}

impl Module for Activation {
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        self.apply(x)
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Activation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Activation::ALL.map(Activation::name).join(", ");
        let found = Activation::ALL.into_iter().find(|a| a.name() == name);
        found.ok_or_else(|| format!("unknown activation \"{name}\"; known are {}", known()))
    }
}
