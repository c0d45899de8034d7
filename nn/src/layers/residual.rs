//! A way past a layer.

use std::fmt;

use plies_autograd::Var;

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// y = x + f(x), or p(x) + f(x) where f changes the shape: f has only to learn what is to be added, and
/// gradients reach what is below undiminished. Parameters are named `body.…` and `shortcut.…`.
///
/// # Shapes
/// x [...], f(x) and p(x) alike -> that shape
///
/// # Gradient
/// d_x = d_y + d_y · ∂f/∂x
///
/// # Panics
/// `forward`, when the two have different shapes
///
/// # Source
/// He, Zhang, Ren, Sun: Deep residual learning for image recognition (2016), equations 1 and 2.
///
/// # Example
/// ```
/// use plies_nn::{Activation, Linear, Module, Residual, Sequential};
/// use plies_tensor::Rng;
/// let mut rng = Rng::new(1);
/// let body = Sequential::new().push(Linear::new(4, 8, &mut rng)).push(Activation::Relu);
/// let block = Residual::new(body).project(Linear::new(4, 8, &mut rng).without_bias());
/// let names: Vec<String> = block.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["body.0.weight", "body.0.bias", "shortcut.weight"]);
/// ```
pub struct Residual {
    body: Box<dyn Module>,
    shortcut: Option<Box<dyn Module>>,
}

impl Residual {
    /// x + body(x)
    pub fn new(body: impl Module + 'static) -> Self {
        Residual { body: Box::new(body), shortcut: None }
    }

    /// The same with shortcut(x) in place of x.
    pub fn project(mut self, shortcut: impl Module + 'static) -> Self {
        self.shortcut = Some(Box::new(shortcut));
        self
    }
}

/// The parameters: `Residual(body.weight [8, 8])`.
impl fmt::Debug for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.named_parameters();
        let parameters: Vec<String> =
            parameters.iter().map(|(name, p)| format!("{name} {}", p.shape())).collect();
        write!(f, "Residual({})", parameters.join(", "))
    }
}

impl Module for Residual {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let added = self.body.forward(x, pass);
        let past = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, pass),
            None => x.clone(),
        };
        assert!(
            added.shape() == past.shape(),
            "residual: {} to be added to {}; a projection can change the shape",
            added.shape(),
            past.shape()
        );
        past + added
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let added = graph.child("body", self.body.as_ref(), x)?;
        Ok(match &self.shortcut {
            Some(shortcut) => graph.child("shortcut", shortcut.as_ref(), x)? + added,
            None => x + added,
        })
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("body", self.body.as_ref());
        if let Some(shortcut) = &self.shortcut {
            visitor.child("shortcut", shortcut.as_ref());
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("body", self.body.as_mut());
        if let Some(shortcut) = &mut self.shortcut {
            visitor.child("shortcut", shortcut.as_mut());
        }
    }
}
