//! The best epoch of a training, as a checkpoint.

use std::path::PathBuf;

use super::callback::Measure;
use super::{Callback, EarlyStopping, EpochEvent, Flow, Position, TrainError, Training};
use crate::optim::{Optimizer, by_averages};
use crate::{Checkpoint, CheckpointError, Module};

/// Measures the model after each epoch, keeps a checkpoint of the one with the smallest number, in
/// memory and if wanted in a file, and stops when none was better for a while. Where the optimiser keeps
/// running averages ([`Ema`](crate::optim::Ema)), these are the model that is measured and kept.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Sgd;
/// use plies_nn::train::{Fit, KeepBest, fit};
/// use plies_nn::{Linear, loss};
/// use plies_tensor::{Rng, Tensor};
/// let data = TensorDataset::new(Tensor::from([[1f32], [-1.0]]), Tensor::from([1, 0]));
/// let loader = Loader::new(Arc::new(data), 2);
/// let mut model = Linear::new(1, 2, &mut Rng::new(1));
///
/// let settings = Fit { held_out: Some(loader.clone()), ..Fit::epochs(3) };
/// let mut best = KeepBest::new(|event, _| Ok(event.judged_loss()));
/// fit(&mut model, &mut Sgd::new(0.5), &loss::cross_entropy, &loader, &settings, &mut [&mut best]).unwrap();
/// best.restore(&mut model).unwrap();
/// assert_eq!((best.epoch(), best.values().len()), (Some(2), 3));
/// ```
pub struct KeepBest<'a> {
    measure: Box<Measure<'a>>,
    stopping: EarlyStopping,
    template: Checkpoint,
    file: Option<PathBuf>,
    values: Vec<f64>,
    epoch: Option<usize>,
    best: Option<Checkpoint>,
}

impl<'a> KeepBest<'a> {
    /// Judges each epoch by the number that `measure` gives for it; smaller is better.
    pub fn new(
        measure: impl FnMut(&EpochEvent, &dyn Module) -> Result<f64, TrainError> + 'a,
    ) -> Self {
        KeepBest {
            measure: Box::new(measure),
            stopping: EarlyStopping::new(usize::MAX, 0.0),
            template: Checkpoint::new(),
            file: None,
            values: Vec::new(),
            epoch: None,
            best: None,
        }
    }

    /// Stops the training as [`EarlyStopping::new`] says; better is then what is better by more than
    /// `min_delta`.
    pub fn stop_after(mut self, patience: usize, min_delta: f64) -> Self {
        self.stopping = EarlyStopping::new(patience, min_delta);
        self
    }

    /// Keeps the best model with the text of `checkpoint` besides, such as settings. It may be one of an
    /// earlier training: what that says of model, optimiser and training gives way.
    pub fn with(mut self, checkpoint: Checkpoint) -> Self {
        self.template = checkpoint.settings();
        self
    }

    /// Goes on from an earlier training: its best, of the given number, is kept until an epoch is
    /// better. To be called after [`stop_after`](KeepBest::stop_after).
    pub fn beating(mut self, value: f64, best: Checkpoint) -> Self {
        self.stopping.observe(value);
        self.best = Some(best);
        self
    }

    /// Also writes each best checkpoint to a file.
    pub fn in_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// The number of each epoch.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The best epoch, from 0; none when an [earlier](KeepBest::beating) one was better than all.
    pub fn epoch(&self) -> Option<usize> {
        self.epoch
    }

    /// The best model with its optimiser and the number of complete epochs
    /// ([`Checkpoint::epoch`]).
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.best.as_ref()
    }

    /// Makes the model what it was after the best epoch; to be called when training has ended.
    ///
    /// # Errors
    /// When there is no best epoch, because the numbers of all are NaN; a fault of the device, or another
    /// model.
    pub fn restore(&self, model: &mut dyn Module) -> Result<(), CheckpointError> {
        match (&self.best, self.values.len()) {
            (Some(best), _) => best.load_model(model),
            (None, 0) => Ok(()),
            (None, n) => {
                let reason = format!("of {n} epochs none is the best, all measure NaN");
                Err(CheckpointError::Mismatch { origin: "keep_best".to_owned(), reason })
            }
        }
    }

    fn observe(
        &mut self,
        event: &EpochEvent,
        model: &dyn Module,
        optimizer: &dyn Optimizer,
    ) -> Result<Flow, TrainError> {
        let value = (self.measure)(event, model)?;
        self.values.push(value);
        let (better, flow) = self.stopping.observe(value);
        if better {
            let mut checkpoint = self.template.clone();
            checkpoint.put_model(model);
            checkpoint.put_optimizer(optimizer);
            checkpoint.set_epoch(event.epoch + 1);
            self.epoch = Some(event.epoch);
            self.best = Some(checkpoint);
            self.write()?;
        }
        Ok(flow)
    }

    fn write(&self) -> Result<(), CheckpointError> {
        match (&self.file, &self.best) {
            (Some(path), Some(best)) => best.save(path),
            _ => Ok(()),
        }
    }
}

impl Callback for KeepBest<'_> {
    /// The file is made to agree with what is resumed: a process that was killed may have gone further.
    fn on_train_begin(&mut self, _: &Position, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        self.write()?;
        Ok(self.stopping.flow())
    }

    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        by_averages(training.optimizer, training.model, |optimizer, model| {
            self.observe(event, model, optimizer)
        })
    }

    fn state(&self) -> Option<Checkpoint> {
        let mut state = Checkpoint::new();
        if let Some(stopping) = self.stopping.state() {
            state.nest("stopping", &stopping);
        }
        let values: Vec<String> = self.values.iter().map(f64::to_string).collect();
        state.set("values", values.join(" "));
        if let Some(epoch) = self.epoch {
            state.set_epoch(epoch);
        }
        if let Some(best) = &self.best {
            state.nest("best", best);
        }
        Some(state)
    }

    fn load_state(&mut self, state: &Checkpoint) -> Result<(), CheckpointError> {
        let mut stopping = self.stopping;
        stopping.load_state(&state.nested("stopping"))?;
        let values = state.numbers("values")?;
        let epoch = state.get("epoch").map(|_| state.epoch()).transpose()?;
        let best = state.nested("best");
        (self.stopping, self.values, self.epoch) = (stopping, values, epoch);
        self.best = (!best.is_empty()).then_some(best);
        Ok(())
    }
}
