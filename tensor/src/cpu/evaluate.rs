//! A formula over a block of elements: one vectorised loop for each step, all intermediate results
//! in blocks that stay in the first-level cache. Interpreting costs a few nanoseconds for each step
//! and thousand elements, which is to say nothing.

use super::primitive::{Operand, Primitive};
use crate::expr::{Formula, Node, Place};
use crate::shape::Strides;
use crate::{Layout, MAX_RANK, Shape};

/// Elements evaluated at once. A handful of such blocks fits the first-level cache.
pub(super) const BLOCK: usize = 1024;

/// Dimensions shared by several layouts, with neighbouring axes merged wherever every layout allows
/// it: a contiguous tensor of any rank becomes one long axis.
pub(super) struct Space {
    shape: Shape,
    strides: Vec<Strides>,
}

impl Space {
    pub(super) fn new(layouts: &[Layout]) -> Self {
        let mut shape = Shape::SCALAR;
        let mut strides = vec![[0isize; MAX_RANK]; layouts.len()];
        let Some(first) = layouts.first() else { return Space { shape, strides } };
        for (axis, &dim) in first.dims().iter().enumerate() {
            if dim == 1 {
                continue;
            }
            let last = shape.len().wrapping_sub(1);
            let merges = !shape.is_empty()
                && layouts
                    .iter()
                    .zip(&strides)
                    .all(|(l, s)| s[last] == l.strides()[axis] * dim as isize);
            let place = if merges {
                shape[last] *= dim;
                last
            } else {
                shape.push(dim);
                shape.len() - 1
            };
            for (layout, s) in layouts.iter().zip(&mut strides) {
                s[place] = layout.strides()[axis];
            }
        }
        Space { shape, strides }
    }

    /// How the view at `position` of the layouts is visited.
    pub(super) fn walk(&self, position: usize, offset: usize) -> Walk {
        let strides = self.strides[position];
        Walk { shape: self.shape, strides, offset }
    }
}

/// The order in which one view's elements are visited.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    shape: Shape,
    strides: Strides,
    offset: usize,
}

impl Walk {
    fn is_uniform(&self) -> bool {
        self.strides[..self.shape.len()].iter().all(|&s| s == 0)
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

impl<'a, T: Copy> Source<'a, T> {
    pub(super) fn new(data: &'a [T], walk: Walk) -> Self {
        if walk.is_uniform() {
            Source::Uniform(data[walk.offset])
        } else if walk.is_contiguous() {
            Source::Slice(&data[walk.offset..])
        } else {
            Source::Strided(data, walk)
        }
    }
}

/// A formula with its inputs, ready to be evaluated block by block.
pub(super) struct Evaluator<'a, T> {
    formula: &'a Formula,
    sources: &'a [Source<'a, T>],
    /// Value of each node that is one number for the whole call.
    uniform: Vec<T>,
    registers: Vec<Vec<T>>,
    /// Blocks of strided and of loaded inputs.
    blocks: Vec<Vec<T>>,
    start: usize,
    len: usize,
}

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
        let mut uniform = Vec::new();
        if !schedule.uniform.is_empty() {
            uniform.resize(nodes.len(), T::default());
        }
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
        let block = |source: &Source<'a, T>| match source {
            Source::Strided(..) | Source::Loaded => vec![T::default(); longest],
            _ => Vec::new(),
        };
        Evaluator {
            formula,
            sources,
            uniform,
            registers: vec![vec![T::default(); longest]; schedule.n_registers],
            blocks: sources.iter().map(block).collect(),
            start: 0,
            len: 0,
        }
    }

    /// The block of a [`Source::Loaded`] input, to be filled before [`run`](Self::run).
    pub(super) fn loaded(&mut self, input: usize, len: usize) -> &mut [T] {
        &mut self.blocks[input][..len]
    }

    /// Evaluates the elements `start..start + len`. Outputs that nothing else reads are written to
    /// `outputs` at once; the others are found by [`output`](Self::output).
    pub(super) fn run(&mut self, start: usize, len: usize, outputs: &mut [&mut [T]]) {
        (self.start, self.len) = (start, len);
        for (source, block) in self.sources.iter().zip(&mut self.blocks) {
            if let Source::Strided(data, walk) = source {
                gather_block(data, walk, start, &mut block[..len]);
            }
        }
        for step in &self.formula.schedule().steps {
            match step.place {
                Place::Output(j) => {
                    let out = std::mem::take(&mut outputs[j]);
                    self.step(step.node, &mut out[..len]);
                    outputs[j] = out;
                }
                Place::Register(r) => {
                    let mut out = std::mem::take(&mut self.registers[r]);
                    self.step(step.node, &mut out[..len]);
                    self.registers[r] = out;
                }
                Place::Input(_) | Place::Uniform => {}
            }
        }
    }

    fn step(&self, node: usize, out: &mut [T]) {
        match self.formula.nodes()[node] {
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

    fn operand(&self, node: usize) -> Operand<'_, T> {
        match self.formula.schedule().places[node] {
            Place::Uniform => Operand::Scalar(self.uniform[node]),
            Place::Register(r) => Operand::Slice(&self.registers[r][..self.len]),
            Place::Input(i) => match &self.sources[i] {
                Source::Uniform(x) => Operand::Scalar(*x),
                Source::Slice(data) => Operand::Slice(&data[self.start..self.start + self.len]),
                Source::Strided(..) | Source::Loaded => Operand::Slice(&self.blocks[i][..self.len]),
            },
            Place::Output(_) => unreachable!("an output that is read has a register"),
        }
    }

    /// The values of output `j` of the last block, unless they were written to its slice.
    pub(super) fn output(&self, j: usize) -> Option<Operand<'_, T>> {
        let root = self.formula.roots()[j];
        match self.formula.schedule().places[root] {
            Place::Output(_) => None,
            _ => Some(self.operand(root)),
        }
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
