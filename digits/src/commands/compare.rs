//! `compare`: the methods that have been published, measured side by side.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use plies_console::{
    Console, Failure, Interrupt, check_writable, duration, keep_apart, plot::check_name, thousands,
};
use plies_digits::{
    idx::Examples,
    plot::{self, Bar},
    recipes::{LADDER, Row},
    results::{Measured, Record, Results, Summary, table},
    trial::{Trial, TrialError},
};
use serde::Serialize;

use super::trials::{self, Trials};
use crate::cli::CompareArgs;

/// With `--quick`: training examples, and the share of the epochs.
const QUICK: (usize, f64) = (6000, 0.1);

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    /// "MNIST", or the folder.
    data: &'a str,
    train_examples: usize,
    test_examples: usize,
    effort: f64,
    threads: usize,
    rows: &'a [Summary],
}

pub(crate) fn run(args: &CompareArgs) -> Result<(), Failure> {
    let console = Console::new(&args.common)?;
    let rows = trials::chosen(LADDER, "row", |row| row.name, &args.only)?;
    if let Some(file) = &args.plot {
        check_name(file)?;
        check_writable(file)?;
        console.keep_apart("--plot", file)?;
        keep_apart(&[("--results", &args.results), ("--plot", file)])?;
    }
    let mut results = trials::known(&console, &args.results)?;
    let mut written = vec![("--results", args.results.as_path())];
    written.extend(args.plot.iter().map(|file| ("--plot", file.as_path())));
    let ([mut train, test], data) = trials::identified(&console, &args.data, &written)?;
    let effort = if args.quick { QUICK.1 } else { 1.0 };
    if args.quick {
        train.truncate(QUICK.0);
    }

    let trials: Vec<(&Row, Measured)> = rows
        .iter()
        .flat_map(|&row| {
            let seeds = if row.random { 1..=args.seeds } else { 0..=0 };
            seeds.map(move |seed| (row, seed))
        })
        .map(|(row, seed)| (row, unmeasured(row, seed, &data, [&train, &test], effort)))
        .collect();
    let is_known = |results: &Results<Measured>, trial: &Measured| {
        !args.again && results.find(trial).is_some()
    };
    let todo: Vec<&(&Row, Measured)> =
        trials.iter().filter(|(_, trial)| !is_known(&results, trial)).collect();
    let guess = |row: &Row| 0.3 + row.seconds * effort * train.len() as f64 / 60_000.0;
    let whole: f64 = todo.iter().map(|(row, _)| guess(row)).sum();
    console.progress(&format!(
        "{data}: {} training and {} test examples, {} of the epochs, {} threads",
        thousands(train.len()),
        thousands(test.len()),
        if args.quick { "a tenth" } else { "all" },
        plies_tensor::threads()
    ));
    let known = trials.len() - todo.len();
    if known > 0 {
        console.progress(&format!("known from {}: {known}", args.results.display()));
    }
    if !todo.is_empty() {
        check_writable(&args.results)?;
        console.progress(&format!(
            "to be measured: {} trials, about {}",
            todo.len(),
            duration(whole)
        ));
    }

    let interrupt = Interrupt::handle();
    let stop = interrupt.stop();
    let progress = Trials::new(&console, "compare", whole);
    let (mut is_stopped, mut ended) = (false, Ok(()));
    for (row, trial) in &todo {
        let seed = if row.random { format!(" seed {}", trial.seed) } else { String::new() };
        progress.begin(&format!("{}{seed}", row.name), guess(row));
        let kept = Kept::of(trial, &args.results);
        if kept.past > 0.0 {
            let so_far = duration(kept.past);
            progress.bar.line(&format!("{}{seed} goes on after {so_far}", row.name));
        }
        let attempt = Trial {
            train: &train,
            test: &test,
            seed: trial.seed,
            effort,
            stop: &stop,
            progress: &|share| {
                kept.note();
                progress.done(share);
            },
            folder: Some(&kept.folder),
        };
        match measure(row, trial, &attempt, &kept) {
            Ok(measured) => {
                progress.bar.line(&format!(
                    "{:<33}{:>7.2} %  {:>10}{}",
                    row.method,
                    measured.error(),
                    duration(measured.seconds),
                    if row.random { format!("  seed {}", trial.seed) } else { String::new() }
                ));
                match results.add(measured, &args.results) {
                    Ok(()) => kept.remove(),
                    Err(error) => ended = Err(error.into()),
                }
            }
            Err(TrialError::Stopped) => is_stopped = true,
            Err(error) => {
                ended = Err(Failure::BadInput(format!("row {}: {error}", row.name)));
            }
        }
        progress.end();
        if is_stopped || ended.is_err() {
            break;
        }
    }
    drop(progress);

    let mut summaries = summaries(&rows, &trials, &results);
    if args.data.data.is_some() {
        // What was published is of MNIST.
        summaries.iter_mut().for_each(|summary| summary.published = None);
    }
    if !summaries.is_empty() {
        console.result(table(&summaries).trim_end())?;
        if args.quick {
            console.say(&format!(
                "\nafter a tenth of the epochs, on {} examples; what was published is of 60,000",
                thousands(train.len())
            ))?;
        }
    }
    if let Some(file) = &args.plot
        && !summaries.is_empty()
    {
        let of = match args.quick {
            true => format!("{data}, {} examples, a tenth of the epochs", thousands(train.len())),
            false => data.clone(),
        };
        draw(file, &of, &summaries)?;
        console.say(&format!("\ndrawn in {}", file.display()))?;
    }
    console.json(&Report {
        command: "compare",
        version: env!("CARGO_PKG_VERSION"),
        data: &data,
        train_examples: train.len(),
        test_examples: test.len(),
        effort,
        threads: plies_tensor::threads(),
        rows: &summaries,
    })?;
    ended?;
    if is_stopped { Err(trials::stopped(&args.results)) } else { Ok(()) }
}

