//! Any CPU: arrays of 16 bytes that the compiler maps to the registers every target has (SSE2 on
//! x86-64, NEON on aarch64).

use super::GemmElement;
use super::vector::{Job, Vector};

/// `N` elements side by side.
#[derive(Clone, Copy)]
struct Lanes<T, const N: usize>([T; N]);

impl<T: GemmElement, const N: usize> Vector for Lanes<T, N> {
    type Element = T;
    type Mask = usize;
    const LANES: usize = N;
    // aarch64 has 32 registers, x86-64 without AVX-512 has 16.
    const TILE_ROWS: usize = if cfg!(target_arch = "aarch64") { 8 } else { 4 };
    const TILE_VECTORS: usize = if cfg!(target_arch = "aarch64") { 3 } else { 2 };
    const MASKED_LOADS: bool = false;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Lanes([T::ZERO; N])
    }
    #[inline(always)]
    unsafe fn broadcast(x: *const T) -> Self {
        // SAFETY (here and below): the contract of the trait.
        Lanes([unsafe { *x }; N])
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        Lanes(unsafe { from.cast::<[T; N]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        unsafe { to.cast::<[T; N]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn mask(n: usize) -> usize {
        n
    }
    #[inline(always)]
    unsafe fn load_masked(from: *const T, mask: usize) -> Self {
        let mut lanes = [T::ZERO; N];
        for (i, lane) in lanes.iter_mut().enumerate().take(mask) {
            *lane = unsafe { *from.add(i) };
        }
        Lanes(lanes)
    }
    #[inline(always)]
    unsafe fn store_masked(self, to: *mut T, mask: usize) {
        for (i, lane) in self.0.into_iter().enumerate().take(mask) {
            unsafe { *to.add(i) = lane };
        }
    }
    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for i in 0..N {
            self.0[i] = self.0[i] + other.0[i];
        }
        self
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, mut c: Self) -> Self {
        for i in 0..N {
            c.0[i] = self.0[i].mul_add(b.0[i], c.0[i]);
        }
        c
    }
}

pub(super) fn run_f32(job: impl Job<f32>) {
    // SAFETY: arrays work on every CPU.
    unsafe { job.run::<Lanes<f32, 4>>() }
}

pub(super) fn run_f64(job: impl Job<f64>) {
    // SAFETY: arrays work on every CPU.
    unsafe { job.run::<Lanes<f64, 2>>() }
}
