//! What layers have in common.

use plies_autograd::Var;
use plies_tensor::{Rng, Tensor};

/// How a forward pass is meant: training, with the random numbers it may draw, or evaluation.
///
/// It is an argument rather than a hidden state of the layers, so that a model can be evaluated
/// while it is being trained, and the same seed always drops the same units.
///
/// # Example
/// ```
/// use plies_nn::Pass;
/// use plies_tensor::Rng;
/// assert!(!Pass::eval().training());
/// assert!(Pass::train(Rng::new(1)).training());
/// ```
#[derive(Clone, Debug)]
pub struct Pass {
    rng: Option<Rng>,
}

impl Pass {
    /// Nothing random: dropout passes everything.
    pub fn eval() -> Self {
        Pass { rng: None }
    }

    /// Training, with random numbers from `rng`.
    pub fn train(rng: Rng) -> Self {
        Pass { rng: Some(rng) }
    }

    /// Whether this is a training pass.
    pub fn training(&self) -> bool {
        self.rng.is_some()
    }

    /// The random numbers of a training pass.
    pub fn rng(&mut self) -> Option<&mut Rng> {
        self.rng.as_mut()
    }
}

/// A function with parameters.
///
/// Parameters have dotted names as in PyTorch's `state_dict`, such as `layers.0.weight`. What an
/// implementation writes besides [`forward`](Module::forward) depends on what it has:
///
/// | it has | it writes |
/// |---|---|
/// | nothing to learn | nothing more |
/// | parameters | [`visit`](Module::visit), [`visit_mut`](Module::visit_mut) |
/// | other modules | [`children`](Module::children), [`children_mut`](Module::children_mut) |
/// | both | all four; `visit` ends with [`visit_children`](Module::visit_children) |
/// | numbers that are kept but not trained | [`visit_buffers`](Module::visit_buffers), [`visit_buffers_mut`](Module::visit_buffers_mut) |
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Linear, Module, Pass};
/// use plies_tensor::{Elementwise, Rng, Tensor};
///
/// /// y = scale · x
/// struct Scale {
///     scale: Var,
/// }
/// impl Module for Scale {
///     fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
///         x * &self.scale
///     }
///     fn visit(&self, f: &mut dyn FnMut(&str, &Var)) {
///         f("scale", &self.scale);
///     }
///     fn visit_mut(&mut self, f: &mut dyn FnMut(&str, &mut Var)) {
///         f("scale", &mut self.scale);
///     }
/// }
///
/// /// y = x + scale · tanh(W x + b)
/// struct Residual {
///     linear: Linear,
///     scale: Scale,
/// }
/// impl Module for Residual {
///     fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
///         let hidden = self.linear.forward(x, pass).tanh();
///         x + self.scale.forward(&hidden, pass)
///     }
///     fn children(&self, f: &mut dyn FnMut(&str, &dyn Module)) {
///         f("linear", &self.linear);
///         f("scale", &self.scale);
///     }
///     fn children_mut(&mut self, f: &mut dyn FnMut(&str, &mut dyn Module)) {
///         f("linear", &mut self.linear);
///         f("scale", &mut self.scale);
///     }
/// }
///
/// let scale = Scale { scale: Var::leaf(Tensor::from([2f32, 3.0])) };
/// let block = Residual { linear: Linear::new(2, 2, &mut Rng::new(1)), scale };
/// let names: Vec<String> = block.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["linear.weight", "linear.bias", "scale.scale"]);
/// assert_eq!(block.parameter_count(), 4 + 2 + 2);
/// ```
pub trait Module: Send + Sync {
    /// The output for an input.
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var;

    /// Calls `f` with each module that this one directly consists of, and its part of the name.
    fn children(&self, _f: &mut dyn FnMut(&str, &dyn Module)) {}

    /// Calls `f` with each child, to be changed, in the order of [`children`](Module::children).
    fn children_mut(&mut self, _f: &mut dyn FnMut(&str, &mut dyn Module)) {}

    /// Calls `f` with each parameter, the children's among them, and its name, always in the same
    /// order.
    fn visit(&self, f: &mut dyn FnMut(&str, &Var)) {
        self.visit_children(f);
    }

    /// Calls `f` with each parameter and its name, to be changed, in the order of
    /// [`visit`](Module::visit).
    fn visit_mut(&mut self, f: &mut dyn FnMut(&str, &mut Var)) {
        self.visit_children_mut(f);
    }

    /// Calls `f` with each tensor that belongs to the model and is saved with it, but is not
    /// trained: running statistics, tables.
    fn visit_buffers(&self, f: &mut dyn FnMut(&str, &Tensor)) {
        self.children(&mut |part, child| {
            child.visit_buffers(&mut |name, buffer| f(&format!("{part}.{name}"), buffer));
        });
    }

    /// Calls `f` with each such tensor, to be changed, in the order of
    /// [`visit_buffers`](Module::visit_buffers).
    fn visit_buffers_mut(&mut self, f: &mut dyn FnMut(&str, &mut Tensor)) {
        self.children_mut(&mut |part, child| {
            child.visit_buffers_mut(&mut |name, buffer| f(&format!("{part}.{name}"), buffer));
        });
    }

    /// Calls `f` with each parameter of the children under `child.name`.
    fn visit_children(&self, f: &mut dyn FnMut(&str, &Var)) {
        self.children(&mut |part, child| {
            child.visit(&mut |name, parameter| f(&format!("{part}.{name}"), parameter));
        });
    }

    /// Calls `f` with each parameter of the children under `child.name`, to be changed.
    fn visit_children_mut(&mut self, f: &mut dyn FnMut(&str, &mut Var)) {
        self.children_mut(&mut |part, child| {
            child.visit_mut(&mut |name, parameter| f(&format!("{part}.{name}"), parameter));
        });
    }

    /// All parameters with their names; the handles share the values.
    fn named_parameters(&self) -> Vec<(String, Var)> {
        let mut parameters = Vec::new();
        self.visit(&mut |name, parameter| parameters.push((name.to_owned(), parameter.clone())));
        parameters
    }

    /// All buffers with their names; the handles share the values.
    fn named_buffers(&self) -> Vec<(String, Tensor)> {
        let mut buffers = Vec::new();
        self.visit_buffers(&mut |name, buffer| buffers.push((name.to_owned(), buffer.clone())));
        buffers
    }

    /// Number of trained numbers.
    fn parameter_count(&self) -> usize {
        let mut count = 0;
        self.visit(&mut |_, parameter| count += parameter.elem_count());
        count
    }

    /// Forgets all accumulated gradients.
    fn zero_grad(&self) {
        self.visit(&mut |_, parameter| parameter.zero_grad());
    }
}
