//! Threads that help: they wait for a caller who has work to share.
//!
//! A step of training shares out some thirty loops of a few tens or hundreds of microseconds, so it
//! matters what the beginning and the end of one cost. The caller works as well, on what its core has in
//! the cache. A helper is a task of rayon's pool, so that a program that uses rayon itself has no more
//! threads than before. One that has just been busy spins for a while and is called by one store; only
//! later does it give its thread back. One that comes too late is called back, not waited for: whoever
//! is there does the work.
//!
//! One caller at a time has help. Another one meanwhile, or a loop inside a loop, works alone.

use std::any::Any;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a helper spins for the next job before it leaves: longer than what a step of training does
/// on one thread between two loops that it shares.
const AWAKE: Duration = Duration::from_micros(200);

/// How long a helper stays at most before its thread is rayon's again for a moment: it may have been
/// waiting for something else, which has happened by then.
const TURN: Duration = Duration::from_millis(10);

/// Rounds of spinning between two looks at the clock, or before a caller lets other programs run.
const SPINS: usize = 64;

/// Whether somebody has called the helpers.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// One for each helper.
static ORDERS: OnceLock<Vec<Order>> = OnceLock::new();

/// What the members of a team do together.
struct Job<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What a helper is to do: the address of a job, or one of three words. The caller puts a job there;
/// the helper, to take it, `BUSY`, and then `FREE`. While the word is `AWAY` no helper reads it.
#[repr(align(128))]
struct Order(AtomicPtr<Job<'static>>);

const FREE: *mut Job<'static> = ptr::null_mut();
const AWAY: *mut Job<'static> = ptr::without_provenance_mut(1);
const BUSY: *mut Job<'static> = ptr::without_provenance_mut(2);

/// Calls `work(0)` here and `work(i)`, for each i from 1 below `members`, on a helper that has time: on
/// any of them or none. So `work` takes pieces of something until there are no more, and is done when
/// all calls have returned, as they have when this returns.
pub(super) fn together(members: usize, work: &(dyn Fn(usize) + Sync)) {
    if members <= 1 || TAKEN.swap(true, Acquire) {
        return work(0);
    }
    let job = Job { work, panic: Mutex::new(None) };
    let orders = ORDERS.get_or_init(|| {
        // The first caller may be in a smaller pool than others.
        let machine = thread::available_parallelism().map_or(1, usize::from);
        let most = machine.max(rayon::current_num_threads());
        (1..most).map(|_| Order(AtomicPtr::new(AWAY))).collect()
    });
    let called = Called { orders: &orders[..orders.len().min(members - 1)], job: &job };
    for (order, member) in called.orders.iter().zip(1..) {
        order.give(called.address(), member);
    }
    work(0);
    drop(called);
    if let Some(panic) = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(panic);
    }
}

/// Orders that may hold a job, which must outlive this.
struct Called<'a> {
    orders: &'static [Order],
    job: &'a Job<'a>,
}

impl Called<'_> {
    fn address(&self) -> *mut Job<'static> {
        ptr::from_ref(self.job).cast_mut().cast()
    }
}

impl Drop for Called<'_> {
    /// Calls back who has not come yet, and waits for the others; after a panic as well.
    fn drop(&mut self) {
        for order in self.orders {
            if order.0.compare_exchange(self.address(), FREE, Relaxed, Acquire).is_ok() {
                continue;
            }
            let mut spins = 0;
            while order.0.load(Acquire) == BUSY {
                spins += 1;
                if spins % SPINS == 0 { thread::yield_now() } else { spin_loop() }
            }
        }
        TAKEN.store(false, Release);
    }
}

impl Order {
    /// Calls a helper if none is here.
    fn give(&'static self, job: *mut Job<'static>, member: usize) {
        if self.0.swap(job, AcqRel) == AWAY {
            rayon::spawn(move || self.serve(member, AWAKE));
        }
    }

    /// Does jobs until there has been none for `awake`, or for a turn.
    fn serve(&self, member: usize, awake: Duration) {
        let since = Instant::now();
        while self.obey(member, awake) {
            if since.elapsed() >= TURN && self.leave() {
                return;
            }
        }
    }

    /// Whether a helper that has no job may go.
    fn leave(&self) -> bool {
        self.0.compare_exchange(FREE, AWAY, Relaxed, Relaxed).is_ok()
    }

