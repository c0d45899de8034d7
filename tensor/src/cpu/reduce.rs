//! Sums, products and extremes over any axes, of a formula's values.
//!
//! Elements are joined in three stages whose borders depend on the shape alone, never on the number
//! of threads: a block of a thousand in vector lanes, blocks into a chunk of 65 536, chunks into the
//! result. Sums carry the second and third stage in compensated F64, so that their error does not
//! grow with the number of elements. What is one stage only, a maximum of two rows for instance, is written to its
//! place at once.

use std::ops::Range;

use super::accumulate::{
    Reducible, Wide, WideRow, fold_blocks, fold_lines, fold_rows, identity, repeat,
};
use super::evaluate::{BLOCK, Evaluator, Source, cost, is_view};
use super::memory::elements;
use super::parallel::{Slots, for_each_range};
use super::primitive::Operand;
use crate::{Formula, Layout, Reduce, View};

/// Elements joined before results of different threads meet.
const CHUNK: usize = 1 << 16;

/// Rows added in the element type before they enter the wide accumulators, how many of them are
/// computed at a time, and the longest that are taken as a whole. Joining eight rows in a tree and
/// these one after the other is eleven roundings.
const ROWS: usize = 64;
const CACHED_ROWS: usize = 16;
const WIDEST: usize = 4 * BLOCK;

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
    let source = |(view, layout)| Source::new(elements(view), layout);
    let sources: Vec<Source<'_, T>> = inputs.iter().zip(&layouts).map(source).collect();
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

