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
    let whole_rows = panel.rows / V::LANES * V::LANES;
    let whole_cols = panel.cols / V::LANES * V::LANES;
    for j in (0..whole_cols).step_by(V::LANES) {
        for p in (0..whole_rows).step_by(V::LANES) {
            let to = &mut to[p * width + j..];
            assert!(to.len() >= (V::LANES - 1) * width + V::LANES);
            // SAFETY: the block at (p, j) lies inside the view, and inside `to` by the assertion.
            unsafe {
                V::transpose(panel.at(p, j), panel.col_stride, to.as_mut_ptr(), width);
            }
        }
    }
    let below = panel.block([whole_rows, 0], [panel.rows - whole_rows, whole_cols]);
    let right = panel.block([0, whole_cols], [panel.rows, panel.cols - whole_cols]);
    // SAFETY: passed on.
    unsafe {
        copy_elements::<V>(below, width, whole_cols, &mut to[whole_rows * width..]);
        copy_elements::<V>(right, width, width - whole_cols, &mut to[whole_cols..]);
    }
}

/// B has no contiguous direction.
#[inline(always)]
unsafe fn pack_elements<V: Vector>(
    panel: MatrixRef<'_, V::Element>,
    width: usize,
    to: &mut [V::Element],
) {
    // SAFETY: passed on.
    unsafe { copy_elements::<V>(panel, width, width, to) }
}

/// Copies `from` one by one to rows `stride` apart, each filled up with zeros to `width`.
#[inline(always)]
unsafe fn copy_elements<V: Vector>(
    from: MatrixRef<'_, V::Element>,
    stride: usize,
    width: usize,
    to: &mut [V::Element],
) {
    for p in 0..from.rows {
        for j in 0..width {
            to[p * stride + j] = if j < from.cols {
                // SAFETY: (p, j) lies inside the view.
                unsafe { *from.at(p, j) }
            } else {
                V::Element::ZERO
            };
        }
    }
}

/// Copies a few rows of A side by side, keeping the direction that is contiguous; gives the
/// strides of the copy. Broadcasts don't mind the order, only how many pages they touch.
pub(super) fn pack_strip<T: bytemuck::Pod>(a: MatrixRef<'_, T>, packed: &mut [T]) -> [isize; 2] {
    let (outer, inner, view) =
        if a.row_stride == 1 { (a.cols, a.rows, a.t()) } else { (a.rows, a.cols, a) };
    assert!(packed.len() >= outer * inner);
    for i in 0..outer {
        let to = &mut packed[i * inner..][..inner];
        if view.col_stride == 1 {
            // SAFETY: row i of the view is `inner` contiguous elements.
            to.copy_from_slice(unsafe { std::slice::from_raw_parts(view.at(i, 0), inner) });
        } else {
            for (j, to) in to.iter_mut().enumerate() {
                // SAFETY: (i, j) lies inside the view.
                *to = unsafe { *view.at(i, j) };
            }
        }
    }
    if a.row_stride == 1 { [1, inner as isize] } else { [inner as isize, 1] }
}
