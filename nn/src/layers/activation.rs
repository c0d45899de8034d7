//! Activations as layers: names for the element-wise functions of
//! [`Elementwise`](plies_tensor::Elementwise).

use std::f64::consts::SQRT_2;
use std::fmt;
use std::str::FromStr;

use plies_autograd::Var;
use plies_tensor::Elementwise;

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// The enum, and what is known of each of its variants, from one table: name, value at x, gain.
macro_rules! activations {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, |$x:ident| $value:expr, $gain:expr;)*) => {
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
            $($(#[$doc])* $variant,)*
        }

        impl Activation {
            /// All of them.
            pub const ALL: &[Activation] = &[$(Activation::$variant,)*];

            /// Its lower-case name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Activation::$variant => $name,)*
                }
            }

            /// The function's value at each element.
            pub fn apply<T: Elementwise + Clone>(self, x: &T) -> T {
                match self {
                    $(Activation::$variant => {
                        let $x = x;
                        $value
                    })*
                }
            }

            pub(crate) fn gain(self) -> f64 {
                match self {
                    $(Activation::$variant => $gain,)*
                }
            }
        }
    };
}

activations! {
    /// x
    Identity, "identity", |x| x.clone(), 1.0;
    /// max(x, 0)
    Relu, "relu", |x| x.relu(), SQRT_2;
    /// x above 0, 0.01 x below
    LeakyRelu, "leaky_relu", |x| x.leaky_relu(0.01), (2.0 / (1.0 + 0.01 * 0.01f64)).sqrt();
    /// x above 0, eˣ - 1 below
    Elu, "elu", |x| x.elu(1.0), SQRT_2;
    /// The self-normalising ELU
    Selu, "selu", |x| x.selu(), 0.75;
    /// 1 / (1 + e⁻ˣ)
    Sigmoid, "sigmoid", |x| x.sigmoid(), 1.0;
    /// (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)
    Tanh, "tanh", |x| x.tanh(), 5.0 / 3.0;
    /// ln(1 + eˣ)
    Softplus, "softplus", |x| x.softplus(), 1.0;
    /// x · sigmoid(x)
    Silu, "silu", |x| x.silu(), SQRT_2;
    /// x Φ(x)
    Gelu, "gelu", |x| x.gelu(), SQRT_2;
    /// x Φ(x) with Φ approximated through tanh, as in GPT-2
    GeluTanh, "gelu_tanh", |x| x.gelu_tanh(), SQRT_2;
    /// x tanh(softplus(x))
    Mish, "mish", |x| x.mish(), SQRT_2;
    /// x / (1 + |x|)
    Softsign, "softsign", |x| x.softsign(), 1.0;
    /// ln(1 / (1 + e⁻ˣ))
    LogSigmoid, "log_sigmoid", |x| x.log_sigmoid(), 1.0;
    /// x between 0 and 6, constant beyond
    Relu6, "relu6", |x| x.relu6(), SQRT_2;
    /// x/6 + 1/2 between 0 and 1, constant beyond
    Hardsigmoid, "hardsigmoid", |x| x.hardsigmoid(), 1.0;
    /// x · hardsigmoid(x)
    Hardswish, "hardswish", |x| x.hardswish(), SQRT_2;
    /// x between -1 and 1, constant beyond
    Hardtanh, "hardtanh", |x| x.hardtanh(), 1.0;
}

impl Module for Activation {
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        self.apply(x)
    }

    fn export(&self, x: &Value, _graph: &Graph) -> onnx::Result<Value> {
        Ok(self.apply(x))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Activation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Activation::ALL.iter().copied().find(|a| a.name() == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = Activation::ALL.iter().map(|a| a.name()).collect();
            format!("unknown activation \"{name}\"; known are {}", known.join(", "))
        })
    }
}
