//! Matrix products: C[m, n] = A[m, k] · B[k, n], plain and with one operand transposed in memory.

use std::hint::black_box;

use burn::tensor::Distribution;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use plies_tensor::Tensor;

use crate::{Bench, Contender, Heading, Unit};

/// How the operands lie: `n` as they are, `t` transposed.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Nn,
    Tn,
    Nt,
}

use Layout::{Nn, Nt, Tn};

/// m, k, n, and the ratio to reach on one thread.
const CASES: &[(Layout, [usize; 3], f64)] = &[
    (Nn, [64, 64, 64], 1.0),
    (Nn, [128, 128, 128], 1.0),
    (Nn, [256, 256, 256], 1.0),
    (Nn, [512, 512, 512], 1.0),
    (Nn, [1024, 1024, 1024], 1.05),
    (Nn, [2048, 2048, 2048], 1.05),
    (Nn, [64, 784, 512], 1.05),
    (Nn, [128, 256, 10], 1.5),
    (Nn, [1, 512, 512], 1.2),
    (Nn, [4096, 32, 64], 1.0),
    (Tn, [784, 64, 512], 1.0),
    (Tn, [512, 512, 512], 1.0),
    (Nt, [64, 512, 784], 1.1),
    (Nt, [512, 512, 512], 1.0),
];

pub fn run(bench: &mut Bench) {
    bench.report.section("gemm, GFLOP/s");
    for &(layout, [m, k, n], goal) in CASES {
        let prefix = match layout {
            Nn => "nn",
            Tn => "tn",
            Nt => "nt",
        };
        let case = format!("{prefix}_{m}x{k}x{n}");
        if bench.wants(&case) {
            let work = 2.0 * (m * k * n) as f64;
            let heading = Heading {
                section: "gemm",
                case: &case,
                unit: Unit::Gflops,
                work,
                goal: Some(goal),
            };
            bench.case(&heading, contenders(layout, [m, k, n], bench.threads));
        }
    }
}

fn contenders(layout: Layout, [m, k, n]: [usize; 3], threads: usize) -> Vec<Contender<'static>> {
    let dims_a = if layout == Tn { [k, m] } else { [m, k] };
    let dims_b = if layout == Nt { [n, k] } else { [k, n] };
    let (a, b) = (numbers(m * k), numbers(k * n));
    // Strides of rows and columns.
    let [row_a, col_a] = if layout == Tn { [1, m] } else { [k, 1] };
    let [row_b, col_b] = if layout == Nt { [1, k] } else { [n, 1] };

    let ours = {
        let (a, b) = (Tensor::from_slice(&a, dims_a), Tensor::from_slice(&b, dims_b));
        let a = if layout == Tn { a.t() } else { a };
        let b = if layout == Nt { b.t() } else { b };
        Contender::new("plies", move || {
            black_box(a.matmul(&b));
        })
    };
    let gemm = {
        let (a, b, mut c) = (a.clone(), b.clone(), vec![0f32; m * n]);
        let parallelism = match threads {
            1 => gemm::Parallelism::None,
            n => gemm::Parallelism::Rayon(n),
        };
        let [row_a, col_a, row_b, col_b, row_c] =
            [row_a, col_a, row_b, col_b, n].map(|s| s as isize);
        Contender::new("gemm", move || {
            // SAFETY: the strides describe exactly these three vectors.
            unsafe {
                gemm::gemm(
                    m,
                    n,
                    k,
                    c.as_mut_ptr(),
                    1,
                    row_c,
                    false,
                    a.as_ptr(),
                    col_a,
                    row_a,
                    b.as_ptr(),
                    col_b,
                    row_b,
                    0.0f32,
                    1.0f32,
                    false,
                    false,
                    false,
                    parallelism,
                );
            }
            black_box(&mut c);
        })
    };
    let matrixmultiply = {
        let (a, b, mut c) = (a.clone(), b.clone(), vec![0f32; m * n]);
        let [row_a, col_a, row_b, col_b, row_c] =
            [row_a, col_a, row_b, col_b, n].map(|s| s as isize);
        Contender::new("matrixmultiply", move || {
            // SAFETY: as above.
            unsafe {
                matrixmultiply::sgemm(
                    m,
                    k,
                    n,
                    1.0,
                    a.as_ptr(),
                    row_a,
                    col_a,
                    b.as_ptr(),
                    row_b,
                    col_b,
                    0.0,
                    c.as_mut_ptr(),
                    row_c,
                    1,
                );
            }
            black_box(&mut c);
        })
    };
    let faer = {
        let (a, b, mut c) = (a.clone(), b.clone(), vec![0f32; m * n]);
        let parallelism = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
        Contender::new("faer", move || {
            let a = MatRef::from_row_major_slice(&a, dims_a[0], dims_a[1]);
            let b = MatRef::from_row_major_slice(&b, dims_b[0], dims_b[1]);
            let a = if layout == Tn { a.transpose() } else { a };
            let b = if layout == Nt { b.transpose() } else { b };
            let c = MatMut::from_row_major_slice_mut(&mut c, m, n);
            matmul(c, Accum::Replace, a, b, 1.0f32, parallelism);
        })
    };
    let candle = {
        let device = candle_core::Device::Cpu;
        let on = |data: &[f32], dims: [usize; 2]| {
            candle_core::Tensor::from_slice(data, (dims[0], dims[1]), &device).expect("a matrix")
        };
        let (a, b) = (on(&a, dims_a), on(&b, dims_b));
        let a = if layout == Tn { a.t().expect("two axes") } else { a };
        let b = if layout == Nt { b.t().expect("two axes") } else { b };
        Contender::new("candle", move || {
            black_box(a.matmul(&b).expect("dimensions agree"));
        })
    };
    let burn = {
        let device = burn::tensor::Device::flex();
        let range = Distribution::Uniform(-1.0, 1.0);
        let a = burn::Tensor::<2>::random(dims_a, range, &device);
        let b = burn::Tensor::<2>::random(dims_b, range, &device);
        let a = if layout == Tn { a.transpose() } else { a };
        let b = if layout == Nt { b.transpose() } else { b };
        Contender::new("burn", move || {
            black_box(a.clone().matmul(b.clone()));
        })
    };
    vec![ours, gemm, matrixmultiply, faer, candle, burn]
}

/// Numbers between -1 and 1.
pub fn numbers(n: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / 8388608.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}
