//! Sharing a loop among threads. Which thread does which piece never changes a result: pieces are
//! cut by the size of the work alone, and each writes its own place.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "rayon")]
use super::team::together;

static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Pieces for each thread.
const PIECES: usize = 4;

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

/// Whoever has no helpers does all the work.
#[cfg(not(feature = "rayon"))]
fn together(_: usize, work: &dyn Fn(usize)) {
    work(0);
}

/// Calls `work` on ranges that cover `0..n`, each but for rounding at least `grain` long, on several
/// threads when there is more than one grain.
///
/// Each thread has pieces of its own, the same ones in one loop after the other over as many elements:
/// what it wrote may still be in its cache. Then it helps the others, so that one that is disturbed does
/// not hold up the rest.
pub(crate) fn for_each_range(n: usize, grain: usize, work: impl Fn(Range<usize>) + Sync) {
    let grains = n.div_ceil(grain.max(1));
    let workers = threads().min(grains);
    if workers <= 1 {
        if n > 0 {
            work(0..n);
        }
        return;
    }
    let each = (grains / workers).min(PIECES);
    let [least, longer] = [n / (workers * each), n % (workers * each)];
    let start = |piece: usize| piece * least + piece.min(longer);
    let next: Vec<AtomicUsize> = (0..workers).map(|_| AtomicUsize::new(0)).collect();
    together(workers, &|member| {
        for owner in (member..workers).chain(0..member) {
            loop {
                let at = next[owner].fetch_add(1, Ordering::Relaxed);
                if at >= each {
                    break;
                }
                let piece = owner * each + at;
                work(start(piece)..start(piece + 1));
            }
        }
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

    pub(super) fn start(&self) -> *mut T {
        self.0
    }

    pub(super) fn len(&self) -> usize {
        self.1
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