    /// Waits for a job and does it, or leaves when there has been none for `awake`.
    fn obey(&self, member: usize, awake: Duration) -> bool {
        let Some(address) = self.take(awake) else { return false };
        // SAFETY: the caller keeps the job alive while this order is `BUSY`.
        let job = unsafe { &*address };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (job.work)(member))) {
            job.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
        self.0.store(FREE, Release);
        true
    }

    fn take(&self, awake: Duration) -> Option<*const Job<'static>> {
        let since = Instant::now();
        loop {
            for _ in 0..SPINS {
                let job = self.0.load(Relaxed);
                if job != FREE && self.0.compare_exchange(job, BUSY, Acquire, Relaxed).is_ok() {
                    return Some(job);
                }
                spin_loop();
            }
            if since.elapsed() >= awake && self.leave() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// As many pieces as are left, counted.
    fn take_all(left: &AtomicUsize, done: &AtomicUsize) {
        while left.fetch_update(AcqRel, Acquire, |n| n.checked_sub(1)).is_ok() {
            done.fetch_add(1, AcqRel);
        }
    }

    #[test]
    fn every_piece_is_done_once_whoever_comes() {
        for n in [0, 1, 7, 1000] {
            for members in 1..5 {
                let (left, done) = (AtomicUsize::new(n), AtomicUsize::new(0));
                together(members, &|_| take_all(&left, &done));
                assert_eq!(done.into_inner(), n);
            }
            // Long enough for helpers to fall asleep in between.
            thread::sleep(2 * AWAKE);
        }
    }

    #[test]
    fn a_loop_inside_a_loop_and_callers_beside_each_other_get_their_work_done() {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let (left, done) = (AtomicUsize::new(40), AtomicUsize::new(0));
                        together(4, &|_| {
                            while left.fetch_update(AcqRel, Acquire, |n| n.checked_sub(1)).is_ok() {
                                let inner = AtomicUsize::new(3);
                                together(4, &|_| take_all(&inner, &done));
                            }
                        });
                        assert_eq!(done.into_inner(), 120);
                    }
                });
            }
        });
    }

    #[test]
    fn a_caller_among_busy_threads_does_all_the_work() {
        let (is_over, busy) = (AtomicBool::new(false), AtomicUsize::new(0));
        rayon::scope(|scope| {
            for _ in 0..rayon::current_num_threads() {
                scope.spawn(|_| {
                    busy.fetch_add(1, AcqRel);
                    while !is_over.load(Acquire) {
                        thread::yield_now();
                    }
                    let (left, done) = (AtomicUsize::new(9), AtomicUsize::new(0));
                    together(2, &|_| take_all(&left, &done));
                    assert_eq!(done.into_inner(), 9);
                });
            }
            // Not in this thread, which is one of the pool's as well.
            thread::scope(|callers| {
                callers.spawn(|| {
                    let (left, done) = (AtomicUsize::new(9), AtomicUsize::new(0));
                    together(2, &|_| take_all(&left, &done));
                    assert_eq!(done.into_inner(), 9);
                    is_over.store(true, Release);
                });
            });
        });
        assert!(busy.into_inner() > 0);
    }

    /// Without its end it would wait for the next job for ever.
    #[test]
    fn a_helper_gives_its_thread_back_after_a_turn() {
        let calls = AtomicUsize::new(0);
        let work = |_| {
            calls.fetch_add(1, AcqRel);
            thread::sleep(TURN);
        };
        let job = Job { work: &work, panic: Mutex::new(None) };
        let order = Order(AtomicPtr::new(ptr::from_ref(&job).cast_mut().cast()));
        order.serve(1, Duration::MAX);
        assert_eq!((order.0.load(Acquire), calls.into_inner()), (AWAY, 1));
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_next_job_is_done() {
        for _ in 0..20 {
            let left = AtomicUsize::new(4);
            let failed = catch_unwind(AssertUnwindSafe(|| {
                together(2, &|_| {
                    if left.fetch_update(AcqRel, Acquire, |n| n.checked_sub(1)).is_ok() {
                        resume_unwind(Box::new("no"));
                    }
                });
            }));
            assert_eq!(*failed.unwrap_err().downcast::<&str>().unwrap(), "no");
            let (left, done) = (AtomicUsize::new(9), AtomicUsize::new(0));
            together(2, &|_| take_all(&left, &done));
            assert_eq!(done.into_inner(), 9);
        }
    }
}
