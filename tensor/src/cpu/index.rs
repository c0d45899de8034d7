//! Reading and adding at positions that an index tensor names. All are checked before anything moves.

use super::memory::elements;
use super::parallel::{Slots, for_each_range};
use crate::backend::OutOfRange;
use crate::{Element, Layout, View};

/// Finds the first index that is not below `size`.
pub(super) fn check(index: &View<'_>, size: usize) -> Result<(), OutOfRange> {
    let data: &[i32] = elements(index);
    let is_in = |i: i32| i >= 0 && (i as usize) < size;
    if index.layout.elem_count() == 0 {
        return Ok(());
    }
    // Along a broadcast axis they are the same ones again.
    let strides = index.layout.strides().iter().enumerate().rev();
    let repeated = strides.filter(|(_, stride)| **stride == 0).map(|(axis, _)| axis);
    let layout = repeated.fold(*index.layout, |layout, axis| layout.slice(axis as isize, 0, 1, 1));
    let n = layout.elem_count();
    let first = if layout.is_contiguous() {
        let data = &data[layout.offset()..][..n];
        // Without a way out, so that it is a loop of vectors.
        match data.iter().fold(true, |all, &i| all & is_in(i)) {
            true => None,
            false => data.iter().position(|&i| !is_in(i)),
        }
    } else {
        layout.indices().position(|at| !is_in(data[at]))
    };
    let Some(mut place) = first else { return Ok(()) };
    let mut position = vec![0; layout.rank()];
    let mut at = layout.offset() as isize;
    for axis in (0..layout.rank()).rev() {
        position[axis] = place % layout.dims()[axis];
        place /= layout.dims()[axis];
        at += position[axis] as isize * layout.strides()[axis];
    }
    Err(OutOfRange { index: data[at as usize], position })
}

/// Trailing axes over which the index does not change and both sides are contiguous: whole rows
/// (of an embedding table, say) move at once.
fn row_length(index: &Layout, other: &Layout, axis: usize) -> (usize, usize) {
    let mut row = 1usize;
    let mut rank = index.rank();
    while rank > axis + 1 {
        let a = rank - 1;
        let dim = index.dims()[a];
        let fits = dim == 1 || (index.strides()[a] == 0 && other.strides()[a] == row as isize);
        if !fits {
            break;
        }
        row *= dim;
        rank = a;
    }
    (row, rank)
}

/// The leading `rank` axes of a layout.
fn leading(layout: &Layout, rank: usize) -> Layout {
    (rank..layout.rank()).rev().fold(*layout, |l, axis| l.select(axis as isize, 0))
}

pub(super) fn gather<T: Element>(input: View<'_>, axis: usize, index: View<'_>, out: &mut [T]) {
    let data: &[T] = elements(&input);
    let indices: &[i32] = elements(&index);
    let size = input.layout.dims()[axis];
    let stride = input.layout.strides()[axis];
    let (row, rank) = row_length(index.layout, input.layout, axis);
    // The input as if its indexed axis were as long as the index's, standing still along it.
    let mut base = *input.layout;
    if size == 0 {
        return;
    }
    base = base.slice(axis as isize, 0, 1, 1);
    let shape = index.layout.shape();
    let base = leading(&base.broadcast_to(shape), rank);
    let index_walk = leading(index.layout, rank);
    let rows = out.len() / row;
    struct Out<T>(*mut T);
    // SAFETY: rows of different threads are disjoint.
    unsafe impl<T: Send> Sync for Out<T> {}
    let target = Out(out.as_mut_ptr());
    for_each_range(rows, (50_000 / row).max(1), |range| {
        let target = &target;
        let places = base.indices().zip(index_walk.indices()).enumerate();
        for (r, (from, at)) in places.skip(range.start).take(range.len()) {
            let from = (from as isize + indices[at] as isize * stride) as usize;
            // SAFETY: `r < rows`, so the row lies within `out`, and no other thread has it.
            let to = unsafe { std::slice::from_raw_parts_mut(target.0.add(r * row), row) };
            to.copy_from_slice(&data[from..from + row]);
        }
    });
}

pub(super) fn scatter_add<T: Element>(
    target: &mut [T],
    dims: &[usize],
    axis: usize,
    index: View<'_>,
    source: View<'_>,
    add: impl Fn(T, T) -> T + Sync,
) {
    let values: &[T] = elements(&source);
    let indices: &[i32] = elements(&index);
    let layout = Layout::contiguous(dims);
    let (size, stride) = (dims[axis], layout.strides()[axis]);
    if index.layout.elem_count() == 0 {
        return;
    }
    let shape = index.layout.shape();
    if axis + 1 == dims.len() && index.layout.is_contiguous() && source.layout.is_contiguous() {
        let n = shape[axis];
        let values = &values[source.layout.offset()..];
        let indices = &indices[index.layout.offset()..];
        let lines = target.len() / size;
        let target = Slots::new(target);
        return for_each_range(lines, (50_000 / (size + 4 * n)).max(1), |range| {
            // SAFETY: lines of different threads are disjoint.
            let lines = unsafe { target.slice(range.start * size..range.end * size) };
            let part = range.start * n..range.end * n;
            let from = values[part.clone()].chunks_exact(n).zip(indices[part].chunks_exact(n));
            for (line, (values, indices)) in lines.chunks_exact_mut(size).zip(from) {
                for (&value, &at) in values.iter().zip(indices) {
                    let to = &mut line[at as usize];
                    *to = add(*to, value);
                }
            }
        });
    }
    let (row, rank) = row_length(index.layout, source.layout, axis);
    let target_base = layout.slice(axis as isize, 0, 1, 1).broadcast_to(shape);
    // Rows also need the target to be contiguous over them, which a row-major target is.
    let places = leading(&target_base, rank)
        .indices()
        .zip(leading(index.layout, rank).indices())
        .zip(leading(source.layout, rank).indices());
    for ((to, at), from) in places {
        let to = (to as isize + indices[at] as isize * stride) as usize;
        for (t, &v) in target[to..to + row].iter_mut().zip(&values[from..from + row]) {
            *t = add(*t, v);
        }
    }
}
