//! Formulas that reduce rows, such as a softmax: the last axis is a row.
//!
//! A row of more than a kernel sees, and few long rows, which would leave most of a device idle, are reduced
//! one reduction after another (`apart`).
//!
//! A row belongs to so many threads (`LANES`) as its length is worth, one to 256. Each reduction of the
//! formula is a walk along the row in which a thread joins every LANES-th value, and a tree in the memory
//! that the workgroup shares. A last walk writes. What the walks need of the elements they compute again:
//! a row has been read once and is in the cache by then, and the arithmetic is free.

use plies_tensor::{Formula, Node};

use super::{Map, apart};
use crate::gpu::Shared;
use crate::kernels::{Bindings, MOST, Usage, code};
use crate::pipeline::{Access, Key};
use crate::shader::{
    Numbers, Printed, Slots, Tree, coordinates, fill, functions, head, identity, join, together,
};
use crate::strided::{halves, join_axes};

/// Values that a thread joins one after another before it joins them with the earlier ones: the error
/// of a sum grows with the longest chain of additions.
const CHAIN: usize = 32;

/// Rows longer than this, and fewer than so many, are not worth one workgroup each.
const LONG: usize = 1 << 16;
const FEW: usize = 64;

pub(super) fn run(gpu: &Shared, mut map: Map<'_>) {
    // The outer axes alone are joined.
    let Some(length) = map.dims.pop() else { return };
    let along: Vec<isize> =
        map.operands.iter_mut().map(|operand| operand.strides.pop().unwrap_or(0)).collect();
    join_axes(&mut map.dims, &mut map.operands);
    map.dims.push(length);
    map.operands.iter_mut().zip(&along).for_each(|(operand, &step)| operand.strides.push(step));
    let outer = map.dims.len() - 1;
    let count: usize = map.dims[..outer].iter().product();
    let usage = |i: usize| Usage {
        access: if i < map.n_targets() { Access::Write } else { Access::Read },
        dtype: map.dtype,
        width: 1,
    };
    let usage: Vec<Usage> = (0..map.operands.len()).map(usage).collect();
    let bindings = Bindings::all(&map.operands, &usage, &map.dims, gpu.limits());
    if length > LONG && count < FEW {
        return apart::run(gpu, &map);
    }
    let Some(bindings) = bindings.filter(|_| count * length <= MOST) else {
        let Some(parts) = halves(&map.dims, &map.operands, outer) else {
            return apart::run(gpu, &map);
        };
        for (dims, operands) in parts {
            run(gpu, Map { dims, operands, ..map.clone() });
        }
        return;
    };
    let lanes = length.next_power_of_two().div_ceil(4).clamp(1, 256);
    let mut numbers = Numbers::default();
    numbers.size(count);
    numbers.size(length);
    map.dims[..outer].iter().for_each(|&dim| numbers.size(dim));
    for (operand, &offset) in map.operands.iter().zip(&bindings.offsets) {
        crate::kernels::push_strides(&mut numbers, offset, &operand.strides);
    }
    numbers.scalars(map.formula, map.scalars, map.dtype);
    let mut class = vec![code(map.dtype), lanes as u32, outer as u32, map.in_place.into()];
    class.extend(bindings.class());
    let key = Key { kernel: "map of rows", formula: Some(map.formula.clone()), class };
    let groups = count.div_ceil(256 / lanes) as u64;
    gpu.launch(key, &bindings.entries, &numbers, groups, || text(gpu, &map, &bindings, lanes));
}

/// How often a node's value changes.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Pace {
    Row,
    Element,
}

fn paces(formula: &Formula) -> Vec<Pace> {
    let mut paces: Vec<Pace> = Vec::new();
    for node in formula.nodes() {
        let slower =
            |pace, operand: usize| if paces[operand] > pace { paces[operand] } else { pace };
        paces.push(match node {
            Node::Input(_) => Pace::Element,
            Node::Reduce(..) => Pace::Row,
            _ => node.operands().fold(Pace::Row, slower),
        });
    }
    paces
}

