//! Sums, products and extremes over any axes, of a formula's values.
//!
//! Elements are joined in three stages whose borders depend on the shape alone, never on the number
//! of threads: a block of a thousand in vector lanes, blocks into a chunk of 65 536, chunks into the
//! result. Sums carry the second and third stage in compensated F64, so that their error does not
//! grow with the number of elements.

use super::evaluate::{BLOCK, Evaluator, Source, Space, cost};
use super::memory::elements;
use super::parallel::for_each_range;
use super::primitive::{Operand, Primitive};
use crate::backend::ArgReduce;
use crate::{Element, Formula, Layout, Reduce, Shape, View};

/// Elements joined before results of different threads meet.
const CHUNK: usize = 1 << 16;

/// Rows added in the element type before they enter the wide accumulators.
const ROWS: usize = 16;

/// Elements joined before lanes meet.
const RUN: usize = 256;

/// Independent partial results, enough to keep the vector units busy.
const LANES: usize = 32;

/// A running result that is wider than an element.
#[derive(Clone, Copy)]
struct Wide {
    value: f64,
    /// What rounding has taken from `value` so far (Neumaier, 1974), for sums.
    lost: f64,
    /// Integers join exactly (and wrap at the end) instead.
    integer: i64,
}

/// Element types that can be reduced.
pub(super) trait Reducible: Primitive {
    const IS_INTEGER: bool;
    fn to_i64(self) -> i64;
    fn from_i64_wrapping(value: i64) -> Self;
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// NaN wins.
    fn max(self, other: Self) -> Self;
    /// NaN wins.
    fn min(self, other: Self) -> Self;
    /// No other number is above it.
    fn highest() -> Self;
    /// No other number is below it.
    fn lowest() -> Self;
}

macro_rules! reducible_float {
    ($t:ident) => {
        impl Reducible for $t {
            const IS_INTEGER: bool = false;
            fn to_i64(self) -> i64 {
                0
            }
            fn from_i64_wrapping(_: i64) -> Self {
                0.0
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // The first test is false when either is NaN; then NaN is kept.
                if self > other || self.is_nan() { self } else { other }
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if self < other || self.is_nan() { self } else { other }
            }
            fn highest() -> Self {
                $t::INFINITY
            }
            fn lowest() -> Self {
                $t::NEG_INFINITY
            }
        }
    };
}
reducible_float!(f32);
reducible_float!(f64);

impl Reducible for i32 {
    const IS_INTEGER: bool = true;
    fn to_i64(self) -> i64 {
        i64::from(self)
    }
    fn from_i64_wrapping(value: i64) -> Self {
        value as i32
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Ord::max(self, other)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Ord::min(self, other)
    }
    fn highest() -> Self {
        i32::MAX
    }
    fn lowest() -> Self {
        i32::MIN
    }
}

fn identity<T: Reducible>(op: Reduce) -> T {
    match op {
        Reduce::Sum => T::default(),
        Reduce::Prod => T::from_f64(1.0),
        Reduce::Max => T::lowest(),
        Reduce::Min => T::highest(),
    }
}

impl Wide {
    fn new<T: Reducible>(op: Reduce) -> Self {
        let start: T = identity(op);
        Wide { value: start.to_f64(), lost: 0.0, integer: start.to_i64() }
    }

    fn join<T: Reducible>(&mut self, op: Reduce, x: T) {
        if T::IS_INTEGER {
            let x = x.to_i64();
            self.integer = match op {
                Reduce::Sum => self.integer.wrapping_add(x),
                Reduce::Prod => self.integer.wrapping_mul(x),
                Reduce::Max => self.integer.max(x),
                Reduce::Min => self.integer.min(x),
            };
        } else {
            self.join_float(op, x.to_f64());
        }
    }

    fn join_float(&mut self, op: Reduce, x: f64) {
        match op {
            Reduce::Sum => {
                let sum = self.value + x;
                self.lost += if self.value.abs() >= x.abs() {
                    (self.value - sum) + x
                } else {
                    (x - sum) + self.value
                };
                self.value = sum;
            }
            Reduce::Prod => self.value *= x,
            Reduce::Max => self.value = Reducible::max(self.value, x),
            Reduce::Min => self.value = Reducible::min(self.value, x),
        }
    }

