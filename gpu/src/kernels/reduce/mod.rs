//! Values of a formula joined over axes: `out[kept] = ⨁ formula(inputs[kept, reduced])`.
//!
//! An output belongs to so many threads (`LANES`, one to 256) as there are elements to join for it. Each
//! joins every LANES-th element, and a tree in the memory that the workgroup shares joins the threads.
//! Neighbouring threads read neighbouring elements: they are lanes of one output where the last axis is
//! reduced, and the same lane of neighbouring outputs where it is kept.
//!
//! Few outputs of many elements would leave most of the device idle. Then each output is cut into parts,
//! and a second pass joins the parts.
//!
//! The chain of additions that an element goes through is at most 32, the number of chains that a thread
//! has, and the logarithm of the threads: what a sum loses does not grow with its length.

use plies_tensor::{DType, Formula, Reduce, formula};

use super::{Bindings, MOST, Usage, code, push_strides, strides_in};
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::pool::Memory;
use crate::shader::{
    Numbers, Printed, Slots, Tree, coordinates, fill, functions, head, identity, join, place,
    together,
};
use crate::strided::{Operand, halves, join_axes};

const CHAIN: usize = 32;
/// Threads that keep a large device busy.
const BUSY: usize = 1 << 16;

/// A reduction: `operands` are the inputs over `kept` and then `reduced` axes.
#[derive(Clone)]
pub(crate) struct Reduction<'a> {
    pub(crate) op: Reduce,
    pub(crate) formula: &'a Formula,
    pub(crate) dtype: DType,
    pub(crate) kept: Vec<usize>,
    pub(crate) reduced: Vec<usize>,
    pub(crate) operands: Vec<Operand<'a>>,
    pub(crate) scalars: &'a [f64],
    /// Row-major over the kept axes, and so along one axis.
    pub(crate) out: Operand<'a>,
}

impl<'a> Reduction<'a> {
    /// Over the axes marked in `axes`.
    #[allow(clippy::too_many_arguments)] // They are the method's of the trait.
    pub(crate) fn new(
        op: Reduce,
        formula: &'a Formula,
        dtype: DType,
        dims: &[usize],
        axes: &[bool],
        mut operands: Vec<Operand<'a>>,
        scalars: &'a [f64],
        out: Operand<'a>,
    ) -> Self {
        let order: Vec<usize> = (0..dims.len())
            .filter(|&axis| !axes[axis])
            .chain((0..dims.len()).filter(|&axis| axes[axis]))
            .collect();
        for operand in &mut operands {
            operand.strides = order.iter().map(|&axis| operand.strides[axis]).collect();
        }
        let (kept, reduced) = order.iter().partition::<Vec<usize>, _>(|&&axis| !axes[axis]);
        let sizes = |axes: Vec<usize>| axes.into_iter().map(|axis| dims[axis]).collect();
        let (kept, reduced) = (sizes(kept), sizes(reduced));
        let out = Operand { strides: vec![1], ..out };
        Reduction { op, formula, dtype, kept, reduced, operands, scalars, out }
    }

    fn dims(&self) -> Vec<usize> {
        [&*self.kept, &*self.reduced].concat()
    }

    /// Joins axes among the kept ones, and among the reduced ones.
    fn join_axes(&mut self) {
        let n = self.kept.len();
        let mut inner: Vec<Operand<'a>> = self.operands.clone();
        inner.iter_mut().for_each(|operand| drop(operand.strides.drain(..n)));
        self.operands.iter_mut().for_each(|operand| operand.strides.truncate(n));
        join_axes(&mut self.kept, &mut self.operands);
        join_axes(&mut self.reduced, &mut inner);
        for (operand, inner) in self.operands.iter_mut().zip(inner) {
            operand.strides.extend(inner.strides);
        }
    }

