//! Trains a network on examples, keeps the best epoch, and measures it.

use std::sync::{Arc, atomic::AtomicBool};

use plies_autograd::Var;
use plies_nn::{
    Checkpoint, Module,
    data::Loader,
    loss::cross_entropy,
    optim::{Optimizer, Schedule},
    train::{
        self, BatchEvent, Callback, Divergence, EpochEvent, Evaluation, Fit, Flow, KeepBest,
        TrainError, Training,
    },
};
use plies_tensor::Tensor;

use crate::{
    dataset::{self, Digits},
    idx::{COLS, Examples, N_CLASSES, ROWS},
    network::Network,
    saved::Stored,
};

/// What is known after an epoch.
#[derive(Clone, Copy, Debug)]
pub struct EpochDone<'a> {
    /// What the loop knows.
    pub event: EpochEvent,
    /// The error rate on the examples held out, when there are any.
    pub validation_error: Option<f64>,
    /// Whether this epoch is the best so far, and hence kept.
    pub is_best: bool,
    /// The best epoch so far, this one or an earlier one.
    pub best: &'a Checkpoint,
}

/// Sees training as it happens.
pub trait Watch {
    /// After each batch.
    fn batch(&mut self, event: &BatchEvent);
    /// After each epoch.
    fn epoch(&mut self, done: &EpochDone<'_>);
}

/// How a training ended.
#[derive(Debug)]
pub struct Trained {
    /// The best epoch: weights, optimiser, settings. `None` when no epoch was completed.
    pub best: Option<Checkpoint>,
    /// The epoch of it, counted from 1.
    pub best_epoch: usize,
    /// Mean training loss of that epoch.
    pub loss: f64,
    /// The error rate on the examples held out in that epoch.
    pub validation_error: Option<f64>,
    /// Complete epochs, over all resumptions.
    pub epochs: usize,
    /// Examples seen in this run.
    pub examples: usize,
    /// Seconds this run took.
    pub seconds: f64,
    /// Whether it was stopped before the last epoch.
    pub stopped: bool,
}

/// Trains the network by its settings from the epoch that it is at, and leaves it at its best epoch.
///
/// The best epoch is that of the least error on `validation`; when nothing is held out, the last.
/// The optimiser follows the mean cross-entropy of each batch, at a learning rate that falls to 0 along half
/// a cosine.
///
/// # Errors
/// A loss that is no number ([`TrainError::Diverged`]), or a fault of the device.
pub fn train(
    network: &mut Network,
    optimizer: &mut dyn Optimizer,
    training: Examples,
    validation: Option<Examples>,
    stop: Arc<AtomicBool>,
    watch: &mut dyn Watch,
) -> Result<Trained, TrainError> {
    let settings = network.settings.clone();
    let mut loader =
        Loader::new(Arc::new(Digits(training)), settings.batch_size).shuffle(settings.seed);
    if let Some(deformations) = settings.deformations() {
        loader = loader
            .transform(settings.seed, move |mut batch, draws| {
                let vectors = batch.inputs.shape();
                batch.inputs = batch.inputs.reshape([batch.len(), 1, ROWS, COLS]);
                let mut batch = deformations.apply(batch, draws);
                batch.inputs = batch.inputs.reshape(vectors);
                batch
            })
            .workers(2);
    }
    if settings.shift > 0 {
        let most = settings.shift;
        loader = loader.transform(settings.seed, move |batch, draws| {
            dataset::shift(batch, most, &mut draws.batch())
        });
    }
    let fit = Fit {
        epochs: network.epochs_done..settings.epochs,
        seed: settings.seed,
        schedule: Schedule::Cosine { last: 0.0 },
        stop,
        ..Fit::epochs(0)
    };
    let held_out = validation.is_some();
    // What is resumed is the best epoch until another is better.
    let resumed = network.epochs_done > 0;
    let validation_error = match &validation {
        Some(examples) if resumed => Some(error_rate(&network.mlp, examples)?),
        _ => None,
    };
    let mut keep = KeepBest::new(|event, model| match &validation {
        Some(examples) => Ok(error_rate(model, examples)?),
        None => Ok(-(event.epoch as f64)),
    })
    .with(settings.empty_checkpoint());
    if resumed {
        let best = settings.checkpoint(&network.mlp, optimizer, network.epochs_done);
        keep = keep.beating(validation_error.unwrap_or(f64::INFINITY), best);
    }
    let observer = Observer {
        keep,
        held_out,
        best_epoch: network.epochs_done,
        loss: f64::NAN,
        validation_error,
        watch,
    };
    let trained = observer.fit(&mut network.mlp, optimizer, &cross_entropy, &loader, &fit)?;
    network.epochs_done = trained.best_epoch;
    Ok(trained)
}

/// Trains a model of any kind from its beginning, and leaves it at its last complete epoch; `settings` are the
/// text that is kept beside it.
///
/// # Errors
/// As [`train`].
pub(crate) fn fit(
    model: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    loss: &dyn Fn(&Var, &Tensor) -> Var,
    loader: &Loader,
    fit: &Fit,
    settings: Checkpoint,
    watch: &mut dyn Watch,
) -> Result<Trained, TrainError> {
    let keep = KeepBest::new(|event, _| Ok(-(event.epoch as f64))).with(settings);
    let observer = Observer {
        keep,
        held_out: false,
        best_epoch: 0,
        loss: f64::NAN,
        validation_error: None,
        watch,
    };
    observer.fit(model, optimizer, loss, loader, fit)
}

/// Runs the network over examples.
///
/// # Errors
/// A fault of the device.
pub fn evaluate(model: &dyn Module, examples: Examples) -> plies_tensor::Result<Evaluation> {
    let loader = Loader::new(Arc::new(Digits(examples)), 500);
    train::evaluate(model, &loader, N_CLASSES, &cross_entropy)
}

fn error_rate(model: &dyn Module, examples: &Examples) -> plies_tensor::Result<f64> {
    let confusion = evaluate(model, examples.clone())?.confusion;
    Ok((confusion.total() - confusion.correct()) as f64 / confusion.total() as f64)
}

/// Keeps the best epoch and tells who watches.
struct Observer<'a> {
    keep: KeepBest<'a>,
    /// Whether the best is that of examples held out.
    held_out: bool,
    /// Complete epochs at the best, its training loss, its error on what is held out.
    best_epoch: usize,
    loss: f64,
    validation_error: Option<f64>,
    watch: &'a mut dyn Watch,
}

