//! A learning rate that falls when training gets no better.

use plies_tensor::Result;

use super::{Callback, EpochEvent, Flow};
use crate::optim::Optimizer;
use crate::{Checkpoint, CheckpointError, Module};

/// The number by which [`Plateau`] judges an epoch.
type Measure<'a> = dyn FnMut(&EpochEvent, &dyn Module) -> Result<f64> + 'a;

/// The key of a checkpoint under which the state stands.
const KEY: &str = "plateau";

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
    patience: usize,
    min_delta: f64,
    cooldown: usize,
    min_lr: f64,
    measure: Box<Measure<'a>>,
    state: State,
    fault: Option<plies_tensor::Error>,
}

/// What an epoch leaves to the next ones.
#[derive(Clone, Copy)]
struct State {
    best: f64,
    waited: usize,
    /// Epochs left in which nothing is counted.
    cooling: usize,
}

impl<'a> Plateau<'a> {
    /// Multiplies the learning rate by `factor` when the training loss of more than `patience` epochs in a
    /// row was no better than the best.
    ///
    /// # Panics
    /// When the factor is not between 0 and 1.
    #[track_caller]
    pub fn new(factor: f64, patience: usize) -> Self {
        assert!((0.0..1.0).contains(&factor), "plateau: the factor {factor} is not in 0..1");
        Plateau {
            factor,
            patience,
            min_delta: 0.0,
            cooldown: 0,
            min_lr: 0.0,
            measure: Box::new(|event, _| Ok(event.loss)),
            state: State { best: f64::INFINITY, waited: 0, cooling: 0 },
            fault: None,
        }
    }

    /// Takes for better only what is so by more than this.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
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

    /// Judges an epoch by another number than the training loss; smaller is better.
    pub fn by(mut self, measure: impl FnMut(&EpochEvent, &dyn Module) -> Result<f64> + 'a) -> Self {
        self.measure = Box::new(measure);
        self
    }

    /// Takes the number of an epoch, and lowers the learning rate if it is time. NaN is no improvement.
    pub fn observe(&mut self, value: f64, optimizer: &mut dyn Optimizer) {
        let state = &mut self.state;
        if value < state.best - self.min_delta {
            (state.best, state.waited) = (value, 0);
        } else {
            state.waited += 1;
        }
        if state.cooling > 0 {
            state.cooling -= 1;
            state.waited = 0;
        }
        if state.waited > self.patience {
            let lr = optimizer.lr();
            optimizer.set_lr((lr * self.factor).max(self.min_lr).min(lr));
            (state.waited, state.cooling) = (0, self.cooldown);
        }
    }

    /// Stores what is needed to go on, the learning rate among it.
    pub fn put(&self, checkpoint: &mut Checkpoint, optimizer: &dyn Optimizer) {
        let State { best, waited, cooling } = self.state;
        checkpoint.set(KEY, format!("{best} {waited} {cooling} {}", optimizer.lr()));
    }

    /// Goes on from what a checkpoint holds, at the learning rate of then.
    ///
    /// # Errors
    /// When none is stored, or what is stored is damaged. Nothing is changed then.
    pub fn resume(
        &mut self,
        checkpoint: &Checkpoint,
        optimizer: &mut dyn Optimizer,
    ) -> std::result::Result<(), CheckpointError> {
        let stored = checkpoint.get(KEY).unwrap_or_default();
        let (state, lr) = parse(stored).ok_or_else(|| CheckpointError::State {
            reason: format!("plateau \"{}\" is none", stored.escape_default()),
        })?;
        self.state = state;
        optimizer.set_lr(lr);
        Ok(())
    }

    /// What went wrong when an epoch was measured. It ended the training.
    ///
    /// # Errors
    /// That.
    pub fn finish(self) -> Result<()> {
        self.fault.map_or(Ok(()), Err)
    }
}

fn parse(text: &str) -> Option<(State, f64)> {
    let mut words = text.split(' ');
    let state = State {
        best: words.next()?.parse().ok()?,
        waited: words.next()?.parse().ok()?,
        cooling: words.next()?.parse().ok()?,
    };
    let lr = words.next()?.parse().ok()?;
    words.next().is_none().then_some((state, lr))
}

impl Callback for Plateau<'_> {
    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
    ) -> Flow {
        match (self.measure)(event, model) {
            Ok(value) => {
                self.observe(value, optimizer);
                Flow::Continue
            }
            Err(fault) => {
                self.fault = Some(fault);
                Flow::Stop
            }
        }
    }
}
