//! AVX-512: 32 registers of 64 bytes. 8 x 3 of them hold the tile of C.

use std::arch::x86_64::*;

use super::block::{Product, product};
use super::vector::Vector;

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
}

/// # Safety
/// The CPU must have AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn product_f32(job: Product<'_, f32>) {
    // SAFETY: this function's contract.
    unsafe { product::<__m512>(job) }
}

/// # Safety
/// The CPU must have AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn product_f64(job: Product<'_, f64>) {
    // SAFETY: this function's contract.
    unsafe { product::<__m512d>(job) }
}
