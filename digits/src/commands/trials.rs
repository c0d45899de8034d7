//! How far many trials together are.

use std::cell::Cell;

use plies_console::{Console, Progress};

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
