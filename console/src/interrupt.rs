//! Ctrl-C, and the signal that asks a program to end.

use std::sync::{
    Arc, Mutex, Once,
    atomic::{AtomicBool, Ordering},
};

/// The first Ctrl-C asks the work to stop; a second one, or one when all is saved, ends the program at once.
///
/// Made when there is something to lose; until then Ctrl-C ends the program by itself. One that is made later
/// takes its place, so that work that follows other work has its own first Ctrl-C.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    stop: Arc<AtomicBool>,
    is_saved: Arc<AtomicBool>,
}

/// A signal is the whole process's, and so is who listens.
static LISTENING: Mutex<Option<Interrupt>> = Mutex::new(None);
static HANDLER: Once = Once::new();

impl Interrupt {
    /// Listens from now on.
    pub fn handle() -> Interrupt {
        let interrupt = Interrupt::default();
        *LISTENING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
            Some(interrupt.clone());
        HANDLER.call_once(|| {
            // Without a handler Ctrl-C still works, only not as politely.
            let _ = ctrlc::set_handler(|| {
                let listening = LISTENING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if listening.as_ref().is_none_or(Interrupt::asked) {
                    std::process::exit(130);
                }
            });
        });
        interrupt
    }

    /// Asks for an end; whether the program may end at once.
    fn asked(&self) -> bool {
        let again = self.stop.swap(true, Ordering::SeqCst);
        again || self.is_saved.load(Ordering::SeqCst)
    }

    /// Set by the first Ctrl-C.
    pub fn stop(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// From now on there is nothing to lose. True when the program was asked to end before, in the last epoch or
    /// while that was saved.
    pub fn all_is_saved(&self) -> bool {
        self.is_saved.store(true, Ordering::SeqCst);
        self.stop.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_request_and_the_first_after_saving_end_the_program() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.asked());
        assert!(interrupt.stop().load(Ordering::SeqCst));
        assert!(interrupt.asked());
        let saved = Interrupt::default();
        assert!(!saved.all_is_saved());
        assert!(saved.asked());
        assert!(saved.all_is_saved());
    }
}
