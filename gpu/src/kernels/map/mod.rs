//! A formula at every element: `outputs[i] = formula(inputs[i])`.
//!
//! The kernel is the formula, printed. Axes that all operands walk alike are joined first, so that most
//! calls have one axis left, and a thread's number is the place of its element. A kernel is compiled for
//! each formula and class of layouts: number of axes, and for each operand whether its last axis lies
//! side by side, repeats one element, or has a stride. Sizes, strides and scalars are numbers that it is
//! given, so another shape or learning rate needs no other kernel.
//!
//! Where the last axis allows, a thread has four elements: one wide load for each operand instead of
//! four. This is bound by memory; the arithmetic is free up to some twenty operations an element.
//!
//! Formulas that reduce rows are in `rows` and `apart`, updates of some rows in `some_rows`.

mod apart;
mod rows;
mod some_rows;

use plies_tensor::{DType, Formula, Node};

use super::{Bindings, MOST, THREADS, Usage, code};
use crate::gpu::Shared;
use crate::pipeline::{Access, Key};
use crate::shader::{Numbers, Printed, Slots, coordinates, each, fill, functions, head};
use crate::strided::{Operand, halves, join_axes};

pub(crate) use some_rows::{MapRows, map_rows};

/// A formula and what it is evaluated on: `operands` are the targets, one for each output, and then the
/// inputs; in place, the formula's first inputs are the targets themselves.
#[derive(Clone)]
pub(crate) struct Map<'a> {
    pub(crate) formula: &'a Formula,
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<usize>,
    pub(crate) operands: Vec<Operand<'a>>,
    pub(crate) scalars: &'a [f64],
    pub(crate) in_place: bool,
}

/// How an operand's last axis lies.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Repeated = 0,
    SideBySide = 1,
    Strided = 2,
}

impl Last {
    fn of(strides: &[isize]) -> Last {
        match strides.last() {
            None | Some(0) => Last::Repeated,
            Some(1) => Last::SideBySide,
            Some(_) => Last::Strided,
        }
    }
}

impl<'a> Map<'a> {
    fn n_targets(&self) -> usize {
        self.formula.n_outputs()
    }

    /// The operand that the formula's first input is; the others follow.
    fn first_input(&self) -> usize {
        if self.in_place { 0 } else { self.n_targets() }
    }

    /// The operand that an input of the formula is.
    fn input(&self, i: usize) -> usize {
        self.first_input() + i
    }

    pub(crate) fn run(mut self, gpu: &Shared) {
        if self.dims.contains(&0) {
            return;
        }
        self.drop_unread();
        if self.formula.reduces_rows() {
            return rows::run(gpu, self);
        }
        join_axes(&mut self.dims, &mut self.operands);
        let count: usize = self.dims.iter().product();
        if count > MOST {
            return self.in_halves(gpu);
        }
        let width = self.widen();
        let usage = self.usage(width);
        match Bindings::all(&self.operands, &usage, &self.dims, gpu.limits()) {
            Some(bindings) => self.launch(gpu, &bindings, width),
            None => self.in_halves(gpu),
        }
    }

    /// Inputs that the formula does not read need no buffer of their own.
    fn drop_unread(&mut self) {
        if self.in_place {
            return;
        }
        let targets = self.n_targets();
        let is_read = |i: &usize| self.formula.nodes().contains(&Node::Input(*i));
        let Some(read) = (0..self.formula.n_inputs()).find(is_read) else {
            return self.operands.truncate(targets);
        };
        for i in (0..self.formula.n_inputs()).filter(|i| !is_read(i)) {
            self.operands[targets + i] = self.operands[targets + read].clone();
        }
    }

    fn in_halves(self, gpu: &Shared) {
        let axes = self.dims.len();
        let Some(parts) = halves(&self.dims, &self.operands, axes) else {
            gpu.unsupported("map: an element beyond what a kernel sees")
        };
        for (dims, operands) in parts {
            Map { dims, operands, ..self.clone() }.run(gpu);
        }
    }

