//! A language model learns a text: `fit` of plies-nn over streams of windows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use plies_nn::optim::{Adam, Clip, Schedule};
use plies_nn::train::{
    BatchEvent, Callback, Checkpoints, EpochEvent, Fit, Flow, KeepBest, TrainError, Training, fit,
};
use plies_nn::{Var, loss};
use plies_tensor::Tensor;

use super::corpus::{Corpus, streams};
use super::model::Reader;
use super::{Architecture, LanguageModel};
use crate::{Error, Result};

/// How a model learns.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is made of.
    pub architecture: Architecture,
    /// Streams that are read side by side, B.
    pub batch: usize,
    /// Tokens of a window, T: how far gradients go back.
    pub steps: usize,
    /// How often the text is read.
    pub epochs: usize,
    /// Adam's learning rate at its highest: it rises in the first 100 steps or twentieth, and falls to a
    /// twentieth along half a cosine.
    pub lr: f64,
    /// The bound of the gradients' norm.
    pub clip: f64,
    /// Stops after so many epochs that are no better than the best.
    pub patience: usize,
    /// The first weights and dropout follow from it.
    pub seed: u64,
    /// A folder for all that is needed to go on, saved after each epoch and at the end.
    pub checkpoints: Option<PathBuf>,
    /// Goes on from the newest of them.
    pub resume: bool,
    /// Set from outside, to stop after the current window.
    pub stop: Arc<AtomicBool>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            architecture: Architecture::default(),
            batch: 16,
            steps: 64,
            epochs: 8,
            lr: 3e-3,
            clip: 1.0,
            patience: 3,
            seed: 1,
            checkpoints: None,
            resume: false,
            stop: Arc::default(),
        }
    }
}

impl Settings {
    /// Whether its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<()> {
        self.architecture.check()?;
        for (name, value) in [("batch", self.batch), ("steps", self.steps), ("epochs", self.epochs)]
        {
            if !(1..=1 << 20).contains(&value) {
                return Err(Error::setting(
                    name,
                    format!("is {value}; it may be 1 to {}", 1 << 20),
                ));
            }
        }
        for (name, value) in [("lr", self.lr), ("clip", self.clip)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(name, format!("is {value}; it may be more than 0")));
            }
        }
        if self.resume && self.checkpoints.is_none() {
            return Err(Error::setting("resume", "needs the folder of checkpoints"));
        }
        Ok(())
    }
}

/// How far a training is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The epoch, from 0.
    pub epoch: usize,
    /// How much of the training is done, all epochs together.
    pub share: f64,
    /// Nats for each token of this epoch so far.
    pub loss: f64,
    /// Nats for each token of the held-out text, when an epoch is complete.
    pub held_out: Option<f64>,
    /// Tokens of this run.
    pub tokens: usize,
    /// Since this run began.
    pub elapsed: Duration,
}

