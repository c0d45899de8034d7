//! Ctrl-C, and the signal that asks a program to end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Made when there is something to lose; until then Ctrl-C ends the program by itself.
///
/// The first Ctrl-C asks training to stop; a second one, or one when all is saved, ends the program
/// at once.
pub(crate) struct Interrupt {
    stop: Arc<AtomicBool>,
    is_saved: Arc<AtomicBool>,
}

impl Interrupt {
    pub(crate) fn handle() -> Interrupt {
        let (stop, is_saved) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let interrupt = Interrupt { stop: stop.clone(), is_saved: is_saved.clone() };
        // Without a handler Ctrl-C still works, only not as politely.
        let _ = ctrlc::set_handler(move || {
            let again = stop.swap(true, Ordering::SeqCst);
            if again || is_saved.load(Ordering::SeqCst) {
                std::process::exit(130);
            }
        });
        interrupt
    }

    /// Set by the first Ctrl-C.
    pub(crate) fn stop(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// From now on there is nothing to lose. True when the program was asked to end before, in the
    /// last epoch or while that was saved.
    pub(crate) fn all_is_saved(&self) -> bool {
        self.is_saved.store(true, Ordering::SeqCst);
        self.stop.load(Ordering::SeqCst)
    }
}
