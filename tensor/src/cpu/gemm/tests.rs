//! Every path against the three loops that define the product.

use proptest::prelude::*;

use super::*;

/// The oracle: each element of A · B, and of |A| · |B|, which bounds the error of any order of
/// summation by k · ε · |A| · |B|.
fn naive(a: &View, b: &View) -> (Vec<f64>, Vec<f64>) {
    let (mut product, mut magnitude) = (Vec::new(), Vec::new());
    for i in 0..a.dims[0] {
        for j in 0..b.dims[1] {
            let terms = (0..a.dims[1]).map(|p| a.get(i, p) * b.get(p, j));
            product.push(terms.clone().sum());
            magnitude.push(terms.map(f64::abs).sum());
        }
    }
    (product, magnitude)
}

/// A matrix somewhere in a larger buffer, in any order.
#[derive(Clone, Debug)]
struct View {
    data: Vec<f64>,
    offset: usize,
    dims: [usize; 2],
    strides: [isize; 2],
}

#[derive(Clone, Copy, Debug)]
struct Order {
    transposed: bool,
    /// Along rows and along columns: the step, and whether backwards; a step of 0 repeats.
    steps: [(usize, bool); 2],
}

impl View {
    fn new(dims: [usize; 2], order: Order, seed: u64) -> View {
        let [(row_step, row_back), (col_step, col_back)] = order.steps;
        let [rows, cols] = dims;
        let mut strides = if order.transposed {
            [row_step as isize, (col_step * (rows * row_step).max(1)) as isize]
        } else {
            [(row_step * (cols * col_step).max(1)) as isize, col_step as isize]
        };
        let mut offset = 3;
        let mut reach = 0;
        for (axis, back) in [row_back, col_back].into_iter().enumerate() {
            let length = dims[axis].saturating_sub(1) * strides[axis] as usize;
            reach += length;
            if back {
                offset += length;
                strides[axis] = -strides[axis];
            }
        }
        // Multiples of 1/64 in [-2, 2): exact in f32, so that the oracle sees the same numbers.
        let mut state = seed;
        let number = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            f64::from((state >> 56) as u8) / 64.0 - 2.0
        };
        let data = std::iter::repeat_with(number).take(reach + 7).collect();
        View { data, offset, dims, strides }
    }

    fn get(&self, i: usize, j: usize) -> f64 {
        let [row, col] = self.strides;
        self.data[(self.offset as isize + i as isize * row + j as isize * col) as usize]
    }
}

