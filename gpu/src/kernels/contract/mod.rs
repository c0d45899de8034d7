//! Products summed over loops: matrix products and convolutions.
//!
//! `out[batch, row, column] = Σ a[batch, row, inner] · b[batch, inner, column]`, each word a group of axes.
//! A matrix product has one axis for each word. A convolution's windows are a layout in which several
//! places lead to one element, so that the matrix of all windows never exists: a tile of it does, in the
//! memory of the workgroup that multiplies it.
//!
//! A workgroup computes a tile of the result, a thread a part of it in registers (8 × 8 elements in the
//! largest variant). Each step of the inner loop then reads 16 numbers from shared memory for 64
//! multiplications, and an element of an operand comes from the device's memory once for each tile that
//! needs it. Neighbouring threads read neighbours: along the inner axis, or across it, whichever lies side
//! by side, so all four kinds of transposes run at one speed, and nothing is copied before.
//!
//! Few tiles of a long inner loop would leave most of the device idle. Then the inner loop is cut into
//! parts (split-K), and the parts are added afterwards. Which tile and how many parts is a [`Plan`]: by a rule,
//! or as [`measure`] found. On devices that have them, and where it is asked for, tiles are by matrix units ([`units`]).
//!
//! One row or one column is a reduction ([`reduce`](super::reduce)) of x·y, bound by memory. A result whose
//! elements several products are added to (the gradient of a convolution's input) is in [`overlap`].

mod kernel;
mod measure;
mod overlap;
mod plan;
mod units;

use plies_tensor::{Contraction, DType, Formula, Reduce, formula};

pub(crate) use self::measure::units_are_right;
pub(crate) use self::plan::Plan;
use self::plan::Tile;
use super::map::Map;
use super::reduce::Reduction;
use crate::gpu::Shared;
use crate::pool::Memory;
use crate::strided::{ELEMENT, Operand, join_axes, row_major};

/// What is done with a sum before it is written: input 0 is the sum.
#[derive(Clone)]
pub(crate) struct Finish<'a> {
    pub(crate) formula: &'a Formula,
    pub(crate) inputs: Vec<Operand<'a>>,
    pub(crate) scalars: &'a [f64],
}

/// A contraction; every operand has the dimensions of all loops.
#[derive(Clone)]
pub(crate) struct Contract<'a> {
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<usize>,
    pub(crate) loops: Contraction,
    pub(crate) a: Operand<'a>,
    pub(crate) b: Operand<'a>,
    pub(crate) out: Operand<'a>,
    pub(crate) finish: Option<Finish<'a>>,
}

/// The elements of one operand in the places of another.
fn copy(gpu: &Shared, dtype: DType, dims: &[usize], to: &Operand<'_>, from: &Operand<'_>) {
    let mut dims = dims.to_vec();
    let mut operands = vec![to.clone(), from.clone()];
    for axis in (0..dims.len()).rev().filter(|&axis| to.strides[axis] == 0) {
        dims.remove(axis);
        operands.iter_mut().for_each(|operand| drop(operand.strides.splice(axis..=axis, [])));
    }
    let formula = formula!(|x| x);
    Map { formula, dtype, dims, operands, scalars: &[], in_place: false }.run(gpu);
}

/// The axes of each group, joined, with the strides of the operands that walk them.
struct Groups {
    batch: Axes,
    rows: Axes,
    inner: Axes,
    columns: Axes,
}

struct Axes {
    dims: Vec<usize>,
    /// Of a, b, the result, and what finishes it.
    strides: Vec<Vec<isize>>,
}

impl Axes {
    fn len(&self) -> usize {
        self.dims.iter().product()
    }
}

