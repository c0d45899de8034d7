//! A formula over a block of elements: one vectorised loop for each step, all intermediate results
//! in blocks that stay in the first-level cache. Interpreting costs a few nanoseconds for each step
//! and thousand elements, which is to say nothing.

use super::memory::Memory;
use super::primitive::{Operand, Primitive};
use crate::expr::{Formula, Node, Place};
use crate::shape::Strides;
use crate::{Layout, MAX_RANK, Shape};

/// Elements evaluated at once. A handful of such blocks fits the first-level cache.
pub(super) const BLOCK: usize = 1024;

/// The order in which a view's elements are visited: row-major, with neighbouring axes merged where
/// the layout allows it, so that a contiguous tensor of any rank is one long axis.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    shape: Shape,
    strides: Strides,
    offset: usize,
}

impl Walk {
    pub(super) fn new(layout: &Layout) -> Walk {
        let mut shape = Shape::SCALAR;
        let mut strides = [0isize; MAX_RANK];
        for (&dim, &stride) in layout.dims().iter().zip(layout.strides()) {
            if dim == 1 {
                continue;
            }
            match shape.len().checked_sub(1) {
                Some(last) if strides[last] == stride * dim as isize => {
                    shape[last] *= dim;
                    strides[last] = stride;
                }
                _ => {
                    strides[shape.len()] = stride;
                    shape.push(dim);
                }
            }
        }
        Walk { shape, strides, offset: layout.offset() }
    }

    /// Whether the elements follow one another in the buffer.
    pub(super) fn is_contiguous(&self) -> bool {
        let mut step = 1;
        for axis in (0..self.shape.len()).rev() {
            if self.strides[axis] != step {
                return false;
            }
            step *= self.shape[axis] as isize;
        }
        true
    }

    /// Calls `run(place, buffer index, stride, length)` on the constant-stride runs that make up
    /// the elements `start..start + len`; `place` counts from 0.
    pub(super) fn runs(
        &self,
        start: usize,
        len: usize,
        mut run: impl FnMut(usize, isize, isize, usize),
    ) {
        let rank = self.shape.len();
        if rank == 0 {
            run(0, self.offset as isize, 0, len);
            return;
        }
        let inner = rank - 1;
        let mut position = [0usize; MAX_RANK];
        let mut index = self.offset as isize;
        let mut rest = start;
        for axis in (0..rank).rev() {
            position[axis] = rest % self.shape[axis];
            rest /= self.shape[axis];
            index += position[axis] as isize * self.strides[axis];
        }
        let mut done = 0;
        while done < len {
            let count = (self.shape[inner] - position[inner]).min(len - done);
            run(done, index, self.strides[inner], count);
            done += count;
            // On to the next row.
            index -= position[inner] as isize * self.strides[inner];
            position[inner] = 0;
            for axis in (0..inner).rev() {
                position[axis] += 1;
                index += self.strides[axis];
                if position[axis] < self.shape[axis] {
                    break;
                }
                index -= self.strides[axis] * self.shape[axis] as isize;
                position[axis] = 0;
            }
        }
    }
}

/// Copies the elements `start..start + out.len()` of a walk.
pub(super) fn gather_block<T: Copy>(data: &[T], walk: &Walk, start: usize, out: &mut [T]) {
    walk.runs(start, out.len(), |place, index, stride, count| {
        let out = &mut out[place..place + count];
        match stride {
            1 => out.copy_from_slice(&data[index as usize..index as usize + count]),
            0 => out.fill(data[index as usize]),
            _ => {
                for (i, x) in out.iter_mut().enumerate() {
                    *x = data[(index + i as isize * stride) as usize];
                }
            }
        }
    });
}