    fn merge<T: Reducible>(&mut self, op: Reduce, other: Wide) {
        if T::IS_INTEGER {
            self.integer = match op {
                Reduce::Sum => self.integer.wrapping_add(other.integer),
                Reduce::Prod => self.integer.wrapping_mul(other.integer),
                Reduce::Max => self.integer.max(other.integer),
                Reduce::Min => self.integer.min(other.integer),
            };
            return;
        }
        self.join_float(op, other.value);
        self.lost += other.lost;
    }

    fn finish<T: Reducible>(self) -> T {
        if T::IS_INTEGER {
            T::from_i64_wrapping(self.integer)
        } else if self.value.is_finite() && self.lost.is_finite() {
            T::from_f64(self.value + self.lost)
        } else {
            T::from_f64(self.value)
        }
    }
}

/// Joins a block: runs of `RUN` elements in `LANES` lanes, the lanes in a tree, the runs in order.
/// No element of a sum goes through more than RUN / LANES + log₂ LANES + BLOCK / RUN roundings.
fn fold<T: Reducible>(op: Reduce, block: &[T]) -> T {
    #[inline(always)]
    fn lanes<T: Reducible>(block: &[T], start: T, join: impl Fn(T, T) -> T + Copy) -> T {
        block.chunks(RUN).map(|run| lanes_of_run(run, start, join)).fold(start, join)
    }
    #[inline(always)]
    fn lanes_of_run<T: Reducible>(run: &[T], start: T, join: impl Fn(T, T) -> T + Copy) -> T {
        if run.len() < LANES {
            return run.iter().fold(start, |a, &b| join(a, b));
        }
        let mut acc = [start; LANES];
        let chunks = run.chunks_exact(LANES);
        for (a, &x) in acc.iter_mut().zip(chunks.remainder()) {
            *a = join(*a, x);
        }
        for chunk in chunks {
            for (a, &x) in acc.iter_mut().zip(chunk) {
                *a = join(*a, x);
            }
        }
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                acc[i] = join(acc[i], acc[i + width]);
            }
        }
        acc[0]
    }
    let start = identity(op);
    match op {
        Reduce::Sum => lanes(block, start, T::add),
        Reduce::Prod => lanes(block, start, T::mul),
        Reduce::Max => lanes(block, start, T::max),
        Reduce::Min => lanes(block, start, T::min),
    }
}

/// `acc[i] = join(acc[i], row[i])`
fn fold_rows<T: Reducible>(op: Reduce, acc: &mut [T], row: &[T]) {
    let pairs = acc.iter_mut().zip(row);
    match op {
        Reduce::Sum => pairs.for_each(|(a, &x)| *a = a.add(x)),
        Reduce::Prod => pairs.for_each(|(a, &x)| *a = a.mul(x)),
        Reduce::Max => pairs.for_each(|(a, &x)| *a = T::max(*a, x)),
        Reduce::Min => pairs.for_each(|(a, &x)| *a = T::min(*a, x)),
    }
}

/// The axes marked (or not) by the mask, as a permutation prefix.
fn axes_where(mask: &[bool], marked: bool) -> impl Iterator<Item = isize> {
    mask.iter().enumerate().filter(move |(_, m)| **m == marked).map(|(axis, _)| axis as isize)
}

pub(super) fn reduce<T: Reducible>(
    op: Reduce,
    formula: &Formula,
    inputs: &[View<'_>],
    scalars: &[f64],
    axes: &[bool],
    out: &mut [T],
) {
    let dims = inputs[0].layout.dims();
    let n_kept = out.len();
    let n_reduced: usize = dims.iter().zip(axes).filter(|(_, r)| **r).map(|(d, _)| d).product();
    if n_reduced == 0 {
        out.fill(identity(op));
        return;
    }
    // Along memory: when the innermost axis is kept, whole rows are added to a row of results.
    let innermost = dims.iter().zip(axes).rev().find(|(d, _)| **d > 1);
    let by_rows = n_kept >= 8 && innermost.is_some_and(|(_, reduced)| !reduced);
    let order: Vec<isize> = axes_where(axes, by_rows).chain(axes_where(axes, !by_rows)).collect();
    let layouts: Vec<Layout> = inputs.iter().map(|view| view.layout.permute(&order)).collect();
    let space = Space::new(&layouts);
    let sources: Vec<Source<'_, T>> = inputs
        .iter()
        .enumerate()
        .map(|(i, view)| Source::new(elements(view), space.walk(i, view.layout.offset())))
        .collect();
    let task = Task { op, formula, sources: &sources, scalars, n_kept, n_reduced };
    if by_rows {
        task.sum_rows(out);
    } else {
        task.sum_lines(out);
    }
}

struct Task<'a, T> {
    op: Reduce,
    formula: &'a Formula,
    sources: &'a [Source<'a, T>],
    scalars: &'a [f64],
    n_kept: usize,
    n_reduced: usize,
}

