//! Optimisers: rules that change parameters by their gradients. Each step of each rule is one pass
//! over the parameter, its gradient and the rule's own memory, in place.
//!
//! Drop the loss before the step: while its graph is alive it holds the parameters' old values, and
//! the step has to copy instead of overwriting.

mod adam;
mod clip;
mod schedule;
mod sgd;

use std::collections::BTreeMap;

use plies_tensor::Tensor;

use crate::Module;

pub use adam::Adam;
pub use clip::{clip_grad_norm, clip_grad_value};
pub use schedule::Schedule;
pub use sgd::Sgd;

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

    /// Changes the learning rate.
    fn set_lr(&mut self, lr: f64);

    /// The rule's name and settings in one line, to be compared when training is resumed.
    fn describe(&self) -> String;

    /// What must be saved to go on later.
    fn state(&self) -> State;

    /// Takes up a saved state of `parameters`, or leaves everything as it is.
    ///
    /// # Errors
    /// The first entry that does not belong to this rule, or does not fit its parameter.
    fn load_state(
        &mut self,
        state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), String>;
}

/// `N` tensors for each parameter, by the parameters' names.
#[derive(Debug)]
struct Memory<const N: usize>(BTreeMap<String, [Tensor; N]>);

impl<const N: usize> Memory<N> {
    fn new() -> Self {
        Memory(BTreeMap::new())
    }

    /// The tensors of a parameter, zeros at first, on the parameter's device.
    ///
    /// # Panics
    /// When the device fails that a loaded state is moved to or from.
    #[track_caller]
    fn of(&mut self, name: &str, parameter: &Tensor) -> &mut [Tensor; N] {
        let tensors = self
            .0
            .entry(name.to_owned())
            .or_insert_with(|| std::array::from_fn(|_| parameter.zeros_like()));
        for tensor in tensors.iter_mut().filter(|t| t.device() != parameter.device()) {
            *tensor = match tensor.to_device(parameter.device()) {
                Ok(moved) => moved,
                Err(fault) => panic!("optimiser state of {name}: {fault}"),
            };
        }
        tensors
    }

    fn save(&self, kinds: &[&str; N], state: &mut State) {
        for (name, tensors) in &self.0 {
            for (kind, tensor) in kinds.iter().zip(tensors) {
                state.insert(format!("{kind}.{name}"), tensor.clone());
            }
        }
    }

    /// Takes up a state, or leaves everything as it is.
    fn load(
        &mut self,
        kinds: &[&str; N],
        state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), String> {
        let mut found: BTreeMap<String, [Option<Tensor>; N]> = BTreeMap::new();
        for (key, tensor) in state {
            let place = kinds
                .iter()
                .enumerate()
                .find_map(|(i, kind)| Some((i, key.strip_prefix(kind)?.strip_prefix('.')?)));
            let Some((i, name)) = place else {
                return Err(format!("optimiser state {key} is not one of {}", kinds.join(", ")));
            };
            let Some(parameter) = parameters.get(name) else {
                return Err(format!("optimiser state {key} belongs to no parameter"));
            };
            if (tensor.shape(), tensor.dtype()) != (parameter.shape(), parameter.dtype()) {
                return Err(format!(
                    "optimiser state {key} is {} {}, its parameter {} {}",
                    tensor.dtype(),
                    tensor.shape(),
                    parameter.dtype(),
                    parameter.shape()
                ));
            }
            found.entry(name.to_owned()).or_insert_with(|| std::array::from_fn(|_| None))[i] =
                Some(tensor);
        }
        let complete = found.into_iter().map(|(name, slots)| {
            let tensors: Vec<Tensor> = slots.into_iter().flatten().collect();
            match <[Tensor; N]>::try_from(tensors) {
                Ok(tensors) => Ok((name, tensors)),
                Err(_) => Err(format!("optimiser state of {name} is incomplete")),
            }
        });
        self.0 = complete.collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// The number of steps as a tensor, to be saved.
fn step_tensor(step: u64) -> Tensor {
    Tensor::scalar(step as f64)
}

/// The number of steps from a saved state.
fn take_step(state: &mut State) -> Result<u64, String> {
    let step = state.remove("step").ok_or("optimiser state has no step")?;
    if step.elem_count() != 1 {
        return Err(format!("optimiser state: step has shape {}", step.shape()));
    }
    let step = step.item().map_err(|e| e.to_string())?;
    // Above 2^53 not every integer is an F64, and counting would stand still.
    if (0.0..9e15).contains(&step) && step.fract() == 0.0 {
        Ok(step as u64)
    } else {
        Err(format!("optimiser state: step is {step}"))
    }
}
