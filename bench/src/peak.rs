//! What the machine can do at most: multiply-adds between registers, and memory read and written.
//! The other sections' figures stand against these.

use std::hint::black_box;

use rayon::prelude::*;

use crate::{Bench, Contender, Heading, Unit};

pub fn run(bench: &mut Bench) {
    bench.report.section("peak, GFLOP/s and GB/s");
    let threads = bench.threads;
    if bench.wants("fma") {
        const ITERATIONS: usize = 20_000;
        let flops = (threads * ITERATIONS * ACCUMULATORS * LANES * 2) as f64;
        let heading =
            Heading { section: "peak", case: "fma", unit: Unit::Gflops, work: flops, goal: None };
        let on_all = move || {
            (0..threads).into_par_iter().with_max_len(1).for_each(|_| {
                black_box(multiply_add(black_box(ITERATIONS)));
            });
        };
        bench.case(&heading, vec![Contender::new("plies", on_all)]);
    }
    // a = b + s · c over three arrays of this many bytes in all.
    for (case, bytes) in [
        ("triad_16KiB", 16 << 10),
        ("triad_768KiB", 768 << 10),
        ("triad_12MiB", 12 << 20),
        ("triad_768MiB", 768 << 20),
    ] {
        if !bench.wants(case) {
            continue;
        }
        let n = bytes / 12 / threads;
        let mut parts: Vec<[Vec<f32>; 3]> =
            (0..threads).map(|_| [vec![0.5; n], vec![1.5; n], vec![2.5; n]]).collect();
        let rounds = (1_usize << 20).div_ceil(bytes);
        let work = (12 * n * threads * rounds) as f64;
        let heading = Heading { section: "peak", case, unit: Unit::Gigabytes, work, goal: None };
        let triad = move || {
            let s = black_box(1.1f32);
            parts.par_iter_mut().with_max_len(1).for_each(|[a, b, c]| {
                for _ in 0..rounds {
                    for ((a, b), c) in a.iter_mut().zip(b.iter()).zip(c.iter()) {
                        *a = s.mul_add(*c, *b);
                    }
                    black_box(&mut *a);
                }
            });
        };
        bench.case(&heading, vec![Contender::new("plies", triad)]);
    }
}

/// Enough to hide the latency of a multiply-add, few enough for the registers.
const ACCUMULATORS: usize = if cfg!(target_feature = "avx512f") { 24 } else { 12 };
const LANES: usize = if cfg!(target_feature = "avx512f") { 16 } else { 8 };

/// Independent multiply-adds in registers. This crate is built for the machine that it runs on, so
/// the widest vectors are known; the compiler alone does not keep 24 of them in registers.
#[cfg(target_feature = "avx512f")]
fn multiply_add(iterations: usize) -> f32 {
    use std::arch::x86_64::*;
    // SAFETY: the whole crate is compiled for CPUs that have these instructions.
    unsafe {
        let mut sums = [_mm512_set1_ps(1.0); ACCUMULATORS];
        let (x, y) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(1e-3)));
        for _ in 0..iterations {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, x, y);
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
    }
}

#[cfg(not(target_feature = "avx512f"))]
fn multiply_add(iterations: usize) -> f32 {
    let (x, y) = (black_box(0.999f32), black_box(1e-3f32));
    let mut sums = [[1f32; LANES]; ACCUMULATORS];
    for _ in 0..iterations {
        for sum in &mut sums {
            *sum = sum.map(|lane| lane.mul_add(x, y));
        }
    }
    sums.iter().flatten().sum()
}
