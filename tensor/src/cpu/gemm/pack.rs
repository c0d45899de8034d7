//! Packing: copying a block of an operand into the order in which the micro-kernel reads it.

use std::cell::Cell;
use std::ptr;

use super::GemmElement;
use super::block::DEPTH;
use super::groups::{GroupsRef, Operand};
use super::matrix::MatrixRef;
use super::split::parts;
use super::vector::Vector;
use crate::cpu::prefetch;

/// Where panels are packed: 64-byte aligned, one per thread and kept from call to call, so that
/// a product of the usual size allocates nothing.
#[derive(Default)]
pub(super) struct Workspace(Vec<CacheLine>);

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

thread_local! {
    static WORKSPACE: Cell<Workspace> = Cell::default();
}

impl Workspace {
    /// Takes this thread's workspace; give it back with [`Workspace::keep`].
    pub(super) fn take() -> Self {
        WORKSPACE.take()
    }

    pub(super) fn keep(self) {
        WORKSPACE.set(self);
    }

    /// Room for at least `len` elements, holding whatever was there.
    pub(super) fn room<T: bytemuck::Pod>(&mut self, len: usize) -> &mut [T] {
        let lines = (len * size_of::<T>()).div_ceil(size_of::<CacheLine>());
        if self.0.len() < lines {
            self.0.resize(lines, CacheLine([0; 64]));
        }
        // SAFETY: the lines are initialised plain bytes, aligned to 64, and any bytes are a T.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.0.as_mut_ptr().cast(),
                self.0.len() * size_of::<CacheLine>() / size_of::<T>(),
            )
        }
    }
}

/// Packs a block of B as panels of at most `V::TILE_VECTORS` registers per row, each panel row by
/// row, the last one filled up with zeros.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn pack_panels<V: Vector>(b: Operand<'_, V::Element>, packed: &mut [V::Element]) {
    // SAFETY: passed on.
    unsafe {
        match b {
            Operand::Matrix(b) => pack_matrix::<V>(b, packed),
            Operand::Groups(b) => pack_groups::<V>(b, packed),
        }
    }
}

#[inline(always)]
unsafe fn pack_matrix<V: Vector>(b: MatrixRef<'_, V::Element>, packed: &mut [V::Element]) {
    let vectors = b.cols.div_ceil(V::LANES);
    assert!(packed.len() >= vectors * V::LANES * b.rows);
    for (first, count) in parts(vectors, V::TILE_VECTORS) {
        let width = count * V::LANES;
        let to = &mut packed[first * V::LANES * b.rows..][..width * b.rows];
        let j = first * V::LANES;
        let panel = b.block([0, j], [b.rows, width.min(b.cols - j)]);
        // SAFETY: passed on.
        unsafe {
            match (panel.row_stride, panel.col_stride) {
                (_, 1) => pack_rows::<V>(panel, width, to),
                (1, _) => pack_columns::<V>(panel, width, to),
                _ => pack_elements::<V>(panel, width, to),
            }
        }
    }
}

/// Rows that are asked for before they are copied: a panel of B or a strip of Aᵀ reads a few cache
/// lines of each, too few for the processor to see by itself where the next row will be.
const ROWS_AHEAD: usize = 16;
/// The same for square blocks along columns, which are more streams than the processor follows.
const BLOCKS_AHEAD: usize = 2;

/// B has contiguous rows: copies them.
#[inline(always)]
unsafe fn pack_rows<V: Vector>(
    panel: MatrixRef<'_, V::Element>,
    width: usize,
    to: &mut [V::Element],
) {
    let whole = panel.cols / V::LANES;
    let rest = panel.cols % V::LANES;
    // SAFETY: (p, j) stays inside the view and row p of the panel inside `to`.
    unsafe {
        let mask = V::mask(if rest == 0 { V::LANES } else { rest });
        for p in 0..panel.rows {
            let (from, to) = (panel.at(p, 0), to.as_mut_ptr().add(p * width));
            let ahead = panel.at(p + ROWS_AHEAD, 0);
            for v in 0..whole {
                prefetch::line(ahead.wrapping_add(v * V::LANES));
                V::load(from.add(v * V::LANES)).store(to.add(v * V::LANES));
            }
            if rest > 0 {
                V::load_masked(from.add(whole * V::LANES), mask).store(to.add(whole * V::LANES));
            }
        }
    }
}