/// Results that several threads write, each its own.
struct Slots<T>(*mut T, usize);
// SAFETY: every slot is written by one thread.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    /// # Safety
    /// No other thread may use the slot.
    unsafe fn set(&self, at: usize, value: T) {
        assert!(at < self.1);
        // SAFETY: in bounds, and ours by the caller's promise.
        unsafe { *self.0.add(at) = value };
    }
}

impl<T: Reducible> Task<'_, T> {
    /// Threads share work in pieces of about this many elements.
    fn grain(&self) -> usize {
        200_000 / cost(self.formula)
    }

    fn block<'e>(
        &self,
        evaluator: &'e mut Evaluator<'_, T>,
        start: usize,
        scratch: &'e mut [T],
    ) -> Operand<'e, T> {
        let len = scratch.len();
        evaluator.run(start, len, &mut [&mut scratch[..]]);
        match evaluator.output(0) {
            None => Operand::Slice(scratch),
            Some(values) => values,
        }
    }

    /// The reduced axes are innermost: each result is a line of `n_reduced` consecutive elements.
    fn sum_lines(&self, out: &mut [T]) {
        let Task { op, n_kept, n_reduced, .. } = *self;
        let longest = BLOCK.min(n_kept * n_reduced);
        if n_reduced <= CHUNK {
            // Whole lines; short ones several to a block.
            let per_block = (BLOCK / n_reduced).max(1);
            let slots = Slots(out.as_mut_ptr(), out.len());
            for_each_range(n_kept, (self.grain() / n_reduced).max(1), |lines| {
                let mut evaluator =
                    Evaluator::new(self.formula, self.sources, self.scalars, longest);
                let mut scratch = vec![T::default(); longest];
                if n_reduced <= BLOCK {
                    for first in lines.clone().step_by(per_block) {
                        let count = per_block.min(lines.end - first);
                        let scratch = &mut scratch[..count * n_reduced];
                        let values = self.block(&mut evaluator, first * n_reduced, scratch);
                        for line in 0..count {
                            let value = match values {
                                Operand::Slice(v) => {
                                    fold(op, &v[line * n_reduced..(line + 1) * n_reduced])
                                }
                                Operand::Scalar(x) => repeat(op, x, n_reduced),
                            };
                            // SAFETY: lines of different threads are disjoint.
                            unsafe { slots.set(first + line, value) };
                        }
                    }
                } else {
                    for line in lines {
                        let wide =
                            self.chunk(&mut evaluator, &mut scratch, line * n_reduced, n_reduced);
                        // SAFETY: as above.
                        unsafe { slots.set(line, wide.finish()) };
                    }
                }
            });
            return;
        }
        // Long lines in chunks, which meet in order.
        let chunks = n_reduced.div_ceil(CHUNK);
        let mut partial = vec![Wide::new::<T>(op); n_kept * chunks];
        let slots = Slots(partial.as_mut_ptr(), partial.len());
        for_each_range(n_kept * chunks, self.grain().div_ceil(CHUNK), |range| {
            let mut evaluator = Evaluator::new(self.formula, self.sources, self.scalars, longest);
            let mut scratch = vec![T::default(); longest];
            for at in range {
                let (line, chunk) = (at / chunks, at % chunks);
                let first = chunk * CHUNK;
                let len = CHUNK.min(n_reduced - first);
                let wide = self.chunk(&mut evaluator, &mut scratch, line * n_reduced + first, len);
                // SAFETY: chunks of different threads are disjoint.
                unsafe { slots.set(at, wide) };
            }
        });
        for (value, partial) in out.iter_mut().zip(partial.chunks(chunks)) {
            let mut wide = Wide::new::<T>(op);
            partial.iter().for_each(|&p| wide.merge::<T>(op, p));
            *value = wide.finish();
        }
    }

    /// Joins the elements `start..start + len`.
    fn chunk(
        &self,
        evaluator: &mut Evaluator<'_, T>,
        scratch: &mut [T],
        start: usize,
        len: usize,
    ) -> Wide {
        let mut wide = Wide::new::<T>(self.op);
        for offset in (0..len).step_by(BLOCK) {
            let len = BLOCK.min(len - offset);
            let value = match self.block(evaluator, start + offset, &mut scratch[..len]) {
                Operand::Slice(values) => fold(self.op, values),
                Operand::Scalar(x) => repeat(self.op, x, len),
            };
            wide.join(self.op, value);
        }
        wide
    }

    /// The reduced axes are outermost: rows of `n_kept` elements are added up.
    fn sum_rows(&self, out: &mut [T]) {
        let Task { op, n_kept, n_reduced, .. } = *self;
        let tile = BLOCK.min(n_kept);
        let tiles = n_kept.div_ceil(tile);
        // Rows that one thread adds before results meet.
        let rows_per_chunk = (CHUNK / tile).max(ROWS);
        let chunks = n_reduced.div_ceil(rows_per_chunk);
        let mut partial = vec![Wide::new::<T>(op); chunks * n_kept];
        let slots = Slots(partial.as_mut_ptr(), partial.len());
        let work = tile * rows_per_chunk.min(n_reduced);
        for_each_range(tiles * chunks, self.grain().div_ceil(work), |range| {
            // Narrow rows are evaluated several at a time.
            let together = if tiles == 1 { (BLOCK / n_kept).clamp(1, ROWS) } else { 1 };
            let longest = together * tile;
            let mut evaluator = Evaluator::new(self.formula, self.sources, self.scalars, longest);
            let mut scratch = vec![T::default(); longest];
            let mut acc = vec![T::default(); tile];
            let mut wide = vec![Wide::new::<T>(op); tile];
            for at in range {
                let (t, chunk) = (at % tiles, at / tiles);
                let column = t * tile;
                let width = tile.min(n_kept - column);
                let (first, last) =
                    (chunk * rows_per_chunk, n_reduced.min((chunk + 1) * rows_per_chunk));
                wide.fill(Wide::new::<T>(op));
                for group in (first..last).step_by(ROWS) {
                    let group_end = last.min(group + ROWS);
                    acc.fill(identity(op));
                    for row in (group..group_end).step_by(together) {
                        let count = together.min(group_end - row);
                        let scratch = &mut scratch[..count * width];
                        let start = row * n_kept + column;
                        match self.block(&mut evaluator, start, scratch) {
                            Operand::Slice(values) => {
                                for row in values.chunks_exact(width) {
                                    fold_rows(op, &mut acc[..width], row);
                                }
                            }
                            Operand::Scalar(x) => {
                                for _ in 0..count {
                                    acc[..width]
                                        .iter_mut()
                                        .for_each(|a| fold_rows(op, std::slice::from_mut(a), &[x]));
                                }
                            }
                        }
                    }
                    for (wide, &x) in wide.iter_mut().zip(&acc[..width]) {
                        wide.join(op, x);
                    }
                }
                for (i, &wide) in wide[..width].iter().enumerate() {
                    // SAFETY: (chunk, column) pairs of different threads are disjoint.
                    unsafe { slots.set(chunk * n_kept + column + i, wide) };
                }
            }
        });
        for (i, value) in out.iter_mut().enumerate() {
            let mut wide = Wide::new::<T>(op);
            partial.iter().skip(i).step_by(n_kept).for_each(|&p| wide.merge::<T>(op, p));
            *value = wide.finish();
        }
    }
}

