//! Optimisers: rules that change parameters by their gradients. Each step of each rule is one pass
//! over the parameter, its gradient and the rule's own memory, in place.
//!
//! Drop the loss before the step: while its graph is alive it holds the parameters' old values, and
//! the step has to copy instead of overwriting.

mod adam;
mod schedule;
mod sgd;

use std::collections::BTreeMap;

use plies_tensor::Tensor;

use crate::Module;

pub use adam::Adam;
pub use schedule::Schedule;
pub use sgd::Sgd;

/// What an optimiser remembers from step to step, by name: `exp_avg.layers.0.weight`, `step`.
pub type State = BTreeMap<String, Tensor>;

/// A rule that changes parameters by their gradients.
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

    /// Takes up a saved state.
    ///
    /// # Errors
    /// The first entry that does not belong to this rule.
    fn load_state(&mut self, state: State) -> Result<(), String>;
}

/// Tensors that belong to parameters, by the parameters' names.
#[derive(Debug, Default)]
struct Memory(BTreeMap<String, Vec<Tensor>>);

impl Memory {
    /// The `n` tensors of a parameter, zeros at first.
    fn of(&mut self, name: &str, like: &Tensor, n: usize) -> &mut Vec<Tensor> {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), (0..n).map(|_| like.zeros_like()).collect());
        }
        self.0.entry(name.to_owned()).or_default()
    }

    fn save(&self, kinds: &[&str], state: &mut State) {
        for (name, tensors) in &self.0 {
            for (kind, tensor) in kinds.iter().zip(tensors) {
                state.insert(format!("{kind}.{name}"), tensor.clone());
            }
        }
    }

    fn load(&mut self, kinds: &[&str], state: State) -> Result<(), String> {
        self.0.clear();
        let mut found: BTreeMap<String, Vec<Option<Tensor>>> = BTreeMap::new();
        for (key, tensor) in state {
            let place = kinds
                .iter()
                .enumerate()
                .find_map(|(i, kind)| Some((i, key.strip_prefix(kind)?.strip_prefix('.')?)));
            let Some((i, name)) = place else {
                return Err(format!("optimiser state {key} is not one of {}", kinds.join(", ")));
            };
            let slots = found.entry(name.to_owned()).or_insert_with(|| vec![None; kinds.len()]);
            slots[i] = Some(tensor);
        }
        for (name, slots) in found {
            let complete: Option<Vec<Tensor>> = slots.into_iter().collect();
            let Some(tensors) = complete else {
                return Err(format!("optimiser state of {name} is incomplete"));
            };
            self.0.insert(name, tensors);
        }
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
    if step >= 0.0 && step.fract() == 0.0 {
        Ok(step as u64)
    } else {
        Err(format!("optimiser state: step is {step}"))
    }
}
