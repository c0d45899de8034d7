//! A step of a recurrence: where the blocks of a row lie that its cell reads and writes. They are looked up
//! once for each walk, because a row of a hundred elements is done in the time of a few dozen look-ups.

use super::accumulate::Reducible;
use super::cells::Step;
use super::evaluate::{Evaluator, Sink, Source};
use super::memory::elements;
use super::parallel::Slots;
use super::prefetch;
use crate::{Formula, Recurrence};

/// Which rows a step is about.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Of the product and the states, which have a row for each sequence of a walk.
    pub(super) sequence: usize,
    /// Of the inputs and of what is kept, which have a row for each step of each sequence.
    pub(super) step: usize,
}

/// One block of each row of a matrix.
#[derive(Clone, Copy)]
struct Block<T> {
    /// In the first row.
    start: *mut T,
    /// Elements from row to row.
    stride: isize,
    /// Whether there is a row for each step, not for each sequence.
    by_step: bool,
}

impl<T> Block<T> {
    /// This block and those beside it, of `width` columns each.
    fn all(first: Block<T>, blocks: usize, width: usize) -> impl Iterator<Item = Block<T>> {
        (0..blocks).map(move |i| Block { start: first.start.wrapping_add(i * width), ..first })
    }

    #[inline(always)]
    fn at(&self, Place { sequence, step }: Place) -> *mut T {
        let row = if self.by_step { step } else { sequence };
        self.start.wrapping_offset(row as isize * self.stride)
    }
}

/// A cell with the places of all that it reads and writes.
pub(super) struct Placed<'a, T> {
    cell: &'a Formula,
    compiled: Option<Step<T>>,
    width: usize,
    /// Rows from a step to the next.
    forward: isize,
    inputs: Vec<Block<T>>,
    outputs: Vec<Block<T>>,
    /// Outputs that go to one more place.
    copies: Vec<(usize, Block<T>)>,
    /// The outputs that are kept nowhere.
    _nowhere: Vec<T>,
    reads: Vec<*const T>,
    writes: Vec<*mut T>,
}

impl<'a, T: Reducible> Placed<'a, T> {
    /// A cell between the product, the states before a step, the inputs and what is kept.
    ///
    /// # Panics
    /// When an input or something kept has fewer rows than the sequences.
    pub(super) fn new(
        recurrence: &Recurrence<'a>,
        product: *mut T,
        states: &[*mut T],
        kept: &[Slots<T>],
    ) -> Self {
        let Recurrence { cell, weight, width, .. } = *recurrence;
        // Of those that have steps: where an empty one lies says nothing.
        let some = recurrence.sequences.iter().filter(|rows| !rows.is_empty());
        let rows = some.map(|rows| rows.end).max().unwrap_or(0);
        let per_sequence = |start, blocks: usize| {
            let stride = (blocks * width) as isize;
            Block::all(Block { start, stride, by_step: false }, blocks, width)
        };
        let per_step = |start, stride, blocks| {
            Block::all(Block { start, stride, by_step: true }, blocks, width)
        };

        let mut inputs: Vec<Block<T>> = Vec::with_capacity(cell.n_inputs());
        inputs.extend(per_sequence(product, weight.layout.dims()[1] / width));
        let mut next = Vec::with_capacity(cell.n_outputs());
        for (&start, range) in states.iter().zip(recurrence.next) {
            inputs.extend(per_sequence(start, range.len()));
            next.extend(range.clone().zip(per_sequence(start, range.len())));
        }
        for view in recurrence.inputs {
            let (layout, data) = (view.layout, elements::<T>(view));
            layout.assert_inside(data.len());
            assert!(
                layout.dims()[0] >= rows && (layout.dims()[1] <= 1 || layout.strides()[1] == 1)
            );
            let start = data.as_ptr().wrapping_add(layout.offset()).cast_mut();
            inputs.extend(per_step(start, layout.strides()[0], layout.dims()[1] / width));
        }
        assert!(inputs.len() == cell.n_inputs());

        // An output is written to the first matrix that keeps it, or else to a row that nobody keeps,
        // and copied from there.
        let mut nowhere = vec![T::default(); cell.n_outputs() * width];
        let unkept = Block { start: nowhere.as_mut_ptr(), stride: 0, by_step: true };
        let unkept = Block::all(unkept, cell.n_outputs(), width);
        let mut outputs: Vec<Option<Block<T>>> = vec![None; cell.n_outputs()];
        let mut copies = Vec::new();
        for (slots, range) in kept.iter().zip(recurrence.kept) {
            let row = range.len() * width;
            assert!(slots.len() >= rows * row);
            for (j, block) in range.clone().zip(per_step(slots.start(), row as isize, range.len()))
            {
                match outputs[j] {
                    None => outputs[j] = Some(block),
                    Some(_) => copies.push((j, block)),
                }
            }
        }
        copies.extend(next);
        Placed {
            cell,
            compiled: T::compiled(cell),
            width,
            forward: if recurrence.backwards { -1 } else { 1 },
            reads: Vec::with_capacity(inputs.len()),
            writes: Vec::with_capacity(outputs.len()),
            inputs,
            outputs: outputs.into_iter().zip(unkept).map(|(to, or)| to.unwrap_or(or)).collect(),
            copies,
            _nowhere: nowhere,
        }
    }

    /// Does a step of one sequence.
    ///
    /// # Safety
    /// The product and the states that [`new`](Self::new) was given are still there, with a row of all their blocks
    /// for this sequence, and so are the inputs and what is kept; the step is one of the sequences that it was
    /// given; meanwhile nobody else uses these rows.
    pub(super) unsafe fn step(&mut self, place: Place) {
        // A sequence's next row lies beside this one, and the rows of others, which come first, far away: the
        // processor wouldn't foresee it.
        for block in self.inputs.iter().chain(&self.outputs) {
            if block.by_step && block.stride != 0 {
                let beside = block.at(place).wrapping_offset(self.forward * block.stride);
                prefetch::lines(beside, self.width);
            }
        }
        self.reads.clear();
        self.reads.extend(self.inputs.iter().map(|block| block.at(place).cast_const()));
        self.writes.clear();
        self.writes.extend(self.outputs.iter().map(|block| block.at(place)));
        // SAFETY: the rows are there, and the caller's alone.
        unsafe {
            match self.compiled {
                Some(step) => step(self.width, &self.reads, &self.writes),
                None => interpret(self.cell, self.width, &self.reads, &self.writes),
            }
            for (j, to) in &self.copies {
                to.at(place).copy_from_nonoverlapping(self.writes[*j], self.width);
            }
        }
    }
}

/// Evaluates a cell at a row.
///
/// # Safety
/// All pointers are to `width` elements, those written are apart from all others.
unsafe fn interpret<T: Reducible>(
    cell: &Formula,
    width: usize,
    reads: &[*const T],
    writes: &[*mut T],
) {
    // SAFETY: the caller's promise.
    let slice = |&start: &*const T| unsafe { std::slice::from_raw_parts(start, width) };
    let sources: Vec<Source<'_, T>> = reads.iter().map(slice).map(Source::Slice).collect();
    // SAFETY: the caller's promise.
    let slice = |&start: &*mut T| unsafe { std::slice::from_raw_parts_mut(start, width) };
    let sinks: Vec<Sink<'_, T>> = writes.iter().map(|start| Sink::slice(slice(start))).collect();
    let mut evaluator = Evaluator::new(cell, &sources, &sinks, &[], [width, 1, width]);
    // SAFETY: the outputs are apart, each `width` long.
    unsafe { evaluator.run(0, width) };
}
