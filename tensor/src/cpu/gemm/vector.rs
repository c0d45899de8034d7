//! What a micro-kernel needs of a vector register; the ISA files implement it in a few lines each.

use super::GemmElement;

/// What is done on one thread, written once for all kinds of registers.
pub(crate) trait Job<E: GemmElement> {
    /// Is `#[inline(always)]`, so that it takes on the instruction set of the function that calls it,
    /// at the bottom of the ISA's file.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`.
    unsafe fn run<V: Vector<Element = E>>(self);
}

/// One SIMD register of `LANES` elements.
///
/// Every function is `#[inline(always)]` so that it becomes one instruction inside the
/// `#[target_feature]` function at the bottom of its ISA's file.
///
/// # Safety
/// All functions may only run on a CPU that has the instruction set. Pointers must be valid for
/// `LANES` elements, or for the lanes of the mask; they need no alignment.
pub(crate) trait Vector: Copy {
    type Element: GemmElement;
    /// Which lanes take part: the first `n`.
    type Mask: Copy;

    const LANES: usize;
    /// The register tile of C: at most `TILE_ROWS` (<= 8) rows of `TILE_VECTORS` (<= 3) registers.
    /// Its accumulators, one row of B and one broadcast of A fill the register file.
    const TILE_ROWS: usize;
    const TILE_VECTORS: usize;
    /// Whether a masked load costs the same as a plain one.
    const MASKED_LOADS: bool;

    unsafe fn zero() -> Self;
    /// All lanes hold the element at `x`.
    unsafe fn broadcast(x: *const Self::Element) -> Self;
    unsafe fn load(from: *const Self::Element) -> Self;
    unsafe fn store(self, to: *mut Self::Element);
    unsafe fn mask(n: usize) -> Self::Mask;
    /// Lanes outside the mask are zero and not read.
    unsafe fn load_masked(from: *const Self::Element, mask: Self::Mask) -> Self;
    /// Lanes outside the mask are left alone.
    unsafe fn store_masked(self, to: *mut Self::Element, mask: Self::Mask);
    unsafe fn add(self, other: Self) -> Self;
    /// self · b + c
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;

    /// The sum of the lanes, by halves.
    #[inline(always)]
    unsafe fn sum(self) -> Self::Element {
        let mut lanes = [Self::Element::ZERO; 16];
        // SAFETY: no register has more than 16 lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut half = Self::LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] = lanes[i] + lanes[i + half];
            }
            half /= 2;
        }
        lanes[0]
    }

    /// Writes the `LANES` x `LANES` block at `from` transposed:
    /// `to[j · to_stride + i] = from[i · from_stride + j]`.
    #[inline(always)]
    unsafe fn transpose(
        from: *const Self::Element,
        from_stride: isize,
        to: *mut Self::Element,
        to_stride: usize,
    ) {
        for i in 0..Self::LANES {
            for j in 0..Self::LANES {
                // SAFETY: the caller vouches for both blocks.
                unsafe {
                    *to.add(j * to_stride + i) =
                        *from.offset(i as isize * from_stride + j as isize);
                }
            }
        }
    }
}
