//! Decisions taken once per product: which operand fills the vectors, which loops run, how many
//! threads share the work. None depends on the values, and only the first two change how an
//! element is summed; those depend on shapes and strides alone, so that the result is the same
//! for any number of threads.

use super::block::{DEPTH, Method, Product};
use super::groups::Operand;
use super::{GemmElement, MatrixMut, MatrixRef};
use crate::cpu::isa::Isa;
use crate::cpu::parallel::for_each_range;

/// A thread that gets fewer floating-point operations than this isn't called: this much work takes
/// about ten microseconds, a call one or two, and one that has to wake a helper about ten.
const FLOPS_PER_THREAD: usize = 1 << 21;

/// Chooses between C = A · B and Cᵀ = Bᵀ · Aᵀ: the second operand fills the vectors, the first is
/// broadcast element by element and may lie in any order.
pub(super) fn oriented<'a, T: GemmElement>(
    isa: Isa,
    a: MatrixRef<'a, T>,
    b: MatrixRef<'a, T>,
    c: MatrixMut<'a, T>,
    accumulate: bool,
) -> Product<'a, T> {
    let lanes = register_bytes(isa) / size_of::<T>();
    let straight = cycles(lanes, &a, &b, false);
    let swapped = cycles(lanes, &b.t(), &a.t(), true);
    let by_dots = dot_cycles(lanes, &a, &b);
    let is_straight = c.rows == 1 || (c.cols > 1 && straight.min(by_dots) <= swapped);
    let (a, b, c) = if is_straight { (a, b, c) } else { (b.t(), a.t(), c.t()) };
    let method = match (a.rows, b.row_stride, b.col_stride) {
        (1, _, 1) => Method::SumOfRows,
        (1, 1, _) => Method::Dots,
        _ if is_straight && by_dots < straight => Method::Dots,
        _ => Method::Tiles,
    };
    Product { method, a: Operand::Matrix(a), b: Operand::Matrix(b), c, accumulate }
}

/// Whether Cᵀ = Bᵀ · Aᵀ is the quicker way for operands of groups of axes. C is stored as whole
/// rows either way.
pub(super) fn swaps<T: GemmElement>(isa: Isa, a: &Operand<'_, T>, b: &Operand<'_, T>) -> bool {
    let lanes = register_bytes(isa) / size_of::<T>();
    let cost = |a: &Operand<'_, T>, b: &Operand<'_, T>| {
        let ([m, k], [_, n]) = (a.dims(), b.dims());
        let vectors = n.div_ceil(lanes);
        let in_flight = m.min(8) * vectors.min(3);
        let multiply = m * vectors * k * 8 / in_flight.clamp(1, 8) / 2;
        multiply + k * n * panel_cost(lanes, b) / 16 + m * k * strip_cost(lanes, a) / 16
    };
    cost(a, b) > cost(&b.t(), &a.t())
}

/// Sixteenths of a cycle that it takes to pack an element of B.
fn panel_cost<T>(lanes: usize, b: &Operand<'_, T>) -> usize {
    match b {
        Operand::Matrix(b) if b.col_stride == 1 => 0,
        Operand::Matrix(b) if b.row_stride == 1 => 8,
        Operand::Matrix(_) => 24,
        Operand::Groups(b) => {
            let ((row_stride, row_run), (col_stride, col_run)) =
                (b.row_axes.run(), b.col_axes.run());
            let along = if col_stride == 1 { 32 / col_run.min(lanes) } else { 24 };
            let across = row_stride == 1 && row_run >= lanes / 2 && b.col_axes.stride().is_some();
            if across { along.min(8) } else { along }
        }
    }
}

/// The same for an element of A.
fn strip_cost<T>(lanes: usize, a: &Operand<'_, T>) -> usize {
    match a {
        Operand::Matrix(_) => 0,
        Operand::Groups(a) => match a.col_axes.run() {
            (1, run) => 32 / run.min(lanes),
            _ => 24,
        },
    }
}

