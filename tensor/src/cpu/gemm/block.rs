//! The loops around the micro-kernel, which keep every operand in the cache it should be in.

use super::GemmElement;
use super::dots::dots;
use super::groups::Operand;
use super::kernel::{self, Tile};
use super::matrix::MatrixMut;
use super::pack::{Workspace, pack_panels, pack_strip};
use super::split::parts;
use super::vector::{Job, Vector};
use super::vector_matrix::sum_of_rows;

/// C (+)= A · B, where C has unit stride along its columns or along its rows.
pub(crate) struct Product<'a, T> {
    pub(super) method: Method,
    pub(super) a: Operand<'a, T>,
    pub(super) b: Operand<'a, T>,
    pub(super) c: MatrixMut<'a, T>,
    pub(super) accumulate: bool,
}

impl<T> Product<'_, T> {
    /// The same for some rows and columns of C.
    ///
    /// # Safety
    /// Nobody else uses that part of C while the piece lives.
    pub(super) unsafe fn piece(&self, [i, j]: [usize; 2], [m, n]: [usize; 2]) -> Self {
        let k = self.a.dims()[1];
        Product {
            method: self.method,
            a: self.a.block([i, 0], [m, k]),
            b: self.b.block([0, j], [k, n]),
            // SAFETY: passed on.
            c: unsafe { self.c.part([i, j], [m, n]) },
            accumulate: self.accumulate,
        }
    }
}

/// The loops that run a product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
    /// Any product, by register tiles.
    Tiles,
    /// A is one row, B has contiguous rows.
    SumOfRows,
    /// A has few rows, contiguous like B's columns (or one, of any stride).
    Dots,
}

/// Depth of a block: a strip of A (8 rows, 8 KiB in f32) stays in L1.
pub(super) const DEPTH: usize = 256;
/// Rows of A packed together: whole cache lines of an A that is transposed.
const STRIP_ROWS: usize = 64;
/// Width of a block in bytes: a block of B (512 KiB) stays in L2.
const WIDTH_BYTES: usize = 2048;

impl<T: GemmElement> Job<T> for Product<'_, T> {
    /// Runs the whole product.
    #[inline(always)]
    unsafe fn run<V: Vector<Element = T>>(self) {
        // SAFETY: this function's contract.
        unsafe {
            match self.method {
                Method::Tiles => tiles::<V>(self),
                Method::SumOfRows => sum_of_rows::<V>(self),
                Method::Dots => dots::<V>(self),
            }
        }
    }
}

#[inline(always)]
unsafe fn tiles<V: Vector>(job: Product<'_, V::Element>) {
    let Product { a, b, c, accumulate, .. } = job;
    let ([m, k], [b_rows, n]) = (a.dims(), b.dims());
    assert!(b_rows == k && c.rows == m && c.cols == n);
    assert!(c.col_stride == 1 || c.row_stride == 1);
    let element = size_of::<V::Element>();
    let max_vectors = WIDTH_BYTES / element / V::LANES;
    let pack_b = !reads_in_place::<V>(&b, m);
    let pack_a = !broadcasts_in_place::<V>(&a, n);
    let mut workspace = Workspace::take();

    for (first, vectors) in parts(n.div_ceil(V::LANES), max_vectors) {
        let j = first * V::LANES;
        let cols = (vectors * V::LANES).min(n - j);
        for (p, depth) in parts(k, DEPTH) {
            let panels_len = if pack_b { vectors * V::LANES * depth } else { 0 };
            let strips_len = if pack_a { STRIP_ROWS.min(m) * depth } else { 0 };
            let room = workspace.room::<V::Element>(panels_len + strips_len);
            let (panels, strips) = room.split_at_mut(panels_len);
            let b_block = b.block([p, j], [depth, cols]);
            if pack_b {
                // SAFETY: this function's contract.
                unsafe { pack_panels::<V>(b_block, panels) };
            }
            let strip_rows = if pack_a { STRIP_ROWS } else { V::TILE_ROWS };
            for (i, rows) in parts(m, strip_rows) {
                let strip = a.block([i, p], [rows, depth]);
                let strip = if pack_a {
                    // SAFETY: this function's contract.
                    unsafe { pack_strip::<V>(strip, strips) }
                } else {
                    strip.matrix()
                };
                for (r, rows) in parts(rows, V::TILE_ROWS) {
                    for (v, count) in parts(vectors, V::TILE_VECTORS) {
                        let (tile_b, b_stride) = if pack_b {
                            // In bounds: panel `v` begins after v vectors of `depth` rows each.
                            let panel = &panels[v * V::LANES * depth..];
                            (panel.as_ptr(), (count * V::LANES) as isize)
                        } else {
                            let b_block = b_block.matrix();
                            (b_block.at(0, v * V::LANES), b_block.row_stride)
                        };
                        let tile = Tile {
                            depth,
                            a: strip.at(r, 0),
                            a_row_stride: strip.row_stride,
                            a_col_stride: strip.col_stride,
                            b: tile_b,
                            b_stride,
                            c: c.at(i + r, j + v * V::LANES),
                            c_row_stride: c.row_stride,
                            c_col_stride: c.col_stride,
                            last: (cols - (v + count - 1) * V::LANES).min(V::LANES),
                            accumulate: accumulate || p > 0,
                        };
                        // SAFETY: the blocks of A and C and an unpacked block of B lie inside views
                        // that were checked when they were made, and the blocks inside them by
                        // `block`; panels are padded to whole vectors.
                        unsafe { kernel::compute::<V>(rows, count, &tile) };
                    }
                }
            }
        }
    }
    workspace.keep();
}

/// Whether B is read where it lies: its rows are contiguous and either it is so small that it is in L1
/// anyway, or so few rows of A use it, or its rows lie so close together, that a packed copy wouldn't
/// pay.
fn reads_in_place<V: Vector>(b: &Operand<'_, V::Element>, m: usize) -> bool {
    let Operand::Matrix(b) = b else { return false };
    let whole = V::MASKED_LOADS || b.cols.is_multiple_of(V::LANES);
    let bytes = b.rows * b.cols * size_of::<V::Element>();
    let row_bytes = b.row_stride.unsigned_abs() * size_of::<V::Element>();
    let most_rows = if row_bytes <= 2 << 10 { 640 } else { 128 };
    b.col_stride == 1 && whole && (m <= most_rows || bytes <= 32 << 10)
}

/// Whether the elements of A are broadcast from where they lie: a row of them is contiguous, or so few
/// columns of B use them that a copy wouldn't pay.
fn broadcasts_in_place<V: Vector>(a: &Operand<'_, V::Element>, n: usize) -> bool {
    let Operand::Matrix(a) = a else { return false };
    a.col_stride == 1 || n.div_ceil(V::LANES) < 4 * V::TILE_VECTORS
}
