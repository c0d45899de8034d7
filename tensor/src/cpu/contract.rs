//! Contractions of two strided views as matrix products: convolutions and their gradients.
//!
//! out\[batch, rows, columns\] = Σ\[inner\] a\[batch, rows, inner\] · b\[batch, inner, columns\]
//!
//! where each of the four is a group of axes. For a convolution b is a view of windows that
//! overlap; it is packed block by block like any operand of a product, so that the matrix of all
//! windows never exists. For the gradient of its input *out* is that view: each product is
//! computed in parts that stay in cache, and added to the windows.

use super::accumulate::Reducible;
use super::gemm::{
    Axes, GemmElement, MatrixMut, Operand, Spread, gemm_groups, gemm_tiles, spread, swaps,
    worthwhile_threads,
};
use super::map;
use super::memory::{Memory, elements};
use super::parallel::for_each_range;
use crate::backend::{Contraction, Epilogue, Target, View};
use crate::{DType, Layout};

/// Elements of a part of the product that is handed out: half a megabyte in F32, in L2.
const PART: usize = 1 << 17;
/// Columns of such a part.
const PART_COLUMNS: usize = 1 << 11;
/// Below so many columns the images of a batch are taken together.
const FEW_COLUMNS: usize = 64;

pub(super) fn contract(
    loops: Contraction,
    a: View<'_>,
    b: View<'_>,
    epilogue: Option<Epilogue<'_>>,
    mut out: Target<'_>,
) {
    let groups = Groups::new(loops, a.layout, b.layout, out.layout);
    if groups.outer(out.layout).elem_count() == 0 {
        return;
    }
    if out.layout.elem_count() == 0 {
        // Nothing is summed: what is left is zeros.
        if !loops.add {
            clear(&groups, &mut out);
        }
    } else {
        match out.buffer.dtype() {
            DType::F32 => return float::<f32>(groups, a, b, epilogue, out),
            DType::F64 => return float::<f64>(groups, a, b, epilogue, out),
            DType::I32 => integers(&groups, a, b, &mut out),
        }
    }
    if let Some(epilogue) = epilogue {
        finish(&groups, epilogue, out);
    }
}

/// Which axes of the loops are which.
struct Groups {
    loops: Contraction,
    batch: Vec<usize>,
    rows: Vec<usize>,
    inner: Vec<usize>,
    columns: Vec<usize>,
}

impl Groups {
    fn new(loops: Contraction, a: &Layout, b: &Layout, out: &Layout) -> Groups {
        let mut axes = 0..a.rank();
        let mut next = |n: usize| axes.by_ref().take(n).collect::<Vec<usize>>();
        let batch = next(loops.batch);
        let (rows, inner) = (next(loops.rows), next(loops.inner));
        let mut groups = Groups { loops, batch, rows, inner, columns: next(loops.columns) };
        groups.gather_images(a, b, out);
        groups
    }

    /// Few columns leave registers empty, and a product for each image would read all of `a` for
    /// them. When `a` is the same for all images, their columns stand side by side.
    fn gather_images(&mut self, a: &Layout, b: &Layout, out: &Layout) {
        let columns: usize = self.columns.iter().map(|&axis| out.dims()[axis]).product();
        if columns >= FEW_COLUMNS {
            return;
        }
        let is_shared =
            |&axis: &usize| a.strides()[axis] == 0 && b.strides()[axis] != 0 && a.dims()[axis] > 1;
        if let Some(at) = self.batch.iter().position(is_shared) {
            let images = self.batch.remove(at);
            self.columns.insert(0, images);
        }
    }

    fn axes(layout: &Layout, group: &[usize]) -> Axes {
        Axes::new(group.iter().map(|&axis| (layout.dims()[axis], layout.strides()[axis])))
    }

    /// Where each member of the batch begins.
    fn starts(&self, layout: &Layout) -> Vec<usize> {
        let others = (0..layout.rank()).rev().filter(|axis| !self.batch.contains(axis));
        others.fold(*layout, |layout, axis| layout.select(axis as isize, 0)).indices().collect()
    }