/// B has contiguous columns (it is the transpose of a row-major matrix): transposes square blocks
/// in registers.
#[inline(always)]
unsafe fn pack_columns<V: Vector>(
    panel: MatrixRef<'_, V::Element>,
    width: usize,
    to: &mut [V::Element],
) {
    const MAX_BLOCK: usize = 16 * 16;
    assert!(V::LANES * V::LANES <= MAX_BLOCK);
    let zero = V::Element::ZERO;
    for j in (0..width).step_by(V::LANES) {
        for p in (0..panel.rows).step_by(V::LANES) {
            let rows = V::LANES.min(panel.rows - p);
            let cols = V::LANES.min(panel.cols.saturating_sub(j));
            let to = &mut to[p * width + j..];
            assert!(to.len() >= (rows - 1) * width + V::LANES);
            // SAFETY: the block at (p, j) lies inside the view, and inside `to` by the assertion.
            unsafe {
                if rows == V::LANES && cols == V::LANES {
                    for c in 0..V::LANES {
                        prefetch::line(panel.at(p + BLOCKS_AHEAD * V::LANES, j + c));
                    }
                    V::transpose(panel.at(p, j), panel.col_stride, to.as_mut_ptr(), width);
                    continue;
                }
                // An edge goes through a block filled up with zeros.
                let (mut before, mut after) = ([zero; MAX_BLOCK], [zero; MAX_BLOCK]);
                let mask = V::mask(rows);
                for c in 0..cols {
                    let column = V::load_masked(panel.at(p, j + c), mask);
                    column.store(before.as_mut_ptr().add(c * V::LANES));
                }
                let lanes = V::LANES as isize;
                V::transpose(before.as_ptr(), lanes, after.as_mut_ptr(), V::LANES);
                for r in 0..rows {
                    let row = V::load(after.as_ptr().add(r * V::LANES));
                    row.store(to.as_mut_ptr().add(r * width));
                }
            }
        }
    }
}

/// B has no contiguous direction: copies one by one.
#[inline(always)]
unsafe fn pack_elements<V: Vector>(
    panel: MatrixRef<'_, V::Element>,
    width: usize,
    to: &mut [V::Element],
) {
    for (p, to) in to.chunks_exact_mut(width).enumerate() {
        for (j, to) in to.iter_mut().enumerate() {
            // SAFETY: (p, j) lies inside the view.
            *to = if j < panel.cols { unsafe { *panel.at(p, j) } } else { V::Element::ZERO };
        }
    }
}

/// Panels of a B whose rows and columns are groups of axes.
#[inline(always)]
unsafe fn pack_groups<V: Vector>(b: GroupsRef<'_, V::Element>, packed: &mut [V::Element]) {
    let vectors = b.cols.div_ceil(V::LANES);
    assert!(packed.len() >= vectors * V::LANES * b.rows && b.rows <= DEPTH);
    let mut rows = [0isize; DEPTH];
    let rows = &mut rows[..b.rows];
    b.row_axes.offsets(b.first[0], rows);
    let (col_stride, col_run) = b.col_axes.run();
    let (row_stride, row_run) = b.row_axes.run();
    for (first, count) in parts(vectors, V::TILE_VECTORS) {
        let width = count * V::LANES;
        let to = &mut packed[first * V::LANES * b.rows..][..width * b.rows];
        let j = b.first[1] + first * V::LANES;
        let cols = width.min(b.cols - first * V::LANES);
        // SAFETY: every (i, j) of the block lies inside the view that was checked when it was made,
        // and the panel has room for `width` elements of each row.
        unsafe {
            if row_stride == 1
                && row_run >= V::LANES / 2
                && (col_stride != 1 || col_run < V::LANES / 2)
                && let Some(col_stride) = b.col_axes.stride()
            {
                for (p, offset, run) in b.row_axes.runs(b.first[0], b.rows) {
                    let from = b.start.offset(offset).offset(j as isize * col_stride);
                    let part = MatrixRef::part(from, [run, cols], [1, col_stride]);
                    pack_columns::<V>(part, width, &mut to[p * width..]);
                }
                continue;
            }
            if cols < width {
                for row in to.chunks_exact_mut(width) {
                    V::zero().store(row.as_mut_ptr().add(width - V::LANES));
                }
            }
            for (place, offset, run) in b.col_axes.runs(j, cols) {
                let from = b.start.offset(offset);
                let to = to.as_mut_ptr().add(place);
                if col_stride == 1 {
                    copy_runs::<V>(from, rows, run, to, width);
                } else {
                    for (p, &row) in rows.iter().enumerate() {
                        let (from, to) = (from.offset(row), to.add(p * width));
                        for c in 0..run {
                            *to.add(c) = *from.offset(c as isize * col_stride);
                        }
                    }
                }
            }
        }
    }
}

