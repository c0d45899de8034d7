//! What commands that make many trials have in common: the file of results, the data, how far they are.

use std::{cell::Cell, path::Path};

use plies_console::{Console, Failure, Progress};
use plies_digits::{
    idx::Examples,
    results::{Record, Results},
};

use super::examples;
use crate::cli::DataArgs;

/// What is known already.
pub(super) fn known<R: Record>(console: &Console, file: &Path) -> Result<Results<R>, Failure> {
    if file == Path::new("-") {
        let advice = "--results -: results are kept in a file; --json - writes to standard output";
        return Err(Failure::BadInput(advice.to_owned()));
    }
    console.keep_apart("--results", file)?;
    Ok(Results::load(file)?)
}

/// The examples, and a name that other examples don't have: "MNIST", or a folder and a checksum of what is in it.
pub(super) fn identified(
    console: &Console,
    data: &DataArgs,
    written: &[(&str, &Path)],
) -> Result<([Examples; 2], String), Failure> {
    let (train, test, mut name) = examples(console, data, written)?;
    if data.data.is_some() {
        let mut checksum = crc32fast::Hasher::new();
        for bytes in [&train.pixels, &train.labels, &test.pixels, &test.labels] {
            checksum.update(bytes);
        }
        name = format!("{name} ({:08x})", checksum.finalize());
    }
    Ok(([train, test], name))
}

/// Those of `all` that `--only` names, in the table's order; all if it names none.
pub(super) fn chosen<T>(
    all: &'static [T],
    what: &str,
    name: impl Fn(&T) -> &'static str,
    names: &[String],
) -> Result<Vec<&'static T>, Failure> {
    if let Some(unknown) = names.iter().find(|wanted| all.iter().all(|one| name(one) != **wanted)) {
        let known: Vec<&str> = all.iter().map(&name).collect();
        let reason = format!("--only {unknown}: no such {what}; there are {}", known.join(", "));
        return Err(Failure::BadInput(reason));
    }
    let is_chosen = |one: &&T| names.is_empty() || names.iter().any(|wanted| wanted == name(one));
    Ok(all.iter().filter(is_chosen).collect())
}

/// What is said after Ctrl-C.
pub(super) fn stopped(results: &Path) -> Failure {
    let kept = match results.exists() {
        true => format!("what is finished is kept in {}", results.display()),
        false => "nothing is finished yet".to_owned(),
    };
    Failure::Interrupted(format!("stopped; {kept}; the same command goes on from there"))
}

/// A bar for trials of which each is as long as a table says; the bar finds out how long that is here.
pub(super) struct Trials<'a> {
    pub(super) bar: Progress<'a>,
    /// Seconds by the table, of all trials, of those that are done, and of the one that is being made.
    whole: f64,
    past: Cell<f64>,
    present: Cell<f64>,
}

impl<'a> Trials<'a> {
    pub(super) fn new(console: &'a Console, what: &str, whole: f64) -> Trials<'a> {
        let [past, present] = [Cell::new(0.0), Cell::new(0.0)];
        Trials { bar: Progress::new(console, what), whole, past, present }
    }

    pub(super) fn begin(&self, name: &str, guess: f64) {
        self.present.set(guess);
        self.bar.call(name);
        self.done(0.0);
    }

    /// So much of the present trial.
    pub(super) fn done(&self, share: f64) {
        self.bar.at((self.past.get() + share * self.present.get()) / self.whole, "");
    }

    pub(super) fn end(&self) {
        self.past.set(self.past.get() + self.present.get());
    }
}
