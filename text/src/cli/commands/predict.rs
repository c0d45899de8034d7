//! `predict`: labels for texts.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;

use super::{DEFAULT_CLASSIFIER, load_classifier};
use crate::cli::{explanation::paint, labelled::DocumentArgs};
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
    #[arg(short, value_name = "N", default_value_t = 1)]
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
struct Answer<'m> {
    label: &'m str,
    probability: f32,
}

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
        let mut predictor = model.predictor();
        let (mut text, mut answers, has_colour) = (String::new(), Vec::new(), console.has_colour());
        let mut order: Vec<usize> = Vec::new();
        while let Some(document) = documents.next()? {
            let p = predictor.probabilities(document.text);
            order.clear();
            order.extend(0..p.len());
            order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
            order.truncate(self.k.max(1));
            for (i, &label) in order.iter().enumerate() {
                let name = &model.labels()[label];
                let tab = if i == 0 { "" } else { "\t" };
                let _ = match self.only_labels {
                    true => write!(text, "{tab}{name}"),
                    false => write!(text, "{tab}{name}\t{:.4}", p[label]),
                };
            }
            if console.wants_json() {
                let answer = |&label: &usize| Answer {
                    label: &model.labels()[label],
                    probability: p[label],
                };
                answers.push(order.iter().map(answer).collect::<Vec<_>>());
            }
            if self.explain {
                let explanation = predictor.explain(document.text, order[0]);
                let _ = write!(text, "\t{}", paint(&explanation, has_colour));
            }
            text.push('\n');
            if text.len() > BUFFER {
                console.result(text.trim_end_matches('\n'))?;
                text.clear();
            }
        }
        if !text.is_empty() {
            console.result(text.strip_suffix('\n').unwrap_or(&text))?;
        }
        console.json(&answers)
    }
}
