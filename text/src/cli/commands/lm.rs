//! `lm`: a language model learns a text.

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

use clap::{Args, ValueEnum};
use plies_console::{
    CommonArgs, Console, Failure, Interrupt, Progress, called_as, check_writable, thousands,
};
use plies_text::{
    bpe::Bpe,
    corpus::Source,
    embedded,
    language::{Architecture, Cell, Codec, Corpus, KneserNey, Settings, Trained, Unit, train},
};
use serde::Serialize;

use super::nothing_to_save;
use crate::cli::{number, text::open};

/// Where a model is saved, and looked for, unless the command line says otherwise.
pub(super) const DEFAULT_MODEL: &str = "lm.safetensors";

/// The most tokens that n-grams are counted in.
const COUNTED: usize = 3_000_000;

/// Learn a language model: which character or word comes next
///
/// The last twentieth of the text is not learned from, but measured on, in bits for each character; so is a
/// model that counts n-grams, to compare with, unless the text has more than three million tokens.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text lm                             the embedded novel, in a minute or two
  plies-text lm corpus.txt.gz --layers 2 --hidden 512 --dropout 0.2
  plies-text lm corpus.txt --unit bpe --vocabulary 4000 --tied
  plies-text lm corpus.txt --checkpoints folder --resume

Ctrl-C saves the best epoch so far. Then: plies-text generate")]
pub(crate) struct Lm {
    /// The text, compressed by gzip or not; - is standard input [default: the embedded novel]
    text: Option<PathBuf>,

    /// Write the model here
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_MODEL)]
    out: PathBuf,

    /// What a token is
    #[arg(long, value_name = "UNIT", default_value = "characters")]
    unit: UnitName,

    /// Know so many tokens at most [default: 10000, and 2000 for bpe]
    #[arg(long, value_name = "N")]
    vocabulary: Option<usize>,

    /// Tokens that occur fewer than N times are unknown [default: 3 for words, otherwise 1]
    #[arg(long, value_name = "N")]
    min_count: Option<u64>,

    /// Take the merges of bpe from a file of `plies-text bpe` or of GPT-2
    #[arg(long, value_name = "FILE", conflicts_with_all = ["vocabulary", "min_count"])]
    merges: Option<PathBuf>,

    /// The cell that remembers
    #[arg(long, value_name = "CELL", default_value = "gru")]
    cell: CellName,

    /// Layers of cells
    #[arg(long, value_name = "N", default_value_t = Architecture::default().layers)]
    layers: usize,

    /// Units of a layer
    #[arg(long, value_name = "N", default_value_t = Architecture::default().hidden)]
    hidden: usize,

    /// Numbers for each token [default: 64 for characters, otherwise 256]
    #[arg(long, value_name = "N")]
    embedding: Option<usize>,

    /// Let the table of tokens be the output's weight, too
    #[arg(long)]
    tied: bool,

    /// Drop units with this probability in training
    #[arg(long, value_name = "P", default_value_t = Architecture::default().dropout, value_parser = number)]
    dropout: f64,

    /// Read N parts of the text side by side
    #[arg(long, value_name = "N", default_value_t = Settings::default().batch)]
    batch: usize,

    /// Go back N tokens from each mistake
    #[arg(long, value_name = "N", default_value_t = Settings::default().steps)]
    steps: usize,

    /// Read the text N times
    #[arg(long, short, value_name = "N", default_value_t = Settings::default().epochs)]
    epochs: usize,

    /// The highest learning rate of Adam
    #[arg(long, value_name = "RATE", default_value_t = Settings::default().lr, value_parser = number)]
    lr: f64,

    /// The longest gradient
    #[arg(long, value_name = "NORM", default_value_t = Settings::default().clip, value_parser = number)]
    clip: f64,

    /// Stop after so many epochs that are no better than the best
    #[arg(long, value_name = "N", default_value_t = Settings::default().patience)]
    patience: usize,

    /// Hold out this share of the text, its end
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = number)]
    held_out: f64,

    /// Compare with no n-grams
    #[arg(long)]
    no_baseline: bool,

    /// Save here after each epoch all that is needed to go on
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,

    /// Go on from the newest checkpoint
    #[arg(long, requires = "checkpoints")]
    resume: bool,

    /// Start all random numbers here; equal seeds give equal models
    #[arg(long, value_name = "N", default_value_t = Settings::default().seed)]
    seed: u64,

    /// Take bytes that are not UTF-8 for "\u{fffd}" rather than for a mistake
    #[arg(long)]
    lossy: bool,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum UnitName {
    /// Every character
    Characters,
    /// Words with the blank before them, and marks
    Words,
    /// Pieces of words by byte-pair encoding
    Bpe,
}

