//! Packing: copying a block of an operand into the order in which the micro-kernel reads it.

use std::cell::Cell;

use super::GemmElement;
use super::matrix::MatrixRef;
use super::split::parts;
use super::vector::Vector;

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
pub(super) unsafe fn pack_panels<V: Vector>(
    b: MatrixRef<'_, V::Element>,
    packed: &mut [V::Element],
) {
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
            for v in 0..whole {
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

/// Copies some rows of A side by side, keeping the direction that is contiguous. Broadcasts don't
/// mind the order, only how many pages and cache lines they touch.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn pack_strip<'a, V: Vector>(
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
