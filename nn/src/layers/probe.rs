//! A look at what a layer puts out while a model is trained.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use plies_autograd::Var;
use plies_tensor::Tensor;

use crate::{Module, Pass, Visitor, VisitorMut};

/// A layer whose last output can be looked at. Everything else is as without the probe: the numbers, the
/// gradients, and the names of parameters, so that checkpoints fit with and without it.
///
/// [`Module::for_each_activation`] finds the outputs of all probes of a model;
/// [`Statistics`](crate::train::Statistics) notes numbers about them. The output is kept, not copied,
/// until the next one.
///
/// # Example
/// ```
/// use plies_nn::{Activation, Linear, Module, Pass, Probe, Sequential, Var};
/// use plies_tensor::{Rng, Tensor};
/// let model = Sequential::new()
///     .push(Linear::new(2, 3, &mut Rng::new(1)))
///     .push(Probe::new(Activation::Relu));
/// model.forward(&Var::constant(Tensor::from([[1f32, 2.0]])), &mut Pass::eval());
/// let mut found = Vec::new();
/// model.for_each_activation(&mut |name, output| found.push((name.to_owned(), output.dims().to_vec())));
/// assert_eq!(found, [("1.output".to_owned(), vec![1, 3])]);
/// ```
#[doc(alias("forward hook", "register_forward_hook"))]
pub struct Probe {
    layer: Box<dyn Module>,
    output: Mutex<Option<Tensor>>,
}

impl Probe {
    /// Looks at `layer`.
    pub fn new(layer: impl Module + 'static) -> Self {
        Probe { layer: Box::new(layer), output: Mutex::new(None) }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl Module for Probe {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let y = self.layer.forward(x, pass);
        *self.output.lock().unwrap_or_else(PoisonError::into_inner) = Some(y.value().clone());
        y
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.layer.visit(visitor);
        if let Some(output) = &*self.output.lock().unwrap_or_else(PoisonError::into_inner) {
            visitor.activation("output", output);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.layer.visit_mut(visitor);
    }
}
