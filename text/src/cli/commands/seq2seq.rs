//! `seq2seq`: a model learns to answer texts with texts.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use plies_console::{CommonArgs, Console, Failure, called_as, check_writable, one_line, thousands};
use plies_text::{
    language::Unit,
    seq2seq::{Architecture, Pairs, Score, Seq2Seq, Settings, train},
    training::Trained,
};
use serde::Serialize;

use super::lm::UnitName;
use crate::cli::{number, text::open, training::Show};

/// Where a model is saved, and looked for, unless the command line says otherwise.
pub(super) const DEFAULT_MODEL: &str = "seq2seq.safetensors";

/// Mistakes that are shown.
const SHOWN: usize = 5;

/// Learn to answer texts with texts: translation, or number words to digits
///
/// Some pairs are held out, and what the model answers to their texts is compared.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text seq2seq                        two hundred and five -> 205
  plies-text seq2seq --task backwards       words backwards
  plies-text seq2seq pairs.tsv --hidden 256 a text, a tab and its answer a line
  plies-text seq2seq pairs.tsv --checkpoints folder --resume

Ctrl-C saves the best epoch so far. Then: plies-text translate")]
pub(crate) struct Seq2SeqArgs {
    /// Pairs, compressed by gzip or not; - is standard input [default: those of --task]
    pairs: Option<PathBuf>,

    /// Pairs that are made by rule
    #[arg(long, value_name = "TASK", default_value = "numbers", conflicts_with = "pairs")]
    task: Task,

    /// Make N pairs
    #[arg(long, value_name = "N", default_value_t = 20_000, conflicts_with = "pairs",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000_000))]
    examples: usize,

    /// Numbers are below N
    #[arg(long, value_name = "N", default_value_t = 1_000_000, conflicts_with = "pairs",
        value_parser = clap::value_parser!(u32).range(10..))]
    limit: u32,

    /// Measure on the pairs of another file
    #[arg(long, value_name = "FILE", requires = "pairs", conflicts_with = "held_out")]
    test: Option<PathBuf>,

    /// Hold out N pairs [default: a twentieth]
    #[arg(long, value_name = "N")]
    held_out: Option<usize>,

    /// Write the model here
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_MODEL)]
    out: PathBuf,

    /// What a token of a text is [default: words; characters for words backwards]
    #[arg(long, value_name = "UNIT")]
    source_unit: Option<UnitName>,

    /// What a token of an answer is [default: words for files, otherwise characters]
    #[arg(long, value_name = "UNIT")]
    target_unit: Option<UnitName>,

    /// Know so many tokens of each side at most
    #[arg(long, value_name = "N", default_value_t = Settings::default().vocabulary)]
    vocabulary: usize,

    /// Units, half of which read backwards
    #[arg(long, value_name = "N", default_value_t = Architecture::default().hidden)]
    hidden: usize,

    /// Numbers for each token
    #[arg(long, value_name = "N", default_value_t = Architecture::default().embedding)]
    embedding: usize,

    /// Drop units with this probability in training
    #[arg(long, value_name = "P", default_value_t = Architecture::default().dropout, value_parser = number)]
    dropout: f64,

    /// Pairs of a step
    #[arg(long, value_name = "N", default_value_t = Settings::default().batch)]
    batch: usize,

    /// Read all pairs N times
    #[arg(long, short, value_name = "N", default_value_t = Settings::default().epochs)]
    epochs: usize,

    /// The highest learning rate of Adam
    #[arg(long, value_name = "RATE", default_value_t = Settings::default().lr, value_parser = number)]
    lr: f64,

    /// Stop after so many epochs that are no better than the best
    #[arg(long, value_name = "N", default_value_t = Settings::default().patience)]
    patience: usize,

    /// Keep the N likeliest beginnings while an answer is searched
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = beam)]
    beam: usize,

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
enum Task {
    /// Number words to digits
    Numbers,
    /// Words backwards
    Backwards,
}

/// A width that fits into memory.
pub(super) fn beam(text: &str) -> Result<usize, String> {
    let width = text.parse().ok().filter(|n| (1..=1000).contains(n));
    width.ok_or_else(|| "it takes a whole number from 1 to 1000".to_owned())
}

#[derive(Serialize)]
struct Report {
    command: &'static str,
    version: &'static str,
    pairs: usize,
    held_out: usize,
    model: String,
    parameters: usize,
    epochs: usize,
    train_seconds: f64,
    pairs_per_second: f64,
    threads: usize,
    seed: u64,
    /// Low, share, high: Wilson's interval of 95 %.
    exact: Option<[f64; 3]>,
    token_accuracy: Option<[f64; 3]>,
    interrupted: bool,
}

