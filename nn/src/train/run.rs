//! One run of the training loop: from a position in a training to its end, or to a stop.

use std::sync::atomic::Ordering;
use std::time::Instant;

use plies_autograd::{Var, is_recording};
use plies_tensor::{Rng, Tensor};

use super::means::{Outcome, Size, Sums, Tally, classes, measure};
use super::{BatchEvent, Callback, EpochEvent, Fit, Flow, Position, Report, TrainError, Training};
use crate::checkpoint::{TRAINING, check_names};
use crate::data::{Batch, Loader};
use crate::optim::{Optimizer, by_averages, change_gradients};
use crate::stream::{Purpose, stream};
use crate::{Checkpoint, CheckpointError, Module, Pass};

/// A loss: outputs and targets to a single number.
pub(super) type Loss<'a> = &'a dyn Fn(&Var, &Tensor) -> Var;

/// What [`fit`](super::fit) is given, and how far it is.
pub(super) struct Run<'a, 'c> {
    model: &'a mut dyn Module,
    optimizer: &'a mut dyn Optimizer,
    loss: Loss<'a>,
    loader: &'a Loader,
    settings: &'a Fit,
    callbacks: &'a mut [&'c mut dyn Callback],
    at: Position,
    /// Batches of an epoch.
    batches: usize,
    /// Over what is done of the epoch.
    tally: Tally,
    /// Terms of the losses whose gradients wait for a step.
    waiting: usize,
    /// The learning rate without the schedule's factor.
    base_lr: f64,
    /// Examples of this run.
    examples: usize,
    started: Instant,
    /// Whether a stop is asked for. In the last batch of an epoch it lets the epoch be complete.
    asked: bool,
}

