//! What `caption` and `add` share: a network that spells, trained or from its file; pictures; letters and how sure
//! they were.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use plies_console::{Console, Failure, Interrupt, called_as, check_writable, thousands};
use plies_digits::{
    dataset,
    idx::{Examples, PIXELS},
    preprocess::Digit,
    sequences::Sequences,
    speller::{self, Settings, Speller, Spelt, Task},
    terminal::{self, Captioned, Style},
};
use plies_nn::{data::Dataset, metrics::wilson_interval};
use plies_tensor::Tensor;
use serde::Serialize;

use super::{predict, train};
use crate::cli::SpellArgs;

/// The widest that a caption under a digit may be, and the space between two.
const COLUMNS: usize = 26;
const PER_ROW: usize = 3;
/// Texts that are told of a picture.
const TOLD: usize = 3;

/// A network that spells, and where it comes from.
pub(super) struct Trained {
    pub(super) speller: Speller,
    pub(super) origin: Origin,
    /// Whether it is saved, where that was tried.
    pub(super) saved: Result<(), Failure>,
}

/// Where a network comes from, for scripts.
#[derive(Serialize)]
pub(super) struct Origin {
    model: String,
    parameters: usize,
    /// Where it is saved; nothing when that failed.
    checkpoint: Option<String>,
    epochs: usize,
    /// Nothing where it was not trained now.
    train_examples: Option<usize>,
    train_loss: Option<f64>,
    train_seconds: Option<f64>,
    examples_per_second: Option<f64>,
    seed: u64,
    threads: usize,
}

impl Origin {
    fn of(speller: &Speller, file: Option<&Path>) -> Origin {
        Origin {
            model: speller.settings.to_string(),
            parameters: speller.settings.parameters(),
            checkpoint: file.map(|file| file.to_string_lossy().into_owned()),
            epochs: speller.epochs_done,
            train_examples: None,
            train_loss: None,
            train_seconds: None,
            examples_per_second: None,
            seed: speller.settings.seed,
            threads: plies_tensor::threads(),
        }
    }
}

/// The network in a file, with the advice that a beginner needs.
pub(super) fn load(file: &Path, is_sum: bool) -> Result<Speller, Failure> {
    if !file.exists() {
        let (program, command) = (called_as("digits"), if is_sum { "add" } else { "caption" });
        let advice = format!("no such file; train a network first: {program} {command}");
        return Err(Failure::at(file, advice));
    }
    Ok(Speller::load(file, is_sum)?)
}

/// The network that is to be tested: that in the file which is named, or one that is trained and saved in `out`.
pub(super) fn trained(
    console: &Console,
    args: &SpellArgs,
    task: Task,
    out: &Path,
    train: Examples,
    data: &str,
) -> Result<Trained, Failure> {
    let is_sum = matches!(task, Task::Sums(_));
    if let Some(file) = &args.model {
        let speller = load(file, is_sum)?;
        let (file_shown, settings) = (file.display(), &speller.settings);
        console.progress(&format!("{file_shown}: {settings}, {} epochs", speller.epochs_done));
        let origin = Origin::of(&speller, Some(file));
        return Ok(Trained { speller, origin, saved: Ok(()) });
    }
    if out == Path::new("-") {
        let advice = "--out -: a network goes to a file, not to standard output; name one";
        return Err(Failure::BadInput(advice.to_owned()));
    }
    console.keep_apart("--out", out)?;
    let mut settings = Settings::new(task);
    settings.seed = args.seed.unwrap_or(settings.seed);
    settings.epochs = args.epochs.unwrap_or(settings.epochs);
    if args.quick {
        settings.epochs = settings.epochs.div_ceil(4);
    }
    settings.limit = args.limit.unwrap_or(settings.limit);
    settings.check().map_err(Failure::BadInput)?;
    check_writable(out)?;
    let mut train = train;
    if settings.limit > 0 {
        train.truncate(settings.limit);
    }
    let examples = train.len();
    let sequences = Sequences::training(Arc::new(train), &settings);
    let mut speller = settings.build();
    console.progress(&format!(
        "{settings}, {} parameters\n{} texts of {} examples of {data}, {} threads, seed {}",
        thousands(settings.parameters()),
        thousands(sequences.len()),
        thousands(examples),
        plies_tensor::threads(),
        settings.seed
    ));
    let command = if is_sum { "add" } else { "caption" };
    let go_on = format!("test it with {} {command} --model {}", called_as("digits"), out.display());
    let epochs = 0..settings.epochs;
    let interrupt = Interrupt::handle();
    let (done, saved) = train::watched(console, &interrupt, out, epochs, &go_on, |stop, watch| {
        speller::train(&mut speller, sequences, stop, watch)
    })?;
    if saved.is_ok() && interrupt.all_is_saved() {
        let reason = format!("stopped; the network is saved in {}", out.display());
        return Err(Failure::Interrupted(reason));
    }
    let file = saved.is_ok().then_some(out);
    train::say_took(console, &done, file)?;
    let origin = Origin {
        train_examples: Some(examples),
        train_loss: Some(done.loss),
        train_seconds: Some(done.seconds),
        examples_per_second: Some(train::rate(&done)),
        ..Origin::of(&speller, file)
    };
    Ok(Trained { speller, origin, saved })
}

