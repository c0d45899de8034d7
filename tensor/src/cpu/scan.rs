//! Work along the lines of one axis: positions of extremes, running sums and sorting.

use std::cmp::Ordering;

use super::memory::elements;
use super::parallel::{Slots, for_each_range};
use crate::backend::ArgReduce;
use crate::{Element, Layout, Shape, View};

/// The lines of a view along one axis, numbered in the row-major order of the other axes.
#[derive(Clone, Copy)]
struct Lines {
    others: Layout,
    len: usize,
    stride: isize,
}

impl Lines {
    fn new(layout: &Layout, axis: usize) -> Self {
        let len = layout.dims()[axis];
        let others = if len == 0 {
            let mut shape = layout.shape();
            shape.remove(axis);
            Layout::contiguous(Shape::from(&*shape))
        } else {
            layout.select(axis as isize, 0)
        };
        Lines { others, len, stride: layout.strides()[axis] }
    }

    /// Line numbers in `range` with the buffer index at which each begins.
    fn starts(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = (usize, isize)> {
        let skip = range.start;
        self.others
            .indices()
            .enumerate()
            .skip(skip)
            .take(range.len())
            .map(|(line, start)| (line, start as isize))
    }
}

/// Positions of extremes.
pub(super) fn arg_reduce<T: Element>(op: ArgReduce, input: View<'_>, axis: usize, out: &mut [i32]) {
    let data: &[T] = elements(&input);
    let lines = Lines::new(input.layout, axis);
    for_each_range(out.len(), (100_000 / lines.len.max(1)).max(1), {
        let slots = Slots::new(out);
        move |range| {
            let slots = &slots;
            for (line, start) in lines.starts(range) {
                let mut best = data[start as usize];
                let mut position = 0;
                for i in 1..lines.len {
                    let x = data[(start + i as isize * lines.stride) as usize];
                    let better = match op {
                        ArgReduce::Max => x > best,
                        ArgReduce::Min => x < best,
                    };
                    // NaN is what differs from itself; the first one wins.
                    #[allow(clippy::eq_op)]
                    if better || (x != x && best == best) {
                        (best, position) = (x, i);
                    }
                }
                // SAFETY: each line belongs to one thread.
                unsafe { slots.set(line, position as i32) };
            }
        }
    });
}

/// Running sums in F64 (integers wrap), rounded once at each place.
pub(super) fn cumsum<T: Element>(input: View<'_>, axis: usize, out: &mut [T], wrap: fn(i64) -> T) {
    let data: &[T] = elements(&input);
    let lines = Lines::new(input.layout, axis);
    let target = Layout::contiguous(input.layout.shape());
    let target_lines = Lines::new(&target, axis);
    let n_lines = input.layout.elem_count() / lines.len.max(1);
    let starts = lines.starts(0..n_lines).zip(target_lines.starts(0..n_lines));
    for ((_, from), (_, to)) in starts {
        let (mut sum, mut whole) = (0.0f64, 0i64);
        for i in 0..lines.len as isize {
            let x = data[(from + i * lines.stride) as usize];
            out[(to + i * target_lines.stride) as usize] = if T::DTYPE.is_float() {
                sum += x.to_f64();
                T::from_f64(sum)
            } else {
                whole = whole.wrapping_add(x.to_f64() as i64);
                wrap(whole)
            };
        }
    }
}

/// Numbers in order, NaN above all.
fn ascending<T: Element>(a: &T, b: &T) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| {
        #[allow(clippy::eq_op)] // NaN is what differs from itself.
        let is_nan = |x: &T| x != x;
        is_nan(a).cmp(&is_nan(b))
    })
}

/// The first `k` of each line, in order.
pub(super) fn sort<T: Element>(
    input: View<'_>,
    axis: usize,
    descending: bool,
    k: usize,
    values: &mut [T],
    indices: &mut [i32],
) {
    let data: &[T] = elements(&input);
    let lines = Lines::new(input.layout, axis);
    let mut shape = input.layout.shape();
    shape[axis] = k;
    let target = Lines::new(&Layout::contiguous(shape), axis);
    let order = |a: &(T, i32), b: &(T, i32)| {
        let by_value = ascending(&a.0, &b.0);
        let by_value = if descending { by_value.reverse() } else { by_value };
        by_value.then(a.1.cmp(&b.1))
    };
    let n_lines = values.len() / k.max(1);
    let mut line: Vec<(T, i32)> = Vec::with_capacity(lines.len);
    for ((_, from), (_, to)) in lines.starts(0..n_lines).zip(target.starts(0..n_lines)) {
        line.clear();
        let at = |i: usize| data[(from + i as isize * lines.stride) as usize];
        line.extend((0..lines.len).map(|i| (at(i), i as i32)));
        if k > 0 && k < line.len() {
            line.select_nth_unstable_by(k - 1, order);
            line.truncate(k);
        }
        line.sort_unstable_by(order);
        for (i, &(value, index)) in line.iter().enumerate() {
            let place = (to + i as isize * target.stride) as usize;
            values[place] = value;
            indices[place] = index;
        }
    }
}
