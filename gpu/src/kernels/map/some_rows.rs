//! A formula in place at some rows of a matrix, which a list names; the other rows stay, or are treated
//! as if their inputs were 0. A row that is not named has the entry -1. Of more than a kernel sees, the upper
//! rows come first.

use plies_tensor::{DType, Formula, OtherRows};

use crate::gpu::Shared;
use crate::kernels::{Bindings, MOST, THREADS, Usage, code};
use crate::pipeline::Key;
use crate::shader::{Numbers, Printed, Slots, each, fill, functions, head};
use crate::strided::Operand;

/// What [`plies_tensor::Backend::map_rows`] is told; targets are [height, width] and inputs
/// [rows, width], row-major.
#[derive(Clone)]
pub(crate) struct MapRows<'a> {
    pub(crate) formula: &'a Formula,
    pub(crate) dtype: DType,
    pub(crate) rows: &'a [usize],
    pub(crate) others: OtherRows,
    /// The number of the first row of the targets.
    pub(crate) first: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) inputs: Vec<Operand<'a>>,
    pub(crate) targets: Vec<Operand<'a>>,
    pub(crate) scalars: &'a [f64],
}

pub(crate) fn map_rows(gpu: &Shared, work: &MapRows<'_>) {
    let MapRows { formula, dtype, rows, others, first, height, width, .. } = *work;
    // Where only the named rows matter there is a thread for each of their elements, and the list says
    // where they are; otherwise one for each element, and the list says where its inputs are.
    let list: Vec<i32> = match others {
        OtherRows::Stay => rows.iter().map(|&row| (row - first) as i32).collect(),
        OtherRows::HaveZeros => {
            let mut list = vec![-1; height];
            rows.iter().enumerate().for_each(|(i, &row)| list[row - first] = i as i32);
            list
        }
    };
    if list.is_empty() || width == 0 {
        return;
    }
    let memory = gpu.scratch(list.len());
    let dims = [height, width];
    let usage = |write| if write { Usage::write(dtype) } else { Usage::read(dtype) };
    let index = Operand::contiguous(&memory, list.len(), &[list.len()]);
    let mut bindings = Bindings::empty();
    let mut fits = height * width <= MOST;
    fits &= bindings.add(&index, &[list.len()], Usage::read(DType::I32), gpu.limits()).is_some();
    for (i, operand) in work.targets.iter().chain(&work.inputs).enumerate() {
        let is_target = i < work.targets.len();
        let dims = if is_target { dims } else { [rows.len().max(1), width] };
        fits &= bindings.add(operand, &dims, usage(is_target), gpu.limits()).is_some();
    }
    if !fits {
        return in_halves(gpu, work);
    }
    gpu.write(&memory, bytemuck::cast_slice(&list));
    let mut numbers = Numbers::default();
    numbers.size(list.len() * width);
    numbers.size(width);
    bindings.offsets[1..].iter().for_each(|&offset| numbers.step(offset));
    numbers.scalars(formula, work.scalars, dtype);
    let mut class = vec![code(dtype), u32::from(others == OtherRows::Stay)];
    class.extend(bindings.class());
    let key = Key { kernel: "update of rows", formula: Some(formula.clone()), class };
    let groups = ((list.len() * width) as u64).div_ceil(THREADS);
    gpu.launch(key, &bindings.entries, &numbers, groups, || text(work, &bindings));
}

/// The upper rows of the targets, and the lower ones.
fn in_halves(gpu: &Shared, work: &MapRows<'_>) {
    let half = work.height / 2;
    if half == 0 {
        gpu.unsupported(&format!("update of rows of {} elements", work.width));
    }
    let named = work.rows.partition_point(|&row| row < work.first + half);
    let (upper, lower) = work.rows.split_at(named);
    map_rows(gpu, &MapRows { rows: upper, height: half, ..work.clone() });
    // Inputs of no row are those of the last one, which nobody reads.
    let given = if lower.is_empty() { 0 } else { named };
    let lower = MapRows {
        rows: lower,
        first: work.first + half,
        height: work.height - half,
        targets: from_row(&work.targets, half),
        inputs: from_row(&work.inputs, given),
        ..work.clone()
    };
    map_rows(gpu, &lower);
}

fn from_row<'a>(operands: &[Operand<'a>], row: usize) -> Vec<Operand<'a>> {
    operands.iter().map(|operand| operand.from(0, row)).collect()
}

fn text(work: &MapRows<'_>, bindings: &Bindings<'_>) -> String {
    let mut slots = Slots::default();
    let (count, width) = (slots.u32(), slots.u32());
    let n_targets = work.targets.len();
    let (own, given) = match work.others {
        OtherRows::Stay => ("entry", "i32(i / width)"),
        OtherRows::HaveZeros => ("i32(i / width)", "max(entry, 0)"),
    };
    let mut rows = format!("    let own = {own} * i32(width) + j;\n");
    rows += &format!("    let given = {given} * i32(width) + j;\n");
    for k in 0..bindings.of.len() - 1 {
        let from = if k < n_targets { "own" } else { "given" };
        rows += &format!("    let a{k} = {} + {from};\n", slots.i32());
    }
    let printed = Printed::new(work.formula, work.dtype, &mut slots);
    let read = |i: usize| {
        let value = format!("b{}[a{i}]", bindings.of[i + 1]);
        match work.others {
            OtherRows::HaveZeros if i >= n_targets => format!("select(T(0), {value}, entry >= 0)"),
            _ => value,
        }
    };
    let nodes = printed.nodes(|_| true, read);
    let write =
        |(k, root): (usize, &usize)| format!("    b{}[a{k}] = v{root};\n", bindings.of[k + 1]);
    let writes: String = work.formula.roots().iter().enumerate().map(write).collect();
    let words = [("width", &*width), ("rows", &rows), ("nodes", &nodes), ("writes", &writes)];
    let head = head(work.dtype, 1, &bindings.buffers) + functions(work.dtype);
    each(head, &count, &fill(include_str!("some_rows.wgsl"), &words))
}
