//! Running averages of the weights.
//!
//! After step t: a ← a + (1 - βₜ)(p - a) with βₜ = min(β, (t - 1) / t)

use std::collections::BTreeMap;

use plies_tensor::{Tensor, formula};

use super::{Memory, Optimizer, State};
use crate::checkpoint::{take_from, under};
use crate::{CheckpointError, Module};

/// What its own state is nested under.
const OWN: &str = "ema";

/// What that of the optimiser is nested under, which may be an `Ema` too.
const INNER: &str = "inner";

/// Where it is noted, in its own, whether model and averages are exchanged.
const SHOWN: &str = "shown";

/// The names of what is remembered of each parameter.
const MOMENTS: &[&str] = &["average"];

/// An optimiser that also keeps an exponential moving average of each parameter. The averages have the
/// noise of single steps taken out of them, and are what is evaluated and used.
///
/// They weigh the last 1 / (1 - β) steps, about. As long as there have been fewer, they are the plain mean
/// of all, so the weights of the beginning do not linger; with β = 1 they stay that. They are part of
/// the optimiser's state, so a checkpoint holds them and a resumed training goes on with them.
///
/// [`Optimizer::show_averages`] puts them in the model's place and back. [`KeepBest`] does that to measure
/// a model, and what it keeps are the averages then, with the parameters in the optimiser's state: a training
/// that goes on from that checkpoint takes the parameters back first. Buffers are not averaged: the running statistics of a [`BatchNorm`](crate::BatchNorm) belong to
/// the raw weights, and the averages want their own, from some batches in training.
///
/// # Source
/// Polyak, Juditsky: Acceleration of stochastic approximation by averaging (1992), β = 1; the limit on βₜ as
/// Izmailov et al.: Averaging weights leads to wider optima and better generalization (2018), algorithm 1.
///
/// # Example
/// ```
/// use plies_nn::optim::{Ema, Optimizer, Sgd};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[0f32]]), None);
/// let mut optimizer = Ema::new(Sgd::new(1.0), 0.999);
/// for _ in 0..2 {
///     (layer.weight() * -2.0).sum_all().backward(); // 0, 2, 4
///     optimizer.step(&mut layer);
///     layer.zero_grad();
/// }
/// optimizer.show_averages(&mut layer, true);
/// assert_eq!(layer.weight().value().item().unwrap(), 3.0);
/// optimizer.show_averages(&mut layer, false);
/// assert_eq!(layer.weight().value().item().unwrap(), 4.0);
/// ```
///
/// [`KeepBest`]: crate::train::KeepBest
#[doc(alias("EMA", "exponential moving average", "AveragedModel", "Polyak averaging", "SWA"))]
pub struct Ema {
    optimizer: Box<dyn Optimizer>,
    decay: f64,
    memory: Memory,
    /// Whether the averages are in the model's place, and its own numbers here.
    shown: bool,
}

impl Ema {
    /// Keeps averages of what an optimiser does, with β = `decay`: 0.999 or more for trainings of
    /// thousands of steps.
    ///
    /// # Panics
    /// When the decay is not in 0..=1.
    #[track_caller]
    pub fn new(optimizer: impl Optimizer + 'static, decay: f64) -> Self {
        assert!((0.0..=1.0).contains(&decay), "ema: the decay {decay} is not in 0..=1");
        Ema { optimizer: Box::new(optimizer), decay, memory: Memory::default(), shown: false }
    }
}

impl Optimizer for Ema {
    #[track_caller]
    fn step(&mut self, model: &mut dyn Module) {
        self.show_averages(model, false);
        self.optimizer.step(model);
        let t = self.memory.next_step() as f64;
        let rest = 1.0 - self.decay.min((t - 1.0) / t);
        let follow = formula!(|a, p; rest| a + rest * (p - a));
        let mut mistake = None;
        model.for_each_parameter(&mut |name, parameter| {
            let p = parameter.value();
            // One that is new begins as it is.
            let rest = if self.memory.knows(name) { rest } else { 1.0 };
            match self.memory.of(name, p, MOMENTS.len()) {
                Ok(averages) => {
                    let mut averages: Vec<&mut Tensor> = averages.iter_mut().collect();
                    Tensor::update(&mut averages, follow, &[p], &[rest]);
                }
                Err(found) => _ = mistake.get_or_insert(found),
            }
        });
        if let Some(mistake) = mistake {
            panic!("ema: {mistake}");
        }
    }

    fn lr(&self) -> f64 {
        self.optimizer.lr()
    }

    fn lr_of(&self, name: &str, parameter: &Tensor) -> f64 {
        self.optimizer.lr_of(name, parameter)
    }

    fn set_lr(&mut self, lr: f64) {
        self.optimizer.set_lr(lr);
    }

    fn describe(&self) -> String {
        format!("ema decay={} of {}", self.decay, self.optimizer.describe())
    }

    fn state(&self) -> State {
        let mut own = self.memory.state(MOMENTS);
        own.insert(SHOWN.to_owned(), Tensor::scalar(i32::from(self.shown)));
        under(INNER, self.optimizer.state()).chain(under(OWN, own)).collect()
    }

    fn load_state(
        &mut self,
        mut state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), CheckpointError> {
        let (mut own, inner) = (take_from(&mut state, OWN), take_from(&mut state, INNER));
        if let Some(key) = state.keys().next() {
            let reason = format!("{key} is neither under {OWN} nor under {INNER}");
            return Err(CheckpointError::State { reason });
        }
        let shown = match own.remove(SHOWN) {
            Some(flag) => flag.elem_count() == 1 && flag.item()? != 0.0,
            None => false,
        };
        let memory = Memory::from_state(MOMENTS, own, parameters)?;
        self.optimizer.load_state(inner, parameters)?;
        (self.memory, self.shown) = (memory, shown);
        Ok(())
    }

    fn shows_averages(&self) -> Option<bool> {
        Some(self.shown)
    }

    #[track_caller]
    fn show_averages(&mut self, model: &mut dyn Module, show: bool) {
        if std::mem::replace(&mut self.shown, show) == show {
            return;
        }
        let mut mistake = None;
        model.for_each_parameter_mut(&mut |name, parameter| {
            if self.memory.knows(name) {
                let p = parameter.value_mut();
                match self.memory.of(name, p, MOMENTS.len()) {
                    Ok(averages) => std::mem::swap(p, &mut averages[0]),
                    Err(found) => _ = mistake.get_or_insert(found),
                }
            }
        });
        if let Some(mistake) = mistake {
            panic!("ema: {mistake}");
        }
    }
}
