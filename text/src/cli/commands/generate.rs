//! `generate`: a language model writes.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use plies_console::{CommonArgs, Console, Failure, Interrupt, called_as};
use plies_text::language::{Generator, LanguageModel, Sampling};
use serde::Serialize;

use super::lm::{DEFAULT_MODEL, learn_default};

/// Write text with a language model, as it comes
///
/// Where there is no model yet, that of the embedded novel is learned first.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text generate
  plies-text generate --prompt \"It is a truth\" --length 300 --seed 7
  plies-text generate --model lm.safetensors --temperature 0.5 --top-p 0.9")]
pub(crate) struct Generate {
    /// The model, of `plies-text lm`
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_MODEL)]
    model: PathBuf,

    /// Go on from this text
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    prompt: String,

    /// Write N tokens
    #[arg(long, short = 'n', value_name = "N", default_value_t = 500)]
    length: usize,

    /// How daring: 0 takes the likeliest, 1 draws as the model expects
    #[arg(long, short, value_name = "T", default_value_t = Sampling::default().temperature)]
    temperature: f32,

    /// Draw from the K likeliest only
    #[arg(long, value_name = "K", default_value_t = 0, hide_default_value = true)]
    top_k: usize,

    /// Draw from the likeliest only, that have this probability together
    #[arg(long, value_name = "P", default_value_t = 1.0, hide_default_value = true)]
    top_p: f32,

    /// Start all random numbers here [default: another number each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    model: String,
    prompt: &'a str,
    text: String,
    tokens: usize,
    seed: u64,
}

impl Generate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--model", &self.model)?;
        let sampling =
            Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p };
        sampling.check()?;
        let is_default = self.model == Path::new(DEFAULT_MODEL);
        if !self.model.exists() {
            if !is_default {
                let advice = format!("no such file; learn a model first: {} lm", called_as("text"));
                return Err(Failure::at(&self.model, advice));
            }
            console.progress(&format!("{DEFAULT_MODEL}: no such file; learning it first"));
            learn_default(&console, &self.model)?;
        }
        let model = LanguageModel::load(&self.model)?;
        let seed = self.seed.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::from(now.subsec_nanos())
        });
        let generator = Generator::new(&model, &self.prompt, sampling, seed)?;
        let (mut text, mut tokens) = (String::new(), 0);
        let interrupt = Interrupt::handle();
        // With a JSON object on standard output, nothing else may be there.
        let streams = !console.wants_json();
        let mut stdout = io::stdout().lock();
        let mut write = |piece: &str| {
            if !streams {
                return Ok(());
            }
            stdout.write_all(piece.as_bytes()).and_then(|()| stdout.flush()).map_err(gone)
        };
        write(&self.prompt)?;
        for piece in generator.take(self.length) {
            if interrupt.stop().load(Relaxed) {
                break;
            }
            tokens += 1;
            // What a file makes a terminal do is none of a text's business.
            let is_command = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
            let piece = piece.replace(is_command, "\u{fffd}");
            write(&piece)?;
            text.push_str(&piece);
        }
        write("\n")?;
        drop(stdout);
        interrupt.all_is_saved();
        if self.seed.is_none() {
            console.progress(&format!("(seed {seed})"));
        }
        let interrupted = tokens < self.length;
        if console.wants_json() {
            console.say(&format!("{}{text}", self.prompt))?;
        }
        console.json(&Report {
            command: "generate",
            version: env!("CARGO_PKG_VERSION"),
            model: self.model.display().to_string(),
            prompt: &self.prompt,
            text,
            tokens,
            seed,
        })?;
        if interrupted {
            return Err(Failure::Interrupted("stopped".to_owned()));
        }
        Ok(())
    }
}

fn gone(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::BadInput(format!("standard output: {error}")),
    }
}