/// An input of a formula.
#[derive(Clone, Copy)]
pub(super) enum Source<'a, T> {
    /// One number.
    Uniform(T),
    /// A slice in the order of the iteration.
    Slice(&'a [T]),
    /// Elements to be gathered block by block.
    Strided(&'a [T], Walk),
    /// A block that the caller loads (the old values of an in-place target).
    Loaded,
}

impl<'a, T: Primitive> Source<'a, T> {
    /// The elements of a buffer in the order of a layout.
    pub(super) fn new(data: &'a [T], layout: &Layout) -> Self {
        let from = layout.offset();
        if layout.is_contiguous() {
            Source::Slice(&data[from..from + layout.elem_count()])
        } else if layout.strides().iter().all(|&stride| stride == 0) {
            Source::Uniform(data[from])
        } else {
            Source::Strided(data, Walk::new(layout))
        }
    }

    fn needs_block(&self) -> bool {
        matches!(self, Source::Strided(..) | Source::Loaded)
    }
}

/// A formula with its inputs, ready to be evaluated block by block.
pub(super) struct Evaluator<'a, T> {
    formula: &'a Formula,
    sources: &'a [Source<'a, T>],
    /// The value of each node that is one number for the whole call; then the registers; then, if
    /// any input needs one, a block for each input.
    scratch: Memory,
    /// Elements before the registers,
    n_uniform: usize,
    /// and from one register or block to the next: whole cache lines.
    stride: usize,
    start: usize,
    len: usize,
}

/// Elements of any type in a cache line, or in several.
const LINE: usize = 16;

impl<'a, T: Primitive> Evaluator<'a, T> {
    /// `longest` is the longest block that will be asked for.
    pub(super) fn new(
        formula: &'a Formula,
        sources: &'a [Source<'a, T>],
        scalars: &[f64],
        longest: usize,
    ) -> Self {
        let schedule = formula.schedule();
        let nodes = formula.nodes();
        let has_uniform = !schedule.uniform.is_empty();
        let n_uniform = if has_uniform { nodes.len().next_multiple_of(LINE) } else { 0 };
        let stride = longest.next_multiple_of(LINE);
        let n_blocks = if sources.iter().any(Source::needs_block) { sources.len() } else { 0 };
        let len = n_uniform + (schedule.n_registers + n_blocks) * stride;
        let mut scratch = Memory::allocate(len * size_of::<T>());
        let uniform = scratch.as_slice_mut::<T>();
        for &id in &schedule.uniform {
            let at = |operand: usize| Operand::Scalar(uniform[operand]);
            let mut value = [T::default()];
            match nodes[id] {
                Node::Scalar(i) => value[0] = T::from_f64(scalars[i]),
                Node::Const(bits) => value[0] = T::from_f64(f64::from_bits(bits)),
                Node::Unary(op, x) => T::unary(op, &[uniform[x]], &mut value),
                Node::Binary(op, x, y) => T::binary(op, at(x), at(y), &mut value),
                Node::Select(c, a, b) => T::select(at(c), at(a), at(b), &mut value),
                Node::Input(_) => {}
            }
            uniform[id] = value[0];
        }
        Evaluator { formula, sources, scratch, n_uniform, stride, start: 0, len: 0 }
    }

    /// The same registers for other inputs, slices or single numbers.
    pub(super) fn bind<'b>(
        self,
        formula: &'b Formula,
        sources: &'b [Source<'b, T>],
    ) -> Evaluator<'b, T> {
        debug_assert!(*formula == *self.formula && !sources.iter().any(Source::needs_block));
        let Evaluator { scratch, n_uniform, stride, start, len, .. } = self;
        Evaluator { formula, sources, scratch, n_uniform, stride, start, len }
    }

    /// Where a register begins, or the block of an input, which come after the registers.
    fn register(&self, r: usize) -> usize {
        self.n_uniform + r * self.stride
    }

    fn block(&self, input: usize) -> usize {
        self.register(self.formula.schedule().n_registers + input)
    }

    /// The block of a [`Source::Loaded`] input, to be filled before [`run`](Self::run).
    pub(super) fn loaded(&mut self, input: usize, len: usize) -> &mut [T] {
        let at = self.block(input);
        &mut self.scratch.as_slice_mut()[at..at + len]
    }

    /// Evaluates the elements `start..start + len`. Outputs that nothing else reads are written to
    /// `outputs` at once; the others are found by [`output`](Self::output).
    pub(super) fn run(&mut self, start: usize, len: usize, outputs: &mut [&mut [T]]) {
        (self.start, self.len) = (start, len);
        for (i, source) in self.sources.iter().enumerate() {
            if let Source::Strided(data, walk) = source {
                gather_block(data, walk, start, self.loaded(i, len));
            }
        }
        let formula = self.formula;
        for step in &formula.schedule().steps {
            match step.place {
                Place::Output(j) => {
                    let values =
                        Values { evaluator: self, before: self.scratch.as_slice(), after: &[] };
                    values.step(step.node, &mut outputs[j][..len]);
                }
                Place::Register(r) => {
                    let at = self.register(r);
                    // Lent out, so that the register can be written while others are read.
                    let mut scratch = std::mem::replace(&mut self.scratch, Memory::allocate(0));
                    let (before, rest) = scratch.as_slice_mut().split_at_mut(at);
                    let (out, after) = rest.split_at_mut(self.stride);
                    Values { evaluator: self, before, after }.step(step.node, &mut out[..len]);
                    self.scratch = scratch;
                }
                Place::Input(_) | Place::Uniform => {}
            }
        }
    }

    /// The values of output `j` of the last block, unless they were written to its slice.
    pub(super) fn output(&self, j: usize) -> Option<Operand<'_, T>> {
        let root = self.formula.roots()[j];
        match self.formula.schedule().places[root] {
            Place::Output(_) => None,
            _ => {
                let values =
                    Values { evaluator: self, before: self.scratch.as_slice(), after: &[] };
                Some(values.operand(root))
            }
        }
    }
}