impl<T: Reducible> Task<'_, T> {
    /// Threads share work in pieces of about this many elements.
    fn grain(&self) -> usize {
        200_000 / cost(self.formula)
    }

    fn evaluator(&self, longest: usize) -> Evaluator<'_, T> {
        let n = self.n_kept * self.n_reduced;
        Evaluator::new(self.formula, self.sources, &[], self.scalars, [n, 1, longest.min(n)])
    }

    /// How many elements to ask the evaluator for: what stays in the cache, or all that meet if they
    /// need only be looked at.
    fn block(&self) -> usize {
        if is_view(self.formula, self.sources) { CHUNK } else { BLOCK }
    }

    /// The reduced axes are innermost: each result is a line of `n_reduced` consecutive elements.
    fn sum_lines(&self, out: &mut [T]) {
        let Task { op, n_kept, n_reduced, .. } = *self;
        if n_reduced > CHUNK {
            return self.sum_long_lines(out);
        }
        // Whole lines; short ones several to a block.
        let per_block = (self.block() / n_reduced).max(1);
        let slots = Slots::new(out);
        for_each_range(n_kept, (self.grain() / n_reduced).max(1), |lines| {
            let mut evaluator = self.evaluator(self.block());
            for first in lines.clone().step_by(per_block) {
                let count = per_block.min(lines.end - first);
                // SAFETY: lines of different threads are disjoint.
                let out = unsafe { slots.slice(first..first + count) };
                if n_reduced <= BLOCK {
                    match evaluator.values(first * n_reduced, count * n_reduced) {
                        Operand::Slice(values) => fold_lines(op, values, out),
                        Operand::Scalar(x) => out.fill(repeat(op, x, n_reduced)),
                    }
                } else {
                    for (line, out) in (first..).zip(out) {
                        *out = self.chunk(&mut evaluator, line * n_reduced, n_reduced).finish();
                    }
                }
            }
        });
    }

    /// Lines in chunks, which meet in order.
    fn sum_long_lines(&self, out: &mut [T]) {
        let Task { op, n_kept, n_reduced, .. } = *self;
        let chunks = n_reduced.div_ceil(CHUNK);
        let mut partial = vec![Wide::new::<T>(op); n_kept * chunks];
        let slots = Slots::new(&mut partial);
        for_each_range(n_kept * chunks, self.grain().div_ceil(CHUNK), |range| {
            let mut evaluator = self.evaluator(self.block());
            for at in range {
                let (line, chunk) = (at / chunks, at % chunks);
                let first = chunk * CHUNK;
                let len = CHUNK.min(n_reduced - first);
                let wide = self.chunk(&mut evaluator, line * n_reduced + first, len);
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
    fn chunk(&self, evaluator: &mut Evaluator<'_, T>, start: usize, len: usize) -> Wide {
        let mut wide = Wide::new::<T>(self.op);
        let block = self.block();
        for offset in (0..len).step_by(block) {
            let len = block.min(len - offset);
            match evaluator.values(start + offset, len) {
                Operand::Slice(values) => fold_blocks(self.op, values, &mut wide),
                Operand::Scalar(x) => wide.join(self.op, repeat(self.op, x, len)),
            }
        }
        wide
    }

    /// The reduced axes are outermost: rows of `n_kept` elements are added up, a tile of columns at a time.
    fn sum_rows(&self, out: &mut [T]) {
        let Task { op, n_kept, n_reduced, .. } = *self;
        let tile = WIDEST.min(n_kept);
        let tiles = n_kept.div_ceil(tile);
        // Rows that one thread adds before results meet, and rows that are evaluated together:
        // only whole rows follow one another.
        let rows_per_chunk = (4 * CHUNK / tile).next_multiple_of(ROWS);
        let together = match tiles {
            1 if is_view(self.formula, self.sources) => ROWS.min(n_reduced),
            1 => CACHED_ROWS.min(n_reduced),
            _ => 1,
        };
        let chunks = n_reduced.div_ceil(rows_per_chunk);
        let n_partial = if chunks > 1 { tiles * chunks } else { 0 };
        let mut partial: Vec<WideRow> = (0..n_partial).map(|_| WideRow::default()).collect();
        let (results, slots) = (Slots::new(out), Slots::new(&mut partial));
        let work = tile * rows_per_chunk.min(n_reduced);
        for_each_range(tiles * chunks, self.grain().div_ceil(work), |range| {
            let mut evaluator = self.evaluator(together * tile);
            let mut sums = vec![T::default(); if n_reduced > ROWS { tile } else { 0 }];
            for at in range {
                let (t, chunk) = (at % tiles, at / tiles);
                let columns = t * tile..n_kept.min((t + 1) * tile);
                let rows = chunk * rows_per_chunk..n_reduced.min((chunk + 1) * rows_per_chunk);
                if n_reduced <= ROWS {
                    // SAFETY: tiles of different threads are different.
                    let results = unsafe { results.slice(columns.clone()) };
                    self.join_rows(&mut evaluator, rows, together, columns.start, results);
                    continue;
                }
                let mut wide = WideRow::new::<T>(op, columns.len());
                let sums = &mut sums[..columns.len()];
                for first in rows.clone().step_by(ROWS) {
                    let group = first..rows.end.min(first + ROWS);
                    self.join_rows(&mut evaluator, group, together, columns.start, sums);
                    wide.join(op, sums);
                }
                // SAFETY: (chunk, tile) pairs of different threads are different.
                unsafe {
                    match chunks {
                        1 => wide.finish(results.slice(columns)),
                        _ => slots.set(at, wide),
                    }
                }
            }
        });
        if chunks > 1 {
            for (t, out) in out.chunks_mut(tile).enumerate() {
                let mut wide = WideRow::new::<T>(op, out.len());
                let chunks = partial.iter().skip(t).step_by(tiles);
                chunks.for_each(|chunk| wide.merge::<T>(op, chunk));
                wide.finish(out);
            }
        }
    }

    /// Joins some rows in the element type, of each as many columns as there are sums, from `column` on.
    fn join_rows(
        &self,
        evaluator: &mut Evaluator<'_, T>,
        rows: Range<usize>,
        together: usize,
        column: usize,
        sums: &mut [T],
    ) {
        sums.fill(identity(self.op));
        for row in rows.clone().step_by(together) {
            let count = together.min(rows.end - row);
            match evaluator.values(row * self.n_kept + column, count * sums.len()) {
                Operand::Slice(rows) => fold_rows(self.op, sums, rows),
                Operand::Scalar(x) => {
                    let x = repeat(self.op, x, count);
                    sums.iter_mut().for_each(|sum| {
                        fold_rows(self.op, std::slice::from_mut(sum), &[x]);
                    });
                }
            }
        }
    }
}