    pub(crate) fn run(mut self, gpu: &Shared) {
        self.join_axes();
        let [kept, reduced]: [usize; 2] =
            [self.kept.iter().product(), self.reduced.iter().product()];
        if kept == 0 {
            return;
        }
        let read = Usage::read(self.dtype);
        let usage = vec![read; self.operands.len()];
        let bindings = Bindings::all(&self.operands, &usage, &self.dims(), gpu.limits());
        let (Some(mut bindings), true) = (bindings, kept.max(reduced) <= MOST) else {
            return self.in_halves(gpu);
        };
        let lanes = reduced.next_power_of_two().div_ceil(4).clamp(1, 256);
        let lanes = if self.lanes_are_neighbours() { lanes } else { lanes.min(16) };
        let parts = (BUSY / (kept * lanes)).clamp(1, reduced.div_ceil(16 * lanes).max(1));
        if parts == 1 {
            let out = self.out.clone();
            if bindings.add(&out, &[kept], Usage::write(self.dtype), gpu.limits()).is_none() {
                return self.in_halves(gpu);
            }
            return self.launch(gpu, &bindings, [lanes, 1, reduced]);
        }
        let part = reduced.div_ceil(parts);
        let parts = reduced.div_ceil(part);
        let memory = gpu.scratch(parts * kept);
        let partial = Operand::contiguous(&memory, parts * kept, &[parts, kept]);
        {
            // The borrow of the partial results is shorter than that of the operands.
            let mut bindings = Bindings { ..bindings };
            let write = Usage::write(self.dtype);
            if bindings.add(&partial, &[parts, kept], write, gpu.limits()).is_none() {
                return self.in_halves(gpu);
            }
            self.launch(gpu, &bindings, [lanes, parts, part]);
        }
        self.join_parts(gpu, &memory, [parts, kept]);
    }

