//! Which instruction set the loops of this folder use, found out once while the program runs, so
//! that one binary is fast on every machine.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::Error;

/// The environment variable that forces one: `avx512`, `avx2`, `neon` or `portable`.
const VARIABLE: &str = "PLIES_ISA";

/// The vector instructions that the CPU device uses: the widest that this processor has, unless the
/// environment variable `PLIES_ISA` names others (`avx512`, `avx2`, `neon`, `portable`).
///
/// # Errors
/// When `PLIES_ISA` names none, or some that this processor lacks. [`Device::cpu`](crate::Device::cpu)
/// then panics with the same words, so that no operation begins.
pub fn instruction_set() -> crate::Result<&'static str> {
    let error = |reason: &str| Error::Format { origin: VARIABLE.into(), reason: reason.into() };
    Isa::chosen().map(Isa::name).map_err(error)
}

/// Which of [`Isa::ALL`] was chosen, once somebody has asked: every operation does.
static KNOWN: AtomicUsize = AtomicUsize::new(usize::MAX);

/// A family of vector instructions for which the loops are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// What the compiler makes of arrays for any processor of the target (SSE2 on x86-64).
    Portable,
    /// 128-bit vectors and fused multiply-add: every AArch64 processor.
    Neon,
    /// 256-bit vectors and fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Isa {
    /// Where a processor has several, the better one comes later.
    const ALL: [Isa; 4] = [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512];

    /// The best one that this processor has, or the one that the environment names.
    #[inline]
    pub(crate) fn detected() -> Isa {
        #[cfg(test)]
        if let Some(isa) = tests::CHOSEN.get() {
            return isa;
        }
        Isa::checked()
    }

    /// The same. Whoever makes a device asks first, so that what the environment has wrong is told
    /// there and not by a thread in the middle of an operation.
    #[inline]
    #[track_caller]
    pub(crate) fn checked() -> Isa {
        match Isa::ALL.get(KNOWN.load(Relaxed)) {
            Some(&isa) => isa,
            None => Isa::remembered(),
        }
    }

    #[cold]
    #[track_caller]
    fn remembered() -> Isa {
        match Isa::chosen() {
            Ok(isa) => {
                KNOWN.store(isa as usize, Relaxed);
                isa
            }
            Err(reason) => panic!("{VARIABLE}: {reason}"),
        }
    }

    fn chosen() -> Result<Isa, &'static str> {
        static CHOSEN: OnceLock<Result<Isa, String>> = OnceLock::new();
        let chosen = CHOSEN.get_or_init(|| match std::env::var_os(VARIABLE) {
            Some(name) => Isa::named(&name.to_string_lossy()),
            None => Ok(Isa::best()),
        });
        chosen.as_ref().copied().map_err(String::as_str)
    }

    fn named(name: &str) -> Result<Isa, String> {
        if name.is_empty() {
            return Ok(Isa::best());
        }
        let Some(isa) = Isa::ALL.into_iter().find(|isa| isa.variable() == name) else {
            return Err(format!(
                "there is no instruction set {name:?}; say avx512, avx2, neon or portable"
            ));
        };
        if !isa.is_here() {
            return Err(format!("this processor has no {name}; it has {}", Isa::best().name()));
        }
        Ok(isa)
    }

    /// What the environment variable calls it.
    fn variable(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Isa::Portable if cfg!(target_arch = "x86_64") => "SSE2",
            Isa::Portable => "no known vectors",
            Isa::Neon => "NEON",
            Isa::Avx2 => "AVX2",
            Isa::Avx512 => "AVX-512",
        }
    }

    /// Whether this processor has it.
    fn is_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        match self {
            Isa::Portable => true,
            Isa::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                avx2 && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }

    /// All that this processor has, the best one last.
    pub(crate) fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_here())
    }

    fn best() -> Isa {
        Isa::available().last().unwrap_or(Isa::Portable)
    }
}

/// Work that is compiled once for each instruction set, for [`vectorised`].
///
/// What it calls takes on the instruction set only where it is inlined, so `run` and whatever has loops
/// below it are `#[inline(always)]`.
pub trait Loop {
    /// Does the work; `FMA` says whether a fused multiply-add is an instruction, rather than a call.
    fn run<const FMA: bool>(self);
}

/// Runs a loop with the best vector instructions of this processor (see
/// [`instruction_set`]): plain Rust over slices, which the compiler vectorises for each of them.
///
/// It is for loops of one's own that no [`Formula`](crate::Formula) and no matrix product says. To find out which
/// instructions there are takes a nanosecond, so a loop should be worth some hundreds.
///
/// # Example
/// ```
/// use plies_tensor::{Loop, vectorised};
/// struct Axpy<'a>(f32, &'a [f32], &'a mut [f32]);
/// impl Loop for Axpy<'_> {
///     #[inline(always)]
///     fn run<const FMA: bool>(self) {
///         let Axpy(a, x, y) = self;
///         for (y, &x) in y.iter_mut().zip(x) {
///             *y = if FMA { a.mul_add(x, *y) } else { a * x + *y };
///         }
///     }
/// }
/// let mut y = [1.0; 100];
/// vectorised(Axpy(2.0, &[3.0; 100], &mut y));
/// assert_eq!(y, [7.0; 100]);
/// ```
#[inline]
pub fn vectorised(work: impl Loop) {
    #[cfg(target_arch = "x86_64")]
    match Isa::detected() {
        // SAFETY: `Isa` names only instruction sets that this processor was found to have.
        Isa::Avx512 => return unsafe { with_avx512(work) },
        // SAFETY: as above.
        Isa::Avx2 => return unsafe { with_avx2(work) },
        Isa::Neon | Isa::Portable => {}
    }
    work.run::<{ cfg!(target_arch = "aarch64") }>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn with_avx512(work: impl Loop) {
    work.run::<true>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2(work: impl Loop) {
    work.run::<true>();
}

#[cfg(test)]
mod tests {
    use super::Isa;
    use std::cell::Cell;

    #[test]
    fn a_wrong_name_is_told_what_there_is() {
        assert_eq!(Isa::named("portable"), Ok(Isa::Portable));
        assert_eq!(Isa::named(""), Ok(Isa::best()));
        let error = Isa::named("avx9").unwrap_err();
        assert_eq!(
            error,
            "there is no instruction set \"avx9\"; say avx512, avx2, neon or portable"
        );
        let missing = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
        let error = Isa::named(missing).unwrap_err();
        assert!(error.starts_with(&format!("this processor has no {missing}; it has ")), "{error}");
    }

    thread_local! {
        pub(super) static CHOSEN: Cell<Option<Isa>> = const { Cell::new(None) };
    }

    impl Isa {
        /// Calls `work` once for each instruction set that this processor has; the loops that it
        /// runs on this thread use that one.
        pub(crate) fn for_each(mut work: impl FnMut(Isa)) {
            for isa in Isa::available() {
                CHOSEN.set(Some(isa));
                work(isa);
            }
            CHOSEN.set(None);
        }
    }
}