impl From<UnitName> for Unit {
    fn from(name: UnitName) -> Unit {
        match name {
            UnitName::Characters => Unit::Characters,
            UnitName::Words => Unit::Words,
            UnitName::Bpe => Unit::Bpe,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CellName {
    /// Long short-term memory
    Lstm,
    /// Gated recurrent units
    Gru,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    text: &'a str,
    model: String,
    unit: &'static str,
    vocabulary: usize,
    parameters: usize,
    train_tokens: usize,
    held_out_tokens: usize,
    held_out_characters: usize,
    held_out_unknown: usize,
    perplexity: Option<f64>,
    bits_per_character: Option<f64>,
    ngrams: Option<usize>,
    ngram_perplexity: Option<f64>,
    ngram_bits_per_character: Option<f64>,
    epochs: usize,
    train_seconds: f64,
    tokens_per_second: f64,
    threads: usize,
    seed: u64,
    interrupted: bool,
}

impl Lm {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--out", &self.out)?;
        check_writable(&self.out)?;
        let settings = self.settings();
        settings.check()?;
        let source = open(self.text.as_deref(), embedded::novel)?.lossy(self.lossy);
        let corpus = self.corpus(&source)?;
        let baseline = self.baseline(&corpus);
        // Before this there is nothing to save, and Ctrl-C ends the program at once.
        let interrupt = Interrupt::handle();
        let settings = Settings { stop: interrupt.stop(), ..settings };
        let trained = learn(&console, &corpus, &settings, &source, &self.out)?;
        let interrupted = interrupt.stop().load(Relaxed);
        interrupt.all_is_saved();
        self.report(&console, &corpus, &trained, baseline, &source, interrupted)
    }

    fn report(
        &self,
        console: &Console,
        corpus: &Corpus,
        trained: &Trained,
        baseline: Option<(usize, f64)>,
        source: &Source,
        interrupted: bool,
    ) -> Result<(), Failure> {
        let codec = corpus.codec();
        let bits = |nats: f64| corpus.bits_per_character(nats);
        let seconds = trained.elapsed.as_secs_f64();
        let parameters = plies_nn::Module::parameter_count(&trained.model);
        if let Some(nats) = trained.held_out {
            let row = |name: &str, nats: f64| {
                let held_out = thousands(corpus.held_out_characters());
                let bits = bits(nats);
                format!(
                    "{name:<12}{bits:>7.3} bits a character, perplexity {:.2}  ({held_out} held out)",
                    nats.exp()
                )
            };
            let row_of = |name: &str, nats| row(name, nats).chars().take(79).collect::<String>();
            console.result(&row_of(self.cell.name(), nats))?;
            if let Some((order, nats)) = baseline {
                console.result(&row_of(&format!("{order}-grams"), nats))?;
            }
        }
        if corpus.held_out_unknown() > 0 {
            console.say(&format!(
                "of {} held-out tokens {} are unknown, which flatters both",
                thousands(corpus.held_out().len()),
                thousands(corpus.held_out_unknown())
            ))?;
        }
        console.say(&format!(
            "{}: {} weights, {} tokens/s, {:.1} s",
            self.out.display(),
            thousands(parameters),
            thousands((trained.tokens as f64 / seconds.max(1e-9)) as usize),
            seconds
        ))?;
        console.json(&Report {
            command: "lm",
            version: env!("CARGO_PKG_VERSION"),
            text: source.name(),
            model: self.out.display().to_string(),
            unit: codec.unit().name(),
            vocabulary: codec.len(),
            parameters,
            train_tokens: corpus.train().len(),
            held_out_tokens: corpus.held_out().len(),
            held_out_characters: corpus.held_out_characters(),
            held_out_unknown: corpus.held_out_unknown(),
            perplexity: trained.held_out.map(f64::exp),
            bits_per_character: trained.held_out.map(bits),
            ngrams: baseline.map(|(order, _)| order),
            ngram_perplexity: baseline.map(|(_, nats)| nats.exp()),
            ngram_bits_per_character: baseline.map(|(_, nats)| bits(nats)),
            epochs: trained.epochs,
            train_seconds: seconds,
            tokens_per_second: trained.tokens as f64 / seconds.max(1e-9),
            threads: plies_tensor::threads(),
            seed: self.seed,
            interrupted,
        })?;
        if interrupted {
            let message = "interrupted; the best epoch so far is saved";
            return Err(Failure::Interrupted(message.to_owned()));
        }
        let model = match self.out == Path::new(DEFAULT_MODEL) {
            true => String::new(),
            false => format!(" --model {}", self.out.display()),
        };
        console.say(&format!("Try: {} generate{model}", called_as("text")))
    }

    fn corpus(&self, source: &Source) -> Result<Corpus, Failure> {
        if let Some(file) = &self.merges {
            if self.unit != UnitName::Bpe {
                return Err(Failure::BadInput("--merges: is for --unit bpe".to_owned()));
            }
            let bpe = Bpe::load(file)?;
            return Ok(Corpus::read(source, self.held_out, |_| Ok(bpe.into()))?);
        }
        let (most, min_count) = match self.unit {
            UnitName::Characters => (10_000, 1),
            UnitName::Words => (10_000, 3),
            UnitName::Bpe => (2_000, 1),
        };
        let most = self.vocabulary.unwrap_or(most);
        let min_count = self.min_count.unwrap_or(min_count);
        let codec = |text: &Source| Codec::learn(text, self.unit.into(), most, min_count);
        Ok(Corpus::read(source, self.held_out, codec)?)
    }

    fn settings(&self) -> Settings {
        let embedding = if self.unit == UnitName::Characters { 64 } else { 256 };
        let architecture = Architecture {
            cell: match self.cell {
                CellName::Lstm => Cell::Lstm,
                CellName::Gru => Cell::Gru,
            },
            layers: self.layers,
            embedding: self.embedding.unwrap_or(embedding),
            hidden: self.hidden,
            tied: self.tied,
            dropout: self.dropout,
        };
        Settings {
            architecture,
            batch: self.batch,
            steps: self.steps,
            epochs: self.epochs,
            lr: self.lr,
            clip: self.clip,
            patience: self.patience,
            seed: self.seed,
            checkpoints: self.checkpoints.clone(),
            resume: self.resume,
            ..Settings::default()
        }
    }

    /// Tokens of the n-grams, and nats for each held-out token.
    fn baseline(&self, corpus: &Corpus) -> Option<(usize, f64)> {
        let is_wanted = !self.no_baseline && corpus.train().len() <= COUNTED;
        let order = match self.unit {
            UnitName::Characters => 7,
            UnitName::Words => 3,
            UnitName::Bpe => 4,
        };
        (is_wanted && !corpus.held_out().is_empty()).then(|| {
            let model = KneserNey::train(corpus.train(), order, corpus.codec().len());
            (order, model.nats_per_token(corpus.held_out()))
        })
    }
}

impl CellName {
    fn name(self) -> &'static str {
        match self {
            CellName::Lstm => Cell::Lstm.name(),
            CellName::Gru => Cell::Gru.name(),
        }
    }
}

/// The embedded novel's model with all defaults, for `generate` without a model.
pub(super) fn learn_default(console: &Console, out: &Path) -> Result<(), Failure> {
    check_writable(out)?;
    let interrupt = Interrupt::handle();
    let source = embedded::novel();
    let codec = |text: &Source| Codec::learn(text, Unit::Characters, 10_000, 1);
    let corpus = Corpus::read(&source, 0.05, codec)?;
    let settings = Settings { stop: interrupt.stop(), ..Settings::default() };
    learn(console, &corpus, &settings, &source, out)?;
    if interrupt.all_is_saved() {
        let message = "interrupted; the best epoch so far is saved";
        return Err(Failure::Interrupted(message.to_owned()));
    }
    Ok(())
}

/// Trains with a bar and a line for each epoch, and saves.
fn learn(
    console: &Console,
    corpus: &Corpus,
    settings: &Settings,
    source: &Source,
    out: &Path,
) -> Result<Trained, Failure> {
    console.progress(&format!(
        "{}: {} tokens to learn from, {} held out, {} different",
        source.name(),
        thousands(corpus.train().len()),
        thousands(corpus.held_out().len()),
        thousands(corpus.codec().len())
    ));
    let progress = Progress::new(console, "lm");
    let trained = train(corpus, settings, &mut |now| {
        let rate = thousands(now.rate() as usize);
        match now.held_out {
            None => progress.at(now.share, &format!("loss {:.3}  {rate} tokens/s", now.loss)),
            Some(nats) => progress.line(&format!(
                "epoch {:>3}  loss {:.3}  held out {:.3} bits a character  {rate} tokens/s",
                now.epoch + 1,
                now.loss,
                corpus.bits_per_character(nats)
            )),
        }
    })?;
    if trained.stopped && trained.epochs == 0 {
        return Err(nothing_to_save());
    }
    trained.model.save(out)?;
    Ok(trained)
}
