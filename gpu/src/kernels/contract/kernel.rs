//! The kernel of a product: its text for each variant, and what it is given.
//!
//! Variants are of the tile, of operands that lie along the inner loop or across it, and of tiles that fit, so
//! that nothing is checked.

use plies_tensor::DType;

use super::plan::Tile;
use super::units;
use super::{Axes, Contract, Groups};
use crate::gpu::Shared;
use crate::kernels::{Bindings, MOST, Usage, code};
use crate::matrix_units::MatrixUnits;
use crate::pipeline::{Access, Key};
use crate::shader::{
    Numbers, Printed, Slots, coordinates, fill, functions, head, place, scalar, together,
};

impl Contract<'_> {
    /// Computes a product by one tile. What a kernel cannot see is cut.
    pub(super) fn launch(self, gpu: &Shared, tile: Tile, parts: usize) {
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
            units: gpu.matrix_units().filter(|_| tile.by_units),
        };
        let Tile { rows, columns, each, .. } = tile;
        let mut class = vec![code(self.dtype), u32::from(kind.units.is_some())];
        class.extend([rows, columns, each[0], each[1]].map(|n| n as u32));
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
            ("memory", &kind.memory(&n)),
            ("finish", &finish),
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
            ("write", &kind.write(&m, &n)),
        ];
        let extensions = if kind.units.is_some() { units::EXTENSIONS } else { "" };
        let head = extensions.to_owned()
            + &head(self.dtype, 1, &bindings.buffers)
            + &format!("alias E = {};\n", scalar(self.dtype))
            + functions(self.dtype);
        together(head, tile.threads(kind.units), &fill(include_str!("product.wgsl"), &words))
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
    /// What computes it, if not each thread a part.
    units: Option<MatrixUnits>,
}

/// Whether the inner loop takes the shorter steps.
pub(super) fn is_along(inner: &Axes, across: &Axes, operand: usize) -> bool {
    let step = |axes: &Axes| axes.strides[operand].last().map_or(isize::MAX, |stride| stride.abs());
    step(inner) < step(across)
}

impl Kind {
    fn by_units(&self) -> Option<units::Text> {
        self.units.map(|units| units::Text { tile: self.tile, units })
    }

    /// What the workgroup shares: fours of neighbouring rows, and of neighbouring columns, for each step of the inner
    /// loop. And how a thread writes four neighbours of a row.
    fn memory(&self, n: &str) -> String {
        if let Some(units) = self.by_units() {
            return units.memory();
        }
        let Tile { rows, columns, depth, each, .. } = self.tile;
        let inside = if self.exact { "true".into() } else { format!("column + c < {n}") };
        format!(
            "// Threads along a row of the tile.
const ACROSS = {}u;
var<workgroup> left: array<V, {}>;
var<workgroup> right: array<V, {}>;

fn put(values: V, batch: u32, row: u32, column: u32, part: u32) {{
    for (var c = 0u; c < 4u; c++) {{
        if {inside} {{
            finish(values[c], batch, row, column + c, part);
        }}
    }}
}}\n",
            columns / each[1],
            rows * depth / 4,
            columns * depth / 4
        )
    }

    /// The text before the inner loop and in it that brings an operand's part of a tile.
    fn load(
        &self,
        side: usize,
        buffer: usize,
        offset: &str,
        [m, n, k]: [&str; 3],
    ) -> (String, String) {
        let Kind { tile, exact, along, wide, units } = *self;
        let (name, across, group, first, limit) = match side {
            0 => ("left", tile.rows / 4, "row", "first_row", m),
            _ => ("right", tile.columns / 4, "column", "first_column", n),
        };
        let (depth, threads) = (tile.depth, tile.threads(units));
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
            load += &match units {
                None => format!("        {name}[{id}_step * {across}u + {id}_four] = {value};\n"),
                Some(_) => {
                    let put = |i: usize| {
                        format!("        {name}[{id}_to + {i}u] = f16({id}_values[{i}]);\n")
                    };
                    let to = format!("({id}_step * {across}u + {id}_four) * 4u");
                    format!("        let {id}_to = {to};\n        let {id}_values = {value};\n")
                        + &(0..4).map(put).collect::<String>()
                }
            };
        }
        (prepare, load)
    }

    /// The thread's fours of sums: (quarter of the rows, row of it, quarter of the columns).
    fn places(&self) -> impl Iterator<Item = [usize; 3]> {
        let [rows, columns] = self.tile.each.map(|n| n / 4);
        (0..rows).flat_map(move |q| (0..4).flat_map(move |i| (0..columns).map(move |p| [q, i, p])))
    }

    fn sums(&self) -> String {
        if let Some(units) = self.by_units() {
            return units.sums();
        }
        let across = "    let x = thread % ACROSS;\n    let y = thread / ACROSS;\n".to_owned();
        across
            + &self
                .places()
                .map(|[q, i, p]| format!("    var sum{q}{i}{p} = V(0);\n"))
                .collect::<String>()
    }

    fn multiply(&self, dtype: DType) -> String {
        if let Some(units) = self.by_units() {
            return units.multiply();
        }
        let Kind { tile, .. } = self;
        let [rows, columns] = tile.each.map(|n| n / 4);
        let down = tile.rows / tile.each[0];
        let mut text = String::from("        for (var step = 0u; step < DEPTH; step++) {\n");
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
        text + "        }\n"
    }

    fn write(&self, m: &str, n: &str) -> String {
        if let Some(units) = self.by_units() {
            return units.write([m, n]);
        }
        let down = self.tile.rows / self.tile.each[0];
        let put = |[q, i, p]: [usize; 3]| {
            let row = format!("first_row + (y + {}u) * 4u + {i}u", q * down);
            let column = format!("first_column + (x + {p}u * ACROSS) * 4u");
            let check = if self.exact { "true".into() } else { format!("{row} < {m}") };
            format!("        if {check} {{ put(sum{q}{i}{p}, batch, {row}, {column}, part); }}\n")
        };
        let puts: String = self.places().map(put).collect();
        format!("    if exists {{\n{puts}    }}\n")
    }
}
