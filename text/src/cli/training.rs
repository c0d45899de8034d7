//! What the commands that train networks share: a bar, a line for each epoch, Ctrl-C, and the best epoch
//! saved, however the training ends.

use std::{ops::ControlFlow, path::Path, sync::atomic::Ordering::Relaxed};

use plies_console::{Console, Failure, Interrupt, Progress, thousands};
use plies_nn::train::Means;
use plies_text::{
    Result as TextResult,
    training::{End, Report, Trained},
};

/// A training as people see it.
pub(crate) struct Show<'a> {
    pub(crate) console: &'a Console,
    /// What the bar is called.
    pub(crate) name: &'static str,
    /// What is read: tokens, pairs, documents.
    pub(crate) unit: &'static str,
    /// Where the model is saved.
    pub(crate) out: &'a Path,
}

impl Show<'_> {
    /// Trains and saves the best epoch; says whether Ctrl-C was pressed. `held_out` is said after each epoch.
    ///
    /// Ctrl-C ends the program at once before this, for there is nothing to save, and after it.
    ///
    /// # Errors
    /// What ended the training, when the best epoch until then is saved; or that there is none.
    pub(crate) fn learn<M>(
        &self,
        held_out: impl Fn(Means) -> String,
        train: impl FnOnce(&mut Report<'_>) -> TextResult<Trained<M>>,
        save: impl FnOnce(&M) -> TextResult<()>,
    ) -> Result<(Trained<M>, bool), Failure> {
        let interrupt = Interrupt::handle();
        let stop = interrupt.stop();
        let progress = Progress::new(self.console, self.name);
        let trained = train(&mut |now| {
            let rate = format!("{} {}/s", thousands(now.rate() as usize), self.unit);
            match now.held_out {
                None => progress.at(now.share, &format!("loss {:.3}  {rate}", now.loss)),
                Some(means) => progress.line(&format!(
                    "epoch {:>3}  loss {:.4}  held out {}  {rate}",
                    now.epoch + 1,
                    now.loss,
                    held_out(means)
                )),
            }
            if stop.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        drop(progress);
        // An older model stays rather than that one without an epoch takes its place.
        if trained.epochs == 0 {
            let reason = "stopped before the first epoch was complete; nothing is saved";
            return Err(Failure::Interrupted(reason.to_owned()));
        }
        save(&trained.model)?;
        let interrupted = interrupt.all_is_saved();
        if let End::Failed(error) = &trained.end {
            let (n, out) = (trained.epochs, self.out.display());
            let epochs = if n == 1 {
                "the only complete epoch".to_owned()
            } else {
                format!("the best of {n} epochs")
            };
            return Err(Failure::BadInput(format!("{error}; {epochs} is saved in {out}")));
        }
        Ok((trained, interrupted))
    }

    /// How a program ends that was interrupted when something was worth saving.
    pub(crate) fn end(&self, interrupted: bool) -> Result<(), Failure> {
        match interrupted {
            true => Err(Failure::Interrupted(format!(
                "interrupted; the best epoch so far is saved in {}",
                self.out.display()
            ))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use plies_console::CommonArgs;
    use plies_text::Error;

    use super::*;

    #[test]
    fn the_best_epoch_is_saved_before_a_fault_is_told() {
        let common = CommonArgs { threads: None, json: None, quiet: true };
        let console = Console::new(&common).unwrap();
        let show = Show {
            console: &console,
            name: "lm",
            unit: "tokens",
            out: Path::new("lm.safetensors"),
        };
        let learn = |epochs: usize, end: End| {
            let saved = Cell::new(false);
            let trained = |_: &mut Report<'_>| {
                let elapsed = Duration::from_secs(1);
                Ok(Trained { model: (), held_out: None, epochs, read: 1, elapsed, end })
            };
            let save = |_: &()| {
                saved.set(true);
                Ok(())
            };
            let ended = show.learn(|_| String::new(), trained, save).map(|_| ());
            let message = match ended {
                Ok(()) => String::new(),
                Err(Failure::BadInput(message) | Failure::Interrupted(message)) => message,
                Err(Failure::ReaderGone) => unreachable!("nobody reads"),
            };
            (saved.get(), message)
        };
        let fault =
            || End::Failed(Error::Format { origin: "disk".into(), reason: "is full".into() });
        let rows = [
            (5, End::Complete, true, ""),
            (6, fault(), true, "disk: is full; the best of 6 epochs is saved in lm.safetensors"),
            (1, fault(), true, "disk: is full; the only complete epoch is saved in lm.safetensors"),
            (2, End::Stopped, true, ""),
            (
                0,
                End::Stopped,
                false,
                "stopped before the first epoch was complete; nothing is saved",
            ),
        ];
        for (epochs, end, is_saved, message) in rows {
            assert_eq!(learn(epochs, end), (is_saved, message.to_owned()));
        }
    }
}