fn register_bytes(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 64,
        Isa::Avx2 => 32,
        _ => 16,
    }
}

/// A rough count of cycles: two multiply-adds a cycle if enough accumulators are in flight,
/// padding of the last vector included; half a cycle for each element packed across the grain;
/// one for each element of C stored so.
fn cycles<T>(lanes: usize, a: &MatrixRef<'_, T>, b: &MatrixRef<'_, T>, c_columns: bool) -> usize {
    let (m, k, vectors) = (a.rows, a.cols, b.cols.div_ceil(lanes));
    let in_flight = m.min(8) * vectors.min(3);
    let multiply = m * vectors * k * 8 / in_flight.min(8) / 2;
    let pack = if b.col_stride == 1 { 0 } else { k * b.cols / 2 };
    let store = if c_columns { m * b.cols * k.div_ceil(DEPTH) } else { 0 };
    multiply + pack + store
}

/// The same for dot products, where both operands are contiguous along them: neither is packed, but
/// the lanes of each sum are added up.
fn dot_cycles<T>(lanes: usize, a: &MatrixRef<'_, T>, b: &MatrixRef<'_, T>) -> usize {
    if b.row_stride != 1 || a.col_stride != 1 {
        return usize::MAX;
    }
    let (m, k, n) = (a.rows, a.cols, b.cols);
    let in_flight = m.min(8) * 3;
    m * n * k.div_ceil(lanes) * 8 / in_flight.min(8) / 2 + m * n * LANE_SUM
}

/// Cycles that it takes to add up the lanes of a register.
const LANE_SUM: usize = 6;

/// Runs the product on up to `threads` threads. C is cut into that many pieces, never the sums
/// behind an element of it.
pub(super) fn run<T: GemmElement>(isa: Isa, threads: usize, job: Product<'_, T>) {
    let ([m, k], [_, n]) = (job.a.dims(), job.b.dims());
    let flops = 2 * m * k * n;
    share(isa, worthwhile_threads(flops, threads), job);
}

/// How many of `threads` threads have enough to do.
pub(crate) fn worthwhile_threads(flops: usize, threads: usize) -> usize {
    threads.min(flops / FLOPS_PER_THREAD).max(1)
}

fn share<T: GemmElement>(isa: Isa, threads: usize, job: Product<'_, T>) {
    if threads == 1 {
        return T::run(isa, job);
    }
    let mut pieces = Vec::with_capacity(threads);
    cut([0, 0], [job.a.dims()[0], job.b.dims()[1]], threads, &mut pieces);
    for_each_range(pieces.len(), 1, |range| {
        for &(first, dims) in &pieces[range] {
            // SAFETY: no two pieces overlap.
            T::run(isa, unsafe { job.piece(first, dims) });
        }
    });
}

/// Cuts C, or the part of it from `first` on, into at most `count` pieces of whole tiles.
fn cut(first: [usize; 2], [m, n]: [usize; 2], count: usize, pieces: &mut Vec<Piece>) {
    let half = count / 2;
    let share = |len: usize, grain: usize| (len * half / count).next_multiple_of(grain);
    let (i, j) = (share(m, 8), share(n, 16));
    // Pieces side by side repeat only the copying of A's strips, pieces one above the other the
    // packing of B, which is dearer.
    let by_columns = j < n && n >= 96.min(m) && 2 * n >= m;
    if count == 1 || !(by_columns || i < m) {
        pieces.push((first, [m, n]));
    } else if by_columns {
        cut(first, [m, j], half, pieces);
        cut([first[0], first[1] + j], [m, n - j], count - half, pieces);
    } else {
        cut(first, [i, n], half, pieces);
        cut([first[0] + i, first[1]], [m - i, n], count - half, pieces);
    }
}

/// The first row and column, and the numbers of them.
type Piece = ([usize; 2], [usize; 2]);
