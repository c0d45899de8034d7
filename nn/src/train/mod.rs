//! The training loop: batches forward, the loss backward, a step of the optimiser; callbacks see
//! what happens and may stop it.

mod callback;
mod evaluate;
mod keep_best;
mod plateau;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plies_autograd::Var;
use plies_tensor::{Result, Tensor};

pub use callback::{BatchEvent, Callback, EarlyStopping, EpochEvent, Flow, History};
pub use evaluate::{Evaluation, evaluate};
pub use keep_best::KeepBest;
pub use plateau::Plateau;

use crate::data::Loader;
use crate::optim::{Clip, Optimizer, Schedule, change_gradients};
use crate::stream::{Purpose, stream};
use crate::{Module, Pass};

/// Settings of [`fit`].
#[derive(Clone, Debug)]
pub struct Fit {
    /// Epochs to run; resuming starts above 0.
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
    /// A bound of the gradients of each step, if there is one.
    pub clip: Option<Clip>,
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
            clip: None,
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

/// Trains a model.
///
/// For each batch: outputs from a training [`Pass`], their loss, its gradients, a step. Everything
/// random is a function of the seeds, the epoch and the batch, so training epochs 0..4 gives the bits
/// of training 0..2, saving, loading and training 2..4. After a stop in the middle of an epoch
/// ([`Report::epochs`] does not count it) the model is between two such states.
///
/// Accuracy is counted when the targets are classes: I32 `[B]` for outputs [B, C]. While an epoch runs,
/// the optimiser's learning rate is its own times the schedule's factor; between epochs it is its own, which
/// a callback may change for the epochs to come.
///
/// The loss is taken for the mean over the examples of a batch, where means of batches have to be joined:
/// in the events, and in steps of several batches ([`Fit::accumulate`]). Such a step has the gradient
/// Σ nᵢgᵢ / Σ nᵢ of batches with nᵢ examples.
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
/// A fault of the device.
///
/// # Panics
/// When the loss is not a single number, or depends on none of the model's parameters.
#[track_caller]
pub fn fit(
    model: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    loss: &dyn Fn(&Var, &Tensor) -> Var,
    loader: &Loader,
    settings: &Fit,
    callbacks: &mut [&mut dyn Callback],
) -> Result<Report> {
    let started = Instant::now();
    let mut base_lr = optimizer.lr();
    let batches = loader.batches();
    let accumulate = settings.accumulate.max(1);
    let steps = batches.div_ceil(accumulate); // of an epoch
    let step_of = |epoch: usize, batch: usize| {
        epoch.saturating_mul(steps).saturating_add(batch / accumulate) as u64
    };
    let total_steps = step_of(settings.epochs.end, 0);
    let has_parameters = model.parameter_count() > 0;
    let mut report = Report {
        epochs: settings.epochs.start,
        examples: 0,
        elapsed: Duration::ZERO,
        stopped: false,
    };
    // A stop asked for during the last batch of an epoch lets the epoch be complete.
    let mut asked = false;
    'training: for epoch in settings.epochs.clone() {
        let (mut total_loss, mut correct, mut examples) = (0.0, Some(0usize), 0);
        let means = |total: f64, correct: Option<usize>, examples: usize| {
            let n = examples as f64;
            (total / n, correct.map_or(f64::NAN, |c| c as f64 / n))
        };
        let mut in_step = 0; // examples whose gradients wait for a step
        for (i, batch) in loader.epoch(epoch).enumerate() {
            let n = batch.len();
            let mut pass = Pass::train(stream(settings.seed, Purpose::Forward, epoch, i));
            let output = model.forward(&Var::constant(batch.inputs), &mut pass);
            correct =
                correct.and_then(|c| Some(c + count_correct(output.value(), &batch.targets)?));
            let loss = loss(&output, &batch.targets);
            drop(output);
            assert!(
                loss.elem_count() == 1,
                "fit: the loss has the shape {}; it must be a single number",
                loss.shape()
            );
            if has_parameters {
                assert!(
                    loss.requires_grad(),
                    "fit: the loss depends on none of the model's parameters"
                );
                // Sums can be added before it is known how many examples there will be.
                let weight = if accumulate == 1 { 1.0 } else { n as f64 };
                loss.backward_with(&Var::constant(loss.value().full_like(weight)));
            }
            total_loss += loss.value().item()? * n as f64;
            // The graph holds the parameters' values; without it the step overwrites them.
            drop(loss);
            in_step += n;
            if (i + 1) % accumulate == 0 || i + 1 == batches {
                if accumulate > 1 {
                    let share = 1.0 / in_step as f64;
                    change_gradients(model, |sum| sum * share);
                }
                if let Some(clip) = settings.clip {
                    clip.apply(model)?;
                }
                let step = step_of(epoch, i);
                let factor = settings.schedule.factor(step, total_steps, settings.warm_up);
                optimizer.set_lr(base_lr * factor);
                optimizer.step(model);
                model.zero_grad();
                in_step = 0;
            }
            examples += n;
            report.examples += n;
            let (loss, accuracy) = means(total_loss, correct, examples);
            let elapsed = started.elapsed();
            let event = BatchEvent { epoch, batch: i, batches, examples, loss, accuracy, elapsed };
            for callback in callbacks.iter_mut() {
                asked |= callback.on_batch(&event) == Flow::Stop;
            }
            asked |= settings.stop.load(Ordering::Relaxed);
            if asked && i + 1 < batches {
                report.stopped = true;
                model.zero_grad(); // what waited for a step
                break 'training;
            }
        }
        report.epochs = epoch + 1;
        optimizer.set_lr(base_lr);
        let (loss, accuracy) = means(total_loss, correct, examples);
        let event = EpochEvent { epoch, examples, loss, accuracy, elapsed: started.elapsed() };
        for callback in callbacks.iter_mut() {
            asked |= callback.on_epoch(&event, model, optimizer) == Flow::Stop;
        }
        base_lr = optimizer.lr();
        if asked || settings.stop.load(Ordering::Relaxed) {
            report.stopped = report.epochs < settings.epochs.end;
            break;
        }
    }
    optimizer.set_lr(base_lr);
    report.elapsed = started.elapsed();
    Ok(report)
}

/// Rows whose largest output is at the target; `None` when the targets are not classes.
fn count_correct(outputs: &Tensor, targets: &Tensor) -> Option<usize> {
    if targets.dtype().is_float() || targets.rank() != 1 || outputs.rank() != 2 {
        return None;
    }
    let predicted = outputs.argmax(-1, false).to_vec::<i32>().ok()?;
    let targets = targets.to_vec::<i32>().ok()?;
    Some(predicted.iter().zip(&targets).filter(|(p, t)| p == t).count())
}
