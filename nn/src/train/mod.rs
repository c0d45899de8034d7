//! The training loop: batches forward, the loss backward, a step of the optimiser; callbacks see
//! what happens and may stop it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plies_autograd::{Var, no_grad};
use plies_tensor::{Result, Tensor};

use crate::data::Loader;
use crate::metrics::ConfusionMatrix;
use crate::optim::{Optimizer, Schedule};
use crate::stream::{Purpose, stream};
use crate::{Module, Pass};

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

    /// After each epoch, with the model and the optimiser as they are.
    fn on_epoch(
        &mut self,
        _event: &EpochEvent,
        _model: &mut dyn Module,
        _optimizer: &dyn Optimizer,
    ) -> Flow {
        Flow::Continue
    }
}

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
/// Accuracy is counted when the targets are classes: I32 [B] for outputs [B, C].
///
/// # Errors
/// A fault of the device.
pub fn fit(
    model: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    loss: &dyn Fn(&Var, &Tensor) -> Var,
    loader: &Loader,
    settings: &Fit,
    callbacks: &mut [&mut dyn Callback],
) -> Result<Report> {
    let started = Instant::now();
    let base_lr = optimizer.lr();
    let batches = loader.batches();
    let total_steps = (settings.epochs.end * batches) as u64;
    let mut report = Report {
        epochs: settings.epochs.start,
        examples: 0,
        elapsed: Duration::ZERO,
        stopped: false,
    };
    'training: for epoch in settings.epochs.clone() {
        let (mut total_loss, mut correct, mut examples) = (0.0, Some(0usize), 0);
        let means = |total: f64, correct: Option<usize>, examples: usize| {
            let n = examples as f64;
            (total / n, correct.map_or(f64::NAN, |c| c as f64 / n))
        };
        for (i, batch) in loader.epoch(epoch).enumerate() {
            let step = (epoch * batches + i) as u64;
            let factor = settings.schedule.factor(step, total_steps, settings.warm_up);
            optimizer.set_lr(base_lr * factor);
            let n = batch.len();
            let mut pass = Pass::train(stream(settings.seed, Purpose::Forward, epoch, i));
            let output = model.forward(&Var::constant(batch.inputs), &mut pass);
            correct =
                correct.and_then(|c| Some(c + count_correct(output.value(), &batch.targets)?));
            let loss = loss(&output, &batch.targets);
            drop(output);
            loss.backward();
            total_loss += loss.value().item()? * n as f64;
            // The graph holds the parameters' values; without it the step overwrites them.
            drop(loss);
            optimizer.step(model);
            model.zero_grad();
            examples += n;
            report.examples += n;
            let (loss, accuracy) = means(total_loss, correct, examples);
            let elapsed = started.elapsed();
            let event = BatchEvent { epoch, batch: i, batches, examples, loss, accuracy, elapsed };
            let mut flow = Flow::Continue;
            for callback in callbacks.iter_mut() {
                if callback.on_batch(&event) == Flow::Stop {
                    flow = Flow::Stop;
                }
            }
            if flow == Flow::Stop || settings.stop.load(Ordering::Relaxed) {
                report.stopped = true;
                break 'training;
            }
        }
        report.epochs = epoch + 1;
        optimizer.set_lr(base_lr);
        let (loss, accuracy) = means(total_loss, correct, examples);
        let event = EpochEvent { epoch, examples, loss, accuracy, elapsed: started.elapsed() };
        let mut flow = Flow::Continue;
        for callback in callbacks.iter_mut() {
            if callback.on_epoch(&event, model, optimizer) == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        if flow == Flow::Stop {
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

/// The predictions of a classifier over a dataset.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Which class was taken for which.
    pub confusion: ConfusionMatrix,
    /// Mean loss.
    pub loss: f64,
    /// Predicted class of each example, in the loader's order.
    pub predicted: Vec<usize>,
    /// Probability that the model gave to it.
    pub probability: Vec<f32>,
}

/// Runs a classifier of `n_classes` over the batches of a loader.
///
/// # Errors
/// A fault of the device.
pub fn evaluate(
    model: &dyn Module,
    loader: &Loader,
    n_classes: usize,
    loss: &dyn Fn(&Var, &Tensor) -> Var,
) -> Result<Evaluation> {
    let mut evaluation = Evaluation {
        confusion: ConfusionMatrix::new(n_classes),
        loss: 0.0,
        predicted: Vec::new(),
        probability: Vec::new(),
    };
    let mut total = 0.0;
    for batch in loader.epoch(0) {
        let n = batch.len();
        let logits = no_grad(|| model.forward(&Var::constant(batch.inputs), &mut Pass::eval()));
        total += no_grad(|| loss(&logits, &batch.targets)).value().item()? * n as f64;
        evaluation.confusion.add_batch(logits.value(), &batch.targets)?;
        let (probability, predicted) = logits.value().softmax(-1).topk(1, -1);
        evaluation.predicted.extend(predicted.to_vec::<i32>()?.into_iter().map(|p| p as usize));
        evaluation.probability.extend(probability.flatten().to_vec::<f32>()?);
    }
    evaluation.loss = total / evaluation.confusion.total() as f64;
    Ok(evaluation)
}

/// Stops when a number has not become smaller for some epochs.
#[derive(Clone, Copy, Debug)]
pub struct EarlyStopping {
    patience: usize,
    min_delta: f64,
    best: f64,
    waited: usize,
}

impl EarlyStopping {
    /// Waits `patience` epochs for an improvement of more than `min_delta`.
    pub fn new(patience: usize, min_delta: f64) -> Self {
        EarlyStopping { patience, min_delta, best: f64::INFINITY, waited: 0 }
    }

    /// Takes the number of this epoch; says whether it is the best so far, and whether to go on.
    pub fn observe(&mut self, value: f64) -> (bool, Flow) {
        if value < self.best - self.min_delta {
            (self.best, self.waited) = (value, 0);
            return (true, Flow::Continue);
        }
        self.waited += 1;
        (false, if self.waited > self.patience { Flow::Stop } else { Flow::Continue })
    }
}

/// Keeps the parameters of the best epoch.
#[derive(Clone, Debug, Default)]
pub struct Best {
    parameters: Vec<Tensor>,
}

impl Best {
    /// Remembers the model as it is; the tensors are shared until it changes.
    pub fn keep(&mut self, model: &dyn Module) {
        self.parameters.clear();
        model.visit(&mut |_, parameter| self.parameters.push(parameter.value().clone()));
    }

    /// Puts the remembered parameters back, if there are any.
    pub fn restore(&self, model: &mut dyn Module) {
        let mut kept = self.parameters.iter();
        model.visit_mut(&mut |_, parameter| {
            if let Some(value) = kept.next() {
                *parameter.value_mut() = value.clone();
            }
        });
    }
}
