//! The micro-kernel: one register tile of C.

// The loops over registers are unrolled; as index loops they look alike and like the formula.
#![allow(clippy::needless_range_loop)]

use super::vector::Vector;
use crate::cpu::prefetch;

/// One tile: C[rows, cols] (+)= A[rows, depth] · B[depth, cols].
///
/// `a` may have any strides, because its elements are broadcast one by one; the rows of `b` are
/// contiguous, `b_stride` apart. C has unit stride along its columns, or along its rows when
/// `c_col_stride` isn't 1.
pub(super) struct Tile<V: Vector> {
    pub(super) depth: usize,
    pub(super) a: *const V::Element,
    pub(super) a_row_stride: isize,
    pub(super) a_col_stride: isize,
    pub(super) b: *const V::Element,
    pub(super) b_stride: isize,
    pub(super) c: *mut V::Element,
    pub(super) c_row_stride: isize,
    pub(super) c_col_stride: isize,
    /// The last vector of a row holds this many columns.
    pub(super) last: usize,
    pub(super) accumulate: bool,
}

/// Computes a tile of `rows` rows and `vectors` registers per row, by the loop that was compiled
/// for exactly that size: an edge wastes no arithmetic.
///
/// # Safety
/// The CPU has the instruction set of `V`; all elements that the tile names are valid to read
/// (of B also the unused lanes of the last vector, unless `V::MASKED_LOADS`) and those of C to
/// write.
#[inline(always)]
pub(super) unsafe fn compute<V: Vector>(rows: usize, vectors: usize, tile: &Tile<V>) {
    // SAFETY: passed on.
    unsafe {
        match vectors {
            1 => compute_rows::<V, 1>(rows, tile),
            2 => compute_rows::<V, 2>(rows, tile),
            3 if V::TILE_VECTORS >= 3 => compute_rows::<V, 3>(rows, tile),
            _ => unreachable!("a tile of {vectors} vectors"),
        }
    }
}

#[inline(always)]
unsafe fn compute_rows<V: Vector, const VECTORS: usize>(rows: usize, tile: &Tile<V>) {
    // SAFETY: passed on.
    unsafe {
        match rows {
            1 => compute_tile::<V, 1, VECTORS>(tile),
            2 => compute_tile::<V, 2, VECTORS>(tile),
            3 => compute_tile::<V, 3, VECTORS>(tile),
            4 => compute_tile::<V, 4, VECTORS>(tile),
            5 if V::TILE_ROWS >= 5 => compute_tile::<V, 5, VECTORS>(tile),
            6 if V::TILE_ROWS >= 6 => compute_tile::<V, 6, VECTORS>(tile),
            7 if V::TILE_ROWS >= 7 => compute_tile::<V, 7, VECTORS>(tile),
            8 if V::TILE_ROWS >= 8 => compute_tile::<V, 8, VECTORS>(tile),
            _ => unreachable!("a tile of {rows} rows"),
        }
    }
}

#[inline(always)]
unsafe fn compute_tile<V: Vector, const ROWS: usize, const VECTORS: usize>(tile: &Tile<V>) {
    // SAFETY: the caller vouches for the instruction set and for every address.
    unsafe {
        let mask = V::mask(tile.last);
        let mut sums = [[V::zero(); VECTORS]; ROWS];
        let mut b = tile.b;
        let a_rows: [*const V::Element; ROWS] =
            std::array::from_fn(|i| tile.a.wrapping_offset(i as isize * tile.a_row_stride));
        let mut a_offset = 0isize;
        if tile.c_col_stride == 1 {
            // The tile of C will be there when the sums are, to be read or only to be written.
            for i in 0..ROWS {
                for j in 0..VECTORS {
                    let row = tile.c.wrapping_offset(i as isize * tile.c_row_stride);
                    prefetch::line(row.wrapping_add(j * V::LANES));
                }
            }
        }
        for _ in 0..tile.depth {
            let mut b_row = [V::zero(); VECTORS];
            for j in 0..VECTORS {
                let from = b.add(j * V::LANES);
                b_row[j] = if V::MASKED_LOADS && j == VECTORS - 1 {
                    V::load_masked(from, mask)
                } else {
                    V::load(from)
                };
            }
            for i in 0..ROWS {
                let a = V::broadcast(a_rows[i].wrapping_offset(a_offset));
                for j in 0..VECTORS {
                    sums[i][j] = a.mul_add(b_row[j], sums[i][j]);
                }
            }
            b = b.wrapping_offset(tile.b_stride);
            a_offset += tile.a_col_stride;
        }
        if tile.c_col_stride == 1 {
            store_rows(tile, sums, mask);
        } else {
            store_columns(tile, sums);
        }
    }
}

#[inline(always)]
unsafe fn store_rows<V: Vector, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile<V>,
    sums: [[V; VECTORS]; ROWS],
    mask: V::Mask,
) {
    // SAFETY: as in `compute`; the mask keeps the last vector inside the row.
    unsafe {
        for i in 0..ROWS {
            let c_row = tile.c.offset(i as isize * tile.c_row_stride);
            for j in 0..VECTORS {
                let to = c_row.add(j * V::LANES);
                let mut sum = sums[i][j];
                if j == VECTORS - 1 {
                    if tile.accumulate {
                        sum = V::load_masked(to, mask).add(sum);
                    }
                    sum.store_masked(to, mask);
                } else {
                    if tile.accumulate {
                        sum = V::load(to).add(sum);
                    }
                    sum.store(to);
                }
            }
        }
    }
}

/// Writes a tile of Cᵀ: the columns of the tile are the contiguous direction of C.
#[inline(always)]
unsafe fn store_columns<V: Vector, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile<V>,
    sums: [[V; VECTORS]; ROWS],
) {
    // SAFETY: as in `compute`; each row of `rows` is VECTORS · LANES elements without padding, and
    // `cols` of them belong to the tile.
    unsafe {
        let cols = (VECTORS - 1) * V::LANES + tile.last;
        // The accumulators themselves must never have their address taken: they would live in
        // memory all through the loop above.
        let mut rows = [[V::zero(); VECTORS]; ROWS];
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j].store((&raw mut rows[i][j]).cast());
            }
        }
        let rows: *const V::Element = rows.as_ptr().cast();
        for j in 0..cols {
            let to = tile.c.offset(j as isize * tile.c_col_stride);
            for i in 0..ROWS {
                let sum = *rows.add(i * VECTORS * V::LANES + j);
                let to = to.offset(i as isize * tile.c_row_stride);
                *to = if tile.accumulate { *to + sum } else { sum };
            }
        }
    }
}
