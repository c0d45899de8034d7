//! A tile by matrix units ([`MatrixUnits`]): four subgroups, two beside two, each hold a quarter of the tile as matrices
//! of F32, and multiply matrices of F16 from shared memory into them.
//!
//! An operand is rounded when it is brought into shared memory, to 11 bits. Products of two such numbers are exact
//! in F32, and are added there. With |x| from 6.2·10⁻⁵ to 65,504, a result is off by 2⁻¹⁰ Σ|a·b| at most, beside
//! what F32 itself loses by adding; smaller numbers are rounded to multiples of 6·10⁻⁸, larger ones are infinite.
//!
//! Where a matrix's elements are is the device's affair, so each goes through shared memory before the formula is
//! applied to it. Which subgroup a thread is in is its number divided by the largest size that subgroups have here:
//! where they are smaller, several of them do the same, and write the same values.

use std::fmt::Write;

use super::plan::{Tile, UNITS_AT_ONCE};
use crate::matrix_units::MatrixUnits;

/// What the kernel's text begins with.
pub(super) const EXTENSIONS: &str = "enable f16;\nenable wgpu_cooperative_matrix;\n";

/// The text of such a tile.
pub(super) struct Text {
    pub(super) tile: Tile,
    pub(super) units: MatrixUnits,
}

impl Text {
    fn side(&self) -> usize {
        self.units.side as usize
    }

    /// (row, column) of a subgroup's matrices.
    fn places(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [down, across] = self.tile.each.map(|n| n / self.side());
        (0..down).flat_map(move |i| (0..across).map(move |j| [i, j]))
    }

    /// Operands of a step, and a matrix of each subgroup on its way out.
    pub(super) fn memory(&self) -> String {
        let (Tile { rows, columns, depth, .. }, side) = (self.tile, self.side());
        format!(
            "var<workgroup> left: array<f16, {}>;
var<workgroup> right: array<f16, {}>;
var<workgroup> sums: array<f32, {}>;\n",
            rows * depth,
            columns * depth,
            UNITS_AT_ONCE * side * side
        )
    }

    /// The matrices of sums, and the first row and column of them in the tile.
    pub(super) fn sums(&self) -> String {
        let (side, [down, across]) = (self.side(), self.tile.each);
        let threads = self.units.threads;
        let mut text = format!(
            "    let subgroup = thread / {threads}u;
    let down = subgroup / 2u * {down}u;
    let across = subgroup % 2u * {across}u;\n"
        );
        for [i, j] in self.places() {
            writeln!(text, "    var sum{i}_{j} = coop_mat{side}x{side}<f32, C>();").ok();
        }
        text
    }

    pub(super) fn multiply(&self) -> String {
        let (side, [down, across]) = (self.side(), self.tile.each.map(|n| n / self.side()));
        let mut text = format!(
            "        for (var step = 0u; step < DEPTH; step += {side}u) {{
            let l = step * ROWS + down;
            let r = step * COLUMNS + across;\n"
        );
        let mut load = |name: &str, n: usize, role: &str, from: &str, length: &str, t: &str| {
            for i in 0..n {
                let at = i * side;
                writeln!(text, "            let {name}{i}_at = {name} + {at}u;").ok();
                let matrix = format!("coop_mat{side}x{side}<f16, {role}>");
                let load = format!("coopLoad{t}<{matrix}>(&{from}[{name}{i}_at], {length})");
                writeln!(text, "            let {name}{i} = {load};").ok();
            }
        };
        // Neighbours in memory are rows of the left matrix, and columns of the right one.
        load("l", down, "A", "left", "ROWS", "");
        load("r", across, "B", "right", "COLUMNS", "T");
        for [i, j] in self.places() {
            writeln!(text, "            sum{i}_{j} = coopMultiplyAdd(l{i}, r{j}, sum{i}_{j});")
                .ok();
        }
        text + "        }\n"
    }

    /// One matrix of each subgroup after another.
    pub(super) fn write(&self, [m, n]: [&str; 2]) -> String {
        let (side, threads) = (self.side(), self.units.threads as usize);
        let size = side * side;
        let mut text = format!(
            "    let own = subgroup * {size}u;
    let lane = thread % {threads}u;\n"
        );
        for [i, j] in self.places() {
            let [row, column] = [i, j].map(|n| n * side);
            text += &format!(
                "    let done{i}_{j} = sum{i}_{j};
    coopStoreT(done{i}_{j}, &sums[own], {side}u);
    workgroupBarrier();
    for (var e = lane; e < {size}u; e += {threads}u) {{
        let row = first_row + down + {row}u + e / {side}u;
        let column = first_column + across + {column}u + e % {side}u;
        if exists && row < {m} && column < {n} {{
            finish(sums[own + e], batch, row, column, part);
        }}
    }}
    workgroupBarrier();\n"
            );
        }
        text
    }
}