impl<'a, 'c> Run<'a, 'c> {
    pub(super) fn new(
        model: &'a mut dyn Module,
        optimizer: &'a mut dyn Optimizer,
        loss: Loss<'a>,
        loader: &'a Loader,
        settings: &'a Fit,
        callbacks: &'a mut [&'c mut dyn Callback],
    ) -> Self {
        let (base_lr, batches) = (optimizer.lr(), loader.batches());
        let epoch = settings.epochs.start;
        let iteration = epoch.saturating_mul(batches) as u64;
        let at = Position { epoch, batch: 0, iteration };
        Run {
            model,
            optimizer,
            loss,
            loader,
            settings,
            callbacks,
            at,
            batches,
            tally: Tally::new(Sums::ZERO),
            waiting: 0,
            base_lr,
            examples: 0,
            started: Instant::now(),
            asked: false,
        }
    }

    /// To the end of the last epoch, or to a stop.
    #[track_caller]
    pub(super) fn whole(mut self) -> Result<Report, TrainError> {
        self.check()?;
        if let Some(checkpoint) = &self.settings.resume {
            self.take_up(checkpoint)?;
        }
        let at = self.at;
        self.tell(|callback, training| callback.on_train_begin(&at, training))?;
        self.base_lr = self.optimizer.lr();
        while self.at.epoch < self.settings.epochs.end && !self.asked {
            self.epoch()?;
        }
        let report = Report {
            epochs: self.at.epoch,
            examples: self.examples,
            elapsed: self.started.elapsed(),
            stopped: self.at.epoch < self.settings.epochs.end,
        };
        self.optimizer.set_lr(self.base_lr);
        self.tell(|callback, training| {
            callback.on_train_end(&report, training)?;
            Ok(Flow::Continue)
        })?;
        self.offer_checkpoint()?;
        Ok(report)
    }

    /// What no training can be made of.
    fn check(&self) -> Result<(), TrainError> {
        let Fit { epochs, held_out, .. } = self.settings;
        let mistake = if epochs.start > epochs.end {
            format!("epochs {} to {} are none", epochs.start, epochs.end)
        } else if epochs.is_empty() {
            return Ok(());
        } else if self.batches == 0 {
            format!("no batches, for there are {} examples", self.loader.dataset().len())
        } else if held_out.as_ref().is_some_and(|loader| loader.batches() == 0) {
            "no batches of held-out examples".to_owned()
        } else if let Err(mistake) = check_names(self.model) {
            mistake
        } else {
            return Ok(());
        };
        Err(TrainError::Settings { mistake })
    }

    /// What is left of an epoch, unless a stop is asked for.
    #[track_caller]
    fn epoch(&mut self) -> Result<(), TrainError> {
        for batch in self.loader.epoch_from(self.at.epoch, self.at.batch) {
            self.batch(batch)?;
            self.asked |= self.settings.stop.load(Ordering::Relaxed);
            if self.at.batch < self.batches {
                if self.asked {
                    return Ok(());
                }
                self.offer_checkpoint()?;
            }
        }
        self.end_epoch()
    }

    /// Forward, backward, and a step when it is time for one.
    #[track_caller]
    fn batch(&mut self, batch: Batch) -> Result<(), TrainError> {
        let Position { epoch, batch: i, .. } = self.at;
        self.optimizer.show_averages(self.model, false);
        let settings = self.settings;
        let accumulate = settings.accumulate.max(1);
        let size = Size::of(&batch, settings.terms);
        let lr = self.base_lr * self.factor(i / accumulate);
        let rng = stream(settings.seed, Purpose::Forward, epoch, i);
        // Sums can be added before it is known how many terms there will be.
        let weight = if accumulate == 1 { 1.0 } else { size.terms as f64 };
        let outcome = descend(self.model, self.loss, batch, size, rng, weight)?;
        self.waiting += size.terms;
        let steps = (i + 1).is_multiple_of(accumulate) || i + 1 == self.batches;
        if steps {
            self.step(lr)?;
        }
        self.tally.push(outcome)?;
        self.examples += size.examples;
        (self.at.batch, self.at.iteration) = (i + 1, self.at.iteration + 1);
        let at = self.at;
        if self.callbacks.iter_mut().any(|callback| callback.wants_loss(&at)) {
            self.tally.all()?;
        }
        let means = self.tally.means();
        let event = BatchEvent {
            epoch,
            batch: i,
            batches: self.batches,
            iteration: self.at.iteration,
            examples: self.tally.examples(),
            batch_loss: self.tally.batch_loss,
            loss: means.loss,
            accuracy: means.accuracy,
            lr,
            elapsed: self.started.elapsed(),
        };
        self.tell(|callback, training| callback.on_batch(&event, training))?;
        if steps {
            self.model.zero_grad();
        }
        Ok(())
    }

    /// The schedule's factor at a step of the present epoch.
    fn factor(&self, step: usize) -> f64 {
        let steps = self.batches.div_ceil(self.settings.accumulate.max(1)); // of an epoch
        let of =
            |epoch: usize, step: usize| epoch.saturating_mul(steps).saturating_add(step) as u64;
        let (step, total) = (of(self.at.epoch, step), of(self.settings.epochs.end, 0));
        self.settings.schedule.factor(step, total, self.settings.warm_up)
    }

    #[track_caller]
    fn step(&mut self, lr: f64) -> Result<(), TrainError> {
        if self.settings.accumulate > 1 {
            let share = 1.0 / self.waiting as f64;
            change_gradients(self.model, |sum| sum * share);
        }
        if let Some(clip) = self.settings.clip {
            clip.apply(self.model)?;
        }
        self.optimizer.set_lr(lr);
        self.optimizer.step(self.model);
        self.waiting = 0;
        Ok(())
    }

    #[track_caller]
    fn end_epoch(&mut self) -> Result<(), TrainError> {
        let lr = self.optimizer.lr();
        self.optimizer.set_lr(self.base_lr);
        let held_out = match &self.settings.held_out {
            Some(loader) => Some(by_averages(self.optimizer, self.model, |_, model| {
                measure(model, loader, self.loss, self.settings.terms)
            })?),
            None => None,
        };
        self.tally.all()?;
        let means = self.tally.means();
        let event = EpochEvent {
            epoch: self.at.epoch,
            iteration: self.at.iteration,
            examples: self.tally.examples(),
            loss: means.loss,
            accuracy: means.accuracy,
            held_out,
            lr,
            elapsed: self.started.elapsed(),
        };
        (self.at.epoch, self.at.batch) = (self.at.epoch + 1, 0);
        self.tally = Tally::new(Sums::ZERO);
        self.tell(|callback, training| callback.on_epoch(&event, training))?;
        self.base_lr = self.optimizer.lr();
        self.asked |= self.settings.stop.load(Ordering::Relaxed);
        self.offer_checkpoint()
    }

    /// Calls something of each callback, in their order.
    fn tell(
        &mut self,
        mut call: impl FnMut(&mut dyn Callback, &mut Training<'_>) -> Result<Flow, TrainError>,
    ) -> Result<(), TrainError> {
        for callback in self.callbacks.iter_mut() {
            let mut training = Training { model: self.model, optimizer: self.optimizer };
            self.asked |= call(*callback, &mut training)? == Flow::Stop;
        }
        Ok(())
    }

    fn offer_checkpoint(&mut self) -> Result<(), TrainError> {
        let at = self.at;
        let wanted: Vec<bool> =
            self.callbacks.iter_mut().map(|callback| callback.wants_checkpoint(&at)).collect();
        if wanted.contains(&true) {
            let checkpoint = self.checkpoint()?;
            for (callback, _) in self.callbacks.iter_mut().zip(wanted).filter(|(_, wants)| *wants) {
                callback.on_checkpoint(&at, &checkpoint)?;
            }
        }
        Ok(())
    }

    /// All that is needed to go on from here.
    fn checkpoint(&mut self) -> plies_tensor::Result<Checkpoint> {
        let mut training = Checkpoint::new();
        training.set("batch", self.at.batch.to_string());
        training.set("iteration", self.at.iteration.to_string());
        for (key, value) in self.of_an_epoch() {
            training.set(key, value);
        }
        training.set("waiting", self.waiting.to_string());
        let mut sums = Checkpoint::new();
        self.tally.all()?.save(&mut sums);
        training.nest("sums", &sums);
        training.put_gradients(self.model);
        let states: Vec<(&str, Checkpoint)> =
            self.callbacks.iter().filter_map(|c| Some((c.name(), c.state()?))).collect();
        training.set("callbacks", names(states.iter().map(|(name, _)| *name)));
        for (i, (_, state)) in states.iter().enumerate() {
            training.nest(&format!("callback.{i}"), state);
        }
        let mut checkpoint = Checkpoint::new();
        checkpoint.put_model(self.model);
        checkpoint.put_optimizer(self.optimizer);
        checkpoint.set_epoch(self.at.epoch);
        checkpoint.nest(TRAINING, &training);
        Ok(checkpoint)
    }

    /// Goes on from there.
    fn take_up(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let training = checkpoint.nested(TRAINING);
        let batch = training.number("batch")?;
        let at = Position {
            batch,
            epoch: checkpoint.epoch()?,
            iteration: training.number("iteration")?,
        };
        for (key, here) in self.of_an_epoch() {
            let saved = training.text(key)?;
            if batch > 0 && saved != here {
                let reason = format!(
                    "was saved in the middle of an epoch of {key} {saved}, here it is {here}; an epoch is \
                     finished as it was begun"
                );
                return Err(checkpoint.mismatch(reason));
            }
        }
        let (waiting, sums) = (training.number("waiting")?, Sums::load(&training.nested("sums"))?);
        let tensors = checkpoint.fitting(self.model)?;
        let gradients = training.gradients(self.model)?;
        let stateful = self.callbacks.iter_mut().filter(|callback| callback.state().is_some());
        let stateful: Vec<_> = stateful.collect();
        let found = names(stateful.iter().map(|callback| callback.name()));
        let saved = training.text("callbacks")?;
        if found != saved {
            let reason = format!("holds what callbacks remember: {saved}; here are {found}");
            return Err(checkpoint.mismatch(reason));
        }
        for (i, callback) in stateful.into_iter().enumerate() {
            callback.load_state(&training.nested(&format!("callback.{i}")))?;
        }
        // What refuses has done so: from here on model and optimiser are changed, or neither.
        checkpoint.load_optimizer(self.optimizer)?;
        tensors.put(self.model);
        gradients.put(self.model);
        (self.at, self.waiting, self.tally) = (at, waiting, Tally::new(sums));
        Ok(())
    }

    /// What an epoch is made of, which a checkpoint in its middle has to agree with.
    fn of_an_epoch(&self) -> [(&'static str, String); 4] {
        [
            ("batches", self.batches.to_string()),
            ("accumulate", self.settings.accumulate.max(1).to_string()),
            ("seed", self.settings.seed.to_string()),
            ("loader", self.loader.describe()),
        ]
    }
}

/// However it ends, by a callback's panic too: what waited for a step is dropped, and the optimiser gets its
/// own learning rate back.
impl Drop for Run<'_, '_> {
    fn drop(&mut self) {
        self.model.zero_grad();
        self.optimizer.set_lr(self.base_lr);
    }
}

/// Those of callbacks, in their order.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The loss of a batch and its classes, by a training pass that draws from `rng`; `weight` times its
/// gradients are added to those that parameters have.
#[track_caller]
pub(super) fn descend(
    model: &dyn Module,
    loss: Loss<'_>,
    batch: Batch,
    size: Size,
    rng: Rng,
    weight: f64,
) -> plies_tensor::Result<Outcome> {
    let targets = batch.targets.clone();
    let batch = batch.to_device(&model.device())?;
    let told = Some(batch.targets.clone());
    let mut pass = Pass::train(rng).with_lengths(batch.lengths).with_targets(told);
    let output = model.forward(&Var::constant(batch.inputs), &mut pass);
    let classes = classes(output.value(), &targets);
    // With the loss goes the graph, which holds the parameters' values; without it a step overwrites them.
    let loss = loss(&output, &batch.targets);
    drop(output);
    assert!(
        loss.elem_count() == 1,
        "fit: the loss has the shape {}; it must be a single number",
        loss.shape()
    );
    if model.parameter_count() > 0 {
        assert!(is_recording(), "fit: inside no_grad nothing is recorded, so there is no gradient");
        assert!(loss.requires_grad(), "fit: the loss depends on none of the model's parameters");
        loss.backward_with(&Var::constant(loss.value().full_like(weight)));
    }
    Ok(Outcome::new(loss.value(), classes, size))
}
