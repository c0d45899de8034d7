//! Recurrent layers: their parameters, sequences of different lengths, layers and directions.

use plies_autograd::{Cell, Var, no_grad, recurrent};
use plies_nn::{
    Directions, Embedding, Gru, Lstm, Module, Pass, RecurrentOptions, Rnn, loss,
    optim::{Adam, Optimizer},
};
use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Device, Elementwise, Rng, Tensor, set_threads, threads};
use proptest::prelude::*;

fn normal(dims: &[usize], seed: u64) -> Tensor {
    Rng::new(seed).normal(dims, DType::F32, &Device::cpu())
}

fn options(layers: usize, directions: Directions) -> RecurrentOptions {
    RecurrentOptions { layers, directions, ..RecurrentOptions::default() }
}

/// Enough for products of few rows to take another path than those of many, if one let them.
const INPUTS: usize = 70;

/// y and all states, of whichever layer.
type Run = Box<dyn Fn(&Var, Option<&[usize]>) -> (Var, Vec<Var>)>;

fn layers(layers: usize, directions: Directions) -> Vec<(&'static str, Run)> {
    let options = options(layers, directions);
    let mut rng = Rng::new(3);
    let lstm = Lstm::with(INPUTS, 5, options, &mut rng).forget_bias(1.0);
    let gru = Gru::with(INPUTS, 5, options, &mut rng);
    let tanh = Rnn::with(INPUTS, 5, options, &mut rng);
    let relu = Rnn::relu(INPUTS, 5, RecurrentOptions { bias: false, ..options }, &mut rng);
    let mut rows: Vec<(&'static str, Run)> = vec![(
        "lstm",
        Box::new(move |x, lengths| {
            let (y, states) = lstm.run(x, lengths, None, &mut Pass::eval());
            (y, states.to_vec())
        }),
    )];
    rows.push((
        "gru",
        Box::new(move |x, lengths| {
            let (y, h) = gru.run(x, lengths, None, &mut Pass::eval());
            (y, vec![h])
        }),
    ));
    for (name, rnn) in [("tanh", tanh), ("relu", relu)] {
        rows.push((
            name,
            Box::new(move |x, lengths| {
                let (y, h) = rnn.run(x, lengths, None, &mut Pass::eval());
                (y, vec![h])
            }),
        ));
    }
    rows
}

/// Rows of a slice of `x`, by bits.
fn bits(x: &Var) -> Vec<u32> {
    x.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_of_different_lengths_gives_what_each_sequence_gives_alone(
        lengths in proptest::collection::vec(1usize..7, 1..6),
        depth in 1usize..3,
        both in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let directions = if both { Directions::Both } else { Directions::Forward };
        let x = normal(&[lengths.len(), 7, INPUTS], seed);
        // What lies beyond the ends must not be read.
        let mut parts = Vec::new();
        for (b, &n) in lengths.iter().enumerate() {
            let row = x.narrow(0, b, 1);
            parts.push(row.narrow(1, 0, n).pad(1, 0, 7 - n, f64::NAN));
        }
        let padded = Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0);
        for (name, run) in layers(depth, directions) {
            let leaf = Var::leaf(padded.clone());
            let (y, states) = run(&leaf, Some(&lengths));
            y.sum_all().backward();
            let d_x = leaf.grad().unwrap();
            for (b, &n) in lengths.iter().enumerate() {
                let alone = Var::leaf(x.narrow(0, b, 1).narrow(1, 0, n).contiguous());
                let (y_alone, states_alone) = run(&alone, None);
                y_alone.sum_all().backward();
                let own = y.narrow(0, b, 1);
                prop_assert_eq!(bits(&own.narrow(1, 0, n)), bits(&y_alone), "{} {}", name, b);
                let beyond = own.narrow(1, n, 7 - n).to_vec::<f32>().unwrap();
                prop_assert!(beyond.iter().all(|&y| y == 0.0));
                for (state, state_alone) in states.iter().zip(&states_alone) {
                    prop_assert_eq!(bits(&state.narrow(1, b, 1)), bits(state_alone));
                }
                let own = d_x.narrow(0, b, 1);
                let (d_own, d_alone) = (own.narrow(1, 0, n), alone.grad().unwrap());
                assert_close(d_own.value(), d_alone.value(), 1e-6, 1e-5);
                let beyond = own.narrow(1, n, 7 - n).to_vec::<f32>().unwrap();
                prop_assert!(beyond.iter().all(|&d| d == 0.0));
            }
        }
    }
}