/// The nodes that change from element to element and that `roots` need.
fn needed(formula: &Formula, paces: &[Pace], roots: &[usize]) -> Vec<bool> {
    let mut needed = vec![false; paces.len()];
    roots.iter().for_each(|&root| needed[root] = paces[root] == Pace::Element);
    for id in (0..paces.len()).rev() {
        if needed[id] {
            let operands = formula.nodes()[id].operands();
            operands.filter(|&o| paces[o] == Pace::Element).for_each(|o| needed[o] = true);
        }
    }
    needed
}

fn text(gpu: &Shared, map: &Map<'_>, bindings: &Bindings<'_>, lanes: usize) -> String {
    let (formula, dtype, outer) = (map.formula, map.dtype, map.dims.len() - 1);
    let mut slots = Slots::default();
    let (count, length) = (slots.u32(), slots.u32());
    let dims: Vec<String> = (0..outer).map(|_| slots.u32()).collect();
    let mut places = coordinates("i", &dims);
    let mut steps = Vec::new();
    for k in 0..map.operands.len() {
        let (offset, strides) = crate::kernels::strides_in(&mut slots, outer + 1);
        let place = crate::shader::place("i", &strides[..outer]);
        places += &format!("    let a{k} = {offset} + {place};\n");
        steps.push(strides[outer].clone());
    }
    let printed = Printed::new(formula, dtype, &mut slots);
    let paces = paces(formula);
    let read = |i: usize| {
        let k = map.input(i);
        format!("b{}[a{k} + i32(j) * {}]", bindings.of[k], steps[k])
    };
    let mut body = String::new();
    // Values of a row follow once the reductions that they need are done.
    let mut told = vec![false; paces.len()];
    for (id, node) in formula.nodes().iter().enumerate() {
        if paces[id] == Pace::Element {
            continue;
        }
        let Node::Reduce(op, of) = *node else {
            body += &printed.nodes(|other| other == id, read);
            told[id] = true;
            continue;
        };
        let wanted = needed(formula, &paces, &[of]);
        let nodes = printed.nodes(|id| wanted[id], read);
        let (start, with) = (identity(op, dtype), |x: &str, y: &str| join(op, x, y));
        let sum = format!("sum{id}");
        let tree = Tree {
            variables: &[[&sum, "shared_values"]],
            at: "thread",
            join: &format!("{sum} = {};", with(&sum, &format!("other_{sum}"))),
            lanes,
            subgroup: gpu.subgroup(),
        };
        body += &format!(
            "    var sum{id} = {start};
    for (var first = lane; first < length; first += {chain}u * LANES) {{
        var chain = {start};
        for (var j = first; j < min(length, first + {chain}u * LANES); j += LANES) {{
{nodes}            chain = {};
        }}
        sum{id} = {};
    }}
{tree}    let v{id} = sum{id};
",
            with("chain", &format!("v{of}")),
            with(&format!("sum{id}"), "chain"),
            tree = tree.text(true),
            chain = CHAIN,
        );
        told[id] = true;
    }
    debug_assert!(paces.iter().zip(&told).all(|(pace, told)| *told == (*pace == Pace::Row)));
    let wanted = needed(formula, &paces, formula.roots());
    let nodes = printed.nodes(|id| wanted[id], read);
    let write = |(k, root): (usize, &usize)| {
        format!("        b{}[a{k} + i32(j) * {}] = v{root};\n", bindings.of[k], steps[k])
    };
    let writes: String = formula.roots().iter().enumerate().map(write).collect();
    body += &format!(
        "    for (var j = lane; exists && j < length; j += LANES) {{\n{nodes}{writes}    }}\n"
    );
    let lanes = lanes.to_string();
    let words = [
        ("lanes", &*lanes),
        ("count", &count),
        ("length", &length),
        ("places", &places),
        ("body", &body),
    ];
    let head = head(dtype, 1, &bindings.buffers) + functions(dtype);
    together(head, 256, &fill(include_str!("rows.wgsl"), &words))
}
