//! Who may look on while a model is trained, and what some onlookers do: stop early, keep the best,
//! write down.

use std::path::PathBuf;
use std::time::Duration;

use plies_tensor::{Result, Tensor};

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
        _optimizer: &dyn Optimizer,
    ) -> Flow {
        self.epochs.push(*event);
        Flow::Continue
    }
}

/// Stops when a number has not become smaller for some epochs. As a callback it watches the training
/// loss; [`KeepBest`] watches any number.
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
        _optimizer: &dyn Optimizer,
    ) -> Flow {
        self.observe(event.loss).1
    }
}

/// A model as it was.
#[derive(Clone, Debug, Default)]
pub struct Best {
    parameters: Vec<Tensor>,
    buffers: Vec<Tensor>,
}

impl Best {
    /// Remembers the model as it is; the tensors are shared until it changes.
    pub fn keep(&mut self, model: &dyn Module) {
        self.parameters.clear();
        self.buffers.clear();
        model.for_each_parameter(&mut |_, parameter| {
            self.parameters.push(parameter.value().clone())
        });
        model.for_each_buffer(&mut |_, buffer| self.buffers.push(buffer.clone()));
    }

    /// Puts the remembered tensors back, if there are any.
    pub fn restore(&self, model: &mut dyn Module) {
        let (mut parameters, mut buffers) = (self.parameters.iter(), self.buffers.iter());
        model.for_each_parameter_mut(&mut |_, parameter| {
            if let Some(value) = parameters.next() {
                *parameter.value_mut() = value.clone();
            }
        });
        model.for_each_buffer_mut(&mut |_, buffer| {
            if let Some(value) = buffers.next() {
                *buffer = value.clone();
            }
        });
    }
}

/// The number by which [`KeepBest`] judges an epoch.
type Measure<'a> = dyn FnMut(&EpochEvent, &dyn Module) -> Result<f64> + 'a;

/// Measures the model after each epoch, keeps the one with the smallest number, in memory and if
/// wanted in a file, and stops when none was better for a while.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Sgd;
/// use plies_nn::train::{Fit, KeepBest, evaluate, fit};
/// use plies_nn::{Linear, loss};
/// use plies_tensor::{Rng, Tensor};
/// let data = TensorDataset::new(Tensor::from([[1f32], [-1.0]]), Tensor::from([1, 0]));
/// let loader = Loader::new(Arc::new(data), 2);
/// let mut model = Linear::new(1, 2, &mut Rng::new(1));
///
/// let validation = loader.clone();
/// let mut best = KeepBest::new(|_, model| Ok(evaluate(model, &validation, 2, &loss::cross_entropy)?.loss));
/// fit(&mut model, &mut Sgd::new(0.5), &loss::cross_entropy, &loader, &Fit::epochs(3), &mut [&mut best]).unwrap();
/// best.restore(&mut model).unwrap();
/// assert_eq!((best.epoch(), best.values().len()), (Some(2), 3));
/// ```
pub struct KeepBest<'a> {
    measure: Box<Measure<'a>>,
    stopping: EarlyStopping,
    file: Option<(PathBuf, Checkpoint)>,
    values: Vec<f64>,
    epoch: Option<usize>,
    best: Best,
    fault: Option<CheckpointError>,
}

impl<'a> KeepBest<'a> {
    /// Judges each epoch by the number that `measure` gives for it; smaller is better.
    pub fn new(measure: impl FnMut(&EpochEvent, &dyn Module) -> Result<f64> + 'a) -> Self {
        KeepBest {
            measure: Box::new(measure),
            stopping: EarlyStopping::new(usize::MAX, 0.0),
            file: None,
            values: Vec::new(),
            epoch: None,
            best: Best::default(),
            fault: None,
        }
    }

    /// Stops the training as [`EarlyStopping::new`] says; better is then what is better by more than
    /// `min_delta`.
    pub fn stop_after(mut self, patience: usize, min_delta: f64) -> Self {
        self.stopping = EarlyStopping::new(patience, min_delta);
        self
    }

    /// Also writes each best model, with its optimiser and the number of complete epochs
    /// ([`Checkpoint::epoch`]), to a file. What `checkpoint` holds already is written with it.
    pub fn in_file(mut self, path: impl Into<PathBuf>, checkpoint: Checkpoint) -> Self {
        self.file = Some((path.into(), checkpoint));
        self
    }

    /// The number of each epoch.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The best epoch, from 0.
    pub fn epoch(&self) -> Option<usize> {
        self.epoch
    }

    /// Makes the model what it was after the best epoch; to be called when training has ended.
    ///
    /// # Errors
    /// What went wrong when a model was measured or written. It ended the training.
    pub fn restore(&mut self, model: &mut dyn Module) -> std::result::Result<(), CheckpointError> {
        self.best.restore(model);
        self.fault.take().map_or(Ok(()), Err)
    }

    fn observe(
        &mut self,
        event: &EpochEvent,
        model: &dyn Module,
        optimizer: &dyn Optimizer,
    ) -> std::result::Result<Flow, CheckpointError> {
        let value = (self.measure)(event, model)?;
        self.values.push(value);
        let (better, flow) = self.stopping.observe(value);
        if better {
            self.epoch = Some(event.epoch);
            self.best.keep(model);
            if let Some((path, checkpoint)) = &mut self.file {
                checkpoint.put_model(model);
                checkpoint.put_optimizer(optimizer);
                checkpoint.set_epoch(event.epoch + 1);
                checkpoint.save(path)?;
            }
        }
        Ok(flow)
    }
}

impl Callback for KeepBest<'_> {
    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        model: &mut dyn Module,
        optimizer: &dyn Optimizer,
    ) -> Flow {
        self.observe(event, model, optimizer).unwrap_or_else(|fault| {
            self.fault = Some(fault);
            Flow::Stop
        })
    }
}
