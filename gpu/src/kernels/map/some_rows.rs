//! A formula in place at some rows of a matrix, which a list names; the other rows stay, or are treated
//! as if their inputs were 0. A row that is not named has the entry -1.

use plies_tensor::{DType, Formula, OtherRows};

use crate::gpu::Shared;
use crate::kernels::{Bound, MOST, Seen, THREADS, code};
use crate::pipeline::Key;
use crate::shader::{Numbers, Printed, Slots, fill, functions, head};
use crate::strided::Operand;

/// What [`plies_tensor::Backend::map_rows`] is told; targets are [height, width] and inputs
/// [rows, width], row-major.
pub(crate) struct MapRows<'a> {
    pub(crate) formula: &'a Formula,
    pub(crate) dtype: DType,
    pub(crate) rows: &'a [usize],
    pub(crate) others: OtherRows,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) inputs: Vec<Operand<'a>>,
    pub(crate) targets: Vec<Operand<'a>>,
    pub(crate) scalars: &'a [f64],
}

pub(crate) fn map_rows(gpu: &Shared, work: &MapRows<'_>) {
    let MapRows { formula, dtype, rows, others, height, width, .. } = *work;
    // Where only the named rows matter there is a thread for each of their elements, and the list says
    // where they are; otherwise one for each element, and the list says where its inputs are.
    let list: Vec<i32> = match others {
        OtherRows::Stay => rows.iter().map(|&row| row as i32).collect(),
        OtherRows::HaveZeros => {
            let mut list = vec![-1; height];
            rows.iter().enumerate().for_each(|(i, &row)| list[row] = i as i32);
            list
        }
    };
    if list.is_empty() || width == 0 {
        return;
    }
    let memory = gpu.scratch(list.len());
    gpu.queue.write(&memory, bytemuck::cast_slice(&list));
    let dims = [height, width];
    let seen = |write| if write { Seen::write(dtype) } else { Seen::read(dtype) };
    let index = Operand::contiguous(&memory, list.len(), &[list.len()]);
    let mut bound = Bound::empty();
    let mut fits = height * width <= MOST;
    fits &= bound.add(&index, &[list.len()], Seen::read(DType::I32), gpu.sight()).is_some();
    for (i, operand) in work.targets.iter().chain(&work.inputs).enumerate() {
        let is_target = i < work.targets.len();
        let dims = if is_target { dims } else { [rows.len(), width] };
        fits &= bound.add(operand, &dims, seen(is_target), gpu.sight()).is_some();
    }
    if !fits {
        gpu.unsupported("update of rows of a tensor that is larger than a kernel sees");
    }
    let mut numbers = Numbers::default();
    numbers.size(list.len() * width);
    numbers.size(width);
    bound.offsets[1..].iter().for_each(|&offset| numbers.step(offset));
    numbers.scalars(formula, work.scalars, dtype);
    let mut class = vec![code(dtype), u32::from(others == OtherRows::Stay)];
    class.extend(bound.class());
    let key = Key { kernel: "update of rows", formula: Some(formula.clone()), class };
    let groups = ((list.len() * width) as u64).div_ceil(THREADS);
    gpu.launch(key, &bound.bindings, &numbers, groups, || text(work, &bound));
}

fn text(work: &MapRows<'_>, bound: &Bound<'_>) -> String {
    let mut slots = Slots::default();
    let (count, width) = (slots.u32(), slots.u32());
    let n_targets = work.targets.len();
    let (own, given) = match work.others {
        OtherRows::Stay => ("entry", "i32(i / width)"),
        OtherRows::HaveZeros => ("i32(i / width)", "max(entry, 0)"),
    };
    let mut rows = format!("    let own = {own} * i32(width) + j;\n");
    rows += &format!("    let given = {given} * i32(width) + j;\n");
    for k in 0..bound.of.len() - 1 {
        let from = if k < n_targets { "own" } else { "given" };
        rows += &format!("    let a{k} = {} + {from};\n", slots.i32());
    }
    let printed = Printed::new(work.formula, work.dtype, &mut slots);
    let read = |i: usize| {
        let value = format!("b{}[a{i}]", bound.of[i + 1]);
        match work.others {
            OtherRows::HaveZeros if i >= n_targets => format!("select(T(0), {value}, entry >= 0)"),
            _ => value,
        }
    };
    let nodes = printed.nodes(|_| true, read);
    let write = |(k, root): (usize, &usize)| format!("    b{}[a{k}] = v{root};\n", bound.of[k + 1]);
    let writes: String = work.formula.roots().iter().enumerate().map(write).collect();
    let words = [
        ("count", &*count),
        ("width", &width),
        ("rows", &rows),
        ("nodes", &nodes),
        ("writes", &writes),
    ];
    head(work.dtype, 1, &bound.buffers)
        + functions(work.dtype)
        + &fill(include_str!("some_rows.wgsl"), &words)
}
