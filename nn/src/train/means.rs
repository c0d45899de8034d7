//! Mean loss and accuracy over the batches of an epoch.

use plies_autograd::{Var, no_grad};
use plies_tensor::Tensor;

use crate::data::Loader;
use crate::{Checkpoint, CheckpointError, Module, Pass};

/// Means over examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Means {
    /// Mean loss.
    pub loss: f64,
    /// Share of the examples classified right; NaN when not counted.
    pub accuracy: f64,
}

/// What means are computed from, batch by batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    /// Loss times examples.
    loss: f64,
    /// Examples classified right; `None` when targets are no classes.
    correct: Option<usize>,
    pub(super) examples: usize,
}

impl Sums {
    pub(super) const ZERO: Sums = Sums { loss: 0.0, correct: Some(0), examples: 0 };

    pub(super) fn add(&mut self, loss: f64, correct: Option<usize>, examples: usize) {
        self.loss += loss * examples as f64;
        self.correct = self.correct.zip(correct).map(|(sum, batch)| sum + batch);
        self.examples += examples;
    }

    pub(super) fn means(&self) -> Means {
        let n = self.examples as f64;
        let accuracy = self.correct.map_or(f64::NAN, |correct| correct as f64 / n);
        Means { loss: self.loss / n, accuracy }
    }

    pub(super) fn save(&self, checkpoint: &mut Checkpoint) {
        checkpoint.set("loss", self.loss.to_string());
        checkpoint.set("examples", self.examples.to_string());
        if let Some(correct) = self.correct {
            checkpoint.set("correct", correct.to_string());
        }
    }

    pub(super) fn load(checkpoint: &Checkpoint) -> Result<Sums, CheckpointError> {
        let correct = checkpoint.get("correct").map(|_| checkpoint.number("correct"));
        Ok(Sums {
            loss: checkpoint.number("loss")?,
            correct: correct.transpose()?,
            examples: checkpoint.number("examples")?,
        })
    }
}

/// Mean loss and accuracy of a model over the batches of a loader, without anything random and without
/// recording gradients. [`evaluate`](super::evaluate) tells more about a classifier.
///
/// # Errors
/// A fault of the device.
#[track_caller]
pub(super) fn measure(
    model: &dyn Module,
    loader: &Loader,
    loss: &dyn Fn(&Var, &Tensor) -> Var,
) -> plies_tensor::Result<Means> {
    let mut sums = Sums::ZERO;
    let device = model.device();
    for batch in loader.epoch(0) {
        let batch = batch.to_device(&device)?;
        let n = batch.len();
        let mut pass = Pass::eval().with_lengths(batch.lengths);
        let output = no_grad(|| model.forward(&Var::constant(batch.inputs), &mut pass));
        let loss = no_grad(|| loss(&output, &batch.targets)).value().item()?;
        sums.add(loss, count_correct(output.value(), &batch.targets), n);
    }
    Ok(sums.means())
}

/// Rows whose largest output is at the target; `None` when the targets are not classes.
pub(super) fn count_correct(outputs: &Tensor, targets: &Tensor) -> Option<usize> {
    if targets.dtype().is_float() || targets.rank() != 1 || outputs.rank() != 2 {
        return None;
    }
    let predicted = outputs.argmax(-1, false).to_vec::<i32>().ok()?;
    let targets = targets.to_vec::<i32>().ok()?;
    Some(predicted.iter().zip(&targets).filter(|(p, t)| p == t).count())
}
