//! What the trainings of all networks have in common: they tell how far they are, end when they diverge, keep
//! the best epoch, go on from checkpoints, and give the best epoch back however they end.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use plies_nn::data::Loader;
use plies_nn::optim::Optimizer;
use plies_nn::train::{
    BatchEvent, Callback, Checkpoints, Divergence, EpochEvent, Fit, Flow, KeepBest, Means,
    Position, TrainError, fit,
};
use plies_nn::{Checkpoint, Module, Var};
use plies_tensor::Tensor;

use crate::{Error, Result};

/// How far a training is, after a batch or an epoch.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The epoch, from 0.
    pub epoch: usize,
    /// At most so many epochs.
    pub epochs: usize,
    /// The share of all of them that is done.
    pub share: f64,
    /// Mean loss of this epoch so far: nats for each token, or for each document.
    pub loss: f64,
    /// After an epoch: the mean loss, and where classes are told apart the accuracy, on what is held out to
    /// choose the best epoch.
    pub held_out: Option<Means>,
    /// Tokens, pairs or documents that this run has read.
    pub read: usize,
    /// Since this run began.
    pub elapsed: Duration,
}

impl Progress {
    /// Tokens, pairs or documents a second, of this run.
    pub fn rate(&self) -> f64 {
        rate(self.read, self.elapsed)
    }
}

fn rate(read: usize, elapsed: Duration) -> f64 {
    read as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// Who is told how far a training is, and may want an end of it after the present batch.
pub type Report<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// How a training ended.
#[derive(Debug)]
pub enum End {
    /// With the last epoch, or when too many were no better than the best.
    Complete,
    /// When it was told to.
    Stopped,
    /// By a fault, after one epoch or more: it diverged, or a checkpoint could not be written.
    Failed(Error),
}

/// What came of a training.
#[derive(Debug)]
pub struct Trained<M> {
    /// The model as it was after its best epoch; when no epoch is complete, as it is.
    pub model: M,
    /// Mean loss of that epoch on what is held out; none when nothing is, or no epoch is complete.
    pub held_out: Option<f64>,
    /// Complete epochs, of all runs.
    pub epochs: usize,
    /// Tokens, pairs or documents that this run has read.
    pub read: usize,
    /// Time of this run.
    pub elapsed: Duration,
    /// How it ended.
    pub end: End,
}

impl<M> Trained<M> {
    /// The model, or the fault that ended the training.
    ///
    /// # Errors
    /// That of [`End::Failed`].
    pub fn into_result(self) -> Result<M> {
        match self.end {
            End::Failed(error) => Err(error),
            End::Complete | End::Stopped => Ok(self.model),
        }
    }

    /// Tokens, pairs or documents a second, of this run.
    pub fn rate(&self) -> f64 {
        rate(self.read, self.elapsed)
    }

    /// That of a model which was trained as part of another.
    pub(crate) fn of<N>(self, model: N) -> Trained<N> {
        let Trained { held_out, epochs, read, elapsed, end, .. } = self;
        Trained { model, held_out, epochs, read, elapsed, end }
    }
}

/// What is learned from: a training goes on with the same and nothing else.
pub(crate) struct Data {
    /// What it is for: "text to learn from".
    pub(crate) what: &'static str,
    /// Where it comes from, for people.
    pub(crate) name: String,
    /// A hash of it.
    pub(crate) digest: u64,
}

/// Where all that is needed to go on is saved, and what has to be the same for that.
pub(crate) struct Saves {
    pub(crate) folder: PathBuf,
    pub(crate) resume: bool,
    /// What the model is.
    pub(crate) model: Checkpoint,
    pub(crate) data: Vec<Data>,
}

impl Saves {
    fn checkpoints(&self) -> Checkpoints {
        let mut description = self.model.clone();
        for Data { what, name, digest } in &self.data {
            description.set(what, format!("{digest:016x}"));
            description.set(&format!("{what}, name"), name);
        }
        Checkpoints::new(&self.folder).with(description)
    }

    /// The newest checkpoint, if there is one to go on from.
    fn newest(&self, checkpoints: &Checkpoints) -> Result<Option<Checkpoint>> {
        if !self.resume {
            return Ok(None);
        }
        let Some(newest) = checkpoints.newest()? else { return Ok(None) };
        let refused = |reason: String| {
            let reason = format!("is of a training {reason}; give the same, or another folder");
            Err(Error::format(self.folder.display().to_string(), reason))
        };
        let kind = |of: &Checkpoint| of.get("architecture").unwrap_or("no kind").to_owned();
        let (there, here) = (kind(&newest), kind(&self.model));
        if there != here {
            return refused(format!("of another kind of model, {there}, and here is {here}"));
        }
        for Data { what, name, digest } in &self.data {
            if newest.get(what) != Some(&format!("{digest:016x}")) {
                let there = newest.get(&format!("{what}, name")).unwrap_or("none");
                return refused(match there == name {
                    // Another share of it is held out, or other pairs were drawn.
                    true => format!("with another {what}, of {name} as well"),
                    false => format!("with another {what}, {there}, and here is {name}"),
                });
            }
        }
        let differs = |(key, text): &(&String, &String)| newest.get(key) != Some(text);
        match self.model.metadata().iter().find(differs) {
            Some((key, _)) => refused(format!("of another model ({key} differs)")),
            None => Ok(Some(newest)),
        }
    }
}

/// A training that is about to begin.
pub(crate) struct Training {
    pub(crate) fit: Fit,
    /// Stops after so many epochs that are no better than the best.
    pub(crate) patience: usize,
    pub(crate) saves: Option<Saves>,
    /// What is counted as read, of each example.
    pub(crate) of_example: usize,
}

impl Training {
    /// Trains, and puts `model` back to its best epoch.
    ///
    /// # Errors
    /// What ended it before there was a complete epoch; a checkpoint that does not fit.
    pub(crate) fn run(
        self,
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
        loss: &dyn Fn(&Var, &Tensor) -> Var,
        loader: &Loader,
        report: &mut Report<'_>,
    ) -> Result<Trained<()>> {
        let mut checkpoints = self.saves.as_ref().map(Saves::checkpoints);
        let resume = match (&self.saves, &checkpoints) {
            (Some(saves), Some(checkpoints)) => saves.newest(checkpoints)?,
            _ => None,
        };
        let how = Fit { resume, ..self.fit };
        let has_held_out = how.held_out.is_some();
        let mut best =
            KeepBest::new(|event, _| Ok(event.judged_loss())).stop_after(self.patience, 0.0);
        let mut watcher = Watcher::new(report, how.epochs.end, self.of_example);
        let mut divergence = Divergence;
        let mut callbacks: Vec<&mut dyn Callback> = vec![&mut divergence, &mut best];
        callbacks.extend(checkpoints.as_mut().map(|checkpoints| checkpoints as &mut dyn Callback));
        // The last: when it is told that the training begins, no other has refused to.
        callbacks.push(&mut watcher);
        let ended = fit(model, optimizer, loss, loader, &how, &mut callbacks);
        let end = match ended {
            Ok(report) if report.stopped && watcher.asked => End::Stopped,
            Ok(_) => End::Complete,
            Err(error) if watcher.has_begun && best.checkpoint().is_some() => {
                End::Failed(error.into())
            }
            Err(error) => return Err(error.into()),
        };
        best.restore(model)?;
        let least = best.values().iter().copied().fold(f64::INFINITY, f64::min);
        Ok(Trained {
            model: (),
            held_out: (has_held_out && least.is_finite()).then_some(least),
            epochs: watcher.complete,
            read: watcher.read,
            elapsed: watcher.began.elapsed(),
            end,
        })
    }
}

/// Counts and tells.
struct Watcher<'a> {
    report: &'a mut Report<'a>,
    epochs: usize,
    of_example: usize,
    began: Instant,
    has_begun: bool,
    /// Complete epochs.
    complete: usize,
    /// Examples of this epoch; unknown where it was begun by another run.
    in_epoch: Option<usize>,
    read: usize,
    /// Whether an end was wanted.
    asked: bool,
}