    /// Whether a thread has one element or four; then sizes, offsets and strides are made to count
    /// fours where an operand lies side by side.
    fn widen(&mut self) -> usize {
        let Some((&last, outer)) = self.dims.split_last() else { return 1 };
        let fits = |(i, operand): (usize, &Operand<'_>)| match Last::of(&operand.strides) {
            Last::Repeated => i >= self.n_targets(),
            Last::SideBySide => {
                let others = &operand.strides[..outer.len()];
                operand.offset % 4 == 0 && others.iter().all(|stride| stride % 4 == 0)
            }
            Last::Strided => false,
        };
        // A block is longer than its tensor, so the last four may reach beyond it.
        let ends = |target: &Operand<'_>| target.offset as usize + last == target.len;
        let whole = last.is_multiple_of(4)
            || outer.is_empty() && self.operands[..self.n_targets()].iter().all(ends);
        if !whole || !self.operands.iter().enumerate().all(fits) {
            return 1;
        }
        4
    }

    fn usage(&self, width: usize) -> Vec<Usage> {
        let usage = |(i, operand): (usize, &Operand<'_>)| Usage {
            access: if i < self.n_targets() { Access::Write } else { Access::Read },
            dtype: self.dtype,
            width: if Last::of(&operand.strides) == Last::SideBySide { width } else { 1 },
        };
        self.operands.iter().enumerate().map(usage).collect()
    }

    fn launch(&self, gpu: &Shared, bindings: &Bindings<'_>, width: usize) {
        let rank = self.dims.len();
        let mut dims = self.dims.clone();
        if let Some(last) = dims.last_mut() {
            *last = last.div_ceil(width);
        }
        let count: usize = dims.iter().product();
        let mut numbers = Numbers::default();
        numbers.size(count);
        dims.iter().for_each(|&dim| numbers.size(dim));
        for (operand, &offset) in self.operands.iter().zip(&bindings.offsets) {
            let side_by_side = Last::of(&operand.strides) == Last::SideBySide;
            let unit = if side_by_side { width as isize } else { 1 };
            numbers.step(offset / unit);
            let (last, outer) = operand.strides.split_last().unwrap_or((&0, &[]));
            outer.iter().for_each(|stride| numbers.step(stride / unit));
            numbers.step(if side_by_side { 1 } else { *last });
        }
        numbers.scalars(self.formula, self.scalars, self.dtype);
        let mut class = vec![code(self.dtype), width as u32, rank as u32, self.in_place.into()];
        class.extend(bindings.class());
        class.extend(self.operands.iter().map(|operand| Last::of(&operand.strides) as u32));
        let key = Key { kernel: "map", formula: Some(self.formula.clone()), class };
        let groups = (count as u64).div_ceil(THREADS);
        gpu.launch(key, &bindings.entries, &numbers, groups, || self.text(bindings, width));
    }

    fn text(&self, bindings: &Bindings<'_>, width: usize) -> String {
        let (rank, mut slots) = (self.dims.len(), Slots::default());
        let count = slots.u32();
        let dims: Vec<String> = (0..rank).map(|_| slots.u32()).collect();
        let mut places = coordinates("i", &dims);
        for (k, operand) in self.operands.iter().enumerate() {
            let mut place = slots.i32();
            for axis in 0..rank.max(1) {
                let stride = slots.i32();
                match (axis + 1 == rank.max(1), Last::of(&operand.strides)) {
                    (true, Last::Repeated) => {}
                    (true, Last::SideBySide) => place += &format!(" + i{axis}"),
                    _ => place += &format!(" + i{axis} * {stride}"),
                }
            }
            places += &format!("    let a{k} = {place};\n");
        }
        let printed = Printed::new(self.formula, self.dtype, &mut slots);
        let read = |i: usize| {
            let k = self.input(i);
            format!("T(b{}[a{k}])", bindings.of[k])
        };
        let nodes = printed.nodes(|_| true, read);
        let write =
            |(k, root): (usize, &usize)| format!("    b{}[a{k}] = v{root};\n", bindings.of[k]);
        let writes: String = self.formula.roots().iter().enumerate().map(write).collect();
        let words = [("places", &*places), ("nodes", &nodes), ("writes", &writes)];
        let head = head(self.dtype, width, &bindings.buffers) + functions(self.dtype);
        each(head, &count, &fill(include_str!("map.wgsl"), &words))
    }
}
