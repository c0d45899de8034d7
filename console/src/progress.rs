//! How far long work is: a bar with the time left on a terminal, lines elsewhere.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{console::Console, numbers::clock};

/// Steps of the bar; what is done is a share of all.
const STEPS: u64 = 10_000;

/// A bar on a terminal, gone when this is dropped; nothing when only results are wanted.
#[derive(Debug)]
pub struct Progress<'a> {
    console: &'a Console,
    bar: Option<ProgressBar>,
    /// When the first share was told, and which it was: work may go on from where it was left.
    began: OnceLock<(Instant, f64)>,
}

impl<'a> Progress<'a> {
    /// A bar called `what`.
    pub fn new(console: &'a Console, what: &str) -> Progress<'a> {
        let target = match console.quiet() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(STEPS), target);
        // indicatif hides a bar whose target is no terminal; lines then go out by themselves.
        let bar = (!bar.is_hidden()).then_some(bar);
        if let Some(bar) = &bar {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}");
            bar.set_style(style.expect("a fixed template"));
            bar.set_prefix(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { console, bar, began: OnceLock::new() }
    }

    /// Calls the bar something else.
    pub fn call(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(what.to_owned());
        }
    }

    /// Sets the bar to a share of all, with a few words beside it and the time left if the rest is as fast.
    pub fn at(&self, share: f64, words: &str) {
        let Some(bar) = &self.bar else { return };
        let share = share.clamp(0.0, 1.0);
        bar.set_position((share * STEPS as f64) as u64);
        let &(began, first) = self.began.get_or_init(|| (Instant::now(), share));
        let space = if words.is_empty() { "" } else { "  " };
        let left = match began.elapsed().as_secs_f64() {
            elapsed if share > first => clock(elapsed * (1.0 - share) / (share - first)),
            _ => "?".to_owned(),
        };
        bar.set_message(format!("{words}{space}{left} left"));
    }

    /// A line that stays, above the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.console.progress(text),
        }
    }

    /// Prints something else, above the bar.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
