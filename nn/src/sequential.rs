//! Layers one after another.

use std::fmt;

use plies_autograd::Var;

use crate::{Module, Pass, Visitor, VisitorMut};

/// y = fₙ(… f₂(f₁(x))); parameters are named by position, `0.weight`, as in PyTorch's `Sequential`.
///
/// # Example
/// ```
/// use plies_nn::{Activation, Linear, Module, Sequential};
/// use plies_tensor::Rng;
/// let mut rng = Rng::new(1);
/// let model = Sequential::new()
///     .push(Linear::new(2, 8, &mut rng))
///     .push(Activation::Tanh)
///     .push(Linear::new(8, 1, &mut rng));
/// let names: Vec<String> = model.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Module>>,
}

impl Sequential {
    /// No layers: the identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a layer.
    pub fn push(mut self, layer: impl Module + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// The layers in order.
    pub fn layers(&self) -> &[Box<dyn Module>] {
        &self.layers
    }
}

/// The layers' parameters: `Sequential(0.weight [8, 2], 0.bias [8])`.
impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.named_parameters();
        let parameters: Vec<String> =
            parameters.iter().map(|(name, p)| format!("{name} {}", p.shape())).collect();
        write!(f, "Sequential({})", parameters.join(", "))
    }
}

impl Module for Sequential {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.layers.iter().fold(x.clone(), |x, layer| layer.forward(&x, pass))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, layer) in self.layers.iter().enumerate() {
            visitor.child(&i.to_string(), layer.as_ref());
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            visitor.child(&i.to_string(), layer.as_mut());
        }
    }
}
