//! The training loop: batches forward, the loss backward, a step of the optimiser; callbacks see
//! what happens and may stop it.

mod callback;
mod checkpoints;
mod csv_log;
mod divergence;
mod early_stopping;
mod evaluate;
mod history;
mod keep_best;
mod lr_finder;
mod means;
mod patience;
mod plateau;
mod run;
mod statistics;
#[cfg(feature = "tensorboard")]
mod tensorboard;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use plies_autograd::Var;
use plies_tensor::Tensor;

pub use callback::{BatchEvent, Callback, EpochEvent, Flow, Position, Training};
pub use checkpoints::Checkpoints;
pub use csv_log::CsvLog;
pub use divergence::Divergence;
pub use early_stopping::EarlyStopping;
pub use evaluate::{Evaluation, evaluate};
pub use history::History;
pub use keep_best::KeepBest;
pub use lr_finder::{LrCurve, LrPoint, LrSweep, find_lr};
pub use means::Means;
pub use plateau::Plateau;
pub use statistics::{Statistic, Statistics, Subject, Summary, dead_units};
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;

use crate::data::{Batch, Loader};
use crate::optim::{Clip, Optimizer, Schedule};
use crate::{Checkpoint, CheckpointError, Module};

/// How many terms the loss of a batch is the mean of.
pub type Terms = fn(&Batch) -> usize;

/// Settings of [`fit`].
#[derive(Clone, Debug)]
pub struct Fit {
    /// Epochs to run. What is resumed by hand starts above 0; [`resume`](Fit::resume) needs no start.
    pub epochs: Range<usize>,
    /// Seed of dropout and whatever else draws random numbers in the forward pass.
    pub seed: u64,
    /// How the learning rate changes from step to step, over all epochs up to the last.
    pub schedule: Schedule,
    /// Steps in which the learning rate rises from 0.
    pub warm_up: u64,
    /// Batches whose gradients go into one step, which is then that of one large batch; the last step of
    /// an epoch has what is left. 0 is 1.
    pub accumulate: usize,
    /// How many terms the loss of a batch is the mean of, where that is not one for each example: steps of
    /// sequences that are padded, say. Means of batches are joined by it, in the events and in steps of
    /// several batches; it sees a batch as the loader gives it.
    pub terms: Option<Terms>,
    /// A bound of the gradients of each step, if there is one.
    pub clip: Option<Clip>,
    /// Examples that are not trained on, to be measured after each epoch; by the running averages, where
    /// the optimiser keeps any ([`Ema`](crate::optim::Ema)).
    pub held_out: Option<Loader>,
    /// Where to go on: a checkpoint that [`Callback::on_checkpoint`] was given, at the end of an epoch or in
    /// the middle of one, which then has to be made of the same batches. Model, optimiser and callbacks take
    /// up what it holds, and the training ends with the bytes of one that was never stopped, given the same
    /// settings, examples and callbacks.
    pub resume: Option<Checkpoint>,
    /// Set from outside, for example by Ctrl-C, to stop after the current batch.
    pub stop: Arc<AtomicBool>,
}

impl Fit {
    /// `epochs` from the beginning at a constant learning rate, seed 0.
    pub fn epochs(epochs: usize) -> Self {
        Fit {
            epochs: 0..epochs,
            seed: 0,
            schedule: Schedule::Constant,
            warm_up: 0,
            accumulate: 1,
            terms: None,
            clip: None,
            held_out: None,
            resume: None,
            stop: Arc::default(),
        }
    }
}

/// How a training ended.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Complete epochs, counted from 0 over all resumptions.
    pub epochs: usize,
    /// Examples seen in this run.
    pub examples: usize,
    /// Time this run took.
    pub elapsed: Duration,
    /// Whether it was stopped before the last epoch was complete.
    pub stopped: bool,
}

/// Why a training fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A checkpoint could not be written, or does not fit.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A device failed, or a file that a callback writes.
    #[error(transparent)]
    Tensor(#[from] plies_tensor::Error),
    /// Nothing can be trained as it is asked for.
    #[error("fit: {mistake}")]
    Settings {
        /// What is wrong.
        mistake: String,
    },
    /// A loss or a parameter is infinite or no number ([`Divergence`]).
    #[error("diverged in epoch {epoch}, where {number} came of the learning rate {lr:?}; lower it")]
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
        /// What the loss, a parameter or something that the optimiser remembers became.
        number: f64,
        /// The learning rate of that step.
        lr: f64,
    },
    /// What else made a callback fail.
    #[error(transparent)]
    Callback(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Trains a model.
///
/// For each batch: outputs from a training [`Pass`](crate::Pass), their loss, its gradients, a step. Everything
/// random is a function of the seeds, the epoch and the batch, so training epochs 0..4 gives the bits
/// of training 0..2, saving, loading and training 2..4, unless the schedule counts to the last epoch, `epochs.end`:
/// then that stays what it will be, and whoever wants to stop before it says so by a callback. What else there is to remember, in the middle of
/// an epoch and by the callbacks, [`Checkpoints`] saves. After a stop in the middle of an epoch
/// ([`Report::epochs`] does not count it) the model is between two epochs' states.
///
/// Accuracy is counted when the targets are classes: I32 `[B]` for outputs [B, C]. While an epoch runs,
/// the optimiser's learning rate is its own times the schedule's factor; between epochs it is its own, which
/// a callback may change for the epochs to come.
///
/// The loss is taken for the mean over the examples of a batch, or over its [terms](Fit::terms), where means of
/// batches have to be joined: in the events, and in steps of several batches ([`Fit::accumulate`]). Such a
/// step has the gradient Σ nᵢgᵢ / Σ nᵢ of batches with nᵢ terms.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Adam;
/// use plies_nn::train::{Fit, History, fit};
/// use plies_nn::{Activation, Mlp, loss};
/// use plies_tensor::{Rng, Tensor};
/// let x = Tensor::from([[0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]);
/// let loader = Loader::new(Arc::new(TensorDataset::new(x, Tensor::from([0, 1, 1, 0]))), 4);
/// let mut model = Mlp::new(&[2, 8, 2], Activation::Tanh, &mut Rng::new(1));
/// let mut history = History::default();
/// let settings = Fit::epochs(100);
/// fit(&mut model, &mut Adam::new(0.05), &loss::cross_entropy, &loader, &settings, &mut [&mut history]).unwrap();
/// assert_eq!(history.epochs().last().unwrap().accuracy, 1.0);
/// ```
///
/// A model without parameters, such as a rule to compare with, is measured only.
///
/// # Errors
/// A fault of the device, what a callback fails by, or a checkpoint to resume that does not fit: model and
/// optimiser are then as they were. Epochs that end before they begin, no examples, a model whose names
/// cannot be stored ([`Checkpoint::put_model`]).
///
/// # Panics
/// When the loss is not a single number, or depends on none of the model's parameters, and inside
/// [`no_grad`](plies_autograd::no_grad).
#[track_caller]
pub fn fit(
    model: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    loss: &dyn Fn(&Var, &Tensor) -> Var,
    loader: &Loader,
    settings: &Fit,
    callbacks: &mut [&mut dyn Callback],
) -> Result<Report, TrainError> {
    run::Run::new(model, optimizer, loss, loader, settings, callbacks).whole()
}
