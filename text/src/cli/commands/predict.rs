//! `predict`: labels for texts.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;

use plies_text::classify::Model;

use super::{DEFAULT_CLASSIFIER, load_classifier};
use crate::cli::{explanation::paint, labelled::DocumentArgs, one_or_more};
use plies_console::{CommonArgs, Console, Failure};

/// Label texts with a trained classifier
///
/// One line for each document, in order: the label, a tab, and its probability.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text predict --line \"What a wonderful film!\" --explain
  plies-text predict new.txt --only-labels
  plies-text predict new.csv --text comment -k 3 --model model.safetensors")]
pub(crate) struct Predict {
    /// Texts: a line each, or a column of CSV, TSV or JSON lines; - is standard input [default: -]
    file: Option<PathBuf>,

    /// The text itself
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    line: Option<String>,

    /// The classifier
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CLASSIFIER)]
    model: PathBuf,

    /// Show the N likeliest labels
    #[arg(short, value_name = "N", default_value_t = 1, value_parser = one_or_more)]
    k: usize,

    /// Show no probabilities
    #[arg(long)]
    only_labels: bool,

    /// Show each text with what its words say for the label: green for it, red against
    #[arg(long)]
    explain: bool,

    #[command(flatten)]
    documents: DocumentArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(serde::Serialize)]
struct Answer {
    label: String,
    probability: f32,
}

/// Texts that are answered together.
const BATCH: usize = 64;

/// Bytes of answers that are printed together.
const BUFFER: usize = 1 << 16;

impl Predict {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        let model = load_classifier(&self.model)?;
        console.keep_apart("--model", &self.model)?;
        let set = match &self.line {
            Some(line) => {
                let source = plies_text::corpus::Source::bytes("--line", line.as_bytes());
                plies_text::labelled::Labelled::new(source)?
                    .format(plies_text::labelled::Format::Lines)
            }
            None => self.documents.open(Some(self.file.as_deref().unwrap_or("-".as_ref())))?,
        };
        let mut documents = set.without_labels().documents()?;
        let (mut text, mut answers, has_colour) = (String::new(), Vec::new(), console.has_colour());
        let mut batch: Vec<String> = Vec::new();
        loop {
            let document = documents.next()?;
            let is_last = document.is_none();
            batch.extend(document.map(|document| document.text.to_owned()));
            let is_full = batch.len() == BATCH || batch.last().is_some_and(|t| t.len() > BUFFER);
            if is_full || is_last {
                self.answer(&model, &batch, has_colour, &mut text, &mut answers)?;
                batch.clear();
            }
            if text.len() > BUFFER {
                console.result(text.trim_end_matches('\n'))?;
                text.clear();
            }
            if is_last {
                break;
            }
        }
        if !text.is_empty() {
            console.result(text.strip_suffix('\n').unwrap_or(&text))?;
        }
        console.json(&answers)
    }

    /// A line for each text, and what a script is told.
    fn answer(
        &self,
        model: &Model,
        texts: &[String],
        has_colour: bool,
        lines: &mut String,
        answers: &mut Vec<Vec<Answer>>,
    ) -> Result<(), Failure> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for (&text, p) in texts.iter().zip(model.probabilities(&texts)?) {
            let mut order: Vec<usize> = (0..p.len()).collect();
            order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
            order.truncate(self.k);
            for (i, &label) in order.iter().enumerate() {
                let name = &model.labels()[label];
                let tab = if i == 0 { "" } else { "\t" };
                let _ = match self.only_labels {
                    true => write!(lines, "{tab}{name}"),
                    false => write!(lines, "{tab}{name}\t{:.4}", p[label]),
                };
            }
            if self.common.json.is_some() {
                let answer = |&label: &usize| Answer {
                    label: model.labels()[label].clone(),
                    probability: p[label],
                };
                answers.push(order.iter().map(answer).collect());
            }
            if self.explain {
                let explanation = model.explain(text, order[0])?;
                let _ = write!(lines, "\t{}", paint(&explanation, has_colour));
            }
            lines.push('\n');
        }
        Ok(())
    }
}