    /// A layout of the loops without those that are summed over.
    fn outer(&self, layout: &Layout) -> Layout {
        let mut outer = *layout;
        self.inner.iter().rev().for_each(|&axis| outer.remove_axis(axis));
        outer
    }
}

/// Sets what is to be written to 0.
fn clear(groups: &Groups, out: &mut Target<'_>) {
    let layout = groups.outer(out.layout);
    match out.buffer.dtype() {
        DType::F32 => fill::<f32>(out, &layout),
        DType::F64 => fill::<f64>(out, &layout),
        DType::I32 => fill::<i32>(out, &layout),
    }
}

fn fill<T: Reducible>(out: &mut Target<'_>, layout: &Layout) {
    let data = out.buffer.memory_mut::<Memory>().as_slice_mut::<T>();
    layout.indices().for_each(|i| data[i] = T::default());
}

/// The epilogue over all that was written.
fn finish(groups: &Groups, epilogue: Epilogue<'_>, out: Target<'_>) {
    let layouts: Vec<Layout> = epilogue.inputs.iter().map(|i| groups.outer(i.layout)).collect();
    let views = epilogue.inputs.iter().zip(&layouts);
    let views: Vec<View<'_>> = views.map(|(view, layout)| View { layout, ..*view }).collect();
    let layout = groups.outer(out.layout);
    let target = Target { buffer: out.buffer, layout: &layout };
    let Epilogue { formula, scalars, .. } = epilogue;
    match target.buffer.dtype() {
        DType::F32 => map::map::<f32>(formula, &views, scalars, &mut [target], true),
        DType::F64 => map::map::<f64>(formula, &views, scalars, &mut [target], true),
        DType::I32 => map::map::<i32>(formula, &views, scalars, &mut [target], true),
    }
}

fn integers(groups: &Groups, a: View<'_>, b: View<'_>, out: &mut Target<'_>) {
    if !groups.loops.add {
        clear(groups, out);
    }
    let (x, y): (&[i32], &[i32]) = (elements(&a), elements(&b));
    let places = out.layout.indices();
    let data = out.buffer.memory_mut::<Memory>().as_slice_mut::<i32>();
    for ((i, j), to) in a.layout.indices().zip(b.layout.indices()).zip(places) {
        data[to] = data[to].wrapping_add(x[i].wrapping_mul(y[j]));
    }
}

/// The result, written by several threads.
struct Shared<T>(*mut T);
// SAFETY: threads write different elements: those of different members of the batch, or of rows
// that were found to be apart.
unsafe impl<T: Send> Sync for Shared<T> {}

