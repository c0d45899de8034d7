//! Who may look on while a model is trained, and may stop it.

use std::time::Duration;

use super::{Means, Report, TrainError};
use crate::optim::Optimizer;
use crate::{Checkpoint, CheckpointError, Module};

/// Whether training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// On.
    Continue,
    /// Stop after this batch or epoch.
    Stop,
}

/// The number by which an epoch is judged; smaller is better.
pub(super) type Measure<'a> = dyn FnMut(&EpochEvent, &dyn Module) -> Result<f64, TrainError> + 'a;

/// How far a training is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The epoch of the next batch; as many are complete.
    pub epoch: usize,
    /// The next batch of that epoch; as many of it are done.
    pub batch: usize,
    /// Batches done since the training began.
    pub iteration: u64,
}

/// What is being trained.
pub struct Training<'a> {
    /// The model.
    pub model: &'a mut dyn Module,
    /// Its optimiser. A learning rate that a callback sets at the beginning or after an epoch is what
    /// the schedule starts from in the next.
    pub optimizer: &'a mut dyn Optimizer,
}

/// What is known after a batch.
///
/// A device other than the CPU works behind the host, and loss and accuracy come from it some batches later
/// (16 at most): meanwhile they are those of the batches that are known. A callback that needs them sooner
/// says so ([`Callback::wants_loss`]), and the training waits.
#[derive(Clone, Copy, Debug)]
pub struct BatchEvent {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Batch of the epoch, from 0.
    pub batch: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Batches since the training began, this one among them.
    pub iteration: u64,
    /// Examples seen in this epoch.
    pub examples: usize,
    /// Loss of this batch, or of the newest one that is known.
    pub batch_loss: f64,
    /// Mean loss of this epoch so far.
    pub loss: f64,
    /// Share of this epoch's examples classified right so far; NaN when not counted.
    pub accuracy: f64,
    /// Learning rate of this batch.
    pub lr: f64,
    /// Time since this run began.
    pub elapsed: Duration,
}

/// What is known after an epoch.
#[derive(Clone, Copy, Debug)]
pub struct EpochEvent {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Batches since the training began.
    pub iteration: u64,
    /// Examples seen in this epoch.
    pub examples: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Share of the training examples classified right, as seen during the epoch; NaN when not counted.
    pub accuracy: f64,
    /// The same of [`Fit::held_out`](super::Fit::held_out), by the model as it is now.
    pub held_out: Option<Means>,
    /// Learning rate of the last batch.
    pub lr: f64,
    /// Time since this run began.
    pub elapsed: Duration,
}

impl EpochEvent {
    /// The loss to judge the epoch by: that of the held-out examples where there are some.
    pub fn judged_loss(&self) -> f64 {
        self.held_out.map_or(self.loss, |means| means.loss)
    }
}

/// Sees training as it happens: progress bars, logs, early stopping, checkpoints. An error ends the
/// training.
///
/// What a callback has to remember for a training to be resumed it gives out as
/// [`state`](Callback::state); [`fit`](super::fit) puts it into every checkpoint and hands it back to the
/// callback of the same place and [`name`](Callback::name).
///
/// # Example
/// ```
/// use plies_nn::train::{Callback, EpochEvent, Flow, TrainError, Training};
/// use plies_nn::{Checkpoint, CheckpointError};
///
/// /// Counts the epochs that were worse than the one before.
/// #[derive(Default)]
/// struct Setbacks {
///     count: usize,
///     last: f64,
/// }
/// impl Callback for Setbacks {
///     fn on_epoch(&mut self, event: &EpochEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
///         self.count += usize::from(event.loss > self.last);
///         self.last = event.loss;
///         Ok(Flow::Continue)
///     }
///     fn state(&self) -> Option<Checkpoint> {
///         let mut state = Checkpoint::new();
///         state.set("count", self.count.to_string());
///         state.set("last", self.last.to_string());
///         Some(state)
///     }
///     fn load_state(&mut self, state: &Checkpoint) -> Result<(), CheckpointError> {
///         *self = Setbacks { count: state.number("count")?, last: state.number("last")? };
///         Ok(())
///     }
/// }
/// ```
pub trait Callback {
    /// Before the first batch, with what is resumed in its place.
    fn on_train_begin(
        &mut self,
        _at: &Position,
        _training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        Ok(Flow::Continue)
    }

    /// Whether [`on_batch`](Callback::on_batch) needs the losses of all batches so far, which takes waiting
    /// for a device that works behind the host. Asked after each batch, until one of the callbacks does.
    fn wants_loss(&mut self, _at: &Position) -> bool {
        false
    }

    /// After each batch and its step. The gradients that the step went by are still there; where several
    /// batches go into a step, between steps those of the batches so far.
    fn on_batch(
        &mut self,
        _event: &BatchEvent,
        _training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        Ok(Flow::Continue)
    }

    /// After each epoch.
    fn on_epoch(
        &mut self,
        _event: &EpochEvent,
        _training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        Ok(Flow::Continue)
    }

    /// After the last batch, whether or not it completed the last epoch.
    fn on_train_end(
        &mut self,
        _report: &Report,
        _training: &mut Training<'_>,
    ) -> Result<(), TrainError> {
        Ok(())
    }

    /// Whether [`on_checkpoint`](Callback::on_checkpoint) is to be called. Asked when all callbacks
    /// have seen a batch, an epoch (after its last batch), or the end.
    fn wants_checkpoint(&mut self, _at: &Position) -> bool {
        false
    }

    /// Gets all that is needed to go on from here, to the last bit: see
    /// [`Fit::resume`](super::Fit::resume).
    fn on_checkpoint(
        &mut self,
        _at: &Position,
        _checkpoint: &Checkpoint,
    ) -> Result<(), TrainError> {
        Ok(())
    }

    /// What tells it from others when a training is resumed: the name of its type, unless it has another.
    fn name(&self) -> &str {
        let path = std::any::type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// What has to be remembered for a training to be resumed; nothing for a callback that remembers
    /// nothing. Equal states are equal bytes, so it tells no time.
    fn state(&self) -> Option<Checkpoint> {
        None
    }

    /// Takes up a saved state.
    ///
    /// # Errors
    /// What is missing from it.
    fn load_state(&mut self, _state: &Checkpoint) -> Result<(), CheckpointError> {
        Ok(())
    }
}
