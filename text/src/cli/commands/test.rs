//! `test`: how good a classifier is on documents with labels.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use plies_console::{CommonArgs, Console, Failure, thousands};
use serde::Serialize;

use super::{DEFAULT_CLASSIFIER, load_classifier};
use crate::cli::{labelled::DocumentArgs, verdict::Verdict};

/// Measure a classifier on documents with labels
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text test test.csv --model model.safetensors
  plies-text test test.txt --json - --quiet")]
pub(crate) struct Test {
    /// Documents with labels; - is standard input
    file: PathBuf,

    /// The classifier
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CLASSIFIER)]
    model: PathBuf,

    #[command(flatten)]
    documents: DocumentArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    model: String,
    method: &'static str,
    file: &'a str,
    seconds: f64,
    #[serde(flatten)]
    verdict: Verdict,
}

impl Test {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        let model = load_classifier(&self.model)?;
        console.keep_apart("--model", &self.model)?;
        let began = Instant::now();
        let set = self.documents.open(Some(&self.file))?;
        let verdict = Verdict::new(model.labels(), &model.test(&set)?);
        let seconds = began.elapsed().as_secs_f64();
        verdict.show(&console)?;
        let rate = thousands((verdict.documents as f64 / seconds.max(1e-9)) as usize);
        console.say(&format!("\n{rate} documents a second"))?;
        console.json(&Report {
            command: "test",
            version: env!("CARGO_PKG_VERSION"),
            model: self.model.display().to_string(),
            method: model.name(),
            file: set.source().name(),
            seconds,
            verdict,
        })
    }
}
