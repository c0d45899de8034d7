//! What every epoch was like.

use super::{Callback, EpochEvent, Flow, TrainError, Training};

/// Notes the epochs of this run; [`CsvLog`](super::CsvLog) writes down those of all runs.
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
    fn on_epoch(&mut self, event: &EpochEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        self.epochs.push(*event);
        Ok(Flow::Continue)
    }
}
