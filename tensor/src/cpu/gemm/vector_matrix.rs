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