impl<'a> Watcher<'a> {
    fn new(report: &'a mut Report<'_>, epochs: usize, of_example: usize) -> Watcher<'a> {
        Watcher {
            report,
            epochs,
            of_example,
            began: Instant::now(),
            has_begun: false,
            complete: 0,
            in_epoch: Some(0),
            read: 0,
            asked: false,
        }
    }

    fn tell(&mut self, epoch: usize, done: f64, loss: f64, held_out: Option<Means>) -> Flow {
        let flow = (self.report)(&Progress {
            epoch,
            epochs: self.epochs,
            share: done / self.epochs as f64,
            loss,
            held_out,
            read: self.read,
            elapsed: self.began.elapsed(),
        });
        self.asked |= flow.is_break();
        if flow.is_break() { Flow::Stop } else { Flow::Continue }
    }
}

type Told = std::result::Result<Flow, TrainError>;

impl Callback for Watcher<'_> {
    fn on_train_begin(&mut self, at: &Position, _: &mut plies_nn::train::Training<'_>) -> Told {
        (self.has_begun, self.complete) = (true, at.epoch);
        self.in_epoch = (at.batch == 0).then_some(0);
        Ok(Flow::Continue)
    }

    fn on_batch(&mut self, event: &BatchEvent, _: &mut plies_nn::train::Training<'_>) -> Told {
        // Of an epoch that another run has begun, the examples of a batch are those of a mean one.
        let mean = event.examples / (event.batch + 1);
        let before = self.in_epoch.unwrap_or(event.examples - mean);
        self.read += (event.examples - before) * self.of_example;
        self.in_epoch = Some(event.examples);
        let done = event.epoch as f64 + (event.batch + 1) as f64 / event.batches as f64;
        Ok(self.tell(event.epoch, done, event.loss, None))
    }

    fn on_epoch(&mut self, event: &EpochEvent, _: &mut plies_nn::train::Training<'_>) -> Told {
        (self.complete, self.in_epoch) = (event.epoch + 1, Some(0));
        Ok(self.tell(event.epoch, self.complete as f64, event.loss, event.held_out))
    }
}