fn float<T: GemmElement + Reducible>(
    groups: Groups,
    a: View<'_>,
    b: View<'_>,
    epilogue: Option<Epilogue<'_>>,
    out: Target<'_>,
) {
    let (starts_a, starts_b) = (groups.starts(a.layout), groups.starts(b.layout));
    let starts = groups.starts(out.layout);
    let mut left = (elements::<T>(&a), starts_a, Groups::axes(a.layout, &groups.rows));
    let mut right = (elements::<T>(&b), starts_b, Groups::axes(b.layout, &groups.columns));
    let mut inner = [a.layout, b.layout].map(|layout| Groups::axes(layout, &groups.inner));
    let mut rows = Groups::axes(out.layout, &groups.rows);
    let mut cols = Groups::axes(out.layout, &groups.columns);
    let first = (
        Operand::new(left.0, left.1[0], &left.2, &inner[0]),
        Operand::new(right.0, right.1[0], &inner[1], &right.2),
    );
    if swaps(&first.0, &first.1) {
        (left, right) = (right, left);
        inner.reverse();
        (rows, cols) = (cols, rows);
    }
    let dims = [rows.len(), cols.len()];
    let product = Parts {
        left: &left,
        right: &right,
        inner: &inner,
        rows: &rows,
        cols: &cols,
        dims,
        add: groups.loops.add,
    };
    let flops = 2 * dims[0] * dims[1] * inner[0].len();
    let threads = worthwhile_threads(flops * starts.len(), crate::threads());
    let direct = cols.stride().is_some_and(|stride| stride == 1 || dims[1] == 1)
        && rows.stride().is_some_and(|stride| stride >= dims[1] as isize || dims[0] == 1);
    let data = out.buffer.memory_mut::<Memory>().as_slice_mut::<T>();
    check(&rows, &cols, &starts, data.len());
    let to = Shared(data.as_mut_ptr());
    if !direct {
        product.spread_out(&to, &starts, threads, flops);
        if let Some(epilogue) = epilogue {
            finish(&groups, epilogue, out);
        }
        return;
    }
    let dense = dims[0] == 1 || rows.stride() == Some(dims[1] as isize);
    // Only if no two axes were exchanged are the epilogue's inputs in the order of the product.
    let in_cache = dense && starts.len() > 1;
    let each = epilogue.filter(|_| in_cache);
    let run = |i: usize, threads: usize| {
        // SAFETY: `check` has found the elements to exist; they are those of member i alone.
        let c = unsafe { MatrixMut::from_raw(to.at(starts[i]), dims, rows.stride().unwrap_or(1)) };
        let (x, y) = product.operands(i);
        gemm_groups(threads, x, y, c, groups.loops.add);
        if let Some(epilogue) = &each {
            let n = dims[0] * dims[1];
            // SAFETY: as above; the rows lie side by side.
            let c = unsafe { std::slice::from_raw_parts_mut(to.at(starts[i]), n) };
            finish_one(&groups, epilogue, i, c);
        }
    };
    if threads == 1 || starts.len() / 2 < threads {
        (0..starts.len()).for_each(|i| run(i, threads));
    } else {
        let grain = starts.len().div_ceil(worthwhile_threads(flops * starts.len(), usize::MAX));
        for_each_range(starts.len(), grain, |range| range.for_each(|i| run(i, 1)));
    }
    if let Some(epilogue) = epilogue.filter(|_| !in_cache) {
        finish(&groups, epilogue, out);
    }
}

impl<T> Shared<T> {
    fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}

/// Panics unless every element of the result lies inside its buffer.
fn check(rows: &Axes, cols: &Axes, starts: &[usize], len: usize) {
    let [row, col] = [rows.reach(), cols.reach()];
    let inside = |&start: &usize| {
        start as isize + row[0] + col[0] >= 0 && start as isize + row[1] + col[1] < len as isize
    };
    assert!(starts.iter().all(inside), "contract: the result exceeds its buffer of {len} elements");
}

/// The epilogue on the rows and columns of one member of the batch.
fn finish_one<T: Reducible>(groups: &Groups, epilogue: &Epilogue<'_>, i: usize, c: &mut [T]) {
    let member = |view: &View<'_>| {
        let mut at = i;
        let mut layout = groups.outer(view.layout);
        for &axis in groups.batch.iter().rev() {
            let dim = layout.dims()[axis];
            layout = layout.select(axis as isize, at % dim);
            at /= dim;
        }
        layout
    };
    let mut layouts = [Layout::contiguous([]); 4];
    let Epilogue { formula, inputs, scalars } = epilogue;
    if inputs.len() > layouts.len() {
        let layouts: Vec<Layout> = inputs.iter().map(member).collect();
        let views = inputs.iter().zip(&layouts).map(|(view, layout)| View { layout, ..*view });
        return map::map_old(formula, &views.collect::<Vec<_>>(), scalars, c);
    }
    for (layout, view) in layouts.iter_mut().zip(*inputs) {
        *layout = member(view);
    }
    let views = inputs.iter().zip(&layouts).map(|(view, layout)| View { layout, ..*view });
    map::map_old(formula, &views.collect::<Vec<_>>(), scalars, c);
}

/// Elements, where each member of the batch begins, and the outer axes.
type Side<'a, T> = (&'a [T], Vec<usize>, Axes);

/// A product that is computed in parts.
struct Parts<'a, T> {
    left: &'a Side<'a, T>,
    right: &'a Side<'a, T>,
    inner: &'a [Axes; 2],
    rows: &'a Axes,
    cols: &'a Axes,
    dims: [usize; 2],
    add: bool,
}

impl<'a, T: GemmElement + Reducible> Parts<'a, T> {
    fn operands(&self, i: usize) -> (Operand<'a, T>, Operand<'a, T>) {
        (
            Operand::new(self.left.0, self.left.1[i], &self.left.2, &self.inner[0]),
            Operand::new(self.right.0, self.right.1[i], &self.inner[1], &self.right.2),
        )
    }

