//! `translate`: a model of sequences answers texts.

use std::path::{Path, PathBuf};

use clap::Args;
use plies_console::{
    CommonArgs, Console, Failure, called_as, check_writable, one_line,
    plot::{check_name, save},
};
use plies_text::{
    corpus::Source,
    seq2seq::{Answer, Seq2Seq},
};
use serde::Serialize;

use super::seq2seq::{DEFAULT_MODEL, beam, learn_default};
use crate::cli::{attention::Attention, text::open};

/// Columns of a picture.
const WIDTH: usize = 80;

/// Answer texts with a model that `seq2seq` learned
///
/// One line for each text. Where there is no model yet, that of number words is learned first.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text translate --line \"two hundred and five\" --attention
  plies-text translate --line \"two hundred and five\" --plot attention.svg
  plies-text translate texts.txt --model seq2seq.safetensors --beam 8")]
pub(crate) struct Translate {
    /// Texts, a line each; - is standard input [default: -]
    file: Option<PathBuf>,

    /// The text itself
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    line: Option<String>,

    /// The model
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_MODEL)]
    model: PathBuf,

    /// Keep the N likeliest beginnings while an answer is searched
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = beam)]
    beam: usize,

    /// Show where each token of an answer looked
    #[arg(long)]
    attention: bool,

    /// Draw that as a figure, .svg or .png; of the last text, if there are several
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report {
    text: String,
    answer: String,
    log_probability: f64,
    tokens: Vec<String>,
    source: Vec<String>,
    attention: Vec<Vec<f32>>,
}

impl Translate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--model", &self.model)?;
        if let Some(file) = &self.plot {
            check_name(file)?;
            console.keep_apart("--plot", file)?;
            check_writable(file)?;
        }
        if !self.model.exists() {
            if self.model != Path::new(DEFAULT_MODEL) {
                let advice =
                    format!("no such file; learn a model first: {} seq2seq", called_as("text"));
                return Err(Failure::at(&self.model, advice));
            }
            console.progress(&format!("{DEFAULT_MODEL}: no such file; learning it first"));
            learn_default(&console, &self.model)?;
        }
        let model = Seq2Seq::load(&self.model)?;
        let source = match &self.line {
            Some(line) => Source::bytes("--line", line.as_bytes()),
            None => {
                let file = self.file.as_deref().unwrap_or("-".as_ref());
                open(Some(file), || unreachable!("a file is named"))?
            }
        };
        let (mut lines, mut reports, mut last) = (source.lines()?, Vec::new(), None);
        while let Some((_, line)) = lines.next()? {
            let text = line.trim();
            let answer = model.answer(text, self.beam);
            console.result(&one_line(&answer.text))?;
            if self.attention && !answer.attention.is_empty() {
                console.say(&answer.draw(WIDTH, console.has_colour()))?;
            }
            if console.wants_json() {
                let Answer { text: written, tokens, source, attention, log_probability } =
                    answer.clone();
                reports.push(Report {
                    text: text.to_owned(),
                    answer: written,
                    log_probability,
                    tokens,
                    source,
                    attention,
                });
            }
            last = Some(answer);
        }
        if let (Some(file), Some(answer)) = (&self.plot, last) {
            let figure = Attention::new(&answer);
            save(file, figure.size(), figure)?;
        }
        console.json(&reports)
    }
}
