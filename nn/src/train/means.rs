//! Mean loss and accuracy over the batches of an epoch.
//!
//! The loss of a batch is a mean over its terms, one for each example unless it is said otherwise
//! ([`Fit::terms`](super::Fit::terms)); the mean over all terms, whatever the batches, is
//!
//!   Σᵢ nᵢ lossᵢ / Σᵢ nᵢ        nᵢ terms in batch i
//!
//! A device works behind the host. If the host read the loss of each batch at once, it would wait for the
//! device after each, and the device then for the host. So the host asks for the numbers of a batch and reads
//! them some batches later, when they have come. They are the same numbers, added in the same order.

use std::collections::VecDeque;

use plies_autograd::{Var, no_grad};
use plies_tensor::{Fetch, Tensor};

use super::Terms;
use crate::data::{Batch, Loader};
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
    /// Loss times its terms.
    loss: f64,
    terms: usize,
    /// Examples classified right; `None` when targets are no classes.
    correct: Option<usize>,
    examples: usize,
}

impl Sums {
    pub(super) const ZERO: Sums = Sums { loss: 0.0, terms: 0, correct: Some(0), examples: 0 };

    fn add(&mut self, loss: f64, correct: Option<usize>, size: Size) {
        self.loss += loss * size.terms as f64;
        self.terms += size.terms;
        self.correct = self.correct.zip(correct).map(|(sum, batch)| sum + batch);
        self.examples += size.examples;
    }

    fn means(&self) -> Means {
        let n = self.examples as f64;
        let accuracy = self.correct.map_or(f64::NAN, |correct| correct as f64 / n);
        Means { loss: self.loss / self.terms as f64, accuracy }
    }

    pub(super) fn save(&self, checkpoint: &mut Checkpoint) {
        checkpoint.set("loss", self.loss.to_string());
        // Where each example is a term nothing is said of terms.
        if self.terms != self.examples {
            checkpoint.set("terms", self.terms.to_string());
        }
        checkpoint.set("examples", self.examples.to_string());
        if let Some(correct) = self.correct {
            checkpoint.set("correct", correct.to_string());
        }
    }

    pub(super) fn load(checkpoint: &Checkpoint) -> Result<Sums, CheckpointError> {
        let stored = |key: &str| checkpoint.get(key).map(|_| checkpoint.number(key)).transpose();
        let examples = checkpoint.number("examples")?;
        Ok(Sums {
            loss: checkpoint.number("loss")?,
            terms: stored("terms")?.unwrap_or(examples),
            correct: stored("correct")?,
            examples,
        })
    }
}

/// Batches that a device may be behind.
const BEHIND: usize = 16;

/// How large a batch is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) examples: usize,
    /// What its loss is the mean of.
    pub(super) terms: usize,
}

impl Size {
    pub(super) fn of(batch: &Batch, terms: Option<Terms>) -> Size {
        let examples = batch.len();
        Size { examples, terms: terms.map_or(examples, |terms| terms(batch)) }
    }
}

/// Whether the first of these is to be read: it is here, or so many others have followed.
pub(super) fn is_due<T>(coming: &VecDeque<T>, is_here: impl Fn(&T) -> bool) -> bool {
    coming.len() > BEHIND || coming.front().is_some_and(is_here)
}

/// The numbers of a batch, on their way from its device.
pub(super) struct Outcome {
    loss: Fetch,
    /// Classes that were predicted, and the right ones; `None` when the targets are no classes.
    classes: Option<[Fetch; 2]>,
    size: Size,
}

impl Outcome {
    pub(super) fn new(loss: &Tensor, classes: Option<[Fetch; 2]>, size: Size) -> Self {
        Outcome { loss: loss.fetch(), classes, size }
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
        while is_due(&self.coming, Outcome::is_here)
            || (self.sums.examples == 0 && !self.coming.is_empty())
        {
            self.add_first()?;
        }
        Ok(())
    }

    fn add_first(&mut self) -> plies_tensor::Result<()> {
        if let Some(outcome) = self.coming.pop_front() {
            let size = outcome.size;
            let (loss, correct) = outcome.read()?;
            self.sums.add(loss, correct, size);
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
        self.sums.examples + self.coming.iter().map(|outcome| outcome.size.examples).sum::<usize>()
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
    terms: Option<Terms>,
) -> plies_tensor::Result<Means> {
    let mut tally = Tally::new(Sums::ZERO);
    let device = model.device();
    for batch in loader.epoch(0) {
        let (size, targets) = (Size::of(&batch, terms), batch.targets.clone());
        let batch = batch.to_device(&device)?;
        let told = Some(batch.targets.clone());
        let mut pass = Pass::eval().with_lengths(batch.lengths).with_targets(told);
        let output = no_grad(|| model.forward(&Var::constant(batch.inputs), &mut pass));
        let loss = no_grad(|| loss(&output, &batch.targets));
        tally.push(Outcome::new(loss.value(), classes(output.value(), &targets), size))?;
    }
    Ok(tally.all()?.means())
}
