//! One method tried once: learn from the training set, read the test set.

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use plies_autograd::Var;
use plies_nn::{
    CheckpointError, Module,
    data::{Augment, Dataset, Loader, Map},
    loss::cross_entropy,
    optim::{Optimizer, Schedule},
    train::{self, BatchEvent, Callback, Checkpoints, Divergence, Fit, Flow, TrainError, Training},
};
use plies_tensor::{Rng, Tensor};
use thiserror::Error;

use crate::{
    dataset::{self, Digits},
    idx::{COLS, Examples, N_CLASSES, ROWS},
};

/// What a method is given.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// What it may learn from.
    pub train: &'a Examples,
    /// What it is to read.
    pub test: &'a Examples,
    /// Where its random numbers start.
    pub seed: u64,
    /// The share of its epochs that is run; at least one is.
    pub effort: f64,
    /// Set from outside to end it early.
    pub stop: &'a Arc<AtomicBool>,
    /// Told now and then which share of the trial is done.
    pub progress: &'a dyn Fn(f64),
    /// Where a training is kept while it goes on, so that a trial that was stopped or killed goes on from there.
    pub folder: Option<&'a Path>,
}

/// What a method has read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// A class for each test example.
    pub read: Vec<u8>,
    /// Other figures worth telling, in per cent.
    pub notes: Vec<(&'static str, f64)>,
}

impl From<Vec<u8>> for Outcome {
    fn from(read: Vec<u8>) -> Outcome {
        Outcome { read, notes: Vec::new() }
    }
}

/// Why a trial has no outcome.
#[derive(Debug, Error)]
pub enum TrialError {
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
    /// The training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// What was kept of it is of another trial, or damaged.
    #[error("{0}; without that folder the trial begins anew")]
    Kept(#[from] CheckpointError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] plies_tensor::Error),
}

/// How a network is trained.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Passes over the training set.
    pub epochs: usize,
    /// Examples of a step.
    pub batch_size: usize,
    /// What is changed in images before they are learnt from.
    pub augment: Option<Augment>,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// The part of the trial that this training is, of 0 to 1.
    pub part: Range<f64>,
}

impl Plan {
    /// So many epochs in batches of 128, the learning rate falling to 0 along half a cosine.
    pub fn epochs(epochs: usize) -> Plan {
        Plan {
            epochs,
            batch_size: 128,
            augment: None,
            schedule: Schedule::Cosine { last: 0.0 },
            part: 0.0..1.0,
        }
    }

    /// With images changed while they are learnt from.
    pub fn augment(self, augment: Augment) -> Plan {
        Plan { augment: Some(augment), ..self }
    }

    /// As this part of the trial.
    pub fn part(self, from: f64, to: f64) -> Plan {
        Plan { part: from..to, ..self }
    }
}

impl Trial<'_> {
    /// The random numbers of first weights.
    pub fn rng(&self) -> Rng {
        Rng::new(self.seed)
    }

    /// An error once the trial is to end; otherwise `share` of it is done.
    ///
    /// # Errors
    /// [`TrialError::Stopped`].
    pub fn go_on(&self, share: f64) -> Result<(), TrialError> {
        (self.progress)(share);
        if self.stop.load(Ordering::Relaxed) { Err(TrialError::Stopped) } else { Ok(()) }
    }

    /// The images of the training set, [N, 784] from 0 to 1, and their labels.
    pub fn train_images(&self) -> (Tensor, Tensor) {
        let labels: Vec<i32> = self.train.labels.iter().map(|&label| label.into()).collect();
        (images(self.train), Tensor::from(labels))
    }

    /// The images of the test set, [N, 784] from 0 to 1.
    pub fn test_images(&self) -> Tensor {
        images(self.test)
    }

    /// Trains a network on images [B, 1, 28, 28] by cross-entropy, and lets it read the test set.
    ///
    /// # Errors
    /// A stop, a loss that is no number, a fault of the device.
    pub fn learn(
        &self,
        mut model: impl Module,
        mut optimizer: impl Optimizer,
        plan: Plan,
    ) -> Result<Outcome, TrialError> {
        self.fit(&mut model, &mut optimizer, &cross_entropy, pictures(self.train), plan)?;
        optimizer.show_averages(&mut model, true);
        Ok(self.read(&model)?.into())
    }

    /// Trains a module on any examples.
    ///
    /// # Errors
    /// A stop, a loss that is no number, a fault of the device.
    pub fn fit(
        &self,
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
        loss: &dyn Fn(&Var, &Tensor) -> Var,
        examples: Arc<dyn Dataset>,
        plan: Plan,
    ) -> Result<(), TrialError> {
        let epochs = (plan.epochs as f64 * self.effort).ceil().max(1.0) as usize;
        let mut loader = Loader::new(examples, plan.batch_size).shuffle(self.seed);
        if let Some(augment) = plan.augment {
            loader = loader.augment(self.seed, augment).workers(2);
        }
        // A trial of several trainings keeps each in a folder of its own.
        let part = format!("{:.0}", 1000.0 * plan.part.start);
        let mut kept = self.folder.map(|folder| Checkpoints::new(folder.join(part)).keep(1));
        let settings = Fit {
            seed: self.seed,
            schedule: plan.schedule,
            stop: self.stop.clone(),
            resume: kept.as_ref().map(Checkpoints::newest).transpose()?.flatten(),
            ..Fit::epochs(epochs)
        };
        let mut watch = Watch { trial: self, part: plan.part, epochs };
        let mut divergence = Divergence;
        let mut callbacks: Vec<&mut dyn Callback> = vec![&mut divergence, &mut watch];
        callbacks.extend(kept.as_mut().map(|kept| kept as &mut dyn Callback));
        let ended = train::fit(model, optimizer, loss, &loader, &settings, &mut callbacks);
        let report = ended.map_err(|error| match error {
            TrainError::Checkpoint(error) if !matches!(error, CheckpointError::Io { .. }) => {
                TrialError::Kept(error)
            }
            error => error.into(),
        })?;
        if report.stopped { Err(TrialError::Stopped) } else { Ok(()) }
    }

    /// What a network of images [B, 1, 28, 28] takes the test set for.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn read(&self, model: &dyn Module) -> plies_tensor::Result<Vec<u8>> {
        let loader = Loader::new(pictures(self.test), 500);
        let evaluation = train::evaluate(model, &loader, N_CLASSES, &cross_entropy)?;
        Ok(evaluation.predicted.into_iter().map(|class| class as u8).collect())
    }
}

fn images(examples: &Examples) -> Tensor {
    dataset::inputs((0..examples.len()).map(|i| examples.image(i)))
}

/// Examples as pictures of one channel, [B, 1, 28, 28].
pub fn pictures(examples: &Examples) -> Arc<dyn Dataset> {
    Arc::new(Map::new(Arc::new(Digits(examples.clone())), |mut batch| {
        let count = batch.len();
        batch.inputs = batch.inputs.reshape([count, 1, ROWS, COLS]);
        batch
    }))
}

/// Tells the progress.
struct Watch<'a> {
    trial: &'a Trial<'a>,
    part: Range<f64>,
    epochs: usize,
}

impl Callback for Watch<'_> {
    fn on_batch(&mut self, event: &BatchEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        let done = event.epoch as f64 + (event.batch + 1) as f64 / event.batches as f64;
        let Range { start, end } = self.part;
        (self.trial.progress)(start + (end - start) * done / self.epochs as f64);
        Ok(Flow::Continue)
    }
}
