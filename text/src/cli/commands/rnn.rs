//! `rnn`: a network that reads words in their order, from documents with labels.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use plies_console::{CommonArgs, Console, Failure, called_as, check_writable, thousands};
use plies_text::{
    classify::neural::{NeuralClassifier, NeuralSettings, Sequences},
    training::Progress,
};
use serde::Serialize;

use super::DEFAULT_CLASSIFIER;
use crate::cli::{
    labelled::{DocumentArgs, TokensName},
    network::{EncoderName, NetworkArgs},
    training::Show,
    verdict::Verdict,
};

/// Train a network that reads words in their order on documents with labels
///
/// A recurrent network by itself; --encoder has others. Without a test set, a fifth of the documents is
/// held back to measure accuracy. Of the rest a tenth chooses the best epoch. Ctrl-C saves the best so far.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text rnn
  plies-text rnn reviews.csv.gz --vectors vectors.bin --encoder cnn
  plies-text rnn train.txt --test test.txt --encoder lstm --layers 2 -o model.safetensors
  plies-text rnn reviews.csv.gz --checkpoints folder --resume")]
pub(crate) struct Rnn {
    /// Documents with labels: fastText's format, CSV, TSV or JSON lines, compressed by gzip or not; - is
    /// standard input [default: the embedded 3,000 sentences]
    file: Option<PathBuf>,

    /// Documents to measure the model on
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,

    /// Measure nothing, and learn from all documents
    #[arg(long, conflicts_with = "test")]
    no_test: bool,

    /// Where the model is saved
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CLASSIFIER)]
    out: PathBuf,

    /// What reads the words
    #[arg(long, short, value_name = "KIND", default_value = "gru")]
    encoder: EncoderName,

    #[command(flatten)]
    documents: DocumentArgs,

    #[command(flatten)]
    network: NetworkArgs,

    /// What a word is
    #[arg(long, value_name = "KIND", default_value = "marks")]
    tokens: TokensName,

    /// Tell capitals from small letters
    #[arg(long)]
    case: bool,

    /// Words that occur fewer times are unknown, unless they have a vector
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_count: u64,

    /// At most so many times through the documents [default: by their number, 4 to 60]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,

    /// Adam's learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.001, value_parser = crate::cli::number)]
    lr: f64,

    /// Save here after each epoch all that is needed to go on
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,

    /// Go on from the newest checkpoint
    #[arg(long, requires = "checkpoints")]
    resume: bool,

    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    encoder: &'static str,
    file: &'a str,
    documents: usize,
    labels: usize,
    words: usize,
    parameters: usize,
    model: String,
    read_seconds: f64,
    train_seconds: f64,
    epochs: Vec<EpochReport>,
    documents_per_second: f64,
    threads: usize,
    test: Option<Verdict>,
    interrupted: bool,
}

#[derive(Serialize)]
struct EpochReport {
    loss: f64,
    held_out_loss: Option<f64>,
    held_out_accuracy: Option<f64>,
}

impl Rnn {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        check_writable(&self.out)?;
        console.keep_apart("--out", &self.out)?;
        let settings = NeuralSettings {
            min_count: self.min_count,
            epochs: self.epochs,
            lr: self.lr,
            seed: self.seed,
            checkpoints: self.checkpoints.clone(),
            resume: self.resume,
            ..self.network.settings(self.encoder.encoder())
        };
        let reading = self.network.reading(self.tokens, self.case);
        settings.check()?;
        reading.check()?;
        let settings = NeuralSettings { vectors: self.network.vectors(&console)?, ..settings };
        let began = Instant::now();
        let read = |file: Option<&Path>| -> Result<Sequences, Failure> {
            Ok(Sequences::read(&self.documents.open(file)?, &reading)?)
        };
        let all = read(self.file.as_deref())?;
        all.check()?;
        let test = self.test.as_deref().map(|file| read(Some(file))).transpose()?;
        // A fifth of a handful tells nothing.
        let holds_out = test.is_none() && !self.no_test && all.len() >= 50;
        let (documents, test) = match test {
            None if holds_out => {
                let (most, rest) = all.split(5, self.seed);
                (most, Some(rest))
            }
            test => (all, test),
        };
        let read_seconds = began.elapsed().as_secs_f64();
        console.progress(&format!(
            "{}: {} documents, {} labels{}",
            documents.origin(),
            thousands(documents.len()),
            thousands(documents.labels().len()),
            match (&test, holds_out) {
                (Some(test), true) => format!("; {} more to be tested on", thousands(test.len())),
                _ => String::new(),
            }
        ));
        let show = Show { console: &console, name: "rnn", unit: "documents", out: &self.out };
        let mut epochs = Vec::new();
        let train = |report: &mut plies_text::training::Report<'_>| {
            NeuralClassifier::train_with(&documents, &settings, &mut |now| {
                epochs.extend(EpochReport::of(now));
                report(now)
            })
        };
        let held_out = |means: plies_nn::train::Means| match means.accuracy.is_nan() {
            true => format!("{:.4}", means.loss),
            false => format!("{:.4}, {:.1} % right", means.loss, 100.0 * means.accuracy),
        };
        let (trained, was_interrupted) =
            show.learn(held_out, train, |model| model.save(&self.out))?;
        let (model, train_seconds) = (&trained.model, trained.elapsed.as_secs_f64());
        let verdict = test.map(|test| model.test(&test).map(|e| Verdict::new(model.labels(), &e)));
        let verdict = verdict.transpose()?;
        if let Some(verdict) = &verdict {
            verdict.show(&console)?;
        }
        console.say(&format!(
            "\n{}, {} words, {} parameters, from {} documents in {:.1} s: {} a second\nsaved in {}",
            model.encoder().name(),
            thousands(model.vocabulary().len()),
            thousands(model.parameter_count()),
            thousands(documents.len()),
            train_seconds,
            thousands(trained.rate() as usize),
            self.out.display()
        ))?;
        console.progress(&format!(
            "try: {} predict --explain --line \"What a film!\"",
            called_as("text")
        ));
        console.json(&Report {
            command: "rnn",
            version: env!("CARGO_PKG_VERSION"),
            encoder: model.encoder().name(),
            file: documents.origin(),
            documents: documents.len(),
            labels: documents.labels().len(),
            words: model.vocabulary().len(),
            parameters: model.parameter_count(),
            model: self.out.display().to_string(),
            read_seconds,
            train_seconds,
            epochs,
            documents_per_second: trained.rate(),
            threads: plies_tensor::threads(),
            test: verdict,
            interrupted: was_interrupted,
        })?;
        show.end(was_interrupted)
    }
}

impl EpochReport {
    /// Of an epoch that is complete.
    fn of(now: &Progress) -> Option<EpochReport> {
        now.held_out.map(|means| EpochReport {
            loss: now.loss,
            held_out_loss: Some(means.loss),
            held_out_accuracy: (!means.accuracy.is_nan()).then_some(means.accuracy),
        })
    }
}
