//! Element-wise formulas: every target element from the input elements at the same place.

use super::accumulate::Reducible;
use super::evaluate::{BLOCK, Evaluator, Sink, Source, grain, run_single_step};
use super::memory::{Memory, elements};
use super::parallel::for_each_range;
use super::walk::Rows;
use crate::backend::OtherRows;
use crate::{Formula, Target, View};

/// Elements up to which preparing for blocks would take longer than the loop.
const SMALL: usize = 16 * BLOCK;

pub(super) fn map<T: Reducible>(
    formula: &Formula,
    inputs: &[View<'_>],
    scalars: &[f64],
    targets: &mut [Target<'_>],
    in_place: bool,
) {
    let old = if in_place { targets.len() } else { 0 };
    let row = targets[0].layout.dims().last().copied().unwrap_or(1);
    let n = targets[0].layout.elem_count();
    if let [target] = targets
        && n <= grain(formula).min(SMALL)
        && run_single_step::<T>(formula, inputs, scalars, target, in_place)
    {
        return;
    }
    // Few enough to need no list on the heap, nearly always.
    let (mut few, mut many) = ([Source::<T>::Old(0); 6], Vec::new());
    let sources = first_or_many(&mut few, &mut many, old + inputs.len());
    for (j, source) in sources[..old].iter_mut().enumerate() {
        *source = Source::Old(j);
    }
    for (source, view) in sources[old..].iter_mut().zip(inputs) {
        *source = Source::new(elements(view), view.layout);
    }
    let (mut few, mut many) = ([Sink::<T>::NONE; 4], Vec::new());
    let sinks = first_or_many(&mut few, &mut many, targets.len());
    for (sink, target) in sinks.iter_mut().zip(targets) {
        *sink = Sink::new(target.buffer.memory_mut::<Memory>().as_slice_mut(), target.layout);
    }
    evaluate(formula, sources, sinks, scalars, [n, row]);
}

/// A formula in place over rows of row-major targets, from row-major inputs that have these rows alone.
pub(super) fn map_rows<T: Reducible>(
    formula: &Formula,
    numbers: &[usize],
    others: OtherRows,
    inputs: &[View<'_>],
    scalars: &[f64],
    targets: &mut [Target<'_>],
) {
    let [height, ref row @ ..] = *targets[0].layout.dims() else { return };
    let rows = Rows::new(numbers, row.iter().product());
    rows.assert_inside(height * row.iter().product::<usize>());
    let mut sources: Vec<Source<'_, T>> = (0..targets.len()).map(Source::Old).collect();
    let mut sinks: Vec<Sink<'_, T>> = Vec::with_capacity(targets.len());
    for Target { buffer, layout } in targets {
        assert!(layout.is_contiguous());
        let data = buffer.memory_mut::<Memory>().as_slice_mut();
        let data = &mut data[layout.offset()..][..layout.elem_count()];
        sinks.push(match others {
            OtherRows::Stay => Sink::rows(data, rows),
            OtherRows::HaveZeros => Sink::slice(data),
        });
    }
    for view in inputs {
        assert!(view.layout.is_contiguous());
        let data = &elements(view)[view.layout.offset()..][..view.layout.elem_count()];
        sources.push(match others {
            OtherRows::Stay => Source::Slice(data),
            OtherRows::HaveZeros => Source::Sparse(data, rows),
        });
    }
    let n = match others {
        OtherRows::Stay => rows.elem_count(),
        OtherRows::HaveZeros => height * row.iter().product::<usize>(),
    };
    evaluate(formula, &sources, &sinks, scalars, [n, 1]);
}

/// A formula on a slice in place, whose old values are its first input.
pub(super) fn map_old<T: Reducible>(
    formula: &Formula,
    inputs: &[View<'_>],
    scalars: &[f64],
    out: &mut [T],
) {
    let row = inputs.first().and_then(|view| view.layout.dims().last().copied()).unwrap_or(1);
    let others = inputs.iter().map(|view| Source::new(elements(view), view.layout));
    let sources: Vec<Source<'_, T>> = [Source::Old(0)].into_iter().chain(others).collect();
    let n = out.len();
    evaluate(formula, &sources, &[Sink::slice(out)], scalars, [n, row]);
}

/// Evaluates all `n` elements, in rows of `row`.
fn evaluate<T: Reducible>(
    formula: &Formula,
    sources: &[Source<'_, T>],
    sinks: &[Sink<'_, T>],
    scalars: &[f64],
    [n, row]: [usize; 2],
) {
    if n == 0 {
        return;
    }
    let grain = grain(formula);
    // Whole rows where a formula reduces them, and where inputs may be the same in all of them;
    // several to a block if they are short. Where rows are reduced, several means three: spreading
    // what two are reduced to takes longer than a call for each.
    let broadcasts = sources.iter().any(|source| matches!(source, Source::Strided(..)));
    let (row, block) = match formula.schedule().by_rows() {
        true if 3 * row > BLOCK => (row, row),
        false if !broadcasts || row > 4 * BLOCK => (1, BLOCK),
        _ => (row, row * (BLOCK / row).max(1)),
    };
    for_each_range(n.div_ceil(block), grain.div_ceil(block), |blocks| {
        let longest = block.min(n - blocks.start * block);
        let mut evaluator = Evaluator::new(formula, sources, sinks, scalars, [n, row, longest]);
        for start in blocks.map(|at| at * block) {
            // SAFETY: blocks of different threads are disjoint, and a target's layout visits no
            // element twice.
            unsafe { evaluator.run(start, block.min(n - start)) };
        }
    });
}

/// The first `n` places, on the heap if these few are not enough.
fn first_or_many<'a, T: Copy>(few: &'a mut [T], many: &'a mut Vec<T>, n: usize) -> &'a mut [T] {
    if n <= few.len() {
        return &mut few[..n];
    }
    many.resize(n, few[0]);
    many
}
