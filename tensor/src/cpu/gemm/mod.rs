//! The matrix product on the CPU: C = A · B, or C += A · B, for operands with any strides.
//!
//! A core multiplies and adds faster than any memory but its registers can follow, so the work is
//! to read each number from far away once and to use it many times close by. The loops, from the
//! outside in (`block`), and what each level of memory holds meanwhile:
//!
//! ```text
//!                      n                  for each block of columns of B        (2 KiB wide)
//!              ┌────────────────┐           for each block of its depth         (DEPTH = 256)
//!            k │    B ┌──┬──┐   │             pack B[256, 512] into panels      -> L2
//!              │      │▒▒│  │   │             for each strip of 8 rows of A
//!              │      │▒▒│  │   │               A[8, 256], used by all panels   -> L1
//!              └──────┴──┴──┴───┘               for each panel of 3 registers
//!      k                                          one tile of C[8, 48]          -> registers
//!  ┌────────┐  ┌────────────────┐                 for each p in the depth
//!  │▒▒▒▒▒▒▒▒│  │      ┌──┐      │ 8                 tile += A[:, p] · B[p, :]
//! m│        │  │      │▓▓│      │
//!  │   A    │  │    C └──┘      │
//!  └────────┘  └────────────────┘
//!                      48         (figures for f32 and AVX-512)
//! ```
//!
//! - `kernel` is the innermost loop. It is compiled for every size of tile up to the largest, so
//!   that an edge is no special case. Elements of A are broadcast one at a time, which works for
//!   any strides; rows of B are loaded as whole registers and must be contiguous.
//! - `pack` makes them so, transposing where needed; B stays where it is if its rows are contiguous
//!   and it is small, or seldom used, or its rows lie close together. Some rows of A are copied if
//!   their elements aren't side by side and many columns use them, because each element would come
//!   with a cache line of its own.
//! - `plan` decides between C = A · B and Cᵀ = Bᵀ · Aᵀ, whichever needs less packing and padding,
//!   and how many threads share C. No sum is ever divided between threads, and the order of
//!   summation depends on shapes and strides alone: the bits of the result don't depend on the threads.
//! - `vector_matrix` and `dots` have the loops for one row or one column, `dots` also those for few
//!   rows times the transpose of a row-major matrix; `batch` those over many products.
//! - `groups` lets rows and columns be groups of axes, so that overlapping windows are an operand
//!   without being copied first; `spread` adds a product to windows that overlap.
//! - `avx512`, `avx2`, `neon` and `portable` say what a register is (`vector`); the loops are
//!   written once and compiled for each of them.
//!
//! The order of the loops is K. Goto and R. van de Geijn's ("Anatomy of high-performance matrix
//! multiplication", 2008) with the two innermost exchanged: the strip of A, not the panel of B,
//! stays in L1, because a tile this wide would leave no room for a panel of useful depth.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod batch;
mod block;
mod dots;
mod groups;
mod integer;
mod kernel;
mod matrix;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod plan;
mod portable;
mod split;
mod spread;
#[cfg(test)]
mod tests;
mod vector;
mod vector_matrix;

use super::isa::Isa;
use block::{Method, Product};
use vector::Job;

pub(crate) use batch::{Batch, gemm_batched};
pub(crate) use groups::{Axes, Operand};
pub(crate) use integer::gemm_i32;
pub(crate) use matrix::{MatrixMut, MatrixRef};
pub(crate) use plan::worthwhile_threads;
pub(crate) use spread::Spread;

/// The element types that have micro-kernels: `f32` and `f64`.
pub(crate) trait GemmElement:
    bytemuck::Pod + Send + Sync + std::ops::Add<Output = Self>
{
    const ZERO: Self;

    /// self · b + c for the portable loops: rounded once where every CPU of the target has the
    /// instruction; elsewhere the library's fused multiply-add would be a slow call.
    fn mul_add(self, b: Self, c: Self) -> Self;

    /// Runs a job on this thread with the registers of `isa`, which this CPU has.
    fn run(isa: Isa, job: impl Job<Self>);
}

const FUSES: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

impl GemmElement for f32 {
    const ZERO: f32 = 0.0;

