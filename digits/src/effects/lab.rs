//! Where experiments are made: the examples, the training, the reading.

use std::sync::{Arc, atomic::AtomicBool};

use plies_nn::{
    Activation, Mlp, Module,
    data::Dataset,
    loss::cross_entropy,
    optim::{Adam, Optimizer},
};
use plies_tensor::Rng;

use crate::{
    dataset::Digits,
    idx::{Examples, PIXELS},
    training,
    trial::{Plan, Trial, TrialError, pictures},
};

/// One in so many training examples is held out.
const HELD_OUT: usize = 12;

/// How many examples an experiment gets of those that it asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// This share of them, at least a hundred,
    pub share: f64,
    /// and no more than there are.
    pub most: usize,
}

impl Scale {
    /// Whether experiments get what they ask for.
    pub(super) fn is_full(&self) -> bool {
        self.share >= 1.0
    }

    pub(super) fn of(&self, examples: usize) -> usize {
        ((examples as f64 * self.share) as usize).max(100).min(self.most)
    }
}

/// What experiments have.
pub struct Lab<'a> {
    train: Examples,
    held_out: Examples,
    test: &'a Examples,
    pub(super) scale: Scale,
    /// The share of the epochs that is run; tests run one of each training.
    pub(super) effort: f64,
    stop: &'a Arc<AtomicBool>,
    progress: &'a dyn Fn(f64),
}

impl<'a> Lab<'a> {
    /// Experiments with `share` of the examples that they ask for. The last twelfth of the training set is held out
    /// of all of them. `progress` is told which share of a trial is done, and `stop` ends it.
    pub fn new(
        mut train: Examples,
        test: &'a Examples,
        share: f64,
        stop: &'a Arc<AtomicBool>,
        progress: &'a dyn Fn(f64),
    ) -> Lab<'a> {
        let held_out = train.split_off_last((train.len() / HELD_OUT).max(1));
        let scale = Scale { share, most: train.len() };
        Lab { train, held_out, test, scale, effort: 1.0, stop, progress }
    }

    /// How many examples there are to learn from.
    pub fn train_examples(&self) -> usize {
        self.train.len()
    }

    /// How many are held out.
    pub fn held_out_examples(&self) -> usize {
        self.held_out.len()
    }

    /// The first so many examples, or what the scale leaves of them.
    pub(super) fn first(&self, count: usize) -> Examples {
        let mut few = self.train.clone();
        few.truncate(self.scale.of(count));
        few
    }

    /// All of them, or what the scale leaves.
    pub(super) fn all(&self) -> Examples {
        self.first(self.train.len())
    }

    /// Trains a network by cross-entropy, on vectors [B, 784], or on pictures [B, 1, 28, 28] if they are to be changed.
    /// With fewer examples batches are smaller, so that an epoch has as many steps.
    pub(super) fn train(
        &self,
        seed: u64,
        examples: &Examples,
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
        plan: Plan,
    ) -> Result<(), TrialError> {
        let trial = Trial {
            train: examples,
            test: self.test,
            seed,
            effort: self.effort,
            stop: self.stop,
            progress: self.progress,
            folder: None,
        };
        let batch_size = ((128.0 * self.scale.share) as usize).clamp(16, 128);
        let plan = Plan { batch_size, ..plan };
        let examples: Arc<dyn Dataset> = match plan.augment {
            Some(_) => pictures(examples),
            None => Arc::new(Digits(examples.clone())),
        };
        trial.fit(model, optimizer, &cross_entropy, examples, plan)
    }

    /// The error on the test set, in per cent.
    pub(super) fn error(&self, model: &dyn Module) -> Result<f64, TrialError> {
        error(model, self.test)
    }

    /// The error on what is held out, by which settings are chosen, and that on the test set, by which they are judged.
    pub(super) fn errors(&self, model: &dyn Module) -> Result<[f64; 2], TrialError> {
        Ok([error(model, &self.held_out)?, self.error(model)?])
    }

    /// The test set.
    pub(super) fn test(&self) -> &Examples {
        self.test
    }
}

fn error(model: &dyn Module, examples: &Examples) -> Result<f64, TrialError> {
    let confusion = training::evaluate(model, examples.clone())?.confusion;
    Ok(100.0 * (confusion.total() - confusion.correct()) as f64 / confusion.total() as f64)
}

/// Layers of ReLU units on the pixels.
pub(super) fn mlp(seed: u64, hidden: &[usize]) -> Mlp {
    let sizes = [&[PIXELS], hidden, &[10]].concat();
    Mlp::new(&sizes, Activation::Relu, &mut Rng::new(seed))
}

pub(super) fn adam() -> Adam {
    Adam::new(1e-3)
}
