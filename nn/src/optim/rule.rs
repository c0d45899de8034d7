//! What optimisers that treat each number by itself have in common: they are a formula.

use std::collections::{BTreeMap, BTreeSet};

use plies_autograd::{Gradient, Var};
use plies_tensor::{Formula, Tensor};

use super::{Optimizer, State};
use crate::{CheckpointError, Module};

/// An update of each number of a parameter by its gradient and by what is remembered of earlier
/// gradients. Whatever is a `Rule` is an [`Optimizer`].
///
/// # Example
/// ```
/// use plies_nn::optim::{Memory, Optimizer, Rule};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::{Elementwise, Formula, Tensor, formula};
///
/// /// p ← p - η sign(g)
/// struct SignSgd {
///     lr: f64,
///     memory: Memory,
/// }
/// impl Rule for SignSgd {
///     fn lr(&self) -> f64 {
///         self.lr
///     }
///     fn set_lr(&mut self, lr: f64) {
///         self.lr = lr;
///     }
///     fn describe(&self) -> String {
///         "signsgd".to_owned()
///     }
///     fn moments(&self) -> &'static [&'static str] {
///         &[]
///     }
///     fn formula(&self, _t: u64) -> (&'static Formula, Vec<f64>) {
///         (formula!(|p, g; lr| p - lr * g.sign()), vec![self.lr])
///     }
///     fn memory(&self) -> &Memory {
///         &self.memory
///     }
///     fn memory_mut(&mut self) -> &mut Memory {
///         &mut self.memory
///     }
/// }
///
/// let mut layer = Linear::from_weights(Tensor::from([[1f32, -2.0]]), None);
/// (layer.weight() * layer.weight()).sum_all().backward();
/// SignSgd { lr: 0.5, memory: Memory::default() }.step(&mut layer);
/// assert_eq!(layer.weight().value().to_vec::<f32>().unwrap(), [0.5, -1.5]);
/// ```
pub trait Rule: Send {
    /// The learning rate.
    fn lr(&self) -> f64;

    /// Changes the learning rate.
    fn set_lr(&mut self, lr: f64);

    /// The rule's name and settings in one line, to be compared when training is resumed.
    fn describe(&self) -> String;

    /// The names of what is remembered of each number, as in PyTorch's `state_dict`; 0 before the
    /// first step.
    fn moments(&self) -> &'static [&'static str];

    /// The formula of step t = 1, 2, … and its scalars. Inputs are the parameter, the moments and the
    /// gradient; outputs are the parameter and the moments after the step.
    fn formula(&self, t: u64) -> (&'static Formula, Vec<f64>);

    /// Whether rows of a table that have no gradient, because nobody read them, are left out of the step,
    /// moments and all ([`Gradient::rows`]). By default they are not; the step is then that of a gradient
    /// with zeros. A rule that changes nothing where the gradient is 0 leaves them out and is the same, only
    /// faster; for others there is [`Lazy`](super::Lazy).
    ///
    /// [`Gradient::rows`]: plies_autograd::Gradient::rows
    fn leaves_rows_out(&self) -> bool {
        false
    }

    /// What is remembered.
    fn memory(&self) -> &Memory;

    /// What is remembered, to be changed.
    fn memory_mut(&mut self) -> &mut Memory;
}

/// What a [`Rule`] remembers: the number of steps, and the moments of each parameter by its name.
#[derive(Debug, Default)]
pub struct Memory {
    step: u64,
    moments: BTreeMap<String, Vec<Tensor>>,
    /// Whether the parameters are known to have names of their own.
    names_checked: bool,
}

/// A step of one parameter: its name, its value, the gradient and the moments; or why there is none.
pub(super) type Change<'a> =
    dyn FnMut(&str, &mut Tensor, &Gradient, &mut [Tensor]) -> Result<(), String> + 'a;