/// The reduction of `n` equal elements.
fn repeat<T: Reducible>(op: Reduce, x: T, n: usize) -> T {
    match op {
        Reduce::Max | Reduce::Min => x,
        Reduce::Sum if T::IS_INTEGER => T::from_i64_wrapping(x.to_i64().wrapping_mul(n as i64)),
        Reduce::Sum => T::from_f64(x.to_f64() * n as f64),
        Reduce::Prod => (0..n).fold(T::from_f64(1.0), |a, _| a.mul(x)),
    }
}

pub(super) fn arg_reduce<T: Element>(op: ArgReduce, input: View<'_>, axis: usize, out: &mut [i32]) {
    let data: &[T] = elements(&input);
    let lines = Lines::new(&input.layout, axis);
    for_each_range(out.len(), (100_000 / lines.len.max(1)).max(1), {
        let slots = Slots(out.as_mut_ptr(), out.len());
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

/// The lines of a view along one axis, numbered in the row-major order of the other axes.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    others: Layout,
    pub(super) len: usize,
    pub(super) stride: isize,
}

impl Lines {
    pub(super) fn new(layout: &Layout, axis: usize) -> Self {
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
    pub(super) fn starts(
        &self,
        range: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (usize, isize)> {
        let skip = range.start;
        self.others
            .indices()
            .enumerate()
            .skip(skip)
            .take(range.len())
            .map(|(line, start)| (line, start as isize))
    }
}
