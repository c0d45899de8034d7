//! Sharing a loop among threads. Which thread does which piece never changes a result: pieces are
//! cut by the size of the work alone, and each writes its own place.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Lets the CPU device use at most `n` threads (at least 1) from now on. Results do not depend on
/// it. Without the feature `rayon` there is always one.
pub fn set_threads(n: usize) {
    LIMIT.store(n.max(1), Ordering::Relaxed);
}

/// How many threads the CPU device may use: the machine's, unless [`set_threads`] said fewer.
pub fn threads() -> usize {
    #[cfg(feature = "rayon")]
    let available = rayon::current_num_threads();
    #[cfg(not(feature = "rayon"))]
    let available = 1;
    LIMIT.load(Ordering::Relaxed).min(available)
}

/// Calls `work` on ranges that cover `0..n`, each but the last a multiple of `grain` long, on
/// several threads when there is more than one grain.
pub(crate) fn for_each_range(n: usize, grain: usize, work: impl Fn(Range<usize>) + Sync) {
    let grain = grain.max(1);
    let grains = n.div_ceil(grain);
    let workers = if grains <= 1 { 1 } else { threads().min(grains) };
    if workers <= 1 {
        if n > 0 {
            work(0..n);
        }
    } else {
        #[cfg(feature = "rayon")]
        // A few pieces for each thread, so that one that is disturbed does not hold up the rest.
        share(n, grains.div_ceil(workers * 4) * grain, workers, work);
    }
}

/// Calls `work` on pieces of `0..n`; each worker takes the next when it is done with one.
#[cfg(feature = "rayon")]
fn share(n: usize, piece: usize, workers: usize, work: impl Fn(Range<usize>) + Sync) {
    let next = AtomicUsize::new(0);
    let run = || {
        loop {
            let start = next.fetch_add(piece, Ordering::Relaxed);
            if start >= n {
                break;
            }
            work(start..n.min(start + piece));
        }
    };
    rayon::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(|_| run());
        }
        run();
    });
}

/// Results that several threads write, each its own.
pub(super) struct Slots<T>(*mut T, usize);
// SAFETY: every slot is written by one thread.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    pub(super) fn new(slots: &mut [T]) -> Self {
        Slots(slots.as_mut_ptr(), slots.len())
    }

    /// # Safety
    /// No other thread may use the slot.
    pub(super) unsafe fn set(&self, at: usize, value: T) {
        assert!(at < self.1);
        // SAFETY: in bounds, and ours by the caller's promise.
        unsafe { *self.0.add(at) = value };
    }

    /// # Safety
    /// No other thread may use these slots.
    #[allow(clippy::mut_from_ref)] // Disjointness is the caller's promise.
    pub(super) unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.1);
        // SAFETY: in bounds, and ours by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start), range.len()) }
    }
}
