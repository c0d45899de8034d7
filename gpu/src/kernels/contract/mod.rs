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
//! parts (split-K), and the parts are added afterwards.
//!
//! One row or one column is a reduction ([`reduce`](super::reduce)) of x·y, bound by memory. A result whose
//! elements several products are added to (the gradient of a convolution's input) is in [`overlap`].

mod overlap;

use plies_tensor::{Contraction, DType, Formula, Reduce, formula};

use super::map::Map;
use super::reduce::Reduction;
use super::{Bindings, MOST, Usage, code};
use crate::gpu::Shared;
use crate::pipeline::{Access, Key};
use crate::pool::Memory;
use crate::shader::{
    Numbers, Printed, Slots, coordinates, fill, functions, head, place, scalar, together,
};
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

/// Sizes of a tile.
#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    columns: usize,
    depth: usize,
    /// Rows and columns that a thread computes.
    each: [usize; 2],
}

const LARGE: Tile = Tile { rows: 128, columns: 128, depth: 16, each: [8, 8] };
const MIDDLE: Tile = Tile { rows: 64, columns: 64, depth: 16, each: [4, 4] };
const SMALL: Tile = Tile { rows: 32, columns: 32, depth: 16, each: [4, 4] };

impl Tile {
    fn threads(&self) -> usize {
        (self.rows / self.each[0]) * (self.columns / self.each[1])
    }

    fn count(&self, m: usize, n: usize) -> usize {
        m.div_ceil(self.rows) * n.div_ceil(self.columns)
    }
}

