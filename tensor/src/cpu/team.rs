//! Threads that help: they wait for a caller who has work to share.
//!
//! A step of training shares out some thirty loops of a few tens or hundreds of microseconds, so it
//! matters what the beginning and the end of one cost. The caller works as well, on what its core has in
//! the cache. A helper that has just been busy spins for a while and is called by one store; only
//! later does it sleep. One that comes too late is called back, not waited for: whoever is there does
//! the work.
//!
//! One caller at a time has help. Another one meanwhile, or a loop inside a loop, works alone.

use std::any::Any;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a helper spins for the next job before it sleeps: longer than what a step of training does
/// on one thread between two loops that it shares.
const AWAKE: Duration = Duration::from_micros(200);

/// Rounds of spinning between two looks at the clock, or before a caller lets other programs run.
const SPINS: usize = 64;

/// Whether somebody has called the helpers.
static TAKEN: AtomicBool = AtomicBool::new(false);

static HELPERS: OnceLock<Vec<Helper>> = OnceLock::new();

/// What the members of a team do together.
struct Job<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What a helper is to do: the address of a job, or one of three words. The caller puts a job there;
/// the helper, to take it, `BUSY`, and then `FREE`.
#[repr(align(128))]
struct Order(AtomicPtr<Job<'static>>);

const FREE: *mut Job<'static> = ptr::null_mut();
const ASLEEP: *mut Job<'static> = ptr::without_provenance_mut(1);
const BUSY: *mut Job<'static> = ptr::without_provenance_mut(2);

struct Helper {
    order: &'static Order,
    thread: Thread,
}

/// How many threads the machine runs at once.
pub(super) fn available() -> usize {
    static AVAILABLE: OnceLock<usize> = OnceLock::new();
    *AVAILABLE.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Calls `work(0)` here and `work(i)`, for each i from 1 below `members`, on a helper that has time: on
/// any of them or none. So `work` takes pieces of something until there are no more, and is done when
/// all calls have returned, as they have when this returns.
pub(super) fn together(members: usize, work: &(dyn Fn(usize) + Sync)) {
    if members <= 1 || TAKEN.swap(true, Acquire) {
        return work(0);
    }
    let job = Job { work, panic: Mutex::new(None) };
    let helpers = HELPERS.get_or_init(|| (1..available()).map_while(Helper::start).collect());
    let called = Called { helpers: &helpers[..helpers.len().min(members - 1)], job: &job };
    called.helpers.iter().for_each(|helper| helper.call(called.address()));
    work(0);
    drop(called);
    if let Some(panic) = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(panic);
    }
}

/// Helpers that may know of a job, which must outlive this.
struct Called<'a> {
    helpers: &'static [Helper],
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
        for Helper { order, .. } in self.helpers {
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

impl Helper {
    /// Starts the thread, unless the system has no more.
    fn start(member: usize) -> Option<Helper> {
        let order: &Order = Box::leak(Box::new(Order(AtomicPtr::new(FREE))));
        let thread = thread::Builder::new().name(format!("plies-{member}"));
        let handle = thread.spawn(move || {
            loop {
                order.obey(member);
            }
        });
        handle.ok().map(|handle| Helper { order, thread: handle.thread().clone() })
    }

    fn call(&self, job: *mut Job<'static>) {
        if self.order.0.swap(job, AcqRel) == ASLEEP {
            self.thread.unpark();
        }
    }
}

impl Order {
    /// Waits for a job and does it.
    fn obey(&self, member: usize) {
        let address = self.take();
        // SAFETY: the caller keeps the job alive while this order is `BUSY`.
        let job = unsafe { &*address };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (job.work)(member))) {
            *job.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        self.0.store(FREE, Release);
    }

    fn take(&self) -> *const Job<'static> {
        let mut since = Instant::now();
        loop {
            for _ in 0..SPINS {
                let job = self.0.load(Relaxed);
                if job != FREE && self.0.compare_exchange(job, BUSY, Acquire, Relaxed).is_ok() {
                    return job;
                }
                spin_loop();
            }
            if since.elapsed() < AWAKE {
                continue;
            }
            if self.0.compare_exchange(FREE, ASLEEP, Relaxed, Relaxed).is_ok() {
                while self.0.load(Relaxed) == ASLEEP {
                    thread::park();
                }
                since = Instant::now();
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
