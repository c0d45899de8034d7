//! Asking for memory before it is needed. A loop in the first-level cache leaves the memory idle; this
//! lets it work ahead. Elsewhere than on x86-64 stable Rust has no word for it, and nothing happens.

/// Bytes that come together.
const LINE: usize = 64;

/// Asks for the cache line of an address, which need not be valid.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
pub(super) fn line<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction; a hint about an address is no access.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
}

/// Asks for the cache lines of `len` elements, which need not be valid.
#[inline(always)]
pub(super) fn lines<T>(start: *const T, len: usize) {
    for at in (0..len).step_by(LINE / size_of::<T>()) {
        line(start.wrapping_add(at));
    }
}
