//! Recurrences: sequences are shared out among threads, each of which walks its own from the first
//! step to the last, so that threads meet once and not at every step.
//!
//! ```text
//! for each step t
//!     n = how many sequences have such a step            they stand first, longest first
//!     p[0..n] = state₀[0..n] · weight                    one small product
//!     for each of the n sequences
//!         outputs = cell(p, states, inputs' row)         a row at a time, all of it in L1
//! ```

use std::ops::Range;

use super::accumulate::Reducible;
use super::evaluate::{Evaluator, Sink, Source};
use super::gemm::{GemmElement, MatrixMut, MatrixRef, gemm_serial};
use super::memory::{Memory, elements};
use super::parallel::{Slots, for_each_range};
use super::prefetch;
use super::walk::{Walk, gather};
use crate::{Buffer, Formula, Recurrence};

/// A thread that gets fewer floating-point operations than this isn't woken.
const FLOPS_PER_THREAD: usize = 1 << 22;

pub(super) fn recur<T: Reducible + GemmElement>(
    recurrence: &Recurrence<'_>,
    states: &mut [Buffer],
    kept: &mut [Buffer],
) {
    let Recurrence { weight, sequences, .. } = *recurrence;
    let [depth, columns] = [weight.layout.dims()[0], weight.layout.dims()[1]];
    // Contiguous, so that each of the many small products reads it where it lies.
    let packed = Memory::scratch::<T>(weight.layout.elem_count());
    let (from, walk) = (elements::<T>(&weight), Walk::new(weight.layout));
    weight.layout.assert_inside(from.len());
    // SAFETY: the layout was found to lie inside its buffer; the copy has room for all.
    unsafe { gather(from.as_ptr(), &walk, 0, packed.start::<T>(), depth * columns) };

    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|&s| std::cmp::Reverse(sequences[s].len()));
    let steps: usize = sequences.iter().map(|rows| rows.len()).sum();
    let flops = 2 * steps * depth * columns;
    let parts = super::threads().min(flops / FLOPS_PER_THREAD).clamp(1, order.len().max(1));
    let slots = |buffer: &mut Buffer| Slots::new(buffer.memory_mut::<Memory>().as_slice_mut::<T>());
    let shared = Shared {
        recurrence,
        weight: packed.as_slice::<T>(),
        states: states.iter_mut().map(slots).collect(),
        kept: kept.iter_mut().map(slots).collect(),
    };
    for_each_range(parts, 1, |range| {
        for part in range {
            // Every `parts`-th one: each thread gets long ones and short ones.
            let own: Vec<usize> = order.iter().copied().skip(part).step_by(parts).collect();
            shared.walk(&own);
        }
    });
}

/// What all threads read, and where each writes the rows of its own sequences.
struct Shared<'a, T> {
    recurrence: &'a Recurrence<'a>,
    weight: &'a [T],
    states: Vec<Slots<T>>,
    kept: Vec<Slots<T>>,
}