/// Tiles that keep a large device busy.
const BUSY: usize = 256;

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
        let keeps_busy = |tile: &&Tile, share: usize| {
            m.min(n) > tile.rows / 2 && batch * tile.count(m, n) >= BUSY / share
        };
        let tile = [(&LARGE, 4), (&MIDDLE, 16)].into_iter().find(|(tile, n)| keeps_busy(tile, *n));
        let tile = tile.map_or(SMALL, |(tile, _)| *tile);
        let tiles = batch * tile.count(m, n);
        let parts = (BUSY / tiles).clamp(1, (k / (8 * tile.depth)).max(1));
        let is_seen = (parts * batch * m * n) as u64 * ELEMENT <= gpu.limits().largest / 2;
        if parts > 1 && is_seen {
            self.in_parts(gpu, tile, parts)
        } else {
            self.launch(gpu, tile, 1)
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

    /// Parts of the inner loop, each with a result of its own, added afterwards.
    fn in_parts(self, gpu: &Shared, tile: Tile, parts: usize) {
        let [batch, m, _, n] = self.sizes();
        let size = batch * m * n;
        let memory = gpu.scratch(parts * size);
        let partial = self.row_major(&memory, parts * size);
        let product = Contract { out: partial, finish: None, ..self.clone() };
        product.launch(gpu, tile, parts);
        let in_order = self.out.strides == self.row_major_out();
        let sums = gpu.scratch(if in_order { 1 } else { size });
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

    fn launch(self, gpu: &Shared, tile: Tile, parts: usize) {
        let [batch, m, k, n] = self.sizes();
        let operands = self.operands();
        let groups = self.groups();
        let mut bindings = Bindings::empty();
        let mut wide = [false; 2];
        let mut usage = |i: usize, offset: isize| {
            let access = if i == 2 { Access::Write } else { Access::Read };
            let is_wide = i < 2 && self.is_wide(i, offset, &groups);
            if is_wide {
                wide[i] = true;
            }
            Usage { access, dtype: self.dtype, width: if is_wide { 4 } else { 1 } }
        };
        let fits = operands.iter().enumerate().all(|(i, operand)| {
            let usage = usage(i, operand.offset);
            bindings.add(operand, &self.dims, usage, gpu.limits()).is_some()
        });
        if !fits || [batch * parts * m * n, k].iter().any(|&n| n > MOST) {
            return self.in_halves(gpu, tile, parts);
        }
        let part = k.div_ceil(parts).next_multiple_of(tile.depth);
        let mut numbers = Numbers::default();
        [batch, m, k, n, parts, part, batch * m * n].iter().for_each(|&n| numbers.size(n));
        let all = [&groups.batch, &groups.rows, &groups.inner, &groups.columns];
        for axes in all {
            axes.dims.iter().for_each(|&dim| numbers.size(dim));
        }
        for i in 0..operands.len() {
            numbers.step(bindings.offsets[i]);
            for axes in all {
                axes.strides[i].iter().for_each(|&stride| numbers.step(stride));
            }
        }
        if let Some(finish) = &self.finish {
            numbers.scalars(finish.formula, finish.scalars, self.dtype);
        }
        let kind = Kind {
            tile,
            exact: m.is_multiple_of(tile.rows)
                && n.is_multiple_of(tile.columns)
                && k.is_multiple_of(tile.depth),
            along: [
                is_along(&groups.inner, &groups.rows, 0),
                is_along(&groups.inner, &groups.columns, 1),
            ],
            wide,
        };
        let mut class = vec![code(self.dtype), tile.rows as u32, tile.each[0] as u32];
        class.extend([kind.exact, kind.along[0], kind.along[1], wide[0], wide[1]].map(u32::from));
        class.extend(all.iter().map(|axes| axes.dims.len() as u32));
        class.extend(bindings.class());
        let formula = self.finish.as_ref().map(|finish| finish.formula.clone());
        let key = Key { kernel: self.name(), formula, class };
        let count = (batch * parts * tile.count(m, n)) as u64;
        gpu.launch(key, &bindings.entries, &numbers, count, || {
            self.text(&bindings, &groups, &kind)
        });
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

    /// Whether a thread can read four neighbours across the inner loop at once.
    fn is_wide(&self, operand: usize, offset: isize, groups: &Groups) -> bool {
        let across = if operand == 0 { &groups.rows } else { &groups.columns };
        let others = [&groups.batch, &groups.inner];
        let of = |axes: &Axes| axes.strides[operand].clone();
        of(across) == [1]
            && across.len().is_multiple_of(4)
            && offset % 4 == 0
            && others.iter().all(|axes| of(axes).iter().all(|stride| stride % 4 == 0))
    }

    fn text(&self, bindings: &Bindings<'_>, groups: &Groups, kind: &Kind) -> String {
        let (tile, mut slots) = (kind.tile, Slots::default());
        let [batches, m, k, n, parts, part, size] = [(); 7].map(|()| slots.u32());
        let all = [&groups.batch, &groups.rows, &groups.inner, &groups.columns];
        let dims = all.map(|axes| axes.dims.iter().map(|_| slots.u32()).collect::<Vec<String>>());
        let mut functions_of_places = String::new();
        let mut offsets = Vec::new();
        for operand in 0..bindings.of.len() {
            offsets.push(slots.i32());
            for (group, dims) in ["batch", "row", "inner", "column"].iter().zip(&dims) {
                let strides: Vec<String> = dims.iter().map(|_| slots.i32()).collect();
                functions_of_places += &format!(
                    "fn place{operand}_{group}(i: u32) -> i32 {{\n{}    return {};\n}}\n",
                    coordinates("i", dims),
                    place("i", &strides)
                );
            }
        }
        let finish = self.finish_text(bindings, &offsets, &size, &mut slots);
        let load =
            [0, 1].map(|side| kind.load(side, bindings.of[side], &offsets[side], [&m, &n, &k]));
        let words = [
            ("functions", &*functions_of_places),
            ("rows", &tile.rows.to_string()),
            ("columns", &tile.columns.to_string()),
            ("depth", &tile.depth.to_string()),
            ("across", &(tile.columns / tile.each[1]).to_string()),
            ("left_size", &(tile.rows * tile.depth / 4).to_string()),
            ("right_size", &(tile.columns * tile.depth / 4).to_string()),
            ("finish", &finish),
            ("inside", &if kind.exact { "true".into() } else { format!("column + c < {n}") }),
            ("batches", &batches),
            ("m", &m),
            ("n", &n),
            ("k", &k),
            ("parts", &parts),
            ("part", &part),
            ("prepare", &(load[0].0.clone() + &load[1].0)),
            ("load", &(load[0].1.clone() + &load[1].1)),
            ("sums", &kind.sums()),
            ("multiply", &kind.multiply(self.dtype)),
            ("write", &kind.write(&m)),
        ];
        let head = head(self.dtype, 1, &bindings.buffers)
            + &format!("alias E = {};\n", scalar(self.dtype))
            + functions(self.dtype);
        together(head, tile.threads(), &fill(include_str!("product.wgsl"), &words))
    }

    /// What is done with one element of the result.
    fn finish_text(
        &self,
        bindings: &Bindings<'_>,
        offsets: &[String],
        size: &str,
        slots: &mut Slots,
    ) -> String {
        let place = |operand: usize| {
            let of = |group: &str, at: &str| format!("place{operand}_{group}({at})");
            let [batch, row, column] =
                [of("batch", "batch"), of("row", "row"), of("column", "column")];
            format!("{} + {batch} + {row} + {column}", offsets[operand])
        };
        let mut text = format!("    let at = {} + i32(part * {size});\n", place(2));
        let root = match &self.finish {
            None => "x".to_owned(),
            Some(finish) => {
                let printed = Printed::new(finish.formula, self.dtype, slots);
                text += &printed.nodes(
                    |_| true,
                    |i| match i {
                        0 => "x".to_owned(),
                        i => format!("b{}[{}]", bindings.of[i + 2], place(i + 2)),
                    },
                );
                format!("v{}", finish.formula.roots()[0])
            }
        };
        text += &format!("    b{}[at] = {root};\n", bindings.of[2]);
        text
    }
}

/// A variant of the kernel.
struct Kind {
    tile: Tile,
    /// Whether tiles and steps fit, so that nothing is checked.
    exact: bool,
    /// Whether neighbours of each operand lie along the inner loop.
    along: [bool; 2],
    /// Whether four neighbours across it are read at once.
    wide: [bool; 2],
}

/// Whether the inner loop takes the shorter steps.
fn is_along(inner: &Axes, across: &Axes, operand: usize) -> bool {
    let step = |axes: &Axes| axes.strides[operand].last().map_or(isize::MAX, |stride| stride.abs());
    step(inner) < step(across)
}

impl Kind {
    /// The text before the inner loop and in it that brings an operand's part of a tile.
    fn load(
        &self,
        side: usize,
        buffer: usize,
        offset: &str,
        [m, n, k]: [&str; 3],
    ) -> (String, String) {
        let Kind { tile, exact, along, wide } = *self;
        let (name, across, group, first, limit) = match side {
            0 => ("left", tile.rows / 4, "row", "first_row", m),
            _ => ("right", tile.columns / 4, "column", "first_column", n),
        };
        let (depth, threads) = (tile.depth, tile.threads());
        let (mut prepare, mut load) = (String::new(), String::new());
        for unit in 0..(across * depth).div_ceil(threads) {
            let id = format!("{name}{unit}");
            let number = format!("(thread + {}u)", unit * threads);
            let (step, four) = match along[side] {
                true => (format!("{number} % {depth}u"), format!("{number} / {depth}u")),
                false => (format!("{number} / {across}u"), format!("{number} % {across}u")),
            };
            prepare += &format!("    let {id}_step = {step};\n    let {id}_four = {four};\n");
            let start = format!("{offset} + place{side}_batch(batch)");
            let at = |i: usize| format!("{first} + {id}_four * 4u + {i}u");
            // What lies outside is read at the border, and not used.
            let inside = |at: String, most: usize| match exact {
                true => at,
                false => format!("min({at}, {limit} - {most}u)"),
            };
            let in_range = match exact {
                true => format!("{id}_k"),
                false => format!("min({id}_k, {k} - 1u)"),
            };
            load += &format!("        let {id}_k = k + {id}_step;\n");
            load += &format!("        let {id}_inner = place{side}_inner({in_range});\n");
            let value = if wide[side] {
                let place = inside(at(0), 4);
                prepare += &format!("    let {id}_at = {start} + place{side}_{group}({place});\n");
                format!("b{buffer}[({id}_at + {id}_inner) / 4]")
            } else {
                for i in 0..4 {
                    let place = inside(at(i), 1);
                    prepare +=
                        &format!("    let {id}_at{i} = {start} + place{side}_{group}({place});\n");
                }
                let one = |i: usize| format!("b{buffer}[{id}_at{i} + {id}_inner]");
                format!("V({}, {}, {}, {})", one(0), one(1), one(2), one(3))
            };
            let value = match exact {
                true => value,
                false => format!("select(V(0), {value}, {id}_k < end)"),
            };
            load += &format!("        {name}[{id}_step * {across}u + {id}_four] = {value};\n");
        }
        (prepare, load)
    }

    /// The thread's fours of sums: (quarter of the rows, row of it, quarter of the columns).
    fn places(&self) -> impl Iterator<Item = [usize; 3]> {
        let [rows, columns] = self.tile.each.map(|n| n / 4);
        (0..rows).flat_map(move |q| (0..4).flat_map(move |i| (0..columns).map(move |p| [q, i, p])))
    }

    fn sums(&self) -> String {
        self.places().map(|[q, i, p]| format!("    var sum{q}{i}{p} = V(0);\n")).collect()
    }

    fn multiply(&self, dtype: DType) -> String {
        let Kind { tile, .. } = self;
        let [rows, columns] = tile.each.map(|n| n / 4);
        let down = tile.rows / tile.each[0];
        let mut text = String::new();
        for q in 0..rows {
            let four = format!("step * (ROWS / 4u) + y + {}u", q * down);
            text += &format!("            let l{q} = left[{four}];\n");
        }
        for p in 0..columns {
            let four = format!("step * (COLUMNS / 4u) + x + {p}u * ACROSS");
            text += &format!("            let r{p} = right[{four}];\n");
        }
        for [q, i, p] in self.places() {
            text += &match dtype {
                DType::I32 => format!("            sum{q}{i}{p} += V(l{q}[{i}]) * r{p};\n"),
                _ => format!("            sum{q}{i}{p} = fma(V(l{q}[{i}]), r{p}, sum{q}{i}{p});\n"),
            };
        }
        text
    }

    fn write(&self, m: &str) -> String {
        let down = self.tile.rows / self.tile.each[0];
        let put = |[q, i, p]: [usize; 3]| {
            let row = format!("first_row + (y + {}u) * 4u + {i}u", q * down);
            let column = format!("first_column + (x + {p}u * ACROSS) * 4u");
            let check = if self.exact { "true".into() } else { format!("{row} < {m}") };
            format!("        if {check} {{ put(sum{q}{i}{p}, batch, {row}, {column}, part); }}\n")
        };
        self.places().map(put).collect()
    }
}