impl Observer<'_> {
    fn fit(
        mut self,
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
        loss: &dyn Fn(&Var, &Tensor) -> Var,
        loader: &Loader,
        fit: &Fit,
    ) -> Result<Trained, TrainError> {
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut Divergence, &mut self];
        let report = train::fit(model, optimizer, loss, loader, fit, callbacks)?;
        self.keep.restore(model)?;
        Ok(Trained {
            best: self.keep.checkpoint().cloned(),
            best_epoch: self.best_epoch,
            loss: self.loss,
            validation_error: self.validation_error,
            epochs: report.epochs,
            examples: report.examples,
            seconds: report.elapsed.as_secs_f64(),
            stopped: report.stopped,
        })
    }
}

impl Callback for Observer<'_> {
    fn on_batch(&mut self, event: &BatchEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        self.watch.batch(event);
        Ok(Flow::Continue)
    }

    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        let flow = self.keep.on_epoch(event, training)?;
        let measured = self.keep.values().last().copied();
        let validation_error = measured.filter(|_| self.held_out);
        let is_best = self.keep.epoch() == Some(event.epoch);
        if is_best {
            self.best_epoch = event.epoch + 1;
            self.loss = event.loss;
            self.validation_error = validation_error;
        }
        if let Some(best) = self.keep.checkpoint() {
            self.watch.epoch(&EpochDone { event: *event, validation_error, is_best, best });
        }
        Ok(flow)
    }
}

#[cfg(test)]
mod tests {
    use plies_nn::optim::Adam;

    use super::*;
    use crate::{embedded, settings::Settings};

    struct NoEpoch;

    impl Watch for NoEpoch {
        fn batch(&mut self, _event: &BatchEvent) {}

        fn epoch(&mut self, done: &EpochDone<'_>) {
            panic!("epoch {} is no good", done.event.epoch);
        }
    }

    /// One batch an epoch: its loss is from before the step.
    #[test]
    fn an_epoch_whose_last_step_went_too_far_is_not_kept() {
        let mut examples = embedded::test();
        examples.truncate(20);
        let settings = Settings { hidden: vec![4], epochs: 1, ..Settings::default() };
        let mut network = Network::new(settings.clone());
        let mut optimizer = Adam::new(f64::MAX);
        let stop = Arc::default();
        let ended = train(&mut network, &mut optimizer, examples, None, stop, &mut NoEpoch);
        assert!(matches!(ended, Err(TrainError::Diverged { epoch: 1, .. })), "{ended:?}");
    }
}