impl Seq2SeqArgs {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--out", &self.out)?;
        check_writable(&self.out)?;
        let settings = self.settings();
        settings.check()?;
        let (pairs, held_out) = self.pairs()?;
        // The best epoch is chosen by pairs that are neither learned from nor tested.
        let n_chosen_by = (pairs.len() / 20).min(1000);
        let (pairs, chosen_by) = pairs.split(n_chosen_by, self.seed.wrapping_add(1));
        let show = show(&console, &self.out);
        let (trained, interrupted) = learn(&show, &pairs, &chosen_by, &settings)?;
        let mut shown = Vec::new();
        let is_measured = !held_out.is_empty() && !interrupted;
        let score = is_measured.then(|| {
            trained.model.test(&held_out, self.beam, &mut |text, ours, expected| {
                if shown.len() < SHOWN {
                    shown.push(format!("  {text} -> {ours}, not {expected}"));
                }
            })
        });
        if let Some(score) = score {
            console.result(&row("exact match", score.exact, "answers"))?;
            console.result(&row("tokens", score.tokens, "places"))?;
            for mistake in &shown {
                console.say(&one_line(mistake))?;
            }
        }
        let seconds = trained.elapsed.as_secs_f64();
        console.say(&format!(
            "{}: {} weights, {} pairs/s, {seconds:.1} s",
            self.out.display(),
            thousands(plies_nn::Module::parameter_count(&trained.model)),
            thousands(trained.rate() as usize),
        ))?;
        console.json(&Report {
            command: "seq2seq",
            version: env!("CARGO_PKG_VERSION"),
            pairs: pairs.len(),
            held_out: held_out.len(),
            model: self.out.display().to_string(),
            parameters: plies_nn::Module::parameter_count(&trained.model),
            epochs: trained.epochs,
            train_seconds: seconds,
            pairs_per_second: trained.rate(),
            threads: plies_tensor::threads(),
            seed: self.seed,
            exact: score.map(|score| Score::interval(score.exact)),
            token_accuracy: score.map(|score| Score::interval(score.tokens)),
            interrupted,
        })?;
        show.end(interrupted)?;
        let model = match self.out == Path::new(DEFAULT_MODEL) {
            true => String::new(),
            false => format!(" --model {}", self.out.display()),
        };
        let line = held_out.iter().chain(pairs.iter()).next().map_or("", |(text, _)| text);
        console.say(&format!(
            "Try: {} translate{model} --attention --line \"{}\"",
            called_as("text"),
            one_line(line)
        ))
    }

    /// Those to learn from, and those held out.
    fn pairs(&self) -> Result<(Pairs, Pairs), Failure> {
        let read = |file: &Path| {
            Ok::<_, Failure>(Pairs::read(
                &open(Some(file), || unreachable!("a file is named"))?.lossy(self.lossy),
            )?)
        };
        let pairs = match (&self.pairs, self.task) {
            (Some(file), _) => read(file)?,
            (None, Task::Numbers) => Pairs::numbers(self.examples, self.limit, self.seed),
            (None, Task::Backwards) => Pairs::backwards(self.examples, 10, self.seed),
        };
        if let Some(test) = &self.test {
            return Ok((pairs, read(test)?));
        }
        let held_out = self.held_out.unwrap_or(pairs.len() / 20);
        if held_out >= pairs.len() {
            let reason =
                format!("held out: {held_out} of {} pairs leave none to learn from", pairs.len());
            return Err(Failure::BadInput(reason));
        }
        Ok(pairs.split(held_out, self.seed))
    }

    fn settings(&self) -> Settings {
        let (source, target) = match (&self.pairs, self.task) {
            (Some(_), _) => (Unit::Words, Unit::Words),
            (None, Task::Numbers) => (Unit::Words, Unit::Characters),
            (None, Task::Backwards) => (Unit::Characters, Unit::Characters),
        };
        let or = |name: Option<UnitName>, unit| name.map_or(unit, Unit::from);
        Settings {
            architecture: Architecture {
                embedding: self.embedding,
                hidden: self.hidden,
                dropout: self.dropout,
            },
            units: [or(self.source_unit, source), or(self.target_unit, target)],
            vocabulary: self.vocabulary,
            batch: self.batch,
            epochs: self.epochs,
            lr: self.lr,
            patience: self.patience,
            seed: self.seed,
            checkpoints: self.checkpoints.clone(),
            resume: self.resume,
        }
    }
}

fn row(name: &str, [right, all]: [usize; 2], what: &str) -> String {
    let [low, share, high] = Score::interval([right, all]).map(|share| 100.0 * share);
    let (right, all) = (thousands(right), thousands(all));
    format!("{name:<12}{share:6.2} %  ({low:.2} to {high:.2}; {right} of {all} {what})")
}

/// The model of number words with all defaults, for `translate` without a model.
pub(super) fn learn_default(console: &Console, out: &Path) -> Result<(), Failure> {
    check_writable(out)?;
    let settings = Settings::default();
    let (pairs, held_out) =
        Pairs::numbers(20_000, 1_000_000, settings.seed).split(1_000, settings.seed);
    let show = show(console, out);
    let (_, interrupted) = learn(&show, &pairs, &held_out, &settings)?;
    show.end(interrupted)
}

fn show<'a>(console: &'a Console, out: &'a Path) -> Show<'a> {
    Show { console, name: "seq2seq", unit: "pairs", out }
}

/// Trains with a bar and a line for each epoch, and saves; says whether it was interrupted.
fn learn(
    show: &Show<'_>,
    pairs: &Pairs,
    held_out: &Pairs,
    settings: &Settings,
) -> Result<(Trained<Seq2Seq>, bool), Failure> {
    let (n, m) = (thousands(pairs.len()), thousands(held_out.len()));
    show.console.progress(&format!("{n} pairs to learn from, {m} to choose by"));
    let save = |model: &Seq2Seq| model.save(show.out);
    show.learn(
        |means| format!("{:.4}", means.loss),
        |report| train(pairs, held_out, settings, report),
        save,
    )
}
