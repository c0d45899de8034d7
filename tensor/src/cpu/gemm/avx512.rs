//! AVX-512: 32 registers of 64 bytes. 8 x 3 of them hold the tile of C.

use std::arch::x86_64::*;

use super::vector::{Job, Vector};

impl Vector for __m512 {
    type Element = f32;
    type Mask = __mmask16;
    const LANES: usize = 16;
    const TILE_ROWS: usize = 8;
    const TILE_VECTORS: usize = 3;
    const MASKED_LOADS: bool = true;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY (here and below): the contract of the trait is that of the instruction.
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn broadcast(x: *const f32) -> Self {
        unsafe { _mm512_set1_ps(*x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self) }
    }
    #[inline(always)]
    unsafe fn mask(n: usize) -> __mmask16 {
        0xffff >> (16 - n)
    }
    #[inline(always)]
    unsafe fn load_masked(from: *const f32, mask: __mmask16) -> Self {
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, to: *mut f32, mask: __mmask16) {
        unsafe { _mm512_mask_storeu_ps(to, mask, self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm512_add_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        unsafe { _mm512_fmadd_ps(self, b, c) }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe { _mm512_reduce_add_ps(self) }
    }
    /// Loads quarters of rows so that what is left to do is 4 x 4 blocks inside 16-byte lanes.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_stride: isize, to: *mut f32, to_stride: usize) {
        unsafe {
            for j in (0..16).step_by(4) {
                let quarters = |i: isize| {
                    let at = |i: isize| _mm_loadu_ps(from.offset(i * from_stride).add(j));
                    let rows = _mm512_castps128_ps512(at(i));
                    let rows = _mm512_insertf32x4::<1>(rows, at(i + 4));
                    let rows = _mm512_insertf32x4::<2>(rows, at(i + 8));
                    _mm512_insertf32x4::<3>(rows, at(i + 12))
                };
                let rows = [quarters(0), quarters(1), quarters(2), quarters(3)];
                let low01 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[0], rows[1]));
                let high01 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[0], rows[1]));
                let low23 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[2], rows[3]));
                let high23 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[2], rows[3]));
                let columns = [
                    _mm512_unpacklo_pd(low01, low23),
                    _mm512_unpackhi_pd(low01, low23),
                    _mm512_unpacklo_pd(high01, high23),
                    _mm512_unpackhi_pd(high01, high23),
                ];
                for (c, column) in columns.into_iter().enumerate() {
                    _mm512_storeu_ps(to.add((j + c) * to_stride), _mm512_castpd_ps(column));
                }
            }
        }
    }
}

impl Vector for __m512d {
    type Element = f64;
    type Mask = __mmask8;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 8;
    const TILE_VECTORS: usize = 3;
    const MASKED_LOADS: bool = true;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY (here and below): the contract of the trait is that of the instruction.
        unsafe { _mm512_setzero_pd() }
    }
    #[inline(always)]
    unsafe fn broadcast(x: *const f64) -> Self {
        unsafe { _mm512_set1_pd(*x) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        unsafe { _mm512_loadu_pd(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        unsafe { _mm512_storeu_pd(to, self) }
    }
    #[inline(always)]
    unsafe fn mask(n: usize) -> __mmask8 {
        0xff >> (8 - n)
    }
    #[inline(always)]
    unsafe fn load_masked(from: *const f64, mask: __mmask8) -> Self {
        unsafe { _mm512_maskz_loadu_pd(mask, from) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, to: *mut f64, mask: __mmask8) {
        unsafe { _mm512_mask_storeu_pd(to, mask, self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm512_add_pd(self, other) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        unsafe { _mm512_fmadd_pd(self, b, c) }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        unsafe { _mm512_reduce_add_pd(self) }
    }
    /// Loads quarters of rows so that what is left to do is 2 x 2 blocks inside 16-byte lanes.
    #[inline(always)]
    unsafe fn transpose(from: *const f64, from_stride: isize, to: *mut f64, to_stride: usize) {
        unsafe {
            for j in (0..8).step_by(2) {
                let quarters = |i: isize| {
                    let at =
                        |i: isize| _mm_castpd_ps(_mm_loadu_pd(from.offset(i * from_stride).add(j)));
                    let rows = _mm512_castps128_ps512(at(i));
                    let rows = _mm512_insertf32x4::<1>(rows, at(i + 2));
                    let rows = _mm512_insertf32x4::<2>(rows, at(i + 4));
                    _mm512_castps_pd(_mm512_insertf32x4::<3>(rows, at(i + 6)))
                };
                let rows = [quarters(0), quarters(1)];
                _mm512_storeu_pd(to.add(j * to_stride), _mm512_unpacklo_pd(rows[0], rows[1]));
                _mm512_storeu_pd(to.add((j + 1) * to_stride), _mm512_unpackhi_pd(rows[0], rows[1]));
            }
        }
    }
}

/// # Safety
/// The CPU must have AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn run_f32(job: impl Job<f32>) {
    // SAFETY: this function's contract.
    unsafe { job.run::<__m512>() }
}

/// # Safety
/// The CPU must have AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn run_f64(job: impl Job<f64>) {
    // SAFETY: this function's contract.
    unsafe { job.run::<__m512d>() }
}
