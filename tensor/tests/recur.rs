//! Recurrences are the same bytes for any number of threads. What they compute is compared with their
//! definition in `testing::conformance`.

#![allow(clippy::single_range_in_vec_init)] // One state, one matrix that is kept.

use std::ops::Range;

use plies_tensor::{DType, Device, Formula, Rng, Steps, Tensor, cells, set_threads};

/// Name, cell, blocks of the product and of each input, next states, what is kept.
type Row = (
    &'static str,
    &'static Formula,
    usize,
    &'static [usize],
    &'static [Range<usize>],
    &'static [Range<usize>],
);

/// Forwards and back: what the processor has compiled in F32, and interprets in F64.
const ROWS: fn() -> [Row; 4] = || {
    [
        ("lstm", cells::lstm(), 4, &[4, 4], &[6..7, 7..8], &[0..8]),
        ("lstm_back", cells::lstm_back(), 1, &[5, 1], &[0..4, 4..5], &[0..4]),
        ("gru", cells::gru(), 3, &[3, 4], &[5..6], &[0..6]),
        ("gru_back", cells::gru_back(), 1, &[4, 1, 1], &[1..4, 4..5], &[0..4]),
    ]
};

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let _turn = crate::threads::Turn::take();
    let width = 128;
    // Long and short ones in no order, and work enough to wake four threads.
    let mut end = 0;
    let sequences = [50, 3, 17, 0, 50, 1, 29, 8, 33].map(|length| {
        end += length;
        end - length..end
    });
    for (name, cell, products, inputs, next, kept) in ROWS() {
        for dtype in [DType::F32, DType::F64] {
            for backwards in [false, true] {
                let mut rng = Rng::new(3);
                let mut normal = |rows: usize, blocks: usize| {
                    rng.normal([rows, blocks * width], dtype, &Device::cpu()) * 0.1
                };
                let weight = normal(next[0].len() * width, products);
                let states: Vec<Tensor> =
                    next.iter().map(|next| normal(sequences.len(), next.len())).collect();
                let inputs: Vec<Tensor> = inputs.iter().map(|&n| normal(end, n)).collect();
                let run = |n: usize| {
                    set_threads(n);
                    let (kept, finals) = weight.recur(&Steps {
                        cell,
                        inputs: &inputs.iter().collect::<Vec<_>>(),
                        sequences: &sequences,
                        backwards,
                        states: &states.iter().collect::<Vec<_>>(),
                        next,
                        kept,
                    });
                    let bits = |x: &Tensor| x.to_dtype(DType::F64).to_vec::<f64>().unwrap();
                    kept.iter().chain(&finals).map(bits).collect::<Vec<_>>()
                };
                let one = run(1);
                assert!(one.iter().flatten().all(|x| x.is_finite()));
                for n in [2, 3, 4] {
                    assert!(one == run(n), "{name} {dtype} backwards: {backwards}, {n} threads");
                }
            }
        }
    }
}
