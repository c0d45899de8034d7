//! A language model learns a text: `fit` of plies-nn over streams of windows.

use std::path::PathBuf;

use plies_nn::optim::{Adam, Clip, Schedule};
use plies_nn::train::Fit;
use plies_nn::{Var, loss};
use plies_tensor::Tensor;

use super::corpus::{Corpus, Part, streams};
use super::model::Reader;
use super::{Architecture, LanguageModel};
use crate::training::{Data, Report, Saves, Trained, Training};
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

/// Trains a model on a text and keeps the epoch that is the best on the part that is held out for that, which
/// is read in as many parallel streams as are learned from, each beginning without a state; the model's
/// [`nats_per_token`](LanguageModel::nats_per_token) reads a text in one. Equal settings give equal models,
/// however many threads there are.
///
/// # Errors
/// Settings that make no sense; a checkpoint that does not fit; what ends the training before an epoch is
/// complete ([`End::Failed`](crate::training::End::Failed) says what ended it later).
///
/// # Example
/// ```
/// use plies_text::corpus::Source;
/// use plies_text::language::{Architecture, Codec, Corpus, Settings, Unit, train};
/// use std::ops::ControlFlow;
/// let source = Source::bytes("text", "to be or not to be, ".repeat(50).into_bytes());
/// let corpus = Corpus::read(&source, 0.1, |text| Codec::learn(text, Unit::Characters, 100, 1))?;
/// let architecture = Architecture { embedding: 8, hidden: 16, ..Architecture::default() };
/// let settings = Settings { architecture, batch: 4, steps: 10, epochs: 3, ..Settings::default() };
/// let model = train(&corpus, &settings, &mut |_| ControlFlow::Continue(()))?.into_result()?;
/// let nats = model.nats_per_token(corpus.test().numbers());
/// assert!(corpus.test().bits_per_character(nats) < 4.0);
/// # Ok::<(), plies_text::Error>(())
/// ```
pub fn train(
    corpus: &Corpus,
    settings: &Settings,
    report: &mut Report<'_>,
) -> Result<Trained<LanguageModel>> {
    settings.check()?;
    let (train, validation) = (corpus.train(), corpus.validation());
    for (what, part) in [("to learn from", train), ("to choose the best epoch by", validation)] {
        let (n, batch) = (part.len(), settings.batch);
        if (1..=batch).contains(&n) {
            let reason = format!(
                "is {batch}, and there are {n} tokens {what}; each stream takes two or more"
            );
            return Err(Error::setting("batch", format!("{reason}: lower it, or give more text")));
        }
    }
    let model = LanguageModel::new(corpus.codec.clone(), settings.architecture, settings.seed)?;
    let data = |what, part: &Part| Data { what, name: corpus.name().into(), digest: part.digest };
    let saves = settings.checkpoints.as_ref().map(|folder| Saves {
        folder: folder.clone(),
        resume: settings.resume,
        model: model.description(),
        data: vec![
            data("text to learn from", train),
            data("text to choose the best epoch by", validation),
        ],
    });
    let loader = streams(&train.numbers, settings.batch, settings.steps);
    let held_out = (!validation.is_empty())
        .then(|| streams(&validation.numbers, settings.batch, settings.steps));
    let training = Training {
        fit: Fit {
            seed: settings.seed,
            schedule: Schedule::Cosine { last: 0.05 },
            warm_up: ((settings.epochs * loader.batches()) as u64 / 20).min(100),
            clip: Some(Clip::Norm(settings.clip)),
            held_out,
            ..Fit::epochs(settings.epochs)
        },
        patience: settings.patience,
        saves,
        of_example: settings.steps.min((train.len() - 1) / settings.batch).max(1),
    };
    let loss = |logits: &Var, targets: &Tensor| loss::cross_entropy(logits, &targets.flatten());
    let mut reader = Reader::new(model, settings.batch);
    let mut adam = Adam::new(settings.lr);
    Ok(training.run(&mut reader, &mut adam, &loss, &loader, report)?.of(reader.model))
}