trait Float: GemmElement {
    const EPSILON: f64;
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
}
impl Float for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}
impl Float for f64 {
    const EPSILON: f64 = f64::EPSILON;
    fn from_f64(x: f64) -> f64 {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
}

const OUTSIDE: f64 = 77.0;
const BEFORE: f64 = 0.5;

/// Runs one product into a C whose rows are `gap` further apart than they need be.
fn run<T: Float>(
    isa: Isa,
    threads: usize,
    a: &View,
    b: &View,
    gap: usize,
    accumulate: bool,
) -> Vec<T> {
    let cast = |view: &View| view.data.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let (a_data, b_data) = (cast(a), cast(b));
    let [m, n] = [a.dims[0], b.dims[1]];
    let stride = n + gap;
    let mut c = vec![T::from_f64(OUTSIDE); m * stride + 1];
    for i in 0..m {
        c[i * stride..][..n].fill(T::from_f64(if accumulate { BEFORE } else { f64::NAN }));
    }
    gemm_with(
        isa,
        threads,
        MatrixRef::new(&a_data, a.offset, a.dims, a.strides),
        MatrixRef::new(&b_data, b.offset, b.dims, b.strides),
        MatrixMut::new(&mut c, [m, n], stride),
        accumulate,
    );
    c
}

fn check<T: Float>(a: &View, b: &View, gap: usize, accumulate: bool) {
    let (product, magnitude) = naive(a, b);
    let [m, k, n] = [a.dims[0], a.dims[1], b.dims[1]];
    let before = if accumulate { BEFORE } else { 0.0 };
    for isa in Isa::available() {
        let c = run::<T>(isa, 1, a, b, gap, accumulate);
        for (index, &x) in c.iter().enumerate() {
            let (i, j) = (index / (n + gap).max(1), index % (n + gap).max(1));
            if i >= m || j >= n {
                assert_eq!(x.to_f64(), OUTSIDE, "{isa:?} wrote outside C at ({i}, {j})");
                continue;
            }
            let expected = before + product[i * n + j];
            let bound = (k as f64 + 1.0) * T::EPSILON * (magnitude[i * n + j] + before);
            assert!(
                (x.to_f64() - expected).abs() <= bound,
                "{isa:?} [{m}, {k}] x [{k}, {n}] at ({i}, {j}): {} instead of {expected}",
                x.to_f64()
            );
        }
        let shared = run::<T>(isa, 2, a, b, gap, accumulate);
        let bytes = |c: &[T]| bytemuck::cast_slice::<T, u8>(c).to_vec();
        assert!(bytes(&c) == bytes(&shared), "{isa:?}: two threads give other bits than one");
    }
}

fn any_order() -> impl Strategy<Value = Order> {
    let step = (prop_oneof![6 => Just(1usize), 2 => Just(2), 1 => Just(0)], any::<bool>());
    let plain = Just([(1, false), (1, false)]);
    let steps = prop_oneof![2 => plain, 1 => [step.clone(), step]];
    (any::<bool>(), steps).prop_map(|(transposed, steps)| Order { transposed, steps })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_isa_agrees_with_the_naive_loops_on_any_shapes_and_strides(
        [m, k, n] in [0usize..70, 0usize..70, 0usize..70],
        orders in [any_order(), any_order()],
        gap in 0usize..3,
        accumulate: bool,
        seed: u64,
    ) {
        let a = View::new([m, k], orders[0], seed);
        let b = View::new([k, n], orders[1], seed ^ 0x9e37_79b9);
        check::<f32>(&a, &b, gap, accumulate);
        check::<f64>(&a, &b, gap, accumulate);
    }
}

const ROW_MAJOR: Order = Order { transposed: false, steps: [(1, false); 2] };
const COLUMN_MAJOR: Order = Order { transposed: true, steps: [(1, false); 2] };

/// Large enough for several blocks along every axis, for packing and for two threads.
#[test]
fn products_of_many_blocks_agree_with_the_naive_loops_on_one_thread_and_on_two() {
    let shapes = [
        [131, 300, 1100],
        [257, 530, 70],
        [70, 300, 1000],
        [1, 2100, 2100],
        [2100, 2100, 1],
        [9, 800, 700],
    ];
    for [m, k, n] in shapes {
        for (left, right) in [
            (ROW_MAJOR, ROW_MAJOR),
            (COLUMN_MAJOR, ROW_MAJOR),
            (ROW_MAJOR, COLUMN_MAJOR),
            (COLUMN_MAJOR, COLUMN_MAJOR),
        ] {
            let a = View::new([m, k], left, 1);
            let b = View::new([k, n], right, 2);
            check::<f32>(&a, &b, 1, false);
            check::<f64>(&a, &b, 0, true);
        }
    }
}

#[test]
fn a_sum_over_nothing_is_zero_or_leaves_c_as_it_was() {
    let (a, b) = (View::new([3, 0], ROW_MAJOR, 1), View::new([0, 4], ROW_MAJOR, 2));
    for isa in Isa::available() {
        assert_eq!(run::<f32>(isa, 1, &a, &b, 0, false)[..12], [0.0; 12]);
        assert_eq!(run::<f32>(isa, 1, &a, &b, 0, true)[..12], [BEFORE as f32; 12]);
    }
}

#[test]
fn nan_and_infinity_reach_the_result_even_against_zeros() {
    for [m, k, n] in [[1, 20, 33], [33, 20, 1], [20, 20, 20], [3, 1, 5]] {
        for order in [ROW_MAJOR, COLUMN_MAJOR] {
            let mut a = View::new([m, k], order, 1);
            a.data.fill(0.0);
            for bad in [f64::NAN, f64::INFINITY] {
                let mut b = View::new([k, n], order, 2);
                b.data.fill(bad);
                for isa in Isa::available() {
                    let c = run::<f32>(isa, 1, &a, &b, 0, false);
                    assert!(c[..m * n].iter().all(|x| x.is_nan()), "{isa:?}: 0 · {bad} is NaN");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "outside a buffer of 5 elements")]
fn a_view_that_leaves_its_buffer_panics() {
    MatrixRef::new(&[0.0f32; 5], 0, [2, 3], [3, 1]);
}

#[test]
#[should_panic(expected = "outside a buffer of 6 elements")]
fn a_view_that_begins_before_its_buffer_panics() {
    MatrixRef::new(&[0.0f32; 6], 1, [2, 3], [3, -1]);
}

#[test]
#[should_panic(expected = "matmul: [2, 3] x [2, 3]")]
fn inner_dimensions_that_differ_panic() {
    let (a, mut c) = ([0.0f32; 6], [0.0f32; 6]);
    let view = MatrixRef::new(&a, 0, [2, 3], [3, 1]);
    gemm_serial(view, view, MatrixMut::new(&mut c, [2, 3], 3), false);
}

#[test]
fn a_batch_is_its_products_one_by_one() {
    check_batch(6, [5, 40, 33]);
}

#[test]
fn a_batch_that_is_worth_sharing_among_threads_is_its_products_one_by_one() {
    check_batch(6, [60, 200, 180]);
}

fn check_batch(batch: usize, [m, k, n]: [usize; 3]) {
    let a = View::new([batch * m, k], ROW_MAJOR, 1);
    let b = View::new([batch * k, n], ROW_MAJOR, 2);
    // Each with its own B; all with the same one; in reverse order.
    for (a_step, b_step) in [(1isize, 1isize), (1, 0), (-1, 1), (0, 1)] {
        let start = |view: &View, step: isize, i: usize, rows: usize| {
            let place = if step < 0 { batch - 1 - i } else { i * step as usize };
            view.offset + place * rows * view.strides[0] as usize
        };
        let a_starts: Vec<usize> = (0..batch).map(|i| start(&a, a_step, i, m)).collect();
        let b_starts: Vec<usize> = (0..batch).map(|i| start(&b, b_step, i, k)).collect();
        let mut c = vec![BEFORE; batch * m * n];
        gemm_batched(
            Batch { data: &a.data, starts: &a_starts, dims: [m, k], strides: a.strides },
            Batch { data: &b.data, starts: &b_starts, dims: [k, n], strides: b.strides },
            &mut c,
            true,
        );
        for i in 0..batch {
            let a = View { offset: a_starts[i], dims: [m, k], ..a.clone() };
            let b = View { offset: b_starts[i], dims: [k, n], ..b.clone() };
            let (product, _) = naive(&a, &b);
            for (x, y) in c[i * m * n..].iter().zip(product) {
                assert!((x - BEFORE - y).abs() < 1e-10, "product {i}");
            }
        }
    }
}

#[test]
fn integers_wrap_around() {
    let mut c = [7; 2];
    let (a, b) = ([i32::MAX, 2, 3, 4], [2, 1]);
    gemm_i32(
        MatrixRef::new(&a, 0, [2, 2], [2, 1]),
        MatrixRef::new(&b, 0, [2, 1], [1, 1]),
        MatrixMut::new(&mut c, [2, 1], 1),
    );
    assert_eq!(c, [0, 10]);
}
