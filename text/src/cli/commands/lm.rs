//! `lm`: a language model learns a text.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use plies_console::{CommonArgs, Console, Failure, called_as, check_writable, thousands};
use plies_text::{
    Result as TextResult,
    bpe::Bpe,
    corpus::Source,
    embedded,
    language::{
        Architecture, Cell, Codec, Corpus, KneserNey, LanguageModel, Settings, Unit, train,
    },
    training::Trained,
};
use serde::Serialize;

use crate::cli::{number, text::open, training::Show};

/// Where a model is saved, and looked for, unless the command line says otherwise.
pub(super) const DEFAULT_MODEL: &str = "lm.safetensors";

/// The most tokens that n-grams are counted in.
const COUNTED: usize = 3_000_000;

/// Learn a language model: which character or word comes next
///
/// The last twentieth of the text is measured on, in bits for each character, and the twentieth before it
/// chooses the best epoch; neither is learned from. A model that counts n-grams is measured beside it, unless
/// the text has more than three million tokens.
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

    /// Measure on this share of the text, its end; as much before it chooses the epoch
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

/// Makes tokens of a text.
type LearnCodec = Box<dyn FnOnce(&Source) -> TextResult<Codec>>;

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
    validation_tokens: usize,
    /// In the streams of the training.
    validation_bits_per_character: Option<f64>,
    test_tokens: usize,
    test_characters: usize,
    test_unknown: usize,
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
        Corpus::check(self.held_out)?;
        let codec = self.codec()?;
        let source = open(self.text.as_deref(), embedded::novel)?.lossy(self.lossy);
        let corpus = Corpus::read(&source, self.held_out, codec)?;
        let baseline = self.baseline(&corpus);
        let show = show(&console, &self.out);
        let (trained, interrupted) = learn(&show, &corpus, &settings)?;
        // Who is in a hurry does not wait for it.
        let measured = (!corpus.test().is_empty() && !interrupted)
            .then(|| trained.model.nats_per_token(corpus.test().numbers()));
        self.report(&console, &corpus, &trained, [measured, baseline], interrupted)?;
        show.end(interrupted)?;
        let model = match self.out == Path::new(DEFAULT_MODEL) {
            true => String::new(),
            false => format!(" --model {}", self.out.display()),
        };
        console.say(&format!("Try: {} generate{model}", called_as("text")))
    }

    /// `measured`: nats for each token of the test by the model, and by n-grams.
    fn report(
        &self,
        console: &Console,
        corpus: &Corpus,
        trained: &Trained<LanguageModel>,
        measured: [Option<f64>; 2],
        interrupted: bool,
    ) -> Result<(), Failure> {
        let (codec, test) = (corpus.codec(), corpus.test());
        let order = self.order();
        let names = [self.cell.name().to_owned(), format!("{order}-grams")];
        for (name, nats) in names.iter().zip(measured) {
            let Some(nats) = nats else { continue };
            let row = format!(
                "{name:<12}{:>7.3} bits a character, perplexity {:.2}  (last {})",
                test.bits_per_character(nats),
                nats.exp(),
                thousands(test.characters())
            );
            console.result(&row.chars().take(79).collect::<String>())?;
        }
        if test.unknown() > 0 && measured[0].is_some() {
            console.say(&format!(
                "of {} tokens there {} are unknown, which flatters both",
                thousands(test.len()),
                thousands(test.unknown())
            ))?;
        }
        let parameters = plies_nn::Module::parameter_count(&trained.model);
        let seconds = trained.elapsed.as_secs_f64();
        console.say(&format!(
            "{}: {} weights, {} tokens/s, {seconds:.1} s",
            self.out.display(),
            thousands(parameters),
            thousands(trained.rate() as usize),
        ))?;
        let bits = |nats: Option<f64>| nats.map(|nats| test.bits_per_character(nats));
        let validation = trained.held_out.map(|nats| corpus.validation().bits_per_character(nats));
        let [model, counted] = measured;
        console.json(&Report {
            command: "lm",
            version: env!("CARGO_PKG_VERSION"),
            text: corpus.name(),
            model: self.out.display().to_string(),
            unit: codec.unit().name(),
            vocabulary: codec.len(),
            parameters,
            train_tokens: corpus.train().len(),
            validation_tokens: corpus.validation().len(),
            validation_bits_per_character: validation,
            test_tokens: test.len(),
            test_characters: test.characters(),
            test_unknown: test.unknown(),
            perplexity: model.map(f64::exp),
            bits_per_character: bits(model),
            ngrams: counted.map(|_| order),
            ngram_perplexity: counted.map(f64::exp),
            ngram_bits_per_character: bits(counted),
            epochs: trained.epochs,
            train_seconds: seconds,
            tokens_per_second: trained.rate(),
            threads: plies_tensor::threads(),
            seed: self.seed,
            interrupted,
        })
    }

    /// What makes tokens of the text, whose options are right.
    fn codec(&self) -> Result<LearnCodec, Failure> {
        if let Some(file) = &self.merges {
            if self.unit != UnitName::Bpe {
                return Err(Failure::BadInput("--merges: is for --unit bpe".to_owned()));
            }
            let bpe = Bpe::load(file)?;
            return Ok(Box::new(|_| Ok(bpe.into())));
        }
        let (most, min_count) = match self.unit {
            UnitName::Characters => (10_000, 1),
            UnitName::Words => (10_000, 3),
            UnitName::Bpe => (2_000, 1),
        };
        let (unit, most) = (Unit::from(self.unit), self.vocabulary.unwrap_or(most));
        let min_count = self.min_count.unwrap_or(min_count);
        Codec::check(unit, most)?;
        Ok(Box::new(move |text| Codec::learn(text, unit, most, min_count)))
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
        }
    }

    /// Tokens of the n-grams to compare with.
    fn order(&self) -> usize {
        match self.unit {
            UnitName::Characters => 7,
            UnitName::Words => 3,
            UnitName::Bpe => 4,
        }
    }

    /// Nats for each token of the test by n-grams.
    fn baseline(&self, corpus: &Corpus) -> Option<f64> {
        let (train, test) = (corpus.train(), corpus.test());
        let is_wanted = !self.no_baseline && train.len() <= COUNTED && !test.is_empty();
        is_wanted.then(|| {
            let model = KneserNey::train(train.numbers(), self.order(), corpus.codec().len());
            model.nats_per_token(test.numbers())
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
    let codec = |text: &Source| Codec::learn(text, Unit::Characters, 10_000, 1);
    let corpus = Corpus::read(&embedded::novel(), 0.05, codec)?;
    let show = show(console, out);
    let (_, interrupted) = learn(&show, &corpus, &Settings::default())?;
    show.end(interrupted)
}

fn show<'a>(console: &'a Console, out: &'a Path) -> Show<'a> {
    Show { console, name: "lm", unit: "tokens", out }
}

/// Trains with a bar and a line for each epoch, and saves; says whether it was interrupted.
fn learn(
    show: &Show<'_>,
    corpus: &Corpus,
    settings: &Settings,
) -> Result<(Trained<LanguageModel>, bool), Failure> {
    show.console.progress(&format!(
        "{}: {} tokens to learn from, {} to choose by, {} to test, {} different",
        corpus.name(),
        thousands(corpus.train().len()),
        thousands(corpus.validation().len()),
        thousands(corpus.test().len()),
        thousands(corpus.codec().len())
    ));
    let held_out = |means: plies_nn::train::Means| {
        format!("{:.3} bits a character", corpus.validation().bits_per_character(means.loss))
    };
    show.learn(held_out, |report| train(corpus, settings, report), |model| model.save(show.out))
}