#[test]
fn names_and_shapes_are_those_of_pytorch() {
    let options = options(2, Directions::Both);
    let gru = Gru::with(3, 5, options, &mut Rng::new(1));
    let found: Vec<(String, Vec<usize>)> =
        gru.named_parameters().into_iter().map(|(name, p)| (name, p.dims().to_vec())).collect();
    let expected = [
        ("weight_ih_l0", vec![15, 3]),
        ("weight_hh_l0", vec![15, 5]),
        ("bias_ih_l0", vec![15]),
        ("bias_hh_l0", vec![15]),
        ("weight_ih_l0_reverse", vec![15, 3]),
        ("weight_hh_l0_reverse", vec![15, 5]),
        ("bias_ih_l0_reverse", vec![15]),
        ("bias_hh_l0_reverse", vec![15]),
        ("weight_ih_l1", vec![15, 10]),
    ];
    for ((name, dims), (expected_name, expected_dims)) in found.iter().zip(&expected) {
        assert_eq!((name.as_str(), dims), (*expected_name, expected_dims));
    }
    assert_eq!(found.len(), 16);
}

/// h = tanh(0.5 x + 0.25 h₋) worked out by hand, from h = 0.
#[test]
fn a_recurrence_of_one_unit_gives_the_numbers_worked_out_by_hand() {
    let options = RecurrentOptions { bias: false, ..RecurrentOptions::default() };
    let mut layer = Rnn::with(1, 1, options, &mut Rng::new(1));
    let mut values = [0.5f32, 0.25].into_iter();
    layer.for_each_parameter_mut(&mut |_, p| {
        *p.value_mut() = Tensor::from([[values.next().unwrap()]]);
    });
    let x = Var::constant(Tensor::from([[[1f32], [2.0]]]));
    let (y, _) = layer.run(&x, None, None, &mut Pass::eval());
    let first = 0.5f32.tanh();
    let second = (1.0 + 0.25 * first).tanh();
    assert_close(y.value(), &Tensor::from([[[first], [second]]]), 1e-6, 1e-6);
}

#[test]
fn a_sequence_cut_in_two_gives_the_same_when_the_state_is_handed_on() {
    let lstm = Lstm::with(3, 5, options(2, Directions::Forward), &mut Rng::new(1));
    let x = Var::constant(normal(&[2, 6, 3], 4));
    let pass = &mut Pass::eval();
    let (whole, [h, c]) = lstm.run(&x, None, None, pass);
    let (first, [h_1, c_1]) = lstm.run(&x.narrow(1, 0, 2), None, None, pass);
    let (second, [h_2, c_2]) = lstm.run(&x.narrow(1, 2, 4), None, Some([&h_1, &c_1]), pass);
    let joined = Var::cat(&[&first, &second], 1);
    for (a, b) in [(&whole, &joined), (&h, &h_2), (&c, &c_2)] {
        assert_close(a.value(), b.value(), 1e-6, 1e-6);
    }
}

#[test]
fn without_recording_the_outputs_are_the_same() {
    for (name, run) in layers(2, Directions::Both) {
        let x = Var::constant(normal(&[3, 4, INPUTS], 4));
        let lengths = [4usize, 1, 3];
        let recorded = run(&x, Some(&lengths)).0;
        let plain = no_grad(|| run(&x, Some(&lengths)).0);
        assert_eq!(bits(&recorded), bits(&plain), "{name}");
    }
}

