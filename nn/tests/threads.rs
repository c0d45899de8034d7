//! The number of threads is the process's: tests that choose it take turns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use plies_tensor::set_threads;

static TURN: Mutex<()> = Mutex::new(());

/// A turn, at whose end there are as many threads as ever.
pub(crate) struct Turn {
    _held: MutexGuard<'static, ()>,
}

impl Turn {
    pub(crate) fn take() -> Self {
        Self { _held: TURN.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        set_threads(usize::MAX);
    }
}