/// What a step may read: all of the scratch memory but the register that it writes.
struct Values<'e, T> {
    evaluator: &'e Evaluator<'e, T>,
    before: &'e [T],
    after: &'e [T],
}

impl<'e, T: Primitive> Values<'e, T> {
    fn step(&self, node: usize, out: &mut [T]) {
        match self.evaluator.formula.nodes()[node] {
            Node::Unary(op, x) => match self.operand(x) {
                Operand::Slice(x) => T::unary(op, x, out),
                Operand::Scalar(x) => {
                    let mut value = [T::default()];
                    T::unary(op, &[x], &mut value);
                    out.fill(value[0]);
                }
            },
            Node::Binary(op, x, y) => T::binary(op, self.operand(x), self.operand(y), out),
            Node::Select(c, a, b) => {
                T::select(self.operand(c), self.operand(a), self.operand(b), out);
            }
            Node::Input(_) | Node::Scalar(_) | Node::Const(_) => {}
        }
    }

    fn operand(&self, node: usize) -> Operand<'e, T> {
        let Evaluator { formula, sources, start, len, .. } = *self.evaluator;
        match formula.schedule().places[node] {
            Place::Uniform => Operand::Scalar(self.before[node]),
            Place::Register(r) => self.scratch(self.evaluator.register(r)),
            Place::Input(i) => match sources[i] {
                Source::Uniform(x) => Operand::Scalar(x),
                Source::Slice(data) => Operand::Slice(&data[start..start + len]),
                Source::Strided(..) | Source::Loaded => self.scratch(self.evaluator.block(i)),
            },
            Place::Output(_) => unreachable!("an output that is read has a register"),
        }
    }

    fn scratch(&self, at: usize) -> Operand<'e, T> {
        let len = self.evaluator.len;
        let hole = self.before.len() + self.evaluator.stride;
        Operand::Slice(match at.checked_sub(hole) {
            Some(at) if !self.after.is_empty() => &self.after[at..at + len],
            _ => &self.before[at..at + len],
        })
    }
}

/// Rough cost of one element in units of an addition, to decide what is worth a second thread.
pub(super) fn cost(formula: &Formula) -> usize {
    let nodes = formula.nodes().iter();
    1 + nodes
        .map(|node| match node {
            Node::Unary(op, _) => match op {
                crate::Unary::Neg | crate::Unary::Abs => 1,
                crate::Unary::Floor | crate::Unary::Round | crate::Unary::Sqrt => 2,
                _ => 10,
            },
            Node::Binary(crate::Binary::Pow, ..) => 40,
            Node::Binary(..) | Node::Select(..) | Node::Input(_) => 1,
            Node::Scalar(_) | Node::Const(_) => 0,
        })
        .sum::<usize>()
}

/// Elements that one thread should have at least: about 20 microseconds of work.
pub(super) fn grain(formula: &Formula) -> usize {
    (200_000 / cost(formula)).next_multiple_of(BLOCK)
}