    /// Whether the elements of one output lie side by side, rather than those of neighbouring outputs.
    fn lanes_are_neighbours(&self) -> bool {
        let n = self.kept.len();
        let steps = |operand: &Operand<'_>| {
            let inner = operand.strides[n..].last().map_or(isize::MAX, |stride| stride.abs());
            let outer = operand.strides[..n].last().map_or(isize::MAX, |stride| stride.abs());
            inner <= outer
        };
        let moving = |operand: &&Operand<'_>| operand.strides.iter().any(|&stride| stride != 0);
        self.operands.iter().filter(moving).all(steps)
    }

    /// In two parts: of the outputs if there are several, which then still lie side by side, otherwise of
    /// what is joined.
    fn in_halves(self, gpu: &Shared) {
        let dims = self.dims();
        let outer = self.kept.len();
        if outer > 0
            && let Some(parts) = halves(&dims, &self.operands, 1)
        {
            let mut out = self.out.clone();
            for (dims, operands) in parts {
                let (kept, _) = dims.split_at(outer);
                let part =
                    Reduction { kept: kept.to_vec(), operands, out: out.clone(), ..self.clone() };
                part.run(gpu);
                out.offset += kept.iter().product::<usize>() as isize;
            }
            return;
        }
        let Some(parts) = halves(&dims, &self.operands, dims.len()) else {
            gpu.unsupported("reduce: an element beyond what a kernel sees")
        };
        let memory = gpu.scratch(2);
        for (i, (dims, operands)) in parts.into_iter().enumerate() {
            let mut out = Operand::contiguous(&memory, 2, &[2]);
            out.offset = i as isize;
            let reduced = dims[outer..].to_vec();
            Reduction { reduced, operands, out, ..self.clone() }.run(gpu);
        }
        self.join_parts(gpu, &memory, [2, 1]);
    }

    /// Joins parts [parts, kept].
    fn join_parts(&self, gpu: &Shared, memory: &Memory, dims: [usize; 2]) {
        let partial = vec![Operand::contiguous(memory, dims[0] * dims[1], &dims)];
        let (one, out) = (formula!(|x| x), self.out.clone());
        let axes = [true, false];
        Reduction::new(self.op, one, self.dtype, &dims, &axes, partial, &[], out).run(gpu);
    }

    fn launch(&self, gpu: &Shared, bindings: &Bindings<'_>, [lanes, parts, part]: [usize; 3]) {
        let [kept, reduced]: [usize; 2] =
            [self.kept.iter().product(), self.reduced.iter().product()];
        let mut numbers = Numbers::default();
        [kept, reduced, parts, part].iter().for_each(|&n| numbers.size(n));
        self.dims().iter().for_each(|&dim| numbers.size(dim));
        for (operand, &offset) in self.operands.iter().zip(&bindings.offsets) {
            push_strides(&mut numbers, offset, &operand.strides);
        }
        numbers.step(bindings.offsets[self.operands.len()]);
        numbers.scalars(self.formula, self.scalars, self.dtype);
        let neighbours = self.lanes_are_neighbours();
        let mut class = vec![code(self.dtype), self.op as u32, lanes as u32, neighbours.into()];
        class.extend([self.kept.len() as u32, self.reduced.len() as u32]);
        class.extend(bindings.class());
        let key = Key { kernel: "reduce", formula: Some(self.formula.clone()), class };
        let groups = (kept * parts).div_ceil(256 / lanes) as u64;
        gpu.launch(key, &bindings.entries, &numbers, groups, || self.text(gpu, bindings, lanes));
    }

    fn text(&self, gpu: &Shared, bindings: &Bindings<'_>, lanes: usize) -> String {
        let (dtype, op) = (self.dtype, self.op);
        let mut slots = Slots::default();
        let [kept, reduced, parts, part] = [(); 4].map(|()| slots.u32());
        let dims: Vec<String> = self.dims().iter().map(|_| slots.u32()).collect();
        let (outer, inner) = dims.split_at(self.kept.len());
        let mut places = coordinates("i", outer);
        let mut along = coordinates("r", inner);
        for k in 0..self.operands.len() {
            let (offset, strides) = strides_in(&mut slots, dims.len());
            let (of_outer, of_inner) = strides.split_at(outer.len());
            places += &format!("    let o{k} = {offset} + {};\n", place("i", of_outer));
            along += &format!("    let a{k} = o{k} + {};\n", place("r", of_inner));
        }
        let out_offset = slots.i32();
        let printed = Printed::new(self.formula, dtype, &mut slots);
        let nodes = printed.nodes(|_| true, |i| format!("b{}[a{i}]", bindings.of[i]));
        let root = format!("v{}", self.formula.roots()[0]);
        let (lane, output) = match self.lanes_are_neighbours() {
            true => ("thread % LANES", "thread / LANES"),
            false => ("thread / OUTPUTS", "thread % OUTPUTS"),
        };
        let tree = Tree {
            variables: &[["sum", "shared_values"]],
            at: "at",
            join: &format!("sum = {};", join(op, "sum", "other_sum")),
            lanes,
            subgroup: if self.lanes_are_neighbours() { gpu.subgroup() } else { 1 },
        };
        let words = [
            ("lanes", &*lanes.to_string()),
            ("lane", lane),
            ("output", output),
            ("kept", &kept),
            ("reduced", &reduced),
            ("parts", &parts),
            ("part", &part),
            ("places", &places),
            ("inner", &along),
            ("nodes", &nodes),
            ("start", identity(op, dtype)),
            ("chain", &CHAIN.to_string()),
            ("join_chain", &join(op, "chain", &root)),
            ("join_sum", &join(op, "sum", "chain")),
            ("tree", &tree.text(false)),
            ("out", &format!("b{}", bindings.of[self.operands.len()])),
            ("out_offset", &out_offset),
        ];
        let head = head(dtype, 1, &bindings.buffers) + functions(dtype);
        together(head, 256, &fill(include_str!("reduce.wgsl"), &words))
    }
}
