//! Mean loss and accuracy over the batches of an epoch.
//!
//! A device works behind the host. If the host read the loss of each batch at once, it would wait for the
//! device after each, and the device then for the host. So the host asks for the numbers of a batch and reads
//! them some batches later, when they have come. They are the same numbers, added in the same order.

use std::collections::VecDeque;

use plies_autograd::{Var, no_grad};
use plies_tensor::{Fetch, Tensor};

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
    examples: usize,
}

impl Sums {
    pub(super) const ZERO: Sums = Sums { loss: 0.0, correct: Some(0), examples: 0 };

    fn add(&mut self, loss: f64, correct: Option<usize>, examples: usize) {
        self.loss += loss * examples as f64;
        self.correct = self.correct.zip(correct).map(|(sum, batch)| sum + batch);
        self.examples += examples;
    }

    fn means(&self) -> Means {
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

/// Batches that a device may be behind.
const BEHIND: usize = 16;

/// The numbers of a batch, on their way from its device.
pub(super) struct Outcome {
    loss: Fetch,
    /// Classes that were predicted, and the right ones; `None` when the targets are no classes.
    classes: Option<[Fetch; 2]>,
    examples: usize,
}

impl Outcome {
    pub(super) fn new(loss: &Tensor, classes: Option<[Fetch; 2]>, examples: usize) -> Self {
        Outcome { loss: loss.fetch(), classes, examples }
    }

    fn is_here(&self) -> bool {
        self.loss.is_here()
    }

    /// The loss, and how many examples are classified right.
    pub(super) fn read(self) -> plies_tensor::Result<(f64, Option<usize>)> {
        let correct = match self.classes {
            Some([predicted, targets]) => {
                let (predicted, targets) = (predicted.to_vec::<i32>()?, targets.to_vec::<i32>()?);
                Some(predicted.iter().zip(&targets).filter(|(p, t)| p == t).count())
            }
            None => None,
        };
        Ok((self.loss.item()?, correct))
    }
}

/// The row's place of the largest output for each example, and its target; `None` when the targets are not
/// classes.
pub(super) fn classes(outputs: &Tensor, targets: &Tensor) -> Option<[Fetch; 2]> {
    if targets.dtype().is_float() || targets.rank() != 1 || outputs.rank() != 2 {
        return None;
    }
    Some([outputs.argmax(-1, false).fetch(), targets.fetch()])
}

/// Sums over an epoch, and the batches that are still to be added.
pub(super) struct Tally {
    sums: Sums,
    coming: VecDeque<Outcome>,
    /// Loss of the newest batch among the sums.
    pub(super) batch_loss: f64,
}

impl Tally {
    pub(super) fn new(sums: Sums) -> Self {
        Tally { sums, coming: VecDeque::new(), batch_loss: f64::NAN }
    }

    /// Adds a batch when its numbers are here, at the latest when so many others have followed.
    pub(super) fn push(&mut self, outcome: Outcome) -> plies_tensor::Result<()> {
        self.coming.push_back(outcome);
        while let Some(first) = self.coming.front()
            && (first.is_here() || self.coming.len() > BEHIND || self.sums.examples == 0)
        {
            self.add_first()?;
        }
        Ok(())
    }

    fn add_first(&mut self) -> plies_tensor::Result<()> {
        if let Some(outcome) = self.coming.pop_front() {
            let examples = outcome.examples;
            let (loss, correct) = outcome.read()?;
            self.sums.add(loss, correct, examples);
            self.batch_loss = loss;
        }
        Ok(())
    }

    /// The sums over all batches, waiting for them.
    pub(super) fn all(&mut self) -> plies_tensor::Result<Sums> {
        while !self.coming.is_empty() {
            self.add_first()?;
        }
        Ok(self.sums)
    }

    /// Means over the batches that were added.
    pub(super) fn means(&self) -> Means {
        self.sums.means()
    }

    /// Examples of all batches.
    pub(super) fn examples(&self) -> usize {
        self.sums.examples + self.coming.iter().map(|outcome| outcome.examples).sum::<usize>()
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
    let mut tally = Tally::new(Sums::ZERO);
    let device = model.device();
    for batch in loader.epoch(0) {
        let (n, targets) = (batch.len(), batch.targets.clone());
        let batch = batch.to_device(&device)?;
        let told = Some(batch.targets.clone());
        let mut pass = Pass::eval().with_lengths(batch.lengths).with_targets(told);
        let output = no_grad(|| model.forward(&Var::constant(batch.inputs), &mut pass));
        let loss = no_grad(|| loss(&output, &batch.targets));
        tally.push(Outcome::new(loss.value(), classes(output.value(), &targets), n))?;
    }
    Ok(tally.all()?.means())
}