impl<R: Rule> Optimizer for R {
    #[track_caller]
    fn step(&mut self, model: &mut dyn Module) {
        let n_moments = self.moments().len();
        let t = self.memory_mut().next_step();
        let (formula, scalars) = self.formula(t);
        let update = match self.leaves_rows_out() {
            true => Tensor::update_rows,
            false => Tensor::update_sparse,
        };
        let stepped =
            self.memory_mut().for_each(n_moments, model, &mut |_, p, gradient, moments| {
                let mut targets: Vec<&mut Tensor> = [p].into_iter().chain(moments).collect();
                match gradient.rows() {
                    None => Tensor::update(&mut targets, formula, &[gradient.values()], &scalars),
                    Some(rows) => {
                        update(&mut targets, rows, formula, &[gradient.values()], &scalars)
                    }
                }
                Ok(())
            });
        if let Err(mistake) = stepped {
            let rule = Rule::describe(self);
            panic!("{}: {mistake}", rule.split(' ').next().unwrap_or_default());
        }
    }

    fn lr(&self) -> f64 {
        Rule::lr(self)
    }

    fn set_lr(&mut self, lr: f64) {
        Rule::set_lr(self, lr);
    }

    fn describe(&self) -> String {
        Rule::describe(self)
    }

    fn state(&self) -> State {
        self.memory().state(self.moments())
    }

    fn load_state(
        &mut self,
        state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), CheckpointError> {
        *self.memory_mut() = Memory::from_state(self.moments(), state, parameters)?;
        Ok(())
    }
}

impl Memory {
    /// Counts a step: 1, 2, …
    pub(super) fn next_step(&mut self) -> u64 {
        self.step += 1;
        self.step
    }

    /// Whether anything is remembered of a parameter.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.moments.contains_key(name)
    }

    /// All of it by name; `moments` are the names of a parameter's.
    pub(super) fn state(&self, moments: &[&str]) -> State {
        let mut state = State::from([("step".to_owned(), Tensor::scalar(self.step as f64))]);
        for (name, tensors) in &self.moments {
            for (moment, tensor) in moments.iter().zip(tensors) {
                state.insert(format!("{moment}.{name}"), tensor.clone());
            }
        }
        state
    }

    /// What [`state`](Memory::state) has given, if it fits `parameters`.
    pub(super) fn from_state(
        moments: &[&str],
        mut state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<Self, CheckpointError> {
        let step = take_step(&mut state)?;
        let moments = sorted(moments, state, parameters)?;
        Ok(Memory { step, moments, names_checked: false })
    }

    /// Calls `f` for each parameter that has a gradient, with `n` moments. Says what is wrong with the
    /// first that something is wrong with.
    pub(super) fn for_each(
        &mut self,
        n: usize,
        model: &mut dyn Module,
        f: &mut Change<'_>,
    ) -> Result<(), String> {
        if !self.names_checked {
            distinct_names(model)?;
            self.names_checked = true;
        }
        let mut outcome = Ok(());
        model.for_each_parameter_mut(&mut |name, parameter| {
            if outcome.is_ok()
                && let Some(gradient) = parameter.gradient()
            {
                outcome = fits(name, parameter, &gradient).and_then(|()| {
                    let p = parameter.value_mut();
                    let moments = if n == 0 { &mut [] } else { self.of(name, p, n)? };
                    f(name, p, &gradient, moments)
                });
            }
        });
        outcome
    }

    /// The moments of a parameter, zeros at first, on the parameter's device; or why it has none.
    pub(super) fn of(
        &mut self,
        name: &str,
        parameter: &Tensor,
        n: usize,
    ) -> Result<&mut [Tensor], String> {
        if !self.moments.contains_key(name) {
            let zeros = (0..n).map(|_| parameter.zeros_like()).collect();
            self.moments.insert(name.to_owned(), zeros);
        }
        let moments = self.moments.get_mut(name).map_or(&mut [][..], |moments| &mut moments[..]);
        for tensor in moments.iter_mut() {
            if (tensor.shape(), tensor.dtype()) != (parameter.shape(), parameter.dtype()) {
                return Err(format!(
                    "parameter {name} is {} {}, what is remembered of it {} {}; another model, or a \
                     changed one, wants another optimiser",
                    parameter.dtype(),
                    parameter.shape(),
                    tensor.dtype(),
                    tensor.shape()
                ));
            }
            if tensor.device() != parameter.device() {
                let moved = tensor.to_device(parameter.device());
                *tensor = moved.map_err(|fault| format!("parameter {name}: {fault}"))?;
            }
        }
        Ok(moments)
    }
}

