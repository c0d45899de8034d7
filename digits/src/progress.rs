//! Draws training: a bar with loss, accuracy, speed and time left, and a line for each epoch.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plies_digits::training::{EpochDone, Watch};
use plies_nn::train::BatchEvent;

use crate::console::{Console, thousands};

/// A bar on a terminal; plain lines elsewhere; nothing when only results are wanted.
pub(crate) struct Progress<'a> {
    console: &'a Console,
    bar: Option<ProgressBar>,
    epochs: usize,
    /// Examples and seconds when the epoch began.
    epoch_began: f64,
}

impl<'a> Progress<'a> {
    /// For epochs `from` to `epochs`.
    pub(crate) fn new(console: &'a Console, from: usize, epochs: usize) -> Progress<'a> {
        let target = if console.quiet() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        // indicatif hides a bar whose target is no terminal; the lines then go out by themselves.
        let bar = ProgressBar::with_draw_target(None, target);
        let bar = (!bar.is_hidden()).then_some(bar);
        if let Some(bar) = &bar {
            bar.set_style(
                ProgressStyle::with_template("{prefix} {wide_bar} {msg}")
                    .expect("a fixed template"),
            );
            bar.set_prefix(format!("epoch {}/{epochs}", from + 1));
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { console, bar, epochs, epoch_began: 0.0 }
    }
}

impl Watch for Progress<'_> {
    fn batch(&mut self, event: &BatchEvent) {
        let Some(bar) = &self.bar else { return };
        let done = event.batch as u64 + 1;
        // Before the first batch of this run nobody knows how many there are.
        if bar.length().is_none() {
            let left = (self.epochs - event.epoch) * event.batches;
            bar.set_length(left as u64);
        }
        let seconds = event.elapsed.as_secs_f64();
        let rate = event.examples as f64 / (seconds - self.epoch_began).max(1e-9);
        let share = done as f64 / event.batches as f64;
        let epochs_left = (self.epochs - event.epoch) as f64 - share;
        let left = epochs_left * (seconds - self.epoch_began) / share;
        bar.set_prefix(format!("epoch {}/{}", event.epoch + 1, self.epochs));
        bar.inc(1);
        bar.set_message(format!(
            "loss {:.4}  accuracy {:.2} %  {}/s  {} left",
            event.loss,
            100.0 * event.accuracy,
            thousands(rate as usize),
            clock(left)
        ));
    }

    fn epoch(&mut self, done: &EpochDone) {
        let event = &done.event;
        let seconds = event.elapsed.as_secs_f64();
        let rate = event.examples as f64 / (seconds - self.epoch_began).max(1e-9);
        self.epoch_began = seconds;
        let validation = done.validation_error.map_or(String::new(), |error| {
            format!(
                "  held out {:.2} %{}",
                100.0 * (1.0 - error),
                if done.best { " *" } else { "" }
            )
        });
        let line = format!(
            "epoch {:>2}/{}  loss {:.4}  accuracy {:.2} %{validation}  {} examples/s",
            event.epoch + 1,
            self.epochs,
            event.loss,
            100.0 * event.accuracy,
            thousands(rate as usize),
        );
        match &self.bar {
            Some(bar) => bar.println(line),
            None => self.console.progress(&line),
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

/// `1:05`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.clamp(0.0, 360_000.0).round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
