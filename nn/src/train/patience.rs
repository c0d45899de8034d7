//! How long to wait for something better.

use crate::{Checkpoint, CheckpointError};

/// The smallest number so far, and how many since then were no smaller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) epochs: usize,
    /// Better is what is so by more than this.
    pub(super) min_delta: f64,
    best: f64,
    pub(super) waited: usize,
}

impl Patience {
    pub(super) fn new(epochs: usize, min_delta: f64) -> Self {
        Patience { epochs, min_delta, best: f64::INFINITY, waited: 0 }
    }

    /// Takes a number and says whether it is the best so far. NaN is no improvement.
    pub(super) fn observe(&mut self, value: f64) -> bool {
        let better = value < self.best - self.min_delta;
        if better {
            (self.best, self.waited) = (value, 0);
        } else {
            self.waited += 1;
        }
        better
    }

    pub(super) fn is_over(&self) -> bool {
        self.waited > self.epochs
    }

    pub(super) fn state(&self) -> Checkpoint {
        let mut state = Checkpoint::new();
        state.set("best", self.best.to_string());
        state.set("waited", self.waited.to_string());
        state
    }

    pub(super) fn load_state(&mut self, state: &Checkpoint) -> Result<(), CheckpointError> {
        (self.best, self.waited) = (state.number("best")?, state.number("waited")?);
        Ok(())
    }
}
