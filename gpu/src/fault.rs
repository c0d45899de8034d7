//! What went wrong on the device. It works behind the host's back, so a fault is kept until the host
//! waits for a value, and is reported there.

use std::sync::{Arc, Mutex, PoisonError};

/// An operation and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) operation: &'static str,
    pub(crate) reason: String,
}

#[derive(Default)]
struct State {
    /// What the host asked for last.
    operation: &'static str,
    first: Option<Fault>,
    /// A lost device stays lost.
    lost: Option<Fault>,
}

/// The first fault since the last report, shared with the driver's callbacks.
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

    /// Keeps a fault of the operation that was begun last, unless there is an earlier one.
    pub(crate) fn record(&self, reason: String) {
        let mut state = self.state();
        let fault = Fault { operation: state.operation, reason };
        state.first.get_or_insert(fault);
    }

    /// Keeps a fault of an operation that the device itself names.
    pub(crate) fn record_of(&self, operation: &'static str, reason: String) {
        self.state().first.get_or_insert(Fault { operation, reason });
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
        state.first.is_some() || state.lost.is_some()
    }

    /// The fault to report, if any; it is reported once.
    pub(crate) fn take(&self) -> Option<Fault> {
        let mut state = self.state();
        let first = state.first.take();
        state.lost.clone().or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_is_reported_once_and_a_lost_device_always() {
        let faults = Faults::default();
        faults.begin("map");
        faults.record("one".into());
        faults.begin("reduce");
        faults.record("two".into());
        assert_eq!(faults.take(), Some(Fault { operation: "map", reason: "one".into() }));
        assert_eq!(faults.take(), None);
        faults.lose("unplugged".into());
        for _ in 0..2 {
            let fault = faults.take().unwrap();
            assert_eq!(fault.reason, "the device is lost: unplugged");
        }
    }
}