/// A trial before it has been made.
fn unmeasured(
    row: &Row,
    seed: u64,
    data: &str,
    [train, test]: [&Examples; 2],
    effort: f64,
) -> Measured {
    Measured {
        row: row.name.to_owned(),
        seed,
        data: data.to_owned(),
        train_examples: train.len(),
        test_examples: test.len(),
        effort,
        misread: 0,
        seconds: 0.0,
        threads: plies_tensor::threads(),
        notes: BTreeMap::new(),
    }
}

fn measure(
    row: &Row,
    trial: &Measured,
    attempt: &Trial<'_>,
    kept: &Kept,
) -> Result<Measured, TrialError> {
    let outcome = (row.recipe)(attempt)?;
    let wrong = outcome.read.iter().zip(&attempt.test.labels).filter(|(a, b)| a != b).count();
    Ok(Measured {
        misread: wrong,
        seconds: (kept.seconds() * 100.0).round() / 100.0,
        notes: outcome.notes.into_iter().map(|(what, n)| (what.to_owned(), n)).collect(),
        ..trial.clone()
    })
}

/// A folder beside the results for a trial that is being made: its trainings, and the seconds that it has taken.
struct Kept {
    folder: PathBuf,
    began: Instant,
    /// Seconds of earlier runs, and of this one when they were last written.
    past: f64,
    noted: Cell<f64>,
}

impl Kept {
    /// What is there of another trial, on other data say, is deleted.
    fn of(trial: &Measured, results: &Path) -> Kept {
        let name =
            format!("{}-{}-{}-{}", trial.row, trial.seed, trial.train_examples, trial.effort);
        let mut folder = results.as_os_str().to_owned();
        folder.push(".unfinished");
        let folder = PathBuf::from(folder).join(name);
        let told = fs::read_to_string(folder.join("trial.json")).unwrap_or_default();
        let is_it = serde_json::from_str(&told).is_ok_and(|told: Measured| told.is_trial(trial));
        if !is_it {
            let _ = fs::remove_dir_all(&folder);
            // Without it a trial that is stopped begins anew, and that is all.
            let _ = fs::create_dir_all(&folder);
            let trial = serde_json::to_string(trial).unwrap_or_default();
            let _ = fs::write(folder.join("trial.json"), trial);
        }
        let noted = fs::read_to_string(folder.join("seconds")).unwrap_or_default();
        let past = noted.parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0).unwrap_or(0.0);
        Kept { folder, began: Instant::now(), past, noted: Cell::new(0.0) }
    }

    fn seconds(&self) -> f64 {
        self.past + self.began.elapsed().as_secs_f64()
    }

    /// Writes the seconds now and then; that they cannot be written matters little.
    fn note(&self) {
        let elapsed = self.began.elapsed().as_secs_f64();
        if elapsed > self.noted.get() + 1.0 {
            self.noted.set(elapsed);
            let _ = fs::write(self.folder.join("seconds"), self.seconds().to_string());
        }
    }

    /// The trial is finished; the folder of all goes with the last one.
    fn remove(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

/// Of each row that has been measured, over all seeds that were asked for.
fn summaries(
    rows: &[&Row],
    trials: &[(&Row, Measured)],
    results: &Results<Measured>,
) -> Vec<Summary> {
    let of = |row: &&Row| {
        let mine = trials.iter().filter(|(other, _)| other.name == row.name);
        let known: Vec<&Measured> = mine.filter_map(|(_, trial)| results.find(trial)).collect();
        Summary::of(row, &known)
    };
    rows.iter().filter_map(of).collect()
}

fn draw(file: &Path, data: &str, summaries: &[Summary]) -> Result<(), Failure> {
    let bars: Vec<Bar> = summaries
        .iter()
        .map(|s| Bar {
            label: s.method.to_owned(),
            value: s.error,
            interval: s.interval,
            published: s.published,
        })
        .collect();
    let title =
        format!("{data}: test error, its 95 % interval, what was published (ticks); logarithmic");
    Ok(plot::ladder(file, &title, &bars)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_goes_on_from_what_is_kept_of_it_and_from_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("results.json");
        let none = Examples { pixels: Vec::new(), labels: Vec::new() };
        let trial = |data: &str| unmeasured(&LADDER[1], 1, data, [&none, &none], 1.0);
        let kept = Kept::of(&trial("one"), &results);
        let network = kept.folder.join("network");
        fs::write(&network, "").unwrap();
        assert_eq!(Kept::of(&trial("one"), &results).folder, kept.folder);
        assert!(network.exists());
        assert_eq!(Kept::of(&trial("other"), &results).folder, kept.folder);
        assert!(!network.exists());
        kept.remove();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
