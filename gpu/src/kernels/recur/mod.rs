//! A cell applied along sequences: for each step one product of all states with the weight, and one
//! kernel that evaluates the cell for all sequences that have such a step, printed from the cell's
//! formula. It reads the product, the states and the step's rows of the inputs, and writes the next
//! states over the old ones and what is kept, each where it belongs.
//!
//! The product is of all states at every step: one whose sequence has ended is multiplied too, and nobody
//! reads the result. So sequences of different lengths cost the products of as many of the longest; the
//! cell is evaluated for the steps that there are.

use plies_tensor::{Contraction, DType, Formula};

use super::contract::Contract;
use super::{Bindings, MOST, THREADS, Usage, code};
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::shader::{Numbers, Printed, Slots, each, fill, functions, head};
use crate::strided::Operand;

/// Blocks of a matrix that the cell reads or writes: the matrix, and how many of its blocks.
pub(crate) struct Matrix<'a> {
    /// Over rows and columns.
    pub(crate) operand: Operand<'a>,
    pub(crate) dims: [usize; 2],
}

/// What [`plies_tensor::Recurrence`] says.
pub(crate) struct Recur<'a> {
    pub(crate) dtype: DType,
    pub(crate) cell: &'a Formula,
    pub(crate) weight: Matrix<'a>,
    pub(crate) inputs: Vec<Matrix<'a>>,
    pub(crate) states: Vec<Matrix<'a>>,
    pub(crate) kept: Vec<Matrix<'a>>,
    /// For each step the sequences that have it, and the rows.
    pub(crate) steps: Vec<Vec<[i32; 2]>>,
    /// The first output of each state and of each matrix that is kept.
    pub(crate) first: [Vec<usize>; 2],
    pub(crate) width: usize,
}

pub(crate) fn recur(gpu: &Shared, work: &Recur<'_>) {
    let list: Vec<[i32; 2]> = work.steps.concat();
    if list.is_empty() || work.width == 0 {
        return;
    }
    let memory = gpu.scratch(2 * list.len());
    gpu.write(&memory, bytemuck::cast_slice(&list));
    let [sequences, depth] = work.states[0].dims;
    let columns = work.weight.dims[1];
    let product = gpu.scratch(sequences * columns);
    let product = Operand::contiguous(&product, sequences * columns, &[sequences, columns]);
    let entries = Operand::contiguous(&memory, 2 * list.len(), &[2 * list.len()]);
    let mut first = 0;
    for step in &work.steps {
        // [sequences, depth] · [depth, columns]
        let state = &work.states[0].operand;
        Contract {
            dtype: work.dtype,
            dims: vec![sequences, depth, columns],
            loops: Contraction { batch: 0, rows: 1, inner: 1, columns: 1, add: false },
            a: spread(state, [Some(0), Some(1), None]),
            b: spread(&work.weight.operand, [None, Some(0), Some(1)]),
            out: spread(&product, [Some(0), None, Some(1)]),
            finish: None,
        }
        .run(gpu);
        apply(gpu, work, &product, &entries, [first, step.len()]);
        first += step.len();
    }
}

/// A matrix over three loops, of which it has two.
fn spread<'a>(matrix: &Operand<'a>, axes: [Option<usize>; 3]) -> Operand<'a> {
    let strides = axes.map(|axis| axis.map_or(0, |axis| matrix.strides[axis])).to_vec();
    Operand { strides, ..matrix.clone() }
}

fn apply(
    gpu: &Shared,
    work: &Recur<'_>,
    product: &Operand<'_>,
    entries: &Operand<'_>,
    [first, count]: [usize; 2],
) {
    let sequences = work.states[0].dims[0];
    let mut bindings = Bindings::empty();
    let mut fits =
        bindings.add(entries, &[entries.len], Usage::read(DType::I32), gpu.limits()).is_some();
    let product = Matrix { operand: product.clone(), dims: [sequences, work.weight.dims[1]] };
    let matrices: Vec<(&Matrix<'_>, bool)> = std::iter::once((&product, false))
        .chain(work.states.iter().map(|state| (state, true)))
        .chain(work.inputs.iter().map(|input| (input, false)))
        .chain(work.kept.iter().map(|kept| (kept, true)))
        .collect();
    for (matrix, written) in &matrices {
        let usage = if *written { Usage::write(work.dtype) } else { Usage::read(work.dtype) };
        fits &= bindings.add(&matrix.operand, &matrix.dims, usage, gpu.limits()).is_some();
        fits &= matrix.dims[0] * matrix.dims[1] <= MOST;
    }
    if !fits {
        gpu.unsupported("recur over more than a kernel sees");
    }
    let mut numbers = Numbers::default();
    numbers.size(first);
    numbers.size(count);
    numbers.step(work.width as isize);
    for ((matrix, _), offset) in matrices.iter().zip(&bindings.offsets[1..]) {
        numbers.step(*offset);
        matrix.operand.strides.iter().for_each(|&stride| numbers.step(stride));
    }
    numbers.scalars(work.cell, &[], work.dtype);
    let mut class = vec![code(work.dtype)];
    class.extend(bindings.class());
    class.extend(matrices.iter().map(|(matrix, _)| (matrix.dims[1] / work.width) as u32));
    class.extend([work.states.len() as u32, work.inputs.len() as u32]);
    class.extend(work.first.iter().flatten().map(|&first| first as u32));
    let key = Key { kernel: "recur", formula: Some(work.cell.clone()), class };
    let groups = ((count * work.width) as u64).div_ceil(THREADS);
    gpu.launch(key, &bindings.entries, &numbers, groups, || text(work, &bindings, &matrices));
}

fn text(work: &Recur<'_>, bindings: &Bindings<'_>, matrices: &[(&Matrix<'_>, bool)]) -> String {
    let mut slots = Slots::default();
    let (first, count, width) = (slots.u32(), slots.u32(), slots.i32());
    let (n_states, n_inputs) = (work.states.len(), work.inputs.len());
    // Product and states have a row for each sequence, inputs and what is kept one for each step.
    let mut blocks = Vec::new();
    for (k, (matrix, _)) in matrices.iter().enumerate() {
        let [offset, down, across] = [(); 3].map(|()| slots.i32());
        let row = if k <= n_states { "sequence" } else { "row" };
        let buffer = bindings.of[k + 1];
        let block = move |i: usize| {
            format!("b{buffer}[{offset} + {row} * {down} + ({i} * width + j) * {across}]")
        };
        blocks.push((0..matrix.dims[1] / work.width).map(block).collect::<Vec<_>>());
    }
    let printed = Printed::new(work.cell, work.dtype, &mut slots);
    let read: Vec<&String> = blocks[..1 + n_states + n_inputs].iter().flatten().collect();
    let nodes = printed.nodes(|_| true, |i| read[i].clone());
    let states = blocks[1..=n_states].iter().zip(&work.first[0]);
    let kept = blocks[1 + n_states + n_inputs..].iter().zip(&work.first[1]);
    let mut writes = String::new();
    for (blocks, first) in states.chain(kept) {
        for (block, root) in blocks.iter().zip(&work.cell.roots()[*first..]) {
            writes += &format!("    {block} = v{root};\n");
        }
    }
    let words = [("first", &*first), ("width", &width), ("nodes", &nodes), ("writes", &writes)];
    let head = head(work.dtype, 1, &bindings.buffers) + functions(work.dtype);
    let count = format!("{count} * u32({width})");
    each(head, &count, &fill(include_str!("step.wgsl"), &words))
}