/// Pictures as the network gets them, all of them or none.
pub(super) fn pictures(console: &Console, files: &[PathBuf]) -> Result<Vec<Digit>, Failure> {
    let read = |file: &PathBuf| {
        console.keep_apart("a picture", file)?;
        predict::read(file)
    };
    files.iter().map(read).collect()
}

/// One sequence of images, [1, T, 784].
pub(super) fn sequence(images: &[&[u8]]) -> Tensor {
    dataset::inputs(images.iter().copied()).reshape([1, images.len(), PIXELS])
}

/// A share of some with its Wilson interval, for scripts and tables.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Share {
    right: usize,
    of: usize,
    share: f64,
    interval: [f64; 2],
}

impl Share {
    pub(super) fn of(right: impl Iterator<Item = bool>) -> Share {
        let (mut n, mut k) = (0, 0);
        right.for_each(|right| {
            n += 1;
            k += usize::from(right);
        });
        let (low, high) = wilson_interval(k, n, 1.96);
        Share { right: k, of: n, share: k as f64 / (n as f64).max(1.0), interval: [low, high] }
    }

    /// `98.71 % (98.47 to 98.91 %)`
    pub(super) fn text(&self) -> String {
        let [low, high] = self.interval.map(|share| 100.0 * share);
        format!("{:6.2} % ({low:.2} to {high:.2} %)", 100.0 * self.share)
    }
}

impl Share {
    /// `98.71 %`
    pub(super) fn percent(&self) -> String {
        format!("{:.2} %", 100.0 * self.share)
    }
}

/// In tenths how likely each letter was that was not as good as certain, to stand below the letters; the last is
/// the end's.
fn doubts(letters: &[f64]) -> String {
    let tenth = |&p: &f64| match p {
        p if p >= 0.95 => ' ',
        p => char::from(b'0' + (10.0 * p.max(0.0)) as u8),
    };
    letters.iter().map(tenth).collect()
}

/// What stands above digits with doubts.
pub(super) const LEGEND: &str =
    "A number below a letter, or behind the last: so many tenths sure, no surer.";

/// A text cut to so many columns: what comes to no end is long.
pub(super) fn short(text: &str, columns: usize) -> String {
    match text.len() <= columns {
        true => text.to_owned(),
        false => format!("{}..", &text[..columns - 2]),
    }
}

/// Digits, what is spelt under each, and below that how sure it was of the letters.
pub(super) fn draw(digits: &[(&[u8], &Spelt)], style: Style) -> String {
    let mut text = String::new();
    for row in digits.chunks(PER_ROW) {
        let captions: Vec<String> =
            row.iter().map(|(_, spelt)| short(&spelt.text, COLUMNS)).collect();
        let captioned: Vec<Captioned<'_>> = row
            .iter()
            .zip(&captions)
            .map(|(&(pixels, _), caption)| Captioned { pixels, caption })
            .collect();
        text.push_str(terminal::draw(&captioned, style).trim_end_matches('\n'));
        let below =
            row.iter().map(|(_, spelt)| format!("{:<COLUMNS$.COLUMNS$}", doubts(&spelt.letters)));
        let below: Vec<String> = below.collect();
        let below = below.join(" ");
        match below.trim_end() {
            "" => text.push('\n'),
            below => text.push_str(&format!("\n{below}\n")),
        }
    }
    text
}

/// A text and how likely the others are, a line each.
pub(super) fn alternatives(found: &[Spelt], style: Style) -> String {
    let mut text = String::new();
    for spelt in found.iter().take(TOLD) {
        let bar = terminal::bar(spelt.probability, 30, style);
        let percent = 100.0 * spelt.probability;
        let line = format!("  {:<32} {percent:>5.1} %  {bar}", spelt.text);
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text
}

/// A text of a picture, for scripts.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    text: &'a str,
    probability: f64,
    /// Of each letter after those before it, the end's among them.
    letters: &'a [f64],
}

/// The likeliest texts, for scripts.
pub(super) fn answers(found: &[Spelt]) -> Vec<Answer<'_>> {
    found
        .iter()
        .map(|Spelt { text, probability, letters }| Answer {
            text,
            probability: *probability,
            letters,
        })
        .collect()
}