    /// Computes blocks of rows and columns, and hands each out while it is in cache.
    fn spread_out(&self, to: &Shared<T>, starts: &[usize], threads: usize, flops: usize) {
        let [m, n] = self.dims;
        let k = self.inner[0].len();
        let n_part = n.min(PART_COLUMNS);
        // Windows of one channel overlap, those of different channels do not.
        let window = self.rows.inner_len();
        let apart = self.rows.is_apart(self.cols);
        let fitting = (PART / n_part / window).max(1) * window;
        let shared = if starts.len() >= threads { m } else { m.div_ceil(threads) };
        let m_part = if apart { fitting.min(shared.next_multiple_of(window)).min(m) } else { m };
        let per_member = m.div_ceil(m_part);
        let n_tasks = starts.len() * per_member;
        let task = |task: usize| {
            let (i, row) = (task / per_member, task % per_member * m_part);
            let rows = m_part.min(m - row);
            let (a, b) = self.operands(i);
            let a = a.block([row, 0], [rows, k]);
            let mut memory = Memory::scratch::<T>(rows * n_part);
            let part = memory.as_slice_mut::<T>();
            for col in (0..n).step_by(n_part) {
                let cols = n_part.min(n - col);
                let b = b.block([0, col], [k, cols]);
                gemm_tiles(1, a, b, MatrixMut::new(part, [rows, cols], cols), false);
                spread(Spread {
                    product: part,
                    to: to.at(starts[i]),
                    rows: self.rows,
                    cols: self.cols,
                    first: [row, col],
                    dims: [rows, cols],
                    add: self.add,
                });
            }
        };
        let worth = worthwhile_threads(flops * starts.len(), usize::MAX).min(n_tasks);
        let grain = if threads == 1 { n_tasks } else { n_tasks.div_ceil(worth) };
        for_each_range(n_tasks, grain, |range| range.for_each(task));
    }
}

#[cfg(test)]
mod tests {
    use crate::cpu::isa::Isa;
    use crate::{Conv, DType, Device, Rng, Tensor};

    /// Small whole numbers, whose sums floats hold exactly, against the plain loop over integers.
    #[test]
    fn every_instruction_set_contracts_as_the_plain_loop_does() {
        let rows = [
            ([3, 4, 9, 37], [6, 2, 3, 5], Conv::default().groups(2)),
            ([2, 3, 12, 12], [33, 3, 5, 5], Conv::default().padding([2, 1])),
            ([5, 2, 7, 8], [7, 2, 2, 3], Conv::default().stride([2, 3]).dilation(2)),
            ([40, 9, 3, 3], [20, 9, 3, 3], Conv::default().padding(1)),
            ([1, 70, 5, 90], [3, 70, 1, 1], Conv::default()),
            ([9, 1, 20, 20], [1, 1, 4, 4], Conv::default().stride(2)),
        ];
        let mut rng = Rng::new(1);
        let mut draw = |dims: [usize; 4]| {
            let n = dims.iter().product::<usize>();
            let whole: Vec<i32> = (0..n).map(|_| rng.below(9) as i32 - 4).collect();
            Tensor::from_slice_on(&whole, dims, &Device::cpu())
        };
        for (x, w, conv) in rows {
            let (x, w) = (draw(x), draw(w));
            let all = |dtype: DType| {
                let (x, w) = (x.to_dtype(dtype), w.to_dtype(dtype));
                let y = x.conv(&w, None, &conv);
                let d_x = y.conv_input_gradient(&w, x.shape(), &conv);
                let d_w = x.conv_weight_gradient(&y, w.shape(), &conv);
                [y, d_x, d_w].map(|x| x.to_dtype(DType::F64).to_vec::<f64>().unwrap())
            };
            let expected = all(DType::I32);
            Isa::for_each(|isa| {
                assert!(all(DType::F64) == expected, "F64, {isa:?}, {conv:?}");
                assert!(all(DType::F32) == expected, "F32, {isa:?}, {conv:?}");
            });
        }
    }
}
