//! Few rows times a matrix whose columns are contiguous: dot products, as in x · Wᵀ for a small batch.
//!
//! Both operands lie along the sums, so neither is packed: a tile of sums grows by whole registers of
//! rows of A and columns of B, and each sum's lanes are added up at the end. That end is what packing
//! would save, so this pays for few rows, where packing B would cost as much as the product.

// The loops over registers are unrolled; as index loops they look alike and like the formula.
#![allow(clippy::needless_range_loop)]

use super::block::Product;
use super::matrix::MatrixMut;
use super::pack::Workspace;
use super::split::parts;
use super::vector::Vector;

/// Columns of B read at the same time for a single row: each is a stream for the prefetcher.
const STREAMS: usize = 8;
/// Rows of a tile. Twice as many would leave no registers to add up the lanes with.
const ROWS: usize = 4;

/// C (+)= A · B, for an A with contiguous rows (or one row of any stride) and a B with contiguous
/// columns.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn dots<V: Vector>(job: Product<'_, V::Element>) {
    let Product { a, b, c, accumulate, .. } = job;
    let (a, b) = (a.matrix(), b.matrix());
    assert!(b.row_stride == 1 && (a.col_stride == 1 || a.rows == 1));
    assert!(a.rows == c.rows && a.cols == b.rows && b.cols == c.cols);
    let (depth, n) = (b.rows, b.cols);
    let mut workspace = Workspace::take();
    let mut first_row = a.at(0, 0);
    if a.col_stride != 1 {
        let room = workspace.room::<V::Element>(depth);
        for (p, to) in room[..depth].iter_mut().enumerate() {
            // SAFETY: p lies inside the view.
            *to = unsafe { *a.at(0, p) };
        }
        first_row = room.as_ptr();
    }
    let columns = if a.rows == 1 { STREAMS } else { V::TILE_VECTORS };
    for (i, rows) in parts(a.rows, ROWS) {
        let row = first_row.wrapping_offset(i as isize * a.row_stride);
        let whole = n / columns * columns;
        let mut j = 0;
        while j < n {
            let count = if j < whole { columns } else { 1 };
            let tile = Tile::<V> {
                depth,
                rows: (row, a.row_stride),
                columns: (b.at(0, j), b.col_stride),
                c: &c,
                at: [i, j],
                accumulate,
            };
            // SAFETY: the rows, the columns and the elements of C lie inside their views, and the
            // instruction set is this function's contract.
            unsafe { compute(rows, count, &tile) };
            j += count;
        }
    }
    workspace.keep();
}

/// A tile of C: its rows and columns begin here, and lie so far apart.
struct Tile<'a, V: Vector> {
    depth: usize,
    rows: (*const V::Element, isize),
    columns: (*const V::Element, isize),
    c: &'a MatrixMut<'a, V::Element>,
    at: [usize; 2],
    accumulate: bool,
}

/// Runs the loop that was compiled for this size of tile.
///
/// # Safety
/// The CPU has the instruction set of `V`; `depth` elements of each row and column are valid to read,
/// and those of C to write.
#[inline(always)]
unsafe fn compute<V: Vector>(rows: usize, columns: usize, tile: &Tile<'_, V>) {
    // SAFETY: passed on.
    unsafe {
        match columns {
            1 => compute_columns::<V, 1>(rows, tile),
            2 => compute_columns::<V, 2>(rows, tile),
            3 if V::TILE_VECTORS >= 3 => compute_columns::<V, 3>(rows, tile),
            STREAMS => compute_tile::<V, 1, STREAMS>(tile),
            _ => unreachable!("a tile of {columns} columns"),
        }
    }
}

#[inline(always)]
unsafe fn compute_columns<V: Vector, const COLUMNS: usize>(rows: usize, tile: &Tile<'_, V>) {
    // SAFETY: passed on.
    unsafe {
        match rows {
            1 => compute_tile::<V, 1, COLUMNS>(tile),
            2 => compute_tile::<V, 2, COLUMNS>(tile),
            3 => compute_tile::<V, 3, COLUMNS>(tile),
            4 => compute_tile::<V, 4, COLUMNS>(tile),
            _ => unreachable!("a tile of {rows} rows"),
        }
    }
}

#[inline(always)]
unsafe fn compute_tile<V: Vector, const ROWS: usize, const COLUMNS: usize>(tile: &Tile<'_, V>) {
    // SAFETY: the caller vouches for the instruction set and for every address.
    unsafe {
        let row: [*const V::Element; ROWS] =
            std::array::from_fn(|i| tile.rows.0.wrapping_offset(i as isize * tile.rows.1));
        let column: [*const V::Element; COLUMNS] =
            std::array::from_fn(|j| tile.columns.0.wrapping_offset(j as isize * tile.columns.1));
        let mut sums = [[V::zero(); COLUMNS]; ROWS];
        let whole = tile.depth / V::LANES * V::LANES;
        let mut p = 0;
        while p < whole {
            let mut b = [V::zero(); COLUMNS];
            for j in 0..COLUMNS {
                b[j] = V::load(column[j].add(p));
            }
            for i in 0..ROWS {
                let a = V::load(row[i].add(p));
                for j in 0..COLUMNS {
                    sums[i][j] = a.mul_add(b[j], sums[i][j]);
                }
            }
            p += V::LANES;
        }
        if p < tile.depth {
            let mask = V::mask(tile.depth - p);
            let mut b = [V::zero(); COLUMNS];
            for j in 0..COLUMNS {
                b[j] = V::load_masked(column[j].add(p), mask);
            }
            for i in 0..ROWS {
                let a = V::load_masked(row[i].add(p), mask);
                for j in 0..COLUMNS {
                    sums[i][j] = a.mul_add(b[j], sums[i][j]);
                }
            }
        }
        let [first_row, first_column] = tile.at;
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                let to = tile.c.at(first_row + i, first_column + j);
                let sum = sums[i][j].sum();
                *to = if tile.accumulate { *to + sum } else { sum };
            }
        }
    }
}
