//! `supervised`: a text classifier from documents with labels.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use clap::Args;
use plies_console::{
    CommonArgs, Console, Failure, Interrupt, Progress, called_as, check_writable, thousands,
};
use plies_text::classify::{Bags, Classifier};
use serde::Serialize;

use super::DEFAULT_CLASSIFIER;
use crate::cli::{
    labelled::{DocumentArgs, MethodArgs},
    verdict::Verdict,
};

/// Train a text classifier on documents with labels
///
/// Without a test set, a fifth of the documents is first held back to measure accuracy; the model
/// that is saved then learns from all of them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text supervised
  plies-text supervised reviews.csv.gz --label label --text text --words 3
  plies-text supervised train.txt --test test.txt --method fasttext -o model.safetensors")]
pub(crate) struct Supervised {
    /// Documents with labels: fastText's format, CSV, TSV or JSON lines, compressed by gzip or not; - is
    /// standard input [default: the embedded 3,000 sentences]
    file: Option<PathBuf>,

    /// Documents to measure the model on
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,

    /// Measure nothing
    #[arg(long, conflicts_with = "test")]
    no_test: bool,

    /// Where the model is saved
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CLASSIFIER)]
    out: PathBuf,

    #[command(flatten)]
    documents: DocumentArgs,

    #[command(flatten)]
    method: MethodArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    method: &'static str,
    file: &'a str,
    documents: usize,
    labels: usize,
    features: usize,
    model: String,
    read_seconds: f64,
    train_seconds: f64,
    documents_per_second: f64,
    threads: usize,
    test: Option<Verdict>,
    interrupted: bool,
}

impl Supervised {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        check_writable(&self.out)?;
        console.keep_apart("--out", &self.out)?;
        let settings = self.method.settings(self.method.method.method());
        let ngrams = self.method.ngrams();
        settings.check()?;
        ngrams.check()?;
        let began = Instant::now();
        let bags = Bags::read(&self.documents.open(self.file.as_deref())?, &ngrams)?;
        bags.check()?;
        let read_seconds = began.elapsed().as_secs_f64();
        console.progress(&format!(
            "{}: {} documents, {} labels",
            bags.origin(),
            thousands(bags.len()),
            thousands(bags.labels().len())
        ));
        let train = |what: &str, bags: &Bags, stop: &AtomicBool| {
            let progress = Progress::new(&console, what);
            let report = |share: f64| {
                progress.at(share, "");
                let stops = stop.load(Ordering::SeqCst);
                if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            Classifier::train_with(bags, &settings, &report)
        };
        // A fifth of a handful tells nothing.
        let holds_out = self.test.is_none() && !self.no_test && bags.len() >= 20;
        let mut verdict = None;
        if holds_out {
            let (most, rest) = bags.split(5, self.method.seed);
            let model = train("testing", &most, &AtomicBool::new(false))?;
            verdict = Some(Verdict::new(model.labels(), &model.test(&rest)?));
        }
        // Before this there is nothing to save, and Ctrl-C ends the program at once.
        let interrupt = Interrupt::handle();
        let began = Instant::now();
        let model = train("training", &bags, &interrupt.stop())?;
        let train_seconds = began.elapsed().as_secs_f64();
        model.save(&self.out)?;
        let was_interrupted = interrupt.all_is_saved();
        if let Some(test) = &self.test {
            let test = Bags::read(&self.documents.open(Some(test))?, model.ngrams())?;
            verdict = Some(Verdict::new(model.labels(), &model.test(&test)?));
        }
        // Whoever reads no further than the first line has a model all the same.
        if let Some(verdict) = &verdict {
            if holds_out {
                console.progress("a fifth was held back, and not learnt from:");
            }
            verdict.show(&console)?;
        }
        let documents_per_second = bags.len() as f64 / (read_seconds + train_seconds).max(1e-9);
        console.say(&format!(
            "\n{}, {} features, from {} documents in {:.2} s: {} a second\nsaved in {}",
            model.method().name(),
            thousands(model.n_features()),
            thousands(bags.len()),
            read_seconds + train_seconds,
            thousands(documents_per_second as usize),
            self.out.display()
        ))?;
        console.progress(&format!(
            "try: {} predict --explain --line \"What a film!\"",
            called_as("text")
        ));
        console.json(&Report {
            command: "supervised",
            version: env!("CARGO_PKG_VERSION"),
            method: model.method().name(),
            file: bags.origin(),
            documents: bags.len(),
            labels: bags.labels().len(),
            features: model.n_features(),
            model: self.out.display().to_string(),
            read_seconds,
            train_seconds,
            documents_per_second,
            threads: plies_tensor::threads(),
            test: verdict,
            interrupted: was_interrupted,
        })?;
        if was_interrupted {
            let message = format!("stopped early; what was learnt is in {}", self.out.display());
            return Err(Failure::Interrupted(message));
        }
        Ok(())
    }
}
