//! Who may look on while a model is trained, and what some onlookers do: stop early, write down.

use std::time::Duration;

use crate::Module;
use crate::optim::Optimizer;

/// Whether training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// On.
    Continue,
    /// Stop after this batch or epoch.
    Stop,
}

/// What is known after a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchEvent {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Batch of the epoch, from 0.
    pub batch: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Examples seen in this epoch.
    pub examples: usize,
    /// Mean loss of this epoch so far.
    pub loss: f64,
    /// Share of this epoch's examples classified right so far; NaN when not counted.
    pub accuracy: f64,
    /// Time since training began.
    pub elapsed: Duration,
}

/// What is known after an epoch.
#[derive(Clone, Copy, Debug)]
pub struct EpochEvent {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Examples seen in this epoch.
    pub examples: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Share of the training examples classified right, as seen during the epoch.
    pub accuracy: f64,
    /// Time since training began.
    pub elapsed: Duration,
}

/// Sees training as it happens: progress bars, logs, early stopping, checkpoints.
pub trait Callback {
    /// After each batch.
    fn on_batch(&mut self, _event: &BatchEvent) -> Flow {
        Flow::Continue
    }

    /// After each epoch, with the model and the optimiser, at its own learning rate.
    fn on_epoch(
        &mut self,
        _event: &EpochEvent,
        _model: &mut dyn Module,
        _optimizer: &mut dyn Optimizer,
    ) -> Flow {
        Flow::Continue
    }
}

/// Notes every epoch.
///
/// # Example
/// See [`fit`](super::fit).
#[derive(Clone, Debug, Default)]
pub struct History {
    epochs: Vec<EpochEvent>,
}

impl History {
    /// The epochs so far.
    pub fn epochs(&self) -> &[EpochEvent] {
        &self.epochs
    }
}

impl Callback for History {
    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        _model: &mut dyn Module,
        _optimizer: &mut dyn Optimizer,
    ) -> Flow {
        self.epochs.push(*event);
        Flow::Continue
    }
}

/// Stops when a number has not become smaller for some epochs. As a callback it watches the training
/// loss; [`KeepBest`](super::KeepBest) watches any number.
///
/// # Source
/// Prechelt: Early stopping, but when? (1998), the class UP.
///
/// # Example
/// ```
/// use plies_nn::train::{EarlyStopping, Flow};
/// let mut stopping = EarlyStopping::new(1, 0.0);
/// assert_eq!(stopping.observe(0.5), (true, Flow::Continue));
/// assert_eq!(stopping.observe(0.6), (false, Flow::Continue));
/// assert_eq!(stopping.observe(0.5), (false, Flow::Stop));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EarlyStopping {
    patience: usize,
    min_delta: f64,
    best: f64,
    waited: usize,
}

impl EarlyStopping {
    /// Lets `patience` epochs pass without an improvement of more than `min_delta`; the next stops.
    pub fn new(patience: usize, min_delta: f64) -> Self {
        EarlyStopping { patience, min_delta, best: f64::INFINITY, waited: 0 }
    }

    /// Takes the number of this epoch; says whether it is the best so far, and whether to go on. NaN
    /// is no improvement.
    pub fn observe(&mut self, value: f64) -> (bool, Flow) {
        if value < self.best - self.min_delta {
            (self.best, self.waited) = (value, 0);
            return (true, Flow::Continue);
        }
        self.waited += 1;
        (false, if self.waited > self.patience { Flow::Stop } else { Flow::Continue })
    }
}

impl Callback for EarlyStopping {
    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        _model: &mut dyn Module,
        _optimizer: &mut dyn Optimizer,
    ) -> Flow {
        self.observe(event.loss).1
    }
}
