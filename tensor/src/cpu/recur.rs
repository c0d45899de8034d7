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
use super::gemm::{GemmElement, MatrixMut, MatrixRef, gemm_serial, worthwhile_threads};
use super::memory::{Memory, elements};
use super::parallel::{Slots, for_each_range};
use super::placed::{Place, Placed};
use super::walk::{Walk, gather};
use crate::{Buffer, Recurrence};

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
    let parts = worthwhile_threads(flops, super::threads()).min(order.len().max(1));
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
        let Recurrence { weight, sequences, next, width, .. } = *self.recurrence;
        let [depth, columns] = [weight.layout.dims()[0], weight.layout.dims()[1]];
        // One row more than a single sequence needs: a product of one row would be another loop,
        // which adds up in another order, and a sequence would depend on what it is batched with.
        let height = own.len().max(2);
        let product = Memory::scratch::<T>(height * columns);
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
        let starts: Vec<*mut T> = current.iter_mut().map(Vec::as_mut_ptr).collect();
        let mut cell = Placed::new(self.recurrence, product.start(), &starts, &self.kept);

        let longest = own.first().map_or(0, |&s| sequences[s].len());
        for step in 0..longest {
            // Backwards the longest sequence begins, and the others join it at their ends.
            let t = if self.recurrence.backwards { longest - 1 - step } else { step };
            let n = own.partition_point(|&s| sequences[s].len() > t);
            let rows = n.max(2);
            let a = MatrixRef::new(&current[0], 0, [rows, depth], [depth as isize, 1]);
            let b = MatrixRef::new(self.weight, 0, [depth, columns], [columns as isize, 1]);
            // SAFETY: the cell, which reads it, is not at work meanwhile.
            let c = unsafe { std::slice::from_raw_parts_mut(product.start(), rows * columns) };
            gemm_serial(a, b, MatrixMut::new(c, [rows, columns], columns), false);
            for (i, &sequence) in own[..n].iter().enumerate() {
                let place = Place { sequence: i, step: sequences[sequence].start + t };
                // SAFETY: `Placed::new` found all such rows to be there; the row of the step belongs to one
                // sequence and the sequence to this thread; nobody else looks at the states now.
                unsafe { cell.step(place) };
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
