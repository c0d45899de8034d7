//! Recurrences against their definition: steps of plain operations, one sequence after another.

#![allow(clippy::single_range_in_vec_init)] // One state, one matrix that is kept.

use std::ops::Range;

use plies_tensor::testing::assert_close;
use plies_tensor::{
    DType, Device, Formula, Rng, Steps, Tensor, cells, formula, set_threads, threads,
};

/// Name, cell, blocks of the product and of each input, next states, what is kept.
type Row =
    (&'static str, &'static Formula, usize, Vec<usize>, Vec<Range<usize>>, Vec<Range<usize>>);

fn rows() -> Vec<Row> {
    vec![
        ("tanh", cells::tanh(), 1, vec![1, 1], vec![1..2], vec![0..1, 1..2]),
        ("tanh_back", cells::tanh_back(), 1, vec![1, 1], vec![0..1], vec![0..1]),
        ("lstm", cells::lstm(), 4, vec![4, 4], vec![6..7, 7..8], vec![0..5, 5..6, 6..7]),
        ("lstm_alone", cells::lstm_alone(), 4, vec![4, 4], vec![0..1, 1..2], vec![0..1]),
        ("lstm_back", cells::lstm_back(), 1, vec![5, 1], vec![0..4, 4..5], vec![0..4]),
        ("gru", cells::gru(), 3, vec![3, 4], vec![5..6], vec![0..4, 4..5, 5..6]),
        ("gru_alone", cells::gru_alone(), 3, vec![3, 4], vec![0..1], vec![0..1]),
        ("gru_back", cells::gru_back(), 1, vec![4, 1, 1], vec![1..4, 4..5], vec![0..4]),
        // One that nobody compiled: outputs that are inputs, constants, kept twice, and not kept.
        (
            "another",
            formula!(|p, h, x| [x, h, (0.5 * p + x).tanh(), x * 0.0 + 0.25, p]),
            1,
            vec![1],
            vec![2..3],
            vec![1..4, 2..3, 0..1],
        ),
    ]
}

/// The same by other operations of tensors.
fn by_definition(weight: &Tensor, steps: &Steps<'_>) -> (Vec<Tensor>, Vec<Tensor>) {
    let blocks = |x: &Tensor, width: usize| x.chunk(1, x.dim(1) / width);
    let width = weight.dim(0) / steps.next[0].len();
    let total = steps.inputs[0].dim(0);
    let mut rows: Vec<Vec<Tensor>> = vec![vec![]; total];
    let mut finals: Vec<Vec<Tensor>> = vec![vec![]; steps.next.len()];
    for (s, sequence) in steps.sequences.iter().enumerate() {
        let mut states: Vec<Tensor> = steps.states.iter().map(|x| x.narrow(0, s, 1)).collect();
        let mut order: Vec<usize> = sequence.clone().collect();
        if steps.backwards {
            order.reverse();
        }
        for row in order {
            let mut operands = blocks(&states[0].matmul(weight), width);
            operands.extend(states.iter().flat_map(|state| blocks(state, width)));
            for input in steps.inputs {
                operands.extend(blocks(&input.narrow(0, row, 1), width));
            }
            let operands: Vec<&Tensor> = operands.iter().collect();
            rows[row] = Tensor::map_several(steps.cell, &operands, &[]);
            for (state, next) in states.iter_mut().zip(steps.next) {
                *state = Tensor::cat(&rows[row][next.clone()].iter().collect::<Vec<_>>(), 1);
            }
        }
        for (all, state) in finals.iter_mut().zip(states) {
            all.push(state);
        }
    }
    let kept = |range: &Range<usize>| {
        let row =
            |row: &Vec<Tensor>| Tensor::cat(&row[range.clone()].iter().collect::<Vec<_>>(), 1);
        let rows: Vec<Tensor> = rows.iter().map(row).collect();
        Tensor::cat(&rows.iter().collect::<Vec<_>>(), 0)
    };
    let join = |states: &Vec<Tensor>| Tensor::cat(&states.iter().collect::<Vec<_>>(), 0);
    (steps.kept.iter().map(kept).collect(), finals.iter().map(join).collect())
}

#[test]
fn recurrences_are_what_their_definition_says() {
    let lengths = [3, 1, 7, 0, 7, 2];
    let mut at = 0;
    let sequences = lengths.map(|n| {
        at += n;
        at - n..at
    });
    for (name, cell, products, inputs, next, kept) in rows() {
        for (dtype, width) in [(DType::F32, 37), (DType::F32, 16), (DType::F64, 5)] {
            for backwards in [false, true] {
                let mut rng = Rng::new(3);
                let cpu = Device::cpu();
                let mut normal = |rows: usize, blocks: usize| {
                    rng.normal([rows, blocks * width], dtype, &cpu) * 0.3
                };
                let weight = normal(next[0].len() * width, products);
                let states: Vec<Tensor> =
                    next.iter().map(|next| normal(lengths.len(), next.len())).collect();
                let mut inputs: Vec<Tensor> = inputs.iter().map(|&n| normal(at, n)).collect();
                // One that is the same in every row.
                if let Some(last) = inputs.last_mut() {
                    *last = last.narrow(0, 0, 1).broadcast_to(last.shape());
                }
                let steps = Steps {
                    cell,
                    inputs: &inputs.iter().collect::<Vec<_>>(),
                    sequences: &sequences,
                    backwards,
                    states: &states.iter().collect::<Vec<_>>(),
                    next: &next,
                    kept: &kept,
                };
                let (found, finals) = weight.recur(&steps);
                let (expected, expected_finals) = by_definition(&weight, &steps);
                println!("{name} {dtype} {width} {backwards}");
                let pairs = found.iter().chain(&finals);
                for (found, expected) in pairs.zip(expected.iter().chain(&expected_finals)) {
                    assert_close(found, expected, 1e-5, 1e-5);
                }
            }
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let (hidden, batch, time) = (64, 9, 40);
    let mut rng = Rng::new(3);
    let mut normal = |dims: [usize; 2]| rng.normal(dims, DType::F32, &Device::cpu()) * 0.2;
    let weight = normal([hidden, 4 * hidden]);
    let (x, state) = (normal([batch * time, 4 * hidden]), normal([batch, hidden]));
    let sequences: Vec<Range<usize>> = (0..batch).map(|b| b * time..(b + 1) * time).collect();
    let run = |n: usize| {
        set_threads(n);
        let steps = Steps {
            cell: cells::lstm(),
            inputs: &[&x, &x],
            sequences: &sequences,
            backwards: false,
            states: &[&state, &state],
            next: &[6..7, 7..8],
            kept: &[0..8],
        };
        weight.recur(&steps).0.remove(0).to_vec::<f32>().unwrap()
    };
    let all = threads();
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
    set_threads(all);
}
