//! Optimisers: rules that change parameters by their gradients. Those that treat each number by itself
//! are a formula each ([`Rule`]), and a step is one pass over the parameter, its gradient and what the
//! rule remembers, in place. [`Muon`] looks at a matrix as a whole, [`Lbfgs`] at all parameters together.
//!
//! Drop the loss before the step: while its graph is alive it holds the parameters' old values, and
//! the step has to copy instead of overwriting.
//!
//! What is remembered of a parameter goes by its name. A layer that is put into a
//! [`Sequential`](crate::Sequential) between two steps, or taken out, gives those behind it other names, and
//! they go on with what was remembered of the parameters that had these before: where the shapes differ the
//! step says so, where they are equal it cannot. Begin with a new optimiser then, or name layers
//! ([`push_named`](crate::Sequential::push_named)).
//!
//! Weight decay is a part of the gradient, λp, or decoupled from it, p ← (1 - ηλ)p:
//!
//! | | in the gradient | decoupled |
//! |---|---|---|
//! | [`Sgd`], [`Adagrad`], [`Adadelta`], [`RmsProp`] | `weight_decay` | |
//! | [`Adam`] | `weight_decay` | [`Adam::adamw`] |
//! | [`NAdam`], [`RAdam`] | `weight_decay` | `decoupled_weight_decay` |
//! | [`Lion`], [`Muon`] | | `weight_decay` |
//! | any, in [`Regularized`]: weights without biases | `l2` | `decoupled_l2` |

mod adadelta;
mod adagrad;
mod adam;
mod clip;
mod ema;
mod groups;
mod lazy;
mod lbfgs;
mod lion;
mod muon;
mod nadam;
mod point;
mod radam;
mod regularized;
mod rmsprop;
mod rule;
mod schedule;
mod settings;
mod sgd;
mod strong_wolfe;

use std::collections::BTreeMap;

use plies_tensor::Tensor;

use crate::{CheckpointError, Module};

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub(crate) use clip::change_gradients;
pub use clip::{Clip, clip_grad_norm, clip_grad_value};
pub use ema::Ema;
pub use groups::ParameterGroups;
pub use lazy::Lazy;
pub use lbfgs::Lbfgs;
pub use lion::Lion;
pub use muon::Muon;
pub use nadam::NAdam;
pub use radam::RAdam;
pub use regularized::Regularized;
pub use rmsprop::RmsProp;
pub use rule::{Memory, Rule};
pub use schedule::Schedule;
pub use sgd::Sgd;

/// Looks at a model with the running averages in its place, where the optimiser keeps any; then all is as
/// it was.
pub(crate) fn by_averages<T>(
    optimizer: &mut dyn Optimizer,
    model: &mut dyn Module,
    look: impl FnOnce(&dyn Optimizer, &dyn Module) -> T,
) -> T {
    let before = optimizer.shows_averages().unwrap_or(false);
    optimizer.show_averages(model, true);
    let shown = Shown { optimizer, model, before };
    look(shown.optimizer, shown.model)
}

/// Puts back what was, even where a look ends in a panic.
struct Shown<'a> {
    optimizer: &'a mut dyn Optimizer,
    model: &'a mut dyn Module,
    before: bool,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.optimizer.show_averages(self.model, self.before);
    }
}

/// What an optimiser remembers from step to step, by name: `exp_avg.layers.0.weight`, `step`.
pub type State = BTreeMap<String, Tensor>;

/// A rule that changes parameters by their gradients.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::optim::{Adam, Optimizer};
/// use plies_nn::{Linear, Module, Pass, loss};
/// use plies_tensor::{Rng, Tensor};
/// let x = Var::constant(Tensor::from([[0f32], [1.0], [2.0]]));
/// let y = Tensor::from([[1f32], [3.0], [5.0]]); // 2x + 1
/// let mut line = Linear::new(1, 1, &mut Rng::new(1));
/// let mut optimizer = Adam::new(0.1);
/// for _ in 0..300 {
///     loss::mse(&line.forward(&x, &mut Pass::eval()), &y).backward();
///     optimizer.step(&mut line);
///     line.zero_grad();
/// }
/// assert!((line.weight().value().item().unwrap() - 2.0).abs() < 0.01);
/// ```
pub trait Optimizer: Send {
    /// Changes every parameter that has a gradient.
    fn step(&mut self, model: &mut dyn Module);

    /// The learning rate.
    fn lr(&self) -> f64;

    /// The learning rate of a parameter, by its name and value: not the same for all in
    /// [`ParameterGroups`].
    fn lr_of(&self, _name: &str, _parameter: &Tensor) -> f64 {
        self.lr()
    }

    /// Changes the learning rate.
    fn set_lr(&mut self, lr: f64);

    /// The rule's name and settings in one line, to be compared when training is resumed.
    fn describe(&self) -> String;

    /// What must be saved to go on later.
    fn state(&self) -> State;

    /// Takes up a saved state of `parameters`, or leaves everything as it is.
    ///
    /// # Errors
    /// [`CheckpointError::State`] with the first entry that does not belong to this rule or does not fit
    /// its parameter; a fault of a device.
    fn load_state(
        &mut self,
        state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), CheckpointError>;

    /// Whether the running averages are in the model's place; nothing where none are kept.
    fn shows_averages(&self) -> Option<bool> {
        None
    }

    /// Puts the running averages in the model's place, if this optimiser keeps any ([`Ema`]), or the parameters
    /// back; what is so already stays so. A step puts the parameters back first, and
    /// [`fit`](crate::train::fit) does so before each batch.
    fn show_averages(&mut self, _model: &mut dyn Module, _show: bool) {}
}
