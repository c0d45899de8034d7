//! Draws training: a bar with loss, accuracy, speed and time left, and a line for each epoch.

use std::time::Duration;

use plies_console::{Console, MAX_COLUMNS, Progress, thousands};
use plies_digits::training::EpochDone;
use plies_nn::train::BatchEvent;

/// A bar on a terminal; plain lines elsewhere; nothing when only results are wanted.
pub(crate) struct Training<'a> {
    bar: Progress<'a>,
    epochs: usize,
    /// Examples and seconds when the epoch began.
    epoch_began: f64,
}

impl<'a> Training<'a> {
    /// For epochs `from` to `epochs`.
    pub(crate) fn new(console: &'a Console, from: usize, epochs: usize) -> Training<'a> {
        let bar = Progress::new(console, &format!("epoch {}/{epochs}", from + 1));
        Training { bar, epochs, epoch_began: 0.0 }
    }

    pub(crate) fn batch(&mut self, event: &BatchEvent) {
        let rate = self.rate(event.examples, event.elapsed);
        let share = (event.batch + 1) as f64 / event.batches as f64;
        self.bar.call(&format!("epoch {}/{}", event.epoch + 1, self.epochs));
        let done = (event.epoch as f64 + share) / self.epochs as f64;
        self.bar.at(done, &batch_message(event, rate));
    }

    pub(crate) fn epoch(&mut self, done: &EpochDone<'_>) {
        let rate = self.rate(done.event.examples, done.event.elapsed);
        self.epoch_began = done.event.elapsed.as_secs_f64();
        self.line(&epoch_line(done, self.epochs, rate));
    }

    /// A line that stays, above the bar.
    pub(crate) fn line(&self, text: &str) {
        self.bar.line(text);
    }

    /// Examples per second in this epoch.
    fn rate(&self, examples: usize, elapsed: Duration) -> f64 {
        examples as f64 / (elapsed.as_secs_f64() - self.epoch_began).max(1e-9)
    }
}

/// What stands beside the bar.
fn batch_message(event: &BatchEvent, rate: f64) -> String {
    format!("{}  {}", means(event.loss, event.accuracy), per_second(rate))
}

/// `epoch  3/10  loss 0.0822  accuracy 97.44 %  held out 97.30 % *  30,229/s`; the star marks the
/// best so far.
fn epoch_line(done: &EpochDone<'_>, epochs: usize, rate: f64) -> String {
    let event = &done.event;
    let held_out = done.validation_error.map_or(String::new(), |error| {
        let star = if done.is_best { " *" } else { "" };
        format!("  held out {:.2} %{star}", 100.0 * (1.0 - error))
    });
    let means = means(event.loss, event.accuracy);
    let line = format!("epoch {:>2}/{epochs}  {means}{held_out}", event.epoch + 1);
    let with_rate = format!("{line}  {}", per_second(rate));
    if with_rate.len() > MAX_COLUMNS { line } else { with_rate }
}

fn means(loss: f64, accuracy: f64) -> String {
    let loss = if loss < 100.0 { format!("{loss:.4}") } else { format!("{loss:.1e}") };
    // Where targets are no classes, nothing is counted.
    let accuracy = match accuracy.is_nan() {
        true => String::new(),
        false => format!("  accuracy {:.2} %", 100.0 * accuracy),
    };
    format!("loss {loss}{accuracy}")
}

/// Examples per second.
fn per_second(rate: f64) -> String {
    format!("{}/s", thousands(rate as usize))
}

#[cfg(test)]
mod tests {
    use plies_console::clock;
    use plies_nn::{Checkpoint, train::EpochEvent};

    use super::*;

    #[test]
    fn what_is_not_counted_is_not_told() {
        assert_eq!(means(0.5, f64::NAN), "loss 0.5000");
    }

    #[test]
    fn no_line_is_wider_than_80_columns() {
        let best = Checkpoint::new();
        let rows = [
            (10, 0.2658, 0.9187, 31_234.0, "/10  loss 0.2658  accuracy 91.87 %"),
            (10, 1.23e38, 1.0, 9_999_999.0, "/10  loss 1.2e38  accuracy 100.00 %"),
            (100_000, 99.99994, 1.0, 9_999_999.0, "/100000  loss 99.9999  accuracy 100.00 %"),
        ];
        for (epochs, loss, accuracy, rate, part) in rows {
            let (epoch, examples, elapsed) = (epochs - 1, 60_000, Duration::from_secs(1));
            let (iteration, batch_loss, held_out, lr) = (469 * epochs as u64, loss, None, 0.001);
            let event =
                EpochEvent { epoch, iteration, examples, loss, accuracy, held_out, lr, elapsed };
            for validation_error in [None, Some(0.0), Some(0.0288)] {
                let done = EpochDone { event, validation_error, is_best: true, best: &best };
                let line = epoch_line(&done, epochs, rate);
                assert!(line.contains(part) && line.len() <= 80, "{line}");
            }
            let (batch, batches) = (468, 469);
            let event = BatchEvent {
                epoch,
                batch,
                batches,
                iteration,
                examples,
                batch_loss,
                loss,
                accuracy,
                lr,
                elapsed,
            };
            let beside = format!("{}  {} left", batch_message(&event, rate), clock(f64::INFINITY));
            let prefix = format!("epoch {epochs}/{epochs}");
            // A bar of one column, and a space on either side of it.
            assert!(prefix.len() + 3 + beside.len() <= 80, "{prefix} {beside}");
        }
    }
}
