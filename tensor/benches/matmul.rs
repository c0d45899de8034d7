//! Matrix products in f32, ours beside `matrixmultiply`; items per second are floating-point
//! operations per second.
//!
//! `cargo bench -p plies-tensor --bench matmul -- --max-time 1`

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use plies_tensor::{DType, Device, Rng, Tensor, set_threads, threads};

/// Which operand is a transposed view.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Plain,
    ATransposed,
    BTransposed,
}
use Order::{ATransposed, BTransposed, Plain};

/// m, k, n: squares, then the products of a small network and of its gradients.
const CASES: &[(usize, usize, usize, Order)] = &[
    (16, 16, 16, Plain),
    (64, 64, 64, Plain),
    (256, 256, 256, Plain),
    (1024, 1024, 1024, Plain),
    (64, 784, 512, Plain),
    (128, 256, 10, Plain),
    (1, 512, 512, Plain),
    (1, 512, 512, BTransposed),
    (4096, 32, 64, Plain),
    (784, 64, 512, ATransposed),
    (64, 512, 784, BTransposed),
    (32, 128, 512, Plain),
    (32, 512, 128, Plain),
    (3200, 128, 512, BTransposed),
    (512, 3200, 128, ATransposed),
    (3200, 512, 128, Plain),
];

fn operands((m, k, n, order): (usize, usize, usize, Order)) -> (Tensor, Tensor) {
    let mut rng = Rng::new(7);
    let mut matrix = |rows, cols, transposed| {
        let mut normal = |dims| rng.normal(dims, DType::F32, &Device::cpu());
        if transposed { normal([cols, rows]).t() } else { normal([rows, cols]) }
    };
    (matrix(m, k, order == ATransposed), matrix(k, n, order == BTransposed))
}

fn flops((m, k, n, _): (usize, usize, usize, Order)) -> ItemsCount {
    ItemsCount::new(2 * m * k * n)
}

#[divan::bench(args = CASES)]
fn one_thread(bencher: Bencher<'_, '_>, &case: &(usize, usize, usize, Order)) {
    set_threads(1);
    let (a, b) = operands(case);
    bencher.counter(flops(case)).bench_local(|| black_box(&a).matmul(black_box(&b)));
}

#[divan::bench(args = CASES)]
fn all_threads(bencher: Bencher<'_, '_>, &case: &(usize, usize, usize, Order)) {
    set_threads(usize::MAX);
    assert!(threads() > 0);
    let (a, b) = operands(case);
    bencher.counter(flops(case)).bench_local(|| black_box(&a).matmul(black_box(&b)));
}

#[divan::bench(args = CASES)]
fn matrixmultiply_one_thread(bencher: Bencher<'_, '_>, &case: &(usize, usize, usize, Order)) {
    let (m, k, n, _) = case;
    let (a, b) = operands(case);
    let strides = |t: &Tensor| [t.layout().strides()[0], t.layout().strides()[1]];
    let ([a_row, a_col], [b_row, b_col]) = (strides(&a), strides(&b));
    let data = |t: &Tensor, transposed: bool| {
        let stored = if transposed { t.t() } else { t.clone() };
        stored.to_vec::<f32>().expect("the CPU has no device faults")
    };
    let (a, b) = (data(&a, case.3 == ATransposed), data(&b, case.3 == BTransposed));
    let mut c = vec![0.0f32; m * n];
    bencher.counter(flops(case)).bench_local(|| {
        // SAFETY: three buffers of the sizes that dimensions and strides describe.
        unsafe {
            matrixmultiply::sgemm(
                m,
                k,
                n,
                1.0,
                a.as_ptr(),
                a_row,
                a_col,
                b.as_ptr(),
                b_row,
                b_col,
                0.0,
                c.as_mut_ptr(),
                n as isize,
                1,
            );
        }
        black_box(&mut c);
    });
}

fn main() {
    divan::main();
}
