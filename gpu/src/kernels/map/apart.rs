//! A formula that reduces rows, one reduction after another: each reads memory once more than the one kernel
//! of `rows` does, but is cut as sums are, and has the whole device for a single row.

use plies_tensor::{Expr, Formula, Node};

use super::Map;
use crate::gpu::Shared;
use crate::kernels::reduce::Reduction;
use crate::pool::Memory;
use crate::strided::Operand;

pub(super) fn run(gpu: &Shared, map: &Map<'_>) {
    let outer = map.dims.len() - 1;
    let count: usize = map.dims[..outer].iter().product();
    let reductions: Vec<usize> = (0..map.formula.nodes().len())
        .filter(|&id| matches!(map.formula.nodes()[id], Node::Reduce(..)))
        .collect();
    let results: Vec<Memory> = reductions.iter().map(|_| gpu.scratch(count)).collect();
    let mut operands = map.operands.clone();
    let inputs = map.first_input()..;
    for (r, memory) in results.iter().enumerate() {
        let Node::Reduce(op, of) = map.formula.nodes()[reductions[r]] else { continue };
        let value = without(map.formula, &[of], &reductions[..r]);
        let axes: Vec<bool> = (0..=outer).map(|axis| axis == outer).collect();
        let out = Operand::contiguous(memory, count, &[count]);
        let read = operands[inputs.clone()].to_vec();
        let (dtype, scalars) = (map.dtype, map.scalars);
        Reduction::new(op, &value, dtype, &map.dims, &axes, read, scalars, out).run(gpu);
        let mut result = Operand::contiguous(memory, count, &map.dims[..outer]);
        result.strides.push(0);
        operands.push(result);
    }
    let formula = without(map.formula, map.formula.roots(), &reductions);
    Map { formula: &formula, operands, dims: map.dims.clone(), ..*map }.run(gpu);
}

/// The value of some nodes, in which these reductions are inputs after the formula's own.
fn without(formula: &Formula, roots: &[usize], reductions: &[usize]) -> Formula {
    let own = formula.n_inputs();
    Formula::build(own + reductions.len(), formula.n_scalars(), |graph| {
        let mut values: Vec<Expr<'_>> = Vec::new();
        for (id, node) in formula.nodes().iter().enumerate() {
            let given = reductions.iter().position(|&reduction| reduction == id);
            values.push(match (given, *node) {
                (Some(r), _) => graph.input(own + r),
                (_, Node::Input(i)) => graph.input(i),
                (_, Node::Scalar(i)) => graph.scalar(i),
                (_, Node::Const(bits)) => graph.constant(f64::from_bits(bits)),
                (_, Node::Unary(op, x)) => values[x].unary(op),
                (_, Node::Binary(op, x, y)) => values[x].binary(op, values[y]),
                (_, Node::Select(c, a, b)) => values[c].select(values[a], values[b]),
                // One that is not known yet, which what is wanted does not need.
                (_, Node::Reduce(_, x)) => values[x],
            });
        }
        roots.iter().map(|&root| values[root]).collect()
    })
}
