//! Which instruction set the loops of this folder use, found out once while the program runs, so
//! that one binary is fast on every machine.

use std::sync::OnceLock;

/// A family of vector instructions for which the loops are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Isa {
    /// What every processor of the target has (SSE2 on x86-64, NEON on AArch64).
    Portable,
    /// 256-bit vectors and fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Isa {
    /// The best one that this processor has, or a lower one that the environment variable
    /// `PLIES_ISA` names: `avx512`, `avx2` or `portable`.
    pub(crate) fn detected() -> Isa {
        #[cfg(test)]
        if let Some(isa) = tests::CHOSEN.get() {
            return isa;
        }
        static DETECTED: OnceLock<Isa> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let best = Isa::best();
            match std::env::var("PLIES_ISA").as_deref() {
                Ok("portable") => Isa::Portable,
                Ok("avx2") => best.min(Isa::Avx2),
                _ => best,
            }
        })
    }

    fn best() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                return Isa::Avx512;
            }
            if avx2 {
                return Isa::Avx2;
            }
        }
        Isa::Portable
    }

    /// All that this processor has, for tests of each path.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Isa> {
        [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|&i| i <= Isa::best()).collect()
    }
}

/// A loop that is compiled once for each instruction set. `run` is `#[inline(always)]`, so that
/// it takes on the instruction set of the function it is inlined into.
pub(super) trait Loop {
    /// The loop; `FMA` says whether a fused multiply-add is an instruction.
    fn run<const FMA: bool>(self);
}

/// Runs a loop with the best instruction set.
#[inline]
pub(super) fn vectorised(work: impl Loop) {
    #[cfg(target_arch = "x86_64")]
    match Isa::detected() {
        // SAFETY: `Isa` names only instruction sets that this processor was found to have.
        Isa::Avx512 => return unsafe { with_avx512(work) },
        // SAFETY: as above.
        Isa::Avx2 => return unsafe { with_avx2(work) },
        Isa::Portable => {}
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