impl<'a> Contract<'a> {
    fn operands(&self) -> Vec<Operand<'a>> {
        let mut all = vec![self.a.clone(), self.b.clone(), self.out.clone()];
        all.extend(self.finish.iter().flat_map(|finish| finish.inputs.iter().cloned()));
        all
    }

    /// Where each group of axes ends.
    fn ends(&self) -> [usize; 4] {
        let Contraction { batch, rows, inner, columns, .. } = self.loops;
        [batch, batch + rows, batch + rows + inner, batch + rows + inner + columns]
    }

    fn name(&self) -> &'static str {
        if self.loops.inner == 1 { "matmul" } else { "conv" }
    }

    fn sizes(&self) -> [usize; 4] {
        let [batch, rows, inner, columns] = self.ends();
        let size = |from: usize, to: usize| self.dims[from..to].iter().product();
        [size(0, batch), size(batch, rows), size(rows, inner), size(inner, columns)]
    }

    fn groups(&self) -> Groups {
        let [batch, rows, inner, columns] = self.ends();
        let operands = self.operands();
        let group = |from: usize, to: usize| {
            let mut dims = self.dims[from..to].to_vec();
            let mut parts = operands.clone();
            parts
                .iter_mut()
                .for_each(|operand| operand.strides = operand.strides[from..to].to_vec());
            join_axes(&mut dims, &mut parts);
            Axes { dims, strides: parts.into_iter().map(|operand| operand.strides).collect() }
        };
        Groups {
            batch: group(0, batch),
            rows: group(batch, rows),
            inner: group(rows, inner),
            columns: group(inner, columns),
        }
    }

    pub(crate) fn run(self, gpu: &Shared) {
        let [batch, m, k, n] = self.sizes();
        if batch * m * n == 0 {
            return;
        }
        if self.loops.add {
            return overlap::run(gpu, self);
        }
        if self.finish.as_ref().is_some_and(|finish| finish.formula.reduces_rows()) {
            return self.finish_apart(gpu);
        }
        let in_order = self.out.strides == self.row_major_out();
        if (m == 1 || n == 1) && k > 0 && in_order {
            return self.reduce(gpu);
        }
        let plan = self.plan(gpu);
        self.compute(gpu, plan);
    }

    fn compute(self, gpu: &Shared, plan: Plan) {
        let ([batch, m, _, n], Plan { parts, .. }) = (self.sizes(), plan);
        let is_seen = (parts * batch * m * n) as u64 * ELEMENT <= gpu.limits().largest / 2;
        match parts > 1 && is_seen {
            true => self.in_parts(gpu, plan.tile(), parts),
            false => self.launch(gpu, plan.tile(), 1),
        }
    }

    /// The strides of a result that lies row-major in the order of the loops; axes of one element have
    /// any.
    fn row_major_out(&self) -> Vec<isize> {
        let mut strides = self.row_major(self.out.memory, self.out.len).strides;
        for (axis, stride) in strides.iter_mut().enumerate() {
            if self.dims[axis] == 1 {
                *stride = self.out.strides[axis];
            }
        }
        strides
    }

    /// One row or one column: Σ x·y.
    fn reduce(self, gpu: &Shared) {
        let [_, rows, inner, _] = self.ends();
        let axes: Vec<bool> = (0..self.dims.len()).map(|i| (rows..inner).contains(&i)).collect();
        let operands = vec![self.a.clone(), self.b.clone()];
        let (product, out) = (formula!(|x, y| x * y), self.out.clone());
        let sum = Reduce::Sum;
        Reduction::new(sum, product, self.dtype, &self.dims, &axes, operands, &[], out).run(gpu);
        self.finish_in_place(gpu);
    }

    fn finish_apart(mut self, gpu: &Shared) {
        let finish = self.finish.take();
        self.clone().run(gpu);
        Contract { finish, ..self }.finish_in_place(gpu);
    }

    /// The formula over the result, where it stands.
    fn finish_in_place(self, gpu: &Shared) {
        let [_, rows, inner, _] = self.ends();
        let Some(finish) = self.finish else { return };
        let mut dims = self.dims;
        dims.drain(rows..inner);
        let mut operands = vec![self.out];
        operands.extend(finish.inputs);
        operands.iter_mut().for_each(|operand| drop(operand.strides.drain(rows..inner)));
        let (formula, scalars) = (finish.formula, finish.scalars);
        Map { formula, dtype: self.dtype, dims, operands, scalars, in_place: true }.run(gpu);
    }

    /// Parts of the inner loop, each with a result of its own, added afterwards; where there is no room for
    /// these, one part.
    fn in_parts(self, gpu: &Shared, tile: Tile, parts: usize) {
        let [batch, m, _, n] = self.sizes();
        let size = batch * m * n;
        let in_order = self.out.strides == self.row_major_out();
        let room = gpu.room(parts * size).and_then(|memory| {
            let sums = gpu.room(if in_order { 1 } else { size })?;
            Ok((memory, sums))
        });
        let Ok((memory, sums)) = room else { return self.launch(gpu, tile, 1) };
        let partial = self.row_major(&memory, parts * size);
        let product = Contract { out: partial, finish: None, ..self.clone() };
        product.launch(gpu, tile, parts);
        let to = match in_order {
            true => self.out.clone(),
            false => Operand::contiguous(&sums, size, &[size]),
        };
        let from = vec![Operand::contiguous(&memory, parts * size, &[parts, size])];
        let (one, sum, axes) = (formula!(|x| x), Reduce::Sum, [true, false]);
        Reduction::new(sum, one, self.dtype, &[parts, size], &axes, from, &[], to).run(gpu);
        if !in_order {
            copy(gpu, self.dtype, &self.dims, &self.out, &self.row_major(&sums, size));
        }
        self.finish_in_place(gpu);
    }

    /// Memory as a row-major result.
    fn row_major<'m>(&self, memory: &'m Memory, len: usize) -> Operand<'m> {
        let [_, rows, inner, _] = self.ends();
        let mut dims = self.dims.clone();
        dims[rows..inner].fill(1);
        let mut strides = row_major(&dims);
        strides[rows..inner].fill(0);
        Operand { memory, len, offset: 0, strides }
    }

    /// What a kernel can see, from a product that it cannot: operands with gaps are copied without them, and
    /// those that are too large are cut, not along the inner loop, whose sums belong together.
    fn in_halves(self, gpu: &Shared, tile: Tile, parts: usize) {
        let [_, rows, inner, _] = self.ends();
        let fits = |operand: &Operand<'_>| operand.binding(&self.dims, gpu.limits()).is_some();
        let operands = self.operands();
        let largest = operands.iter().position(|operand| !fits(operand));
        if let Some(side @ 0..=1) = largest {
            let operand = &operands[side];
            let walked = |axis: &usize| operand.strides[*axis] != 0;
            let dims: Vec<usize> =
                (0..self.dims.len()).filter(walked).map(|axis| self.dims[axis]).collect();
            let size: usize = dims.iter().product();
            if size as u64 * ELEMENT <= gpu.limits().largest {
                let memory = gpu.scratch(size);
                let mut dense = row_major(&dims).into_iter();
                let strides = operand.strides.iter().map(|&stride| match stride {
                    0 => 0,
                    _ => dense.next().unwrap_or(0),
                });
                let packed =
                    Operand { memory: &memory, len: size, offset: 0, strides: strides.collect() };
                copy(gpu, self.dtype, &self.dims, &packed, operand);
                let mut whole: Contract<'_> = self.clone();
                *[&mut whole.a, &mut whole.b][side] = packed;
                return whole.launch(gpu, tile, parts);
            }
        }
        let cuttable = |axis: &usize| {
            let of = |i: usize| operands[i].strides[*axis].unsigned_abs() * (self.dims[*axis] - 1);
            if (rows..inner).contains(axis) { 0 } else { largest.map_or(self.dims[*axis] - 1, of) }
        };
        let axis = (0..self.dims.len()).max_by_key(cuttable);
        let Some(axis) = axis.filter(|axis| parts == 1 && cuttable(axis) > 0) else {
            gpu.unsupported(&format!("{} of more than a kernel sees", self.name()))
        };
        let half = self.dims[axis] / 2;
        for (start, size) in [(0, half), (half, self.dims[axis] - half)] {
            let mut part = self.clone();
            part.dims[axis] = size;
            let shift = |o: &mut Operand<'a>| o.offset += start as isize * o.strides[axis];
            [&mut part.a, &mut part.b, &mut part.out].into_iter().for_each(shift);
            if let Some(finish) = &mut part.finish {
                finish.inputs.iter_mut().for_each(shift);
            }
            part.launch(gpu, tile, 1);
        }
    }
}
