//! A learning rate that falls when training gets no better.

use super::callback::Measure;
use super::patience::Patience;
use super::{Callback, EpochEvent, Flow, Position, TrainError, Training};
use crate::optim::Optimizer;
use crate::{Checkpoint, CheckpointError, Module};

/// Multiplies the optimiser's learning rate by a factor when a number has not become smaller for some
/// epochs; as PyTorch's `ReduceLROnPlateau` with an absolute threshold.
///
/// # Example
/// ```
/// use plies_nn::optim::{Optimizer, Sgd};
/// use plies_nn::train::Plateau;
/// let mut plateau = Plateau::new(0.1, 1);
/// let mut sgd = Sgd::new(0.5);
/// for loss in [3.0, 2.0, 2.0, 2.5] {
///     plateau.observe(loss, &mut sgd);
/// }
/// assert_eq!(Optimizer::lr(&sgd), 0.05); // the second epoch in a row that was no better
/// ```
#[doc(alias("ReduceLROnPlateau", "reduce on plateau"))]
pub struct Plateau<'a> {
    factor: f64,
    cooldown: usize,
    min_lr: f64,
    measure: Box<Measure<'a>>,
    state: State,
}

/// What an epoch leaves to the next ones.
#[derive(Clone, Copy)]
struct State {
    patience: Patience,
    /// Epochs left in which nothing is counted.
    cooling: usize,
    /// The learning rate that was set last.
    lr: Option<f64>,
}

impl<'a> Plateau<'a> {
    /// Multiplies the learning rate by `factor` when the loss of more than `patience` epochs in a row, of
    /// the held-out examples or else in training, was no better than the best.
    ///
    /// # Panics
    /// When the factor is not between 0 and 1.
    #[track_caller]
    pub fn new(factor: f64, patience: usize) -> Self {
        assert!((0.0..1.0).contains(&factor), "plateau: the factor {factor} is not in 0..1");
        Plateau {
            factor,
            cooldown: 0,
            min_lr: 0.0,
            measure: Box::new(|event, _| Ok(event.judged_loss())),
            state: State { patience: Patience::new(patience, 0.0), cooling: 0, lr: None },
        }
    }

    /// Takes for better only what is so by more than this.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.state.patience.min_delta = min_delta;
        self
    }

    /// Counts no epochs as bad for a while after each reduction.
    pub fn cooldown(mut self, epochs: usize) -> Self {
        self.cooldown = epochs;
        self
    }

    /// Does not go below this learning rate.
    pub fn min_lr(mut self, min_lr: f64) -> Self {
        self.min_lr = min_lr;
        self
    }

    /// Judges an epoch by another number than its loss; smaller is better.
    pub fn by(
        mut self,
        measure: impl FnMut(&EpochEvent, &dyn Module) -> Result<f64, TrainError> + 'a,
    ) -> Self {
        self.measure = Box::new(measure);
        self
    }

    /// Takes the number of an epoch, and lowers the learning rate if it is time. NaN is no improvement.
    pub fn observe(&mut self, value: f64, optimizer: &mut dyn Optimizer) {
        let state = &mut self.state;
        state.patience.observe(value);
        if state.cooling > 0 {
            state.cooling -= 1;
            state.patience.waited = 0;
        }
        if state.patience.is_over() {
            let before = optimizer.lr();
            let lr = (before * self.factor).max(self.min_lr).min(before);
            optimizer.set_lr(lr);
            (state.patience.waited, state.cooling, state.lr) = (0, self.cooldown, Some(lr));
        }
    }
}

impl Callback for Plateau<'_> {
    /// What is resumed goes on at the learning rate of then.
    fn on_train_begin(
        &mut self,
        _: &Position,
        training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        if let Some(lr) = self.state.lr {
            training.optimizer.set_lr(lr);
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        let value = (self.measure)(event, training.model)?;
        self.observe(value, training.optimizer);
        Ok(Flow::Continue)
    }

    fn state(&self) -> Option<Checkpoint> {
        let State { patience, cooling, lr } = self.state;
        let mut state = patience.state();
        state.set("cooling", cooling.to_string());
        if let Some(lr) = lr {
            state.set("lr", lr.to_string());
        }
        Some(state)
    }

    fn load_state(&mut self, state: &Checkpoint) -> Result<(), CheckpointError> {
        let mut patience = self.state.patience;
        patience.load_state(state)?;
        let lr = state.get("lr").map(|_| state.number("lr")).transpose()?;
        self.state = State { patience, cooling: state.number("cooling")?, lr };
        Ok(())
    }
}