/// Copies a run of elements from the same place of every row: `to[p, ..run] = from[rows[p]..]`.
///
/// Runs are short, a row of a window. Their last part isn't cut to fit but overlaps the one before: two
/// plain stores of half a register cost less than a masked one that touches two cache lines.
#[inline(always)]
unsafe fn copy_runs<V: Vector>(
    from: *const V::Element,
    rows: &[isize],
    run: usize,
    to: *mut V::Element,
    to_stride: usize,
) {
    let half = V::LANES / 2;
    // SAFETY: the caller vouches for `run` elements in each row of both.
    unsafe {
        for (p, &row) in rows.iter().enumerate() {
            let (from, to) = (from.offset(row), to.add(p * to_stride));
            if run == half {
                ptr::copy_nonoverlapping(from, to, half);
            } else if run < half {
                let mask = V::mask(run);
                V::load_masked(from, mask).store_masked(to, mask);
            } else if run < V::LANES {
                ptr::copy_nonoverlapping(from, to, half);
                ptr::copy_nonoverlapping(from.add(run - half), to.add(run - half), half);
            } else {
                for c in (0..run - V::LANES).step_by(V::LANES) {
                    V::load(from.add(c)).store(to.add(c));
                }
                let last = run - V::LANES;
                V::load(from.add(last)).store(to.add(last));
            }
        }
    }
}

/// Copies some rows of A side by side. Broadcasts don't mind the order, only how many pages and
/// cache lines they touch.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn pack_strip<'a, V: Vector>(
    a: Operand<'_, V::Element>,
    packed: &'a mut [V::Element],
) -> MatrixRef<'a, V::Element> {
    // SAFETY: passed on.
    unsafe {
        match a {
            Operand::Matrix(a) => pack_matrix_strip::<V>(a, packed),
            Operand::Groups(a) => pack_groups_strip::<V>(a, packed),
        }
    }
}

/// A strip of an A whose rows and columns are groups of axes: row by row.
#[inline(always)]
unsafe fn pack_groups_strip<'a, V: Vector>(
    a: GroupsRef<'_, V::Element>,
    packed: &'a mut [V::Element],
) -> MatrixRef<'a, V::Element> {
    assert!(packed.len() >= a.rows * a.cols && a.rows <= DEPTH);
    let mut rows = [0isize; DEPTH];
    let rows = &mut rows[..a.rows];
    a.row_axes.offsets(a.first[0], rows);
    let (col_stride, _) = a.col_axes.run();
    for (place, offset, run) in a.col_axes.runs(a.first[1], a.cols) {
        // SAFETY: every (i, j) of the block lies inside the view that was checked when it was
        // made, and `packed` has room for `cols` elements of each row.
        unsafe {
            let from = a.start.offset(offset);
            let to = packed.as_mut_ptr().add(place);
            if col_stride == 1 {
                copy_runs::<V>(from, rows, run, to, a.cols);
                continue;
            }
            for (i, &row) in rows.iter().enumerate() {
                let (from, to) = (from.offset(row), to.add(i * a.cols));
                for c in 0..run {
                    *to.add(c) = *from.offset(c as isize * col_stride);
                }
            }
        }
    }
    MatrixRef::new(packed, 0, [a.rows, a.cols], [a.cols as isize, 1])
}

/// A strip of a matrix, in the direction that is contiguous.
#[inline(always)]
unsafe fn pack_matrix_strip<'a, V: Vector>(
    a: MatrixRef<'_, V::Element>,
    packed: &'a mut [V::Element],
) -> MatrixRef<'a, V::Element> {
    let by_columns = a.row_stride == 1;
    let from = if by_columns { a.t() } else { a };
    let (rows, cols) = (from.rows, from.cols);
    assert!(packed.len() >= rows * cols);
    let whole = if from.col_stride == 1 { cols / V::LANES * V::LANES } else { 0 };
    for i in 0..rows {
        let to = &mut packed[i * cols..][..cols];
        // SAFETY: row i of the view has `cols` elements, like `to`.
        unsafe {
            for j in (0..whole).step_by(V::LANES) {
                prefetch::line(from.at(i + ROWS_AHEAD, j));
                V::load(from.at(i, j)).store(to.as_mut_ptr().add(j));
            }
            for (j, to) in to.iter_mut().enumerate().skip(whole) {
                *to = *from.at(i, j);
            }
        }
    }
    let copy = MatrixRef::new(packed, 0, [rows, cols], [cols as isize, 1]);
    if by_columns { copy.t() } else { copy }
}
