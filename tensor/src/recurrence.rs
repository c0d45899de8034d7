//! Recurrences: what a backend is told, and what that means.

use std::ops::Range;

use crate::backend::{Backend, Buffer, Target, View};
use crate::{Formula, Layout, formula};

/// A cell that is applied along sequences, its state multiplied by a matrix between the steps:
///
/// ```text
/// pₜ = state₀ · weight
/// outputsₜ = cell(pₜ, states, inputsₜ)     element by element
/// states = some of outputsₜ
/// ```
///
/// All matrices consist of blocks of `width` columns. The cell's inputs are, in this order, the
/// blocks of pₜ, of every state, and of the row of every input.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a> {
    /// What happens in a step.
    pub cell: &'a Formula,
    /// What the first state is multiplied by, [K, P].
    pub weight: View<'a>,
    /// Matrices with a row for each step of each sequence, the elements of a row side by side.
    pub inputs: &'a [View<'a>],
    /// The rows of each sequence. No row belongs to two, and every row to one.
    pub sequences: &'a [Range<usize>],
    /// From the last step to the first.
    pub backwards: bool,
    /// For each state the outputs of the cell that are its next value.
    pub next: &'a [Range<usize>],
    /// For each matrix to be written the outputs of the cell that it keeps, a row for each step.
    pub kept: &'a [Range<usize>],
    /// Columns of a block.
    pub width: usize,
}

impl Recurrence<'_> {
    /// The rows of a sequence in the order of its steps.
    pub(crate) fn rows(&self, sequence: usize) -> impl Iterator<Item = usize> {
        let Range { start, end } = self.sequences[sequence];
        let backwards = self.backwards;
        (0..end - start).map(move |t| if backwards { end - 1 - t } else { start + t })
    }
}

/// [`Backend::recur`] step by step, by the backend's other methods.
pub(crate) fn by_definition<B: Backend + ?Sized>(
    backend: &B,
    recurrence: &Recurrence<'_>,
    states: &mut [Buffer],
    kept: &mut [Buffer],
) {
    let Recurrence { cell, weight, inputs, width, .. } = *recurrence;
    let (device, dtype) = (weight.buffer.device(), weight.buffer.dtype());
    let columns = weight.layout.dims()[1];
    let mut product = Buffer::allocate(device, dtype, &[columns].into());
    let allocate = |_| Buffer::allocate(device, dtype, &[width].into());
    let mut outputs: Vec<Buffer> = (0..cell.n_outputs()).map(allocate).collect();
    // Block `j` of a row of a matrix.
    let block = |matrix: &Layout, row: usize, j: usize| {
        matrix.select(0, row).slice(0, j * width, (j + 1) * width, 1)
    };
    let whole = |rows: usize, blocks: usize| Layout::contiguous([rows, blocks * width]);
    let (n, flat) = (recurrence.sequences.len(), Layout::contiguous([width]));
    for sequence in 0..n {
        for row in recurrence.rows(sequence) {
            let layout = whole(n, recurrence.next[0].len());
            let layout = layout.slice(0, sequence, sequence + 1, 1);
            let state = View { buffer: &states[0], layout: &layout };
            backend.matmul(state, weight, None, &mut product);
            let mut operands: Vec<(&Buffer, Layout)> = Vec::new();
            let one = Layout::contiguous([1, columns]);
            operands.extend((0..columns / width).map(|j| (&product, block(&one, 0, j))));
            for (state, next) in states.iter().zip(recurrence.next) {
                let matrix = whole(n, next.len());
                let blocks = 0..next.len();
                operands.extend(blocks.map(|j| (state, block(&matrix, sequence, j))));
            }
            for input in inputs {
                let blocks = 0..input.layout.dims()[1] / width;
                operands.extend(blocks.map(|j| (input.buffer, block(input.layout, row, j))));
            }
            let views: Vec<View<'_>> =
                operands.iter().map(|(buffer, layout)| View { buffer, layout }).collect();
            let mut targets: Vec<Target<'_>> =
                outputs.iter_mut().map(|buffer| Target { buffer, layout: &flat }).collect();
            backend.map(cell, &views, &[], &mut targets, false);
            let copy = |to: &mut Buffer, matrix: &Layout, row: usize, from: &Range<usize>| {
                for (j, output) in outputs[from.clone()].iter().enumerate() {
                    let views = [View { buffer: output, layout: &flat }];
                    let mut target = [Target { buffer: to, layout: &block(matrix, row, j) }];
                    backend.map(formula!(|x| x), &views, &[], &mut target, false);
                }
            };
            for (state, next) in states.iter_mut().zip(recurrence.next) {
                copy(state, &whole(n, next.len()), sequence, next);
            }
            for (buffer, range) in kept.iter_mut().zip(recurrence.kept) {
                let rows = buffer.len() / (range.len() * width);
                copy(buffer, &whole(rows, range.len()), row, range);
            }
        }
    }
}