/// The bits of the outputs and of the gradients of everything that went in, after steps enough for
/// several threads.
fn bits_of_training(cell: Cell, backwards: bool, dtype: DType) -> Vec<u64> {
    let mut end = 0;
    let sequences = [50, 3, 17, 50, 1, 29, 8, 33].map(|length| {
        end += length;
        end - length..end
    });
    let (mut rng, hidden) = (Rng::new(3), 128);
    let mut leaf = |dims: &[usize]| Var::leaf(rng.normal(dims, dtype, &Device::cpu()) * 0.1);
    let x = leaf(&[end, 20]);
    let states = [leaf(&[sequences.len(), hidden]), leaf(&[sequences.len(), hidden])];
    let gates = cell.gates() * hidden;
    let weights = [leaf(&[gates, 20]), leaf(&[gates, hidden]), leaf(&[gates]), leaf(&[gates])];
    let given: Vec<&Var> = states[..cell.states()].iter().collect();
    let (y, last) = recurrent(cell, &x, &sequences, backwards, &given, weights.each_ref());
    (y.sqr().sum_all() + last[0].sum_all()).backward();
    let leaves = [x.clone()].into_iter().chain(states).chain(weights);
    let found = [y].into_iter().chain(last).chain(leaves.filter_map(|leaf| leaf.grad()));
    let bits = |x: Var| x.value().to_dtype(DType::F64).to_vec::<f64>().unwrap();
    found.flat_map(bits).map(f64::to_bits).collect()
}

#[test]
fn the_number_of_threads_does_not_change_a_bit_of_training() {
    let all = threads();
    for cell in [Cell::Tanh, Cell::Relu, Cell::Lstm, Cell::Gru] {
        for (dtype, backwards) in [(DType::F32, false), (DType::F64, true)] {
            let run = |n: usize| {
                set_threads(n);
                bits_of_training(cell, backwards, dtype)
            };
            let one = run(1);
            for n in [2, 3] {
                assert!(one == run(n), "{cell:?} {dtype} backwards: {backwards}, {n} threads");
            }
        }
    }
    set_threads(all);
}

#[test]
#[should_panic(expected = "gru: sequence 1 has a length of 0, not one of 1..=4")]
fn a_sequence_of_no_steps_is_refused_by_name() {
    let gru = Gru::new(3, 5, &mut Rng::new(1));
    let x = Var::constant(normal(&[2, 4, 3], 4));
    gru.run(&x, Some(&[4, 0]), None, &mut Pass::eval());
}

/// Whether the first token comes again at the end, which takes a memory.
#[test]
fn a_small_classifier_learns_to_remember_the_first_token() {
    let mut rng = Rng::new(1);
    let (mut embedding, mut lstm) = (Embedding::new(4, 8, &mut rng), Lstm::new(8, 16, &mut rng));
    let mut linear = plies_nn::Linear::new(16, 4, &mut rng);
    let mut optimizers = [Adam::new(0.02), Adam::new(0.02), Adam::new(0.02)];
    let tokens: Vec<i32> = (0..32 * 8).map(|i| (i * i / 7 + i) % 4).collect();
    let tokens = Tensor::from_vec(tokens, [32, 8]);
    let targets = tokens.select(1, 0).contiguous();
    let lengths: Vec<usize> = (0..32).map(|i| 3 + i % 6).collect();
    let mut last = f64::INFINITY;
    for _ in 0..80 {
        let x = embedding.of(&tokens);
        let (_, [h, _]) = lstm.run(&x, Some(&lengths), None, &mut Pass::eval());
        let logits = linear.forward(&h.select(0, 0), &mut Pass::eval());
        let loss = loss::cross_entropy(&logits, &targets);
        loss.backward();
        last = loss.item().unwrap();
        let [a, b, c] = &mut optimizers;
        a.step(&mut embedding);
        b.step(&mut lstm);
        c.step(&mut linear);
        embedding.zero_grad();
        lstm.zero_grad();
        linear.zero_grad();
    }
    assert!(last < 0.05, "{last}");
}
