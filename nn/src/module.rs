//! What layers have in common.

use plies_autograd::Var;
use plies_tensor::Rng;

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
/// Parameters have dotted names as in PyTorch's `state_dict`, such as `layers.0.weight`; a container
/// puts its own part in front of its children's. Layers without parameters implement
/// [`forward`](Module::forward) alone.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Module, Pass};
/// use plies_tensor::Tensor;
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
/// let layer = Scale { scale: Var::leaf(Tensor::from([2f32, 3.0])) };
/// assert_eq!(layer.parameter_count(), 2);
/// ```
pub trait Module: Send + Sync {
    /// The output for an input.
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var;

    /// Calls `f` with each parameter and its name, always in the same order.
    fn visit(&self, _f: &mut dyn FnMut(&str, &Var)) {}

    /// Calls `f` with each parameter and its name, to be changed, in the order of
    /// [`visit`](Module::visit).
    fn visit_mut(&mut self, _f: &mut dyn FnMut(&str, &mut Var)) {}

    /// All parameters with their names; the handles share the values.
    fn named_parameters(&self) -> Vec<(String, Var)> {
        let mut parameters = Vec::new();
        self.visit(&mut |name, parameter| parameters.push((name.to_owned(), parameter.clone())));
        parameters
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

/// Calls `f` with a child's parameters under `prefix.name`.
pub(crate) fn visit_child(prefix: &str, child: &dyn Module, f: &mut dyn FnMut(&str, &Var)) {
    child.visit(&mut |name, parameter| f(&format!("{prefix}.{name}"), parameter));
}

/// Calls `f` with a child's parameters under `prefix.name`, to be changed.
pub(crate) fn visit_child_mut(
    prefix: &str,
    child: &mut dyn Module,
    f: &mut dyn FnMut(&str, &mut Var),
) {
    child.visit_mut(&mut |name, parameter| f(&format!("{prefix}.{name}"), parameter));
}

/// All axes but the first as one.
///
/// # Shapes
/// x [B, ...] -> [B, N]
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

impl Module for Flatten {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        assert!(x.rank() >= 1, "flatten: a scalar has no batch axis");
        let rest = x.dims()[1..].iter().product();
        x.reshape([x.dims()[0], rest])
    }
}
