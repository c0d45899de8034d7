//! What went wrong on the device. It works behind the host's back, so a fault is kept until the host
//! waits for a value, and is reported there.

use std::sync::{Arc, Mutex, PoisonError};

/// What the reason begins with where the driver refuses a kernel.
const REFUSED: &str = "the driver refuses the kernel: ";

/// An operation and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) operation: &'static str,
    pub(crate) reason: String,
}

impl Fault {
    /// Of an operation whose kernel the driver refuses, for this reason.
    pub(crate) fn refused(operation: &'static str, reason: &str) -> Fault {
        Fault { operation, reason: format!("{REFUSED}{reason}") }
    }

    /// Whether it is one of those.
    pub(crate) fn is_refused_kernel(&self) -> bool {
        self.reason.starts_with(REFUSED)
    }
}

#[derive(Default)]
struct State {
    /// What the host asked for last.
    operation: &'static str,
    /// What kernels noted or a read met, until it is reported: all else on the device is sound.
    note: Option<Fault>,
    /// What the driver refused. Nobody knows which tensors that spoilt, so it stays.
    refused: Option<Fault>,
    /// A lost device stays lost.
    lost: Option<Fault>,
}

/// The first fault of each kind, shared with the driver's callbacks.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<State>>);

impl Faults {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose fault the next one will be.
    pub(crate) fn begin(&self, operation: &'static str) {
        self.state().operation = operation;
    }

    /// Keeps what the driver refused of the operation that was begun last, unless there is an earlier one.
    pub(crate) fn record(&self, reason: String) {
        let mut state = self.state();
        let fault = Fault { operation: state.operation, reason };
        state.refused.get_or_insert(fault);
    }

    /// Keeps a fault that leaves the device sound, until it is reported.
    pub(crate) fn note(&self, fault: Fault) {
        self.state().note.get_or_insert(fault);
    }

    /// Takes a fault back that a trial has provoked. Should somebody have had the same, its result stays spoilt.
    pub(crate) fn withdraw(&self, fault: &Fault) {
        let mut state = self.state();
        state.note.take_if(|note| note == fault);
    }

    pub(crate) fn lose(&self, reason: String) {
        let mut state = self.state();
        let reason = format!("the device is lost: {reason}");
        let fault = Fault { operation: state.operation, reason };
        state.lost.get_or_insert(fault);
    }

    /// Whether there is one to report.
    pub(crate) fn any(&self) -> bool {
        let state = self.state();
        state.note.is_some() || state.refused.is_some() || state.lost.is_some()
    }

    /// The fault to report, if any; a note is reported once.
    pub(crate) fn take(&self) -> Option<Fault> {
        let mut state = self.state();
        let note = state.note.take();
        state.lost.clone().or_else(|| state.refused.clone()).or(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_reported_once_and_what_the_driver_refused_or_a_lost_device_always() {
        let faults = Faults::default();
        let note = Fault { operation: "gather", reason: "index 7".into() };
        faults.note(note.clone());
        assert_eq!(faults.take(), Some(note));
        assert_eq!(faults.take(), None);
        faults.begin("map");
        faults.record("one".into());
        faults.begin("reduce");
        faults.record("two".into());
        for _ in 0..2 {
            assert_eq!(faults.take(), Some(Fault { operation: "map", reason: "one".into() }));
        }
        faults.lose("unplugged".into());
        for _ in 0..2 {
            let fault = faults.take().unwrap();
            assert_eq!(fault.reason, "the device is lost: unplugged");
        }
    }
}