impl<T: Reducible + GemmElement> Shared<'_, T> {
    /// Walks along some sequences, longest first.
    fn walk(&self, own: &[usize]) {
        let Recurrence { cell, weight, inputs, sequences, next, kept, width, .. } =
            *self.recurrence;
        let [depth, columns] = [weight.layout.dims()[0], weight.layout.dims()[1]];
        // One row more than a single sequence needs: a product of one row would be another loop,
        // which adds up in another order, and a sequence would depend on what it is batched with.
        let height = own.len().max(2);
        let mut product = Memory::scratch::<T>(height * columns);
        let product: &mut [T] = product.as_slice_mut();
        let mut current: Vec<Vec<T>> = Vec::with_capacity(next.len());
        for (slots, next) in self.states.iter().zip(next) {
            let columns = next.len() * width;
            let mut state = vec![T::default(); height * columns];
            for (&sequence, row) in own.iter().zip(state.chunks_exact_mut(columns)) {
                // SAFETY: the row belongs to one sequence, and the sequence to this thread.
                row.copy_from_slice(unsafe { slots.slice(block(sequence, columns)) });
            }
            current.push(state);
        }
        // The rows of each input: its elements, where the first row begins, from row to row.
        let rows_of: Vec<(&[T], usize, isize, usize)> = inputs
            .iter()
            .map(|view| {
                let layout = view.layout;
                (elements(view), layout.offset(), layout.strides()[0], layout.dims()[1] / width)
            })
            .collect();
        // Where an output goes: to the first matrix that keeps it, or else to a row that nobody does.
        let home = |j: usize| {
            let mut places = kept.iter().enumerate();
            places.find(|(_, range)| range.contains(&j)).map(|(k, range)| (k, j - range.start))
        };
        let homes: Vec<_> = (0..cell.n_outputs()).map(home).collect();
        let mut nowhere = vec![vec![T::default(); width]; cell.n_outputs()];
        let compiled = T::compiled(cell);

        let length = |i: usize| sequences[own[i]].len();
        let mut n = if self.recurrence.backwards { 0 } else { own.len() };
        for step in 0..own.first().map_or(0, |&s| sequences[s].len()) {
            // Backwards the longest sequence begins, and the others join it at their ends.
            let t = match self.recurrence.backwards {
                true => length(0) - 1 - step,
                false => step,
            };
            while n < own.len() && length(n) > t {
                n += 1;
            }
            while n > 0 && length(n - 1) <= t {
                n -= 1;
            }
            let rows = n.max(2);
            let a = MatrixRef::new(&current[0], 0, [rows, depth], [depth as isize, 1]);
            let b = MatrixRef::new(self.weight, 0, [depth, columns], [columns as isize, 1]);
            gemm_serial(a, b, MatrixMut::new(product, [rows, columns], columns), false);
            for (i, &sequence) in own[..n].iter().enumerate() {
                let row = sequences[sequence].start + t;
                let mut few: [&[T]; 20] = [&[]; 20];
                let mut many = Vec::new();
                let blocks = match cell.n_inputs() {
                    n if n <= few.len() => &mut few[..n],
                    n => {
                        many.resize(n, &[][..]);
                        &mut many[..]
                    }
                };
                let mut next_block = blocks.iter_mut();
                let mut give = |data| {
                    for (data, block) in <[T]>::chunks_exact(data, width).zip(&mut next_block) {
                        *block = data;
                    }
                };
                give(&product[block(i, columns)]);
                for (state, next) in current.iter().zip(next) {
                    give(&state[block(i, next.len() * width)]);
                }
                for &(data, offset, stride, blocks) in &rows_of {
                    let start = (offset as isize + row as isize * stride) as usize;
                    give(&data[start..start + blocks * width]);
                }
                let mut few: [&mut [T]; 12] = std::array::from_fn(|_| -> &mut [T] { &mut [] });
                let mut many = Vec::new();
                let outputs = match homes.len() {
                    n if n <= few.len() => &mut few[..n],
                    n => {
                        many.resize_with(n, || -> &mut [T] { &mut [] });
                        &mut many[..]
                    }
                };
                for ((to, home), nowhere) in outputs.iter_mut().zip(&homes).zip(&mut nowhere) {
                    *to = match *home {
                        Some((k, j)) => {
                            let at = row * kept[k].len() + j;
                            // SAFETY: the row belongs to one sequence, the sequence to this thread,
                            // and these columns of it to this output.
                            unsafe { self.kept[k].slice(block(at, width)) }
                        }
                        None => nowhere,
                    };
                }
                // The next step's row of this sequence lies beside this one, and the rows of other
                // sequences, which come first, far away: the processor wouldn't foresee it.
                let beside = if self.recurrence.backwards { row.wrapping_sub(1) } else { row + 1 };
                if sequences[sequence].contains(&beside) {
                    for &(data, offset, stride, blocks) in &rows_of {
                        let start = (offset as isize + beside as isize * stride) as usize;
                        if stride != 0 {
                            prefetch::lines(&data[start..start + blocks * width]);
                        }
                    }
                    for (slots, range) in self.kept.iter().zip(kept) {
                        // SAFETY: the row belongs to one sequence, and the sequence to this thread.
                        prefetch::lines(unsafe { slots.slice(block(beside, range.len() * width)) });
                    }
                }
                match compiled {
                    Some(step) => step(blocks, outputs),
                    None => interpret(cell, blocks, outputs),
                }
                for (k, range) in kept.iter().enumerate() {
                    for j in range.clone().filter(|&j| homes[j].is_some_and(|home| home.0 != k)) {
                        let at = row * range.len() + j - range.start;
                        // SAFETY: as above; this output's first home is in another matrix.
                        unsafe { self.kept[k].slice(block(at, width)) }.copy_from_slice(outputs[j]);
                    }
                }
                for (state, range) in current.iter_mut().zip(next) {
                    let to = state[block(i, range.len() * width)].chunks_exact_mut(width);
                    for (to, output) in to.zip(&outputs[range.clone()]) {
                        to.copy_from_slice(output);
                    }
                }
            }
        }
        for ((slots, next), state) in self.states.iter().zip(next).zip(&current) {
            let columns = next.len() * width;
            for (&sequence, row) in own.iter().zip(state.chunks_exact(columns)) {
                // SAFETY: as above.
                unsafe { slots.slice(block(sequence, columns)) }.copy_from_slice(row);
            }
        }
    }
}

/// Row `i` of rows of `len` elements.
fn block(i: usize, len: usize) -> Range<usize> {
    i * len..(i + 1) * len
}

/// Evaluates a cell at a row.
fn interpret<T: Reducible>(cell: &Formula, blocks: &[&[T]], outputs: &mut [&mut [T]]) {
    let width = blocks[0].len();
    assert!(outputs.iter().all(|output| output.len() == width));
    let sources: Vec<Source<'_, T>> = blocks.iter().map(|block| Source::Slice(block)).collect();
    let sinks: Vec<Sink<'_, T>> = outputs.iter_mut().map(|out| Sink::slice(out)).collect();
    let mut evaluator = Evaluator::new(cell, &sources, &sinks, &[], [width, 1, width]);
    // SAFETY: the outputs are exclusively borrowed, each `width` long.
    unsafe { evaluator.run(0, width) };
}
