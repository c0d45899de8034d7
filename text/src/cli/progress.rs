//! Draws how far a training is: a bar with what is told and the time left, or nothing where there is no
//! terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console::Console;

/// Steps of the bar; what is done is a share of all.
const STEPS: u64 = 10_000;

/// A bar on a terminal; lines that stay, elsewhere too; nothing when only results are wanted.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Progress {
    /// A bar called `what`.
    pub(crate) fn new(console: &Console, what: &str) -> Progress {
        let target = if console.quiet() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(STEPS), target);
        // indicatif hides a bar whose target is no terminal.
        let bar = (!bar.is_hidden()).then_some(bar);
        if let Some(bar) = &bar {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}");
            bar.set_style(style.expect("a fixed template"));
            bar.set_prefix(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { bar, began: Instant::now() }
    }

    /// Sets the bar to a share of all, with a few words beside it and the time left.
    pub(crate) fn at(&self, share: f64, words: &str) {
        let Some(bar) = &self.bar else { return };
        let share = share.clamp(0.0, 1.0);
        bar.set_position((share * STEPS as f64) as u64);
        let left = self.began.elapsed().as_secs_f64() * (1.0 - share) / share.max(1e-6);
        bar.set_message(format!("{words}  {} left", clock(left)));
    }

    /// Prints something else, above the bar.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `1:05`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.clamp(0.0, 360_000.0).round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