    #[inline(always)]
    fn mul_add(self, b: f32, c: f32) -> f32 {
        if FUSES { self.mul_add(b, c) } else { self * b + c }
    }

    fn run(isa: Isa, job: impl Job<f32>) {
        match isa {
            // SAFETY: `Isa` names only instruction sets that this CPU was found to have.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::run_f32(job) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::run_f32(job) },
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::run_f32(job),
            _ => portable::run_f32(job),
        }
    }
}

impl GemmElement for f64 {
    const ZERO: f64 = 0.0;

    #[inline(always)]
    fn mul_add(self, b: f64, c: f64) -> f64 {
        if FUSES { self.mul_add(b, c) } else { self * b + c }
    }

    fn run(isa: Isa, job: impl Job<f64>) {
        match isa {
            // SAFETY: `Isa` names only instruction sets that this CPU was found to have.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::run_f64(job) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::run_f64(job) },
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::run_f64(job),
            _ => portable::run_f64(job),
        }
    }
}

/// C = A · B, or C += A · B, on as many threads as pay.
///
/// # Shapes
/// a \[m, k\], b \[k, n\], c \[m, n\]
#[track_caller]
pub(crate) fn gemm<T: GemmElement>(
    a: MatrixRef<'_, T>,
    b: MatrixRef<'_, T>,
    c: MatrixMut<'_, T>,
    accumulate: bool,
) {
    gemm_with(Isa::detected(), crate::threads(), a, b, c, accumulate);
}

/// [`gemm`] on the calling thread alone, for callers that share out the work themselves.
#[track_caller]
pub(crate) fn gemm_serial<T: GemmElement>(
    a: MatrixRef<'_, T>,
    b: MatrixRef<'_, T>,
    c: MatrixMut<'_, T>,
    accumulate: bool,
) {
    gemm_with(Isa::detected(), 1, a, b, c, accumulate);
}

#[track_caller]
fn gemm_with<T: GemmElement>(
    isa: Isa,
    threads: usize,
    a: MatrixRef<'_, T>,
    b: MatrixRef<'_, T>,
    mut c: MatrixMut<'_, T>,
    accumulate: bool,
) {
    assert!(
        a.cols == b.rows && a.rows == c.rows && b.cols == c.cols,
        "matmul: [{}, {}] x [{}, {}] -> [{}, {}]",
        a.rows,
        a.cols,
        b.rows,
        b.cols,
        c.rows,
        c.cols
    );
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    if a.cols > 0 {
        plan::run(isa, threads, plan::oriented(isa, a, b, c, accumulate));
    } else if !accumulate {
        c.fill(T::ZERO);
    }
}

/// C = A · B, or C += A · B, for operands whose rows and columns are groups of axes; by the loops
/// for tiles, since groups that a single stride describes are matrices.
#[track_caller]
pub(crate) fn gemm_groups<T: GemmElement>(
    threads: usize,
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    c: MatrixMut<'_, T>,
    accumulate: bool,
) {
    if let (Operand::Matrix(a), Operand::Matrix(b)) = (a, b) {
        return gemm_with(Isa::detected(), threads, a, b, c, accumulate);
    }
    gemm_tiles(threads, a, b, c, accumulate);
}

/// The same by the loops for tiles in any case: for parts of a product, whose size depends on the
/// number of threads, so that the order of summation must not depend on the part.
#[track_caller]
pub(crate) fn gemm_tiles<T: GemmElement>(
    threads: usize,
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    c: MatrixMut<'_, T>,
    accumulate: bool,
) {
    let job = Product { method: Method::Tiles, a, b, c, accumulate };
    plan::run(Isa::detected(), threads, job);
}

/// Whether Cᵀ = Bᵀ · Aᵀ is the quicker way for operands of groups of axes.
pub(crate) fn swaps<T: GemmElement>(a: &Operand<'_, T>, b: &Operand<'_, T>) -> bool {
    plan::swaps(Isa::detected(), a, b)
}

/// Runs a [`Spread`] by the vectors of this CPU.
pub(crate) fn spread<T: GemmElement>(job: Spread<'_, T>) {
    T::run(Isa::detected(), job);
}
