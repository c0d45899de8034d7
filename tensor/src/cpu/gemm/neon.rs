//! NEON, which every AArch64 processor has: 32 registers of 16 bytes. 8 x 3 of them hold the tile of
//! C. There are no masked loads; what is left over goes by way of an array.

use std::arch::aarch64::*;

use super::vector::{Job, Vector};

impl Vector for float32x4_t {
    type Element = f32;
    type Mask = usize;
    const LANES: usize = 4;
    const TILE_ROWS: usize = 8;
    const TILE_VECTORS: usize = 3;
    const MASKED_LOADS: bool = false;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY (here and below): the contract of the trait is that of the instruction.
        unsafe { vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    unsafe fn broadcast(x: *const f32) -> Self {
        unsafe { vld1q_dup_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self) }
    }
    #[inline(always)]
    unsafe fn mask(n: usize) -> usize {
        n
    }
    #[inline(always)]
    unsafe fn load_masked(from: *const f32, mask: usize) -> Self {
        let mut lanes = [0.0; Self::LANES];
        unsafe {
            from.copy_to_nonoverlapping(lanes.as_mut_ptr(), mask);
            vld1q_f32(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_masked(self, to: *mut f32, mask: usize) {
        let mut lanes = [0.0; Self::LANES];
        unsafe {
            vst1q_f32(lanes.as_mut_ptr(), self);
            to.copy_from_nonoverlapping(lanes.as_ptr(), mask);
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { vaddq_f32(self, other) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        unsafe { vfmaq_f32(c, self, b) }
    }
}

impl Vector for float64x2_t {
    type Element = f64;
    type Mask = usize;
    const LANES: usize = 2;
    const TILE_ROWS: usize = 8;
    const TILE_VECTORS: usize = 3;
    const MASKED_LOADS: bool = false;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY (here and below): the contract of the trait is that of the instruction.
        unsafe { vdupq_n_f64(0.0) }
    }
    #[inline(always)]
    unsafe fn broadcast(x: *const f64) -> Self {
        unsafe { vld1q_dup_f64(x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        unsafe { vld1q_f64(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        unsafe { vst1q_f64(to, self) }
    }
    #[inline(always)]
    unsafe fn mask(n: usize) -> usize {
        n
    }
    #[inline(always)]
    unsafe fn load_masked(from: *const f64, mask: usize) -> Self {
        let mut lanes = [0.0; Self::LANES];
        unsafe {
            from.copy_to_nonoverlapping(lanes.as_mut_ptr(), mask);
            vld1q_f64(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_masked(self, to: *mut f64, mask: usize) {
        let mut lanes = [0.0; Self::LANES];
        unsafe {
            vst1q_f64(lanes.as_mut_ptr(), self);
            to.copy_from_nonoverlapping(lanes.as_ptr(), mask);
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { vaddq_f64(self, other) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        unsafe { vfmaq_f64(c, self, b) }
    }
}

pub(super) fn run_f32(job: impl Job<f32>) {
    // SAFETY: NEON is part of AArch64.
    unsafe { job.run::<float32x4_t>() }
}

pub(super) fn run_f64(job: impl Job<f64>) {
    // SAFETY: NEON is part of AArch64.
    unsafe { job.run::<float64x2_t>() }
}