/// Whether each parameter can be changed by its gradient.
pub(super) fn gradients_fit(model: &dyn Module) -> Result<(), String> {
    let mut outcome = Ok(());
    model.for_each_parameter(&mut |name, parameter| {
        if let (Ok(()), Some(gradient)) = (&outcome, parameter.gradient()) {
            outcome = fits(name, parameter, &gradient);
        }
    });
    outcome
}

/// The same of one. Its value may have been given another shape since the gradient was computed.
fn fits(name: &str, parameter: &Var, gradient: &Gradient) -> Result<(), String> {
    let (p, g) = (parameter.value(), gradient.values());
    if (gradient.shape(), g.dtype()) == (p.shape(), p.dtype()) {
        return Ok(());
    }
    Err(format!(
        "parameter {name} is {} {}, its gradient {} {}",
        p.dtype(),
        p.shape(),
        g.dtype(),
        gradient.shape()
    ))
}

/// Whether each parameter has a name of its own, by which it is remembered.
pub(super) fn distinct_names(model: &dyn Module) -> Result<(), String> {
    let (mut names, mut outcome) = (BTreeSet::new(), Ok(()));
    model.for_each_parameter(&mut |name, _| {
        if !names.insert(name.to_owned()) && outcome.is_ok() {
            outcome = Err(format!("two parameters are called {name}"));
        }
    });
    outcome
}

/// The tensors of a saved state by parameter, in the order of `moments`.
pub(super) fn sorted(
    moments: &[&str],
    state: State,
    parameters: &BTreeMap<String, Tensor>,
) -> Result<BTreeMap<String, Vec<Tensor>>, CheckpointError> {
    let mut found: BTreeMap<String, Vec<Option<Tensor>>> = BTreeMap::new();
    for (key, tensor) in state {
        let parts =
            |(i, moment): (usize, &&str)| Some((i, key.strip_prefix(*moment)?.strip_prefix('.')?));
        let Some((i, name)) = moments.iter().enumerate().find_map(parts) else {
            return misfit(format!("{key} is not one of {}", moments.join(", ")));
        };
        let Some(parameter) = parameters.get(name) else {
            return misfit(format!("{key} belongs to no parameter"));
        };
        if (tensor.shape(), tensor.dtype()) != (parameter.shape(), parameter.dtype()) {
            return misfit(format!(
                "{key} is {} {}, its parameter {} {}",
                tensor.dtype(),
                tensor.shape(),
                parameter.dtype(),
                parameter.shape()
            ));
        }
        found.entry(name.to_owned()).or_insert_with(|| vec![None; moments.len()])[i] = Some(tensor);
    }
    let complete = found.into_iter().map(|(name, tensors)| {
        match tensors.into_iter().collect::<Option<Vec<Tensor>>>() {
            Some(tensors) => Ok((name, tensors)),
            None => misfit(format!("{name} has not all of {}", moments.join(", "))),
        }
    });
    complete.collect()
}

/// The number of steps from a saved state.
pub(super) fn take_step(state: &mut State) -> Result<u64, CheckpointError> {
    let Some(step) = state.remove("step") else { return misfit("step is missing".to_owned()) };
    if step.elem_count() != 1 {
        return misfit(format!("step has shape {}", step.shape()));
    }
    let step = step.item()?;
    // Above 2^53 not every integer is an F64, and counting would stand still.
    if (0.0..9e15).contains(&step) && step.fract() == 0.0 {
        Ok(step as u64)
    } else {
        misfit(format!("step is {step}"))
    }
}

fn misfit<T>(reason: String) -> Result<T, CheckpointError> {
    Err(CheckpointError::State { reason })
}