impl Progress {
    /// Tokens read a second, of this run.
    pub fn rate(&self) -> f64 {
        self.tokens as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// What came of a training.
#[derive(Debug)]
pub struct Trained {
    /// The model as it was after its best epoch.
    pub model: LanguageModel,
    /// Nats for each token of the held-out text by that model, in the streams of the training; none when
    /// nothing was held out, or no epoch is complete.
    pub held_out: Option<f64>,
    /// Complete epochs.
    pub epochs: usize,
    /// Tokens of this run.
    pub tokens: usize,
    /// Time of this run.
    pub elapsed: Duration,
    /// Whether it was stopped before the last epoch was complete.
    pub stopped: bool,
}

/// Trains a model on a text and keeps the epoch that is the best on the held-out part. Equal settings give
/// equal models, however many threads there are.
///
/// # Errors
/// Settings that make no sense; a checkpoint that does not fit or cannot be written.
///
/// # Example
/// ```
/// use plies_text::corpus::Source;
/// use plies_text::language::{Architecture, Codec, Corpus, Settings, Unit, train};
/// let source = Source::bytes("text", "to be or not to be, ".repeat(50).into_bytes());
/// let corpus = Corpus::read(&source, 0.1, |text| Codec::learn(text, Unit::Characters, 100, 1))?;
/// let architecture = Architecture { embedding: 8, hidden: 16, ..Architecture::default() };
/// let settings = Settings { architecture, batch: 4, steps: 10, epochs: 3, ..Settings::default() };
/// let trained = train(&corpus, &settings, &mut |_| ())?;
/// assert!(corpus.bits_per_character(trained.held_out.unwrap()) < 4.0);
/// # Ok::<(), plies_text::Error>(())
/// ```
pub fn train(
    corpus: &Corpus,
    settings: &Settings,
    report: &mut dyn FnMut(&Progress),
) -> Result<Trained> {
    settings.check()?;
    for (what, numbers) in [("to learn from", &corpus.train), ("held out", &corpus.held_out)] {
        let (n, batch) = (numbers.len(), settings.batch);
        if (1..=batch).contains(&n) {
            let reason = format!(
                "is {batch}, and there are {n} tokens {what}; each stream takes two or more"
            );
            return Err(Error::setting("batch", format!("{reason}: lower it, or give more text")));
        }
    }
    let model = LanguageModel::new(corpus.codec.clone(), settings.architecture, settings.seed)?;
    let description = model.description();
    let mut reader = Reader::new(model, settings.batch);
    let loader = streams(&corpus.train, settings.batch, settings.steps);
    let held_out = (!corpus.held_out.is_empty())
        .then(|| streams(&corpus.held_out, settings.batch, settings.steps));

    let mut best =
        KeepBest::new(|event, _| Ok(event.judged_loss())).stop_after(settings.patience, 0.0);
    let window = settings.steps.min((corpus.train.len() - 1) / settings.batch).max(1);
    let mut watcher =
        Watcher { report, epochs: settings.epochs, window, began: Instant::now(), tokens: 0 };
    let mut checkpoints = settings
        .checkpoints
        .as_ref()
        .map(|folder| Checkpoints::new(folder).with(description.clone()));
    let newest = checkpoints.as_ref().filter(|_| settings.resume).map(Checkpoints::newest);
    let resume = newest.transpose()?.flatten();
    if let Some(checkpoint) = &resume
        && let Some((key, _)) =
            description.metadata().iter().find(|(key, text)| checkpoint.get(key) != Some(text))
    {
        let folder = settings.checkpoints.as_ref().map(|folder| folder.display().to_string());
        let reason = format!("is of a training with another text or model ({key} differs)");
        return Err(Error::format(folder.unwrap_or_default(), reason));
    }
    let mut callbacks: Vec<&mut dyn Callback> = vec![&mut best, &mut watcher];
    callbacks.extend(checkpoints.as_mut().map(|checkpoints| checkpoints as &mut dyn Callback));
    let how = Fit {
        seed: settings.seed,
        schedule: Schedule::Cosine { last: 0.05 },
        warm_up: ((settings.epochs * loader.batches()) as u64 / 20).min(100),
        clip: Some(Clip::Norm(settings.clip)),
        held_out,
        resume,
        stop: settings.stop.clone(),
        ..Fit::epochs(settings.epochs)
    };
    let of = |logits: &Var, targets: &Tensor| loss::cross_entropy(logits, &targets.flatten());
    let mut adam = Adam::new(settings.lr);
    let done = fit(&mut reader, &mut adam, &of, &loader, &how, &mut callbacks)?;
    best.restore(&mut reader)?;
    let least = best.values().iter().copied().fold(f64::INFINITY, f64::min);
    let is_held_out = !corpus.held_out.is_empty() && least.is_finite();
    Ok(Trained {
        held_out: is_held_out.then_some(least),
        model: reader.model,
        epochs: done.epochs,
        tokens: watcher.tokens,
        elapsed: done.elapsed,
        stopped: done.stopped && settings.stop.load(std::sync::atomic::Ordering::Relaxed),
    })
}

/// Tells what happens.
struct Watcher<'a> {
    report: &'a mut dyn FnMut(&Progress),
    epochs: usize,
    window: usize,
    began: Instant,
    tokens: usize,
}

impl Callback for Watcher<'_> {
    fn on_batch(
        &mut self,
        event: &BatchEvent,
        _: &mut Training<'_>,
    ) -> std::result::Result<Flow, TrainError> {
        let in_epoch = (event.batch + 1) as f64 / event.batches as f64;
        // Examples count from the beginning of the epoch, which another run may have begun.
        self.tokens += event.examples * self.window / (event.batch + 1);
        (self.report)(&Progress {
            epoch: event.epoch,
            share: (event.epoch as f64 + in_epoch) / self.epochs as f64,
            loss: event.loss,
            held_out: None,
            tokens: self.tokens,
            elapsed: self.began.elapsed(),
        });
        Ok(Flow::Continue)
    }

    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        _: &mut Training<'_>,
    ) -> std::result::Result<Flow, TrainError> {
        (self.report)(&Progress {
            epoch: event.epoch,
            share: (event.epoch + 1) as f64 / self.epochs as f64,
            loss: event.loss,
            held_out: event.held_out.map(|means| means.loss),
            tokens: self.tokens,
            elapsed: self.began.elapsed(),
        });
        Ok(Flow::Continue)
    }
}
