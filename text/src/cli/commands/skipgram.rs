//! `skipgram` and `cbow`: word vectors from a text.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

use clap::Args;
use plies_console::{
    CommonArgs, Console, Failure, Interrupt, Progress, called_as, check_writable, thousands,
};
use plies_text::{
    embedded,
    vectors::{Format, WordVectors},
    vocabulary::Counter,
    word2vec::{self, Architecture, Model, Objective, Settings, Subwords},
};
use serde::Serialize;

use super::vectors_file::FormatName;
use crate::cli::{number, text::WordArgs};

/// Learn word vectors: each word around predicts the word
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text skipgram                       the embedded novel, in seconds
  plies-text skipgram corpus.txt.gz -o vectors.bin
  plies-text skipgram corpus.txt --dim 300 --epochs 10 --threads 1
  plies-text skipgram corpus.txt --subwords vectors for unseen words, as fastText
  plies-text skipgram corpus.txt --model m.safetensors
  plies-text skipgram more.txt --resume m.safetensors
  zcat corpus.gz | plies-text skipgram - --format text

Ctrl-C saves what is learned so far.")]
pub(crate) struct Skipgram {
    #[command(flatten)]
    train: TrainArgs,
}

/// Learn word vectors: the mean of the words around predicts the word
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text cbow corpus.txt.gz -o vectors.bin

Ctrl-C saves what is learned so far.")]
pub(crate) struct Cbow {
    #[command(flatten)]
    train: TrainArgs,
}

#[derive(Args, Debug)]
struct TrainArgs {
    /// The text, compressed by gzip or not; - is standard input [default: the embedded novel]
    text: Option<PathBuf>,

    /// Write the vectors here
    #[arg(long, short, value_name = "FILE", default_value = "vectors.bin")]
    out: PathBuf,

    /// Write all that is needed to go on from here, too; a file of vectors as well
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// Go on from a model of --model: its words, its size, its objective
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dim", "negative", "hs", "subwords", "min_count"])]
    resume: Option<PathBuf>,

    /// What the file looks like
    #[arg(long, value_name = "NAME", default_value = "binary")]
    format: FormatName,

    /// Numbers of a vector
    #[arg(long, value_name = "N", default_value_t = 100)]
    dim: usize,

    /// Look at up to N words to the left and to the right
    #[arg(long, value_name = "N", default_value_t = 5)]
    window: usize,

    /// Go through the text N times [default: 5, and 40 for the embedded novel, which is short]
    #[arg(long, short, value_name = "N")]
    epochs: Option<usize>,

    /// Start with this learning rate [default: 0.025 for skipgram, 0.05 for cbow]
    #[arg(long, value_name = "RATE", value_parser = number)]
    lr: Option<f64>,

    /// Tell each word from N words drawn at random
    #[arg(long, value_name = "N", default_value_t = 5)]
    negative: usize,

    /// Hierarchical softmax instead of words drawn at random
    #[arg(long, conflicts_with = "negative")]
    hs: bool,

    /// Pass over words more frequent than this share now and then; 0 never
    #[arg(long, value_name = "SHARE", default_value_t = 1e-3, value_parser = number)]
    sample: f64,

    /// Leave out words that occur fewer than N times
    #[arg(long, value_name = "N", default_value_t = 5)]
    min_count: u64,

    /// Make a word's vector of its n-grams of 3 to 6 characters too
    #[arg(long)]
    subwords: bool,

    /// Rows that n-grams share
    #[arg(long, value_name = "N", default_value_t = Subwords::default().buckets, requires = "subwords")]
    buckets: usize,

    /// Let windows go across the ends of lines [default for the embedded novel]
    #[arg(long)]
    across_lines: bool,

    /// Start all random numbers here; on one thread equal seeds give equal vectors
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    words: WordArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    text: &'a str,
    file: String,
    words: usize,
    dim: usize,
    /// Words of the text that have a vector, and others.
    text_words: u64,
    words_left_out: u64,
    epochs: usize,
    threads: usize,
    seed: u64,
    count_seconds: f64,
    train_seconds: f64,
    words_per_second: f64,
    loss: Option<f64>,
    interrupted: bool,
}

impl Skipgram {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        self.train.run("skipgram", Architecture::SkipGram)
    }
}

impl Cbow {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        self.train.run("cbow", Architecture::Cbow)
    }
}

