//! The end of a training that gets no better.

use super::patience::Patience;
use super::{Callback, EpochEvent, Flow, Position, TrainError, Training};
use crate::{Checkpoint, CheckpointError};

/// Stops when a number has not become smaller for some epochs. As a callback it watches the loss of the
/// held-out examples, or the training loss when none are held out;
/// [`KeepBest`](super::KeepBest) watches any number.
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
    patience: Patience,
}

impl EarlyStopping {
    /// Lets `patience` epochs pass without an improvement of more than `min_delta`; the next stops.
    pub fn new(patience: usize, min_delta: f64) -> Self {
        EarlyStopping { patience: Patience::new(patience, min_delta) }
    }

    /// Takes the number of this epoch; says whether it is the best so far, and whether to go on. NaN
    /// is no improvement.
    pub fn observe(&mut self, value: f64) -> (bool, Flow) {
        (self.patience.observe(value), self.flow())
    }

    /// Whether to go on after what was observed.
    pub(super) fn flow(&self) -> Flow {
        if self.patience.is_over() { Flow::Stop } else { Flow::Continue }
    }
}

impl Callback for EarlyStopping {
    /// A training that was stopped does not begin again, unless there is more patience now.
    fn on_train_begin(&mut self, _: &Position, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        Ok(self.flow())
    }

    fn on_epoch(&mut self, event: &EpochEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        Ok(self.observe(event.judged_loss()).1)
    }

    fn state(&self) -> Option<Checkpoint> {
        Some(self.patience.state())
    }

    fn load_state(&mut self, state: &Checkpoint) -> Result<(), CheckpointError> {
        self.patience.load_state(state)
    }
}
