//! Vector times matrix: each element of the matrix is used once, so that nothing is worth packing
//! and the speed is that of the memory that holds the matrix.

use super::GemmElement;
use super::block::Product;
use super::matrix::MatrixRef;
use super::pack::Workspace;
use super::vector::Vector;

/// How many rows of the matrix are read at the same time: each is a stream for the prefetcher.
const STREAMS: usize = 8;

/// y (+)= Σₚ x\[p\] · B\[p, :\], for a B with contiguous rows: eight rows at a time are added to y.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn sum_of_rows<V: Vector>(job: Product<'_, V::Element>) {
    let Product { a, b, c: mut y, accumulate, .. } = job;
    let (x, b) = (a.matrix(), b.matrix());
    assert!(x.rows == 1 && y.rows == 1 && b.col_stride == 1);
    assert!(x.cols == b.rows && y.cols == b.cols);
    let (k, n) = (b.rows, b.cols);
    let mut workspace = Workspace::take();
    let in_place = y.col_stride == 1;
    if !accumulate {
        y.fill(V::Element::ZERO);
    }
    let sums = if in_place {
        y.start
    } else {
        let room = workspace.room::<V::Element>(n);
        for (j, sum) in room[..n].iter_mut().enumerate() {
            // SAFETY: j lies inside the view.
            *sum = unsafe { *y.at(0, j) };
        }
        room.as_mut_ptr()
    };
    let whole = k / STREAMS * STREAMS;
    // SAFETY: `add_rows` gets rows of B that exist, and `n` sums.
    unsafe {
        for p in (0..whole).step_by(STREAMS) {
            add_rows::<V, STREAMS>(&rows_from(&x, &b, p), n, sums);
        }
        for p in whole..k {
            add_rows::<V, 1>(&rows_from(&x, &b, p), n, sums);
        }
        if !in_place {
            for j in 0..n {
                *y.at(0, j) = *sums.add(j);
            }
        }
    }
    workspace.keep();
}

/// Numbers, each with the row that it multiplies.
type Rows<E, const N: usize> = [(*const E, *const E); N];

#[inline(always)]
fn rows_from<E, const N: usize>(
    x: &MatrixRef<'_, E>,
    b: &MatrixRef<'_, E>,
    p: usize,
) -> Rows<E, N> {
    std::array::from_fn(|i| (x.at(0, p + i), b.at(p + i, 0)))
}

/// sums += Σᵢ xᵢ · rowᵢ
#[inline(always)]
unsafe fn add_rows<V: Vector, const N: usize>(
    rows: &Rows<V::Element, N>,
    n: usize,
    sums: *mut V::Element,
) {
    // SAFETY: the caller vouches for `n` elements in each row and in `sums`.
    unsafe {
        let mut x = [V::zero(); N];
        for i in 0..N {
            x[i] = V::broadcast(rows[i].0);
        }
        let whole = n / V::LANES * V::LANES;
        let mut j = 0;
        while j < whole {
            let mut sum = V::load(sums.add(j));
            for i in 0..N {
                sum = x[i].mul_add(V::load(rows[i].1.add(j)), sum);
            }
            sum.store(sums.add(j));
            j += V::LANES;
        }
        if j < n {
            let mask = V::mask(n - j);
            let mut sum = V::load_masked(sums.add(j), mask);
            for i in 0..N {
                sum = x[i].mul_add(V::load_masked(rows[i].1.add(j), mask), sum);
            }
            sum.store_masked(sums.add(j), mask);
        }
    }
}

/// y\[j\] (+)= x · B\[:, j\], for a B with contiguous columns: dot products, eight at a time.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn dots<V: Vector>(job: Product<'_, V::Element>) {
    let Product { a, b, c: y, accumulate, .. } = job;
    let (x, b) = (a.matrix(), b.matrix());
    assert!(x.rows == 1 && y.rows == 1 && b.row_stride == 1);
    assert!(x.cols == b.rows && y.cols == b.cols);
    let (k, n) = (b.rows, b.cols);
    let mut workspace = Workspace::take();
    let x = if x.col_stride == 1 {
        x.start
    } else {
        let room = workspace.room::<V::Element>(k);
        for (p, to) in room[..k].iter_mut().enumerate() {
            // SAFETY: p lies inside the view.
            *to = unsafe { *x.at(0, p) };
        }
        room.as_ptr()
    };
    // SAFETY: columns j.. of B hold k elements each, like x; y[j] exists.
    unsafe {
        let put = |j: usize, sum: V::Element| {
            let to = y.at(0, j);
            *to = if accumulate { *to + sum } else { sum };
        };
        let whole = n / STREAMS * STREAMS;
        for j in (0..whole).step_by(STREAMS) {
            let sums = dot_columns::<V, STREAMS>(k, x, std::array::from_fn(|i| b.at(0, j + i)));
            for (i, sum) in sums.into_iter().enumerate() {
                put(j + i, sum);
            }
        }
        for j in whole..n {
            let [sum] = dot_columns::<V, 1>(k, x, [b.at(0, j)]);
            put(j, sum);
        }
    }
    workspace.keep();
}

#[inline(always)]
unsafe fn dot_columns<V: Vector, const N: usize>(
    k: usize,
    x: *const V::Element,
    columns: [*const V::Element; N],
) -> [V::Element; N] {
    // SAFETY: the caller vouches for `k` elements in x and in each column.
    unsafe {
        let mut sums = [V::zero(); N];
        let whole = k / V::LANES * V::LANES;
        let mut p = 0;
        while p < whole {
            let x = V::load(x.add(p));
            for i in 0..N {
                sums[i] = x.mul_add(V::load(columns[i].add(p)), sums[i]);
            }
            p += V::LANES;
        }
        if p < k {
            let mask = V::mask(k - p);
            let x = V::load_masked(x.add(p), mask);
            for i in 0..N {
                sums[i] = x.mul_add(V::load_masked(columns[i].add(p), mask), sums[i]);
            }
        }
        let mut totals = [V::Element::ZERO; N];
        for i in 0..N {
            totals[i] = sums[i].sum();
        }
        totals
    }
}