impl TrainArgs {
    fn run(&self, command: &'static str, architecture: Architecture) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--out", &self.out)?;
        let settings = self.settings(architecture);
        settings.check()?;
        check_writable(&self.out)?;
        if let Some(file) = &self.model {
            check_writable(file)?;
            console.keep_apart("--model", file)?;
        }
        let resumed = self.resume.as_ref().map(Model::load).transpose()?;
        let source = self.words.source(self.text.as_deref(), embedded::novel)?;
        let words = self.words.visible_words(self.text.is_none());
        let began = std::time::Instant::now();

        let counter = word2vec::count(&source, &words, settings.threads)?;
        let (model, text_words, words_left_out) = match resumed {
            Some(model) => self.go_on(model, &settings, &counter, source.name())?,
            None => {
                counter.check(settings.min_count, source.name())?;
                let vocabulary = counter.vocabulary(settings.min_count);
                let (known, others) = (vocabulary.total(), vocabulary.dropped());
                (Model::new(vocabulary, settings.clone()), known, others)
            }
        };
        let (vocabulary, settings) = (&model.vocabulary, model.settings.clone());
        let count_seconds = began.elapsed().as_secs_f64();
        if vocabulary.is_empty() {
            let advice = format!(
                "{}: no word occurs {} times or more; lower --min-count, or give more text",
                source.name(),
                settings.min_count
            );
            return Err(Failure::BadInput(advice));
        }
        Format::from(self.format)
            .check_words(vocabulary.words())
            .map_err(|error| Failure::at(&self.out, error))?;
        // Before this there is nothing to save, and Ctrl-C ends the program at once.
        let interrupt = Interrupt::handle();
        let all = thousands((text_words + words_left_out) as usize);
        let known = thousands(vocabulary.len());
        let which = match &self.resume {
            Some(file) => format!("{known} different ones are those of {}", file.display()),
            None => format!("{known} different ones occur {} times or more", settings.min_count),
        };
        console.progress(&format!("{}: {all} words, {which}", source.name()));

        let (mut last, stop) = (None, interrupt.stop());
        let model = {
            let progress = Progress::new(&console, command);
            word2vec::train_from(model, &source, &words, text_words, &mut |now| {
                let rate = thousands(now.rate() as usize);
                progress.at(
                    now.share(),
                    &format!("loss {:.4}  lr {:.4}  {rate} words/s", now.loss, now.lr),
                );
                last = Some(*now);
                if stop.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?
        };
        let train_seconds = began.elapsed().as_secs_f64() - count_seconds;
        let interrupted = interrupt.stop().load(Relaxed);
        let seen = match (interrupted, last) {
            (true, Some(last)) => last.words,
            _ => text_words * settings.epochs as u64,
        };
        let vectors =
            WordVectors::from_rows(model.vocabulary.clone(), settings.dim, model.vectors());
        vectors.save(&self.out, self.format.into())?;
        if let Some(file) = &self.model {
            model.save(file)?;
        }
        interrupt.all_is_saved();

        let report = Report {
            command,
            version: env!("CARGO_PKG_VERSION"),
            text: source.name(),
            file: self.out.display().to_string(),
            words: vectors.len(),
            dim: settings.dim,
            text_words,
            words_left_out,
            epochs: settings.epochs,
            threads: settings.threads,
            seed: settings.seed,
            count_seconds,
            train_seconds,
            words_per_second: seen as f64 / train_seconds.max(1e-9),
            loss: last.map(|last| last.loss),
            interrupted,
        };
        console.result(&format!(
            "{}: {} vectors of {} numbers, {} words/s, {:.1} s in all",
            report.file,
            thousands(report.words),
            report.dim,
            thousands(report.words_per_second as usize),
            began.elapsed().as_secs_f64()
        ))?;
        console.json(&report)?;
        if interrupted {
            return Err(Failure::Interrupted("interrupted; what was learned is saved".to_owned()));
        }
        // Frequent enough to be learned, and not so frequent that it says nothing.
        let word = vectors.vocabulary().word((vectors.len() as u32 - 1).min(200));
        let file = if self.out == Path::new("vectors.bin") {
            String::new()
        } else {
            format!(" --vectors {}", report.file)
        };
        console.say(&format!("Try: {} nn {word}{file}", called_as("text")))
    }

    /// A model with the settings of this run, as far as its rows leave a choice, and how many of the text's words
    /// it knows and does not.
    fn go_on(
        &self,
        mut model: Model,
        settings: &Settings,
        counter: &Counter,
        text: &str,
    ) -> Result<(Model, u64, u64), Failure> {
        let Settings { architecture, objective, dim, subwords, .. } = model.settings;
        if architecture != settings.architecture {
            let reason = format!("is a model of {architecture:?}; go on with that command");
            return Err(Failure::at(self.resume.as_deref().unwrap_or(Path::new("")), reason));
        }
        model.settings = Settings { objective, dim, subwords, ..settings.clone() };
        let known = counter.known_to(&model.vocabulary);
        let all: u64 = counter.iter().map(|(_, count)| count).sum();
        if known == 0 {
            let reason = "has no word of the model; are they cut the same way?";
            return Err(Failure::BadInput(format!("{text}: {reason}")));
        }
        Ok((model, known, all - known))
    }

    fn settings(&self, architecture: Architecture) -> Settings {
        let defaults = match architecture {
            Architecture::SkipGram => Settings::default(),
            Architecture::Cbow => Settings::cbow(),
        };
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        Settings {
            objective: if self.hs {
                Objective::Hierarchical
            } else {
                Objective::Negative(self.negative)
            },
            dim: self.dim,
            window: self.window,
            epochs: self.epochs.unwrap_or(if self.text.is_none() { 40 } else { defaults.epochs }),
            lr: self.lr.unwrap_or(defaults.lr),
            sample: self.sample,
            min_count: self.min_count,
            subwords: self
                .subwords
                .then_some(Subwords { buckets: self.buckets, ..Subwords::default() }),
            across_lines: self.across_lines || self.text.is_none(),
            seed: self.seed,
            threads: self.common.threads.unwrap_or_else(processors),
            ..defaults
        }
    }
}
