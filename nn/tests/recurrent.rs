//! Recurrent layers: their parameters, sequences of different lengths and in parts, layers and
//! directions, single steps.

use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
use plies_autograd::{Cell, Var, no_grad, recurrent};
use plies_nn::{
    Directions, Dropout, Embedding, Gru, Lstm, Module, Pass, RecurrentOptions, RecurrentState, Rnn,
    loss,
    optim::{Adam, Optimizer},
};
use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Device, Elementwise, Rng, Tensor, set_threads};
use proptest::prelude::*;

fn normal(dims: &[usize], seed: u64) -> Tensor {
    Rng::new(seed).normal(dims, DType::F32, &Device::cpu())
}

fn options(layers: usize, directions: Directions) -> RecurrentOptions {
    RecurrentOptions { layers, directions, ..RecurrentOptions::default() }
}

/// Enough for products of few rows to take another path than those of many, if one let them.
const INPUTS: usize = 70;

/// Whichever layer, with its states as a list.
trait Layer: Module {
    fn run_from(&self, x: &Var, lengths: Option<&[usize]>, initial: &[Var]) -> (Var, Vec<Var>);
    fn go_on(&self, x: &Var, lengths: Option<&[usize]>, state: &mut RecurrentState) -> Var;
    fn single_step(&self, x: &Var, state: &mut RecurrentState) -> Var;
}

impl Layer for Lstm {
    fn run_from(&self, x: &Var, lengths: Option<&[usize]>, initial: &[Var]) -> (Var, Vec<Var>) {
        let initial = (!initial.is_empty()).then(|| [&initial[0], &initial[1]]);
        let (y, states) = self.run(x, lengths, initial, &mut Pass::eval());
        (y, states.to_vec())
    }

    fn go_on(&self, x: &Var, lengths: Option<&[usize]>, state: &mut RecurrentState) -> Var {
        self.resume(x, lengths, state, &mut Pass::eval())
    }

    fn single_step(&self, x: &Var, state: &mut RecurrentState) -> Var {
        self.step(x, state, &mut Pass::eval())
    }
}

macro_rules! layer_of_one_state {
    ($($layer:ty),*) => {
        $(impl Layer for $layer {
            fn run_from(
                &self,
                x: &Var,
                lengths: Option<&[usize]>,
                initial: &[Var],
            ) -> (Var, Vec<Var>) {
                let (y, h) = self.run(x, lengths, initial.first(), &mut Pass::eval());
                (y, vec![h])
            }

            fn go_on(&self, x: &Var, lengths: Option<&[usize]>, state: &mut RecurrentState) -> Var {
                self.resume(x, lengths, state, &mut Pass::eval())
            }

            fn single_step(&self, x: &Var, state: &mut RecurrentState) -> Var {
                self.step(x, state, &mut Pass::eval())
            }
        })*
    };
}

layer_of_one_state!(Gru, Rnn);

/// Each kind of cell.
fn layers(layers: usize, directions: Directions) -> Vec<(&'static str, Box<dyn Layer>)> {
    let options = options(layers, directions);
    let no_bias = RecurrentOptions { bias: false, ..options };
    let rng = &mut Rng::new(3);
    vec![
        ("lstm", Box::new(Lstm::with(INPUTS, 5, options, rng).forget_bias(1.0))),
        ("gru", Box::new(Gru::with(INPUTS, 5, options, rng))),
        ("tanh", Box::new(Rnn::with(INPUTS, 5, options, rng))),
        ("relu", Box::new(Rnn::relu(INPUTS, 5, no_bias, rng))),
    ]
}

/// The gradients of all parameters, which are then forgotten.
fn take_gradients(layer: &dyn Layer) -> Vec<Var> {
    let gradients = layer.named_parameters().iter().map(|(_, p)| p.grad().unwrap()).collect();
    layer.zero_grad();
    gradients
}

/// Rows of a slice of `x`, by bits.
fn bits(x: &Var) -> Vec<u32> {
    x.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Σ y · weights, with weights that follow from the seed.
fn projection(y: &Var, weights: &Tensor) -> Var {
    (y * Var::constant(weights.clone())).sum_all()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Outputs and states bit for bit. A gradient is a sum over steps or over gates, whose order follows
    /// from how many rows are multiplied, so its last bits differ.
    #[test]
    fn a_batch_of_different_lengths_gives_what_each_sequence_gives_alone(
        lengths in proptest::collection::vec(0usize..7, 1..6),
        depth in 1usize..3,
        both in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let directions = if both { Directions::Both } else { Directions::Forward };
        let (batch, n) = (lengths.len(), if both { 2 } else { 1 });
        let x = normal(&[batch, 7, INPUTS], seed);
        let d_y = normal(&[batch, 7, n * 5], seed + 1);
        // What lies beyond the ends must not be read.
        let mut parts = Vec::new();
        for (b, &n) in lengths.iter().enumerate() {
            let row = x.narrow(0, b, 1);
            parts.push(row.narrow(1, 0, n).pad(1, 0, 7 - n, f64::NAN));
        }
        let padded = Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0);
        for (name, layer) in layers(depth, directions) {
            let states = if name == "lstm" { 2 } else { 1 };
            let state = |i: usize| normal(&[depth * n, batch, 5], seed + 2 + i as u64);
            let d_state = normal(&[depth * n, batch, 5], seed + 9);
            let initial: Vec<Var> = (0..states).map(|i| Var::leaf(state(i))).collect();
            let leaf = Var::leaf(padded.clone());
            let (y, last) = layer.run_from(&leaf, Some(&lengths), &initial);
            last.iter().fold(projection(&y, &d_y), |sum, h| sum + projection(h, &d_state)).backward();
            let of_batch = take_gradients(&*layer);
            for (b, &n) in lengths.iter().enumerate() {
                let part = |x: &Tensor| x.narrow(0, b, 1).narrow(1, 0, n).contiguous();
                let own = |h: &Tensor| h.narrow(1, b, 1).contiguous();
                let alone = Var::leaf(part(&x));
                let initial_alone: Vec<Var> =
                    initial.iter().map(|h| Var::leaf(own(h.value()))).collect();
                let (y_alone, last_alone) = layer.run_from(&alone, None, &initial_alone);
                let loss = projection(&y_alone, &part(&d_y));
                let d_own = own(&d_state);
                last_alone.iter().fold(loss, |sum, h| sum + projection(h, &d_own)).backward();

                let y = y.narrow(0, b, 1);
                prop_assert_eq!(bits(&y.narrow(1, 0, n)), bits(&y_alone), "{} {}", name, b);
                for (last, alone) in last.iter().zip(&last_alone) {
                    prop_assert_eq!(bits(&last.narrow(1, b, 1)), bits(alone), "{} {}", name, b);
                }
                for (initial, alone) in initial.iter().zip(&initial_alone) {
                    let (d, d_alone) = (initial.grad().unwrap(), alone.grad().unwrap());
                    assert_close(&own(d.value()), d_alone.value(), 1e-5, 1e-5);
                }
                let d_x = leaf.grad().unwrap();
                assert_close(&part(d_x.value()), alone.grad().unwrap().value(), 1e-5, 1e-5);
                for x in [&y, &d_x.narrow(0, b, 1)] {
                    let beyond = x.narrow(1, n, 7 - n).to_vec::<f32>().unwrap();
                    prop_assert!(beyond.iter().all(|&y| y == 0.0));
                }
            }
            if lengths.iter().any(|&n| n > 0) {
                for (of_batch, of_all) in of_batch.iter().zip(take_gradients(&*layer)) {
                    assert_close(of_batch.value(), of_all.value(), 1e-4, 1e-4);
                }
            }
        }
    }

    /// Truncated backpropagation reads sequences in parts, of which some have ended.
    #[test]
    fn sequences_in_parts_give_the_bits_of_whole_ones_and_their_gradients_if_nothing_is_cut(
        lengths in proptest::collection::vec(0usize..10, 1..5),
        part in 1usize..6,
        depth in 1usize..3,
        seed in 0u64..1000,
    ) {
        let time = 9;
        let x = normal(&[lengths.len(), time, INPUTS], seed);
        let d_y = normal(&[lengths.len(), time, 5], seed + 1);
        for (name, layer) in layers(depth, Directions::Forward) {
            let leaf = Var::leaf(x.clone());
            let (whole, last) = layer.run_from(&leaf, Some(&lengths), &[]);
            projection(&whole, &d_y).backward();
            let (of_whole, d_whole) = (take_gradients(&*layer), leaf.grad().unwrap());
            leaf.zero_grad();

            let (mut state, mut parts) = (RecurrentState::new(), vec![]);
            for start in (0..time).step_by(part) {
                let n = part.min(time - start);
                let left: Vec<usize> =
                    lengths.iter().map(|length| length.saturating_sub(start).min(n)).collect();
                parts.push(layer.go_on(&leaf.narrow(1, start, n), Some(&left), &mut state));
            }
            let joined = Var::cat(&parts.iter().collect::<Vec<_>>(), 1);
            prop_assert_eq!(bits(&joined), bits(&whole), "{}", name);
            for (state, last) in state.states().iter().zip(&last) {
                prop_assert_eq!(bits(state), bits(last), "{}", name);
            }
            projection(&joined, &d_y).backward();
            assert_close(leaf.grad().unwrap().value(), d_whole.value(), 1e-5, 1e-5);
            for (in_parts, of_whole) in take_gradients(&*layer).iter().zip(&of_whole) {
                assert_close(in_parts.value(), of_whole.value(), 1e-4, 1e-4);
            }
        }
    }
}

#[test]
fn what_is_detached_is_given_and_gradients_within_a_part_are_those_of_the_whole() {
    for (name, layer) in layers(2, Directions::Forward) {
        let (first, second) = (normal(&[2, 4, INPUTS], 1), normal(&[2, 3, INPUTS], 2));
        let whole = Var::leaf(Tensor::cat(&[&first, &second], 1));
        layer.run_from(&whole, None, &[]).0.slice(1, 4..).sqr().sum_all().backward();
        let of_whole = take_gradients(&*layer);

        let [first, second] = [first, second].map(Var::leaf);
        let mut state = RecurrentState::new();
        layer.go_on(&first, None, &mut state);
        state.detach();
        let given = state.states().to_vec();
        layer.go_on(&second, None, &mut state).sqr().sum_all().backward();
        assert!(first.grad().is_none(), "{name}");
        let d_whole = whole.grad().unwrap().slice(1, 4..);
        assert_close(second.grad().unwrap().value(), d_whole.value(), 1e-5, 1e-5);
        let of_part = take_gradients(&*layer);
        layer.run_from(&second.detach(), None, &given).0.sqr().sum_all().backward();
        for (of_part, alone) in of_part.iter().zip(take_gradients(&*layer)) {
            assert_eq!(bits(of_part), bits(&alone), "{name}");
        }
        // The weights had an influence on the first part that is left out.
        assert!(of_part.iter().zip(&of_whole).any(|(part, whole)| bits(part) != bits(whole)));
    }
}

/// Williams and Peng's algorithm with k₁ = 2, k₂ = 5.
#[test]
fn gradients_go_back_through_as_many_steps_as_a_part_and_its_beginning_have() {
    let layer = Gru::new(INPUTS, 5, &mut Rng::new(1));
    let steps: Vec<Var> = (0..9).map(|t| Var::leaf(normal(&[1, 1, INPUTS], t))).collect();
    let read = |range: std::ops::Range<usize>, state: &mut RecurrentState| {
        layer.go_on(&Var::cat(&steps[range].iter().collect::<Vec<_>>(), 1), None, state)
    };
    let mut state = RecurrentState::new();
    for start in [0, 2, 4] {
        read(start..start + 2, &mut state);
        let mut ahead = state.clone();
        let y = read(start + 2..start + 5, &mut ahead);
        y.slice(1, 1..).sqr().sum_all().backward();
        for (t, x) in steps.iter().enumerate() {
            let reached = (start..start + 5).contains(&t);
            assert_eq!(x.grad().is_some(), reached, "step {t} from {start}");
            x.zero_grad();
        }
        state.detach();
    }
}

#[test]
fn steps_one_by_one_give_what_a_run_gives_and_so_do_their_gradients() {
    for (name, layer) in layers(2, Directions::Forward) {
        let (in_run, in_steps) =
            (Var::leaf(normal(&[3, 4, INPUTS], 1)), normal(&[3, 4, INPUTS], 1));
        let (y, last) = layer.run_from(&in_run, None, &[]);
        y.sqr().sum_all().backward();
        let of_run = take_gradients(&*layer);
        let (in_steps, mut state) = (Var::leaf(in_steps), RecurrentState::new());
        let step = |t: usize| layer.single_step(&in_steps.select(1, t), &mut state);
        let steps: Vec<Var> = (0..4).map(step).collect();
        let joined = Var::stack(&steps.iter().collect::<Vec<_>>(), 1);
        println!("{name}");
        assert_close(joined.value(), y.value(), 1e-5, 1e-5);
        for (state, last) in state.states().iter().zip(&last) {
            assert_close(state.value(), last.value(), 1e-5, 1e-5);
        }
        joined.sqr().sum_all().backward();
        assert_close(in_steps.grad().unwrap().value(), in_run.grad().unwrap().value(), 1e-4, 1e-4);
        for (of_steps, of_run) in take_gradients(&*layer).iter().zip(&of_run) {
            assert_close(of_steps.value(), of_run.value(), 1e-4, 1e-4);
        }
    }
}

#[test]
fn a_state_starts_anew_or_is_handed_to_others_sequence_by_sequence() {
    for (name, layer) in layers(2, Directions::Forward) {
        let x = Var::constant(normal(&[3, 4, INPUTS], 1));
        let mut state = RecurrentState::new();
        layer.go_on(&x, None, &mut state);
        let y = layer.go_on(&x, None, &mut state.clone());
        let anew = layer.go_on(&x, None, &mut RecurrentState::new());
        let mut reset = state.clone();
        reset.reset(&[1]);
        let partly = layer.go_on(&x, None, &mut reset);
        for (b, expected) in [&y, &anew, &y].into_iter().enumerate() {
            assert_eq!(bits(&partly.select(0, b)), bits(&expected.select(0, b)), "{name} {b}");
        }
        let mut selected = state.select(&[2, 0, 2, 2]);
        let index = Tensor::from([2, 0, 2, 2]);
        let found = layer.go_on(&x.index_select(0, &index), None, &mut selected);
        assert_eq!(bits(&found), bits(&y.index_select(0, &index)), "{name}");
    }
}

/// Dropout between two layers is what it is between a layer and another.
#[test]
fn dropout_between_layers_drops_the_same_units_as_a_layer_of_its_own() {
    for directions in [Directions::Forward, Directions::Both] {
        let n = if directions == Directions::Both { 2 } else { 1 };
        let with = |dropout: f64| {
            let options = RecurrentOptions { dropout, ..options(2, directions) };
            Lstm::with(INPUTS, 5, options, &mut Rng::new(1))
        };
        let weights = with(0.0).named_parameters();
        let mut below = Lstm::with(INPUTS, 5, options(1, directions), &mut Rng::new(2));
        let mut above = Lstm::with(n * 5, 5, options(1, directions), &mut Rng::new(2));
        let (lower, upper) = weights.split_at(weights.len() / 2);
        for (layer, weights) in [(&mut below, lower), (&mut above, upper)] {
            let mut weights = weights.iter();
            layer.for_each_parameter_mut(&mut |_, p| *p = weights.next().unwrap().1.clone());
        }
        let x = Var::constant(normal(&[2, 3, INPUTS], 4));
        let lengths = Some(&[3, 2][..]);
        for p in [0.0, 0.4, 1.0] {
            for pass in [Pass::eval(), Pass::train(Rng::new(5))] {
                let (y, _) = with(p).run(&x, lengths, None, &mut pass.clone());
                let (between, _) = below.run(&x, lengths, None, &mut pass.clone());
                // The rows of steps, as the layer drops them.
                let rows =
                    Var::cat(&[&between.select(0, 0), &between.select(0, 1).narrow(0, 0, 2)], 0);
                let rows = Dropout::new(p).forward(&rows, &mut pass.clone());
                let second = rows.narrow(0, 3, 2).pad(0, 0, 1, 0.0);
                let between = Var::stack(&[&rows.narrow(0, 0, 3), &second], 0);
                let (expected, _) = above.run(&between, lengths, None, &mut pass.clone());
                assert_eq!(bits(&y), bits(&expected), "{directions:?} p = {p} {pass:?}");
                let (again, _) = with(p).run(&x, lengths, None, &mut pass.clone());
                assert_eq!(bits(&y), bits(&again));
            }
        }
        let run = |seed: u64| with(0.4).run(&x, None, None, &mut Pass::train(Rng::new(seed))).0;
        assert_ne!(bits(&run(1)), bits(&run(2)));
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
fn without_recording_the_outputs_are_the_same() {
    for (name, layer) in layers(2, Directions::Both) {
        let x = Var::constant(normal(&[3, 4, INPUTS], 4));
        let lengths = [4usize, 1, 3];
        let recorded = layer.run_from(&x, Some(&lengths), &[]).0;
        let plain = no_grad(|| layer.run_from(&x, Some(&lengths), &[]).0);
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
    let _turn = crate::threads::Turn::take();
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
}

#[test]
fn a_sequence_of_no_steps_has_no_outputs_and_keeps_its_states() {
    let lstm = Lstm::with(3, 5, options(2, Directions::Both), &mut Rng::new(1));
    let x = Var::leaf(normal(&[3, 4, 3], 4));
    let initial = [5, 6].map(|seed| Var::leaf(normal(&[4, 3, 5], seed)));
    let pass = &mut Pass::eval();
    let (y, last) = lstm.run(&x, Some(&[0, 4, 0]), Some(initial.each_ref()), pass);
    for b in [0, 2] {
        assert!(y.select(0, b).to_vec::<f32>().unwrap().iter().all(|&y| y == 0.0));
        for (last, initial) in last.iter().zip(&initial) {
            assert_eq!(bits(&last.select(1, b)), bits(&initial.select(1, b)));
        }
    }
    (last[0].sum_all() + last[1].sum_all()).backward();
    let kept = initial[1].grad().unwrap().select(1, 2).to_vec::<f32>().unwrap();
    assert!(kept.iter().all(|&d| d == 1.0));

    let (y, last) = lstm.run(&x, Some(&[0, 0, 0]), Some(initial.each_ref()), pass);
    assert_eq!((y.dims(), bits(&last[0])), (&[3, 4, 10][..], bits(&initial[0])));
    let (y, last) = lstm.run(&x.narrow(1, 0, 0), None, Some(initial.each_ref()), pass);
    assert_eq!((y.dims(), bits(&last[1])), (&[3, 0, 10][..], bits(&initial[1])));
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

/// In F64, with everything that a run may be given: lengths, one of them 0, and first states.
#[test]
fn gradients_of_both_orders_are_those_of_finite_differences_from_given_states() {
    fn check(make: &dyn Fn() -> Box<dyn Layer>, states: usize, name: &str) {
        let leaf =
            |dims: &[usize], seed: u64| Rng::new(seed).normal(dims, DType::F64, &Device::cpu());
        let rows = make().named_parameters();
        let directions = if rows.iter().any(|(name, _)| name.contains("reverse")) { 2 } else { 1 };
        let mut inputs = vec![leaf(&[3, 2, 2], 1)];
        inputs.extend((0..states).map(|i| leaf(&[directions, 3, 2], 2 + i as u64)));
        inputs.extend(rows.iter().map(|(_, p)| p.value().to_dtype(DType::F64)));
        let filled = |inputs: &[Var]| {
            let (mut layer, mut parameters) = (make(), inputs[1 + states..].iter());
            layer.for_each_parameter_mut(&mut |_, p| *p = parameters.next().unwrap().clone());
            layer
        };
        let joined = |y: Var, last: &[Var]| {
            let parts: Vec<Var> = [&y].into_iter().chain(last).map(Var::flatten).collect();
            Var::cat(&parts.iter().collect::<Vec<_>>(), 0)
        };
        let run = |inputs: &[Var]| {
            let layer = filled(inputs);
            let (y, last) = layer.run_from(&inputs[0], Some(&[2, 0, 1]), &inputs[1..=states]);
            joined(y, &last)
        };
        gradcheck(run, &inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
        gradgradcheck(run, &inputs).unwrap_or_else(|e| panic!("{name}, second order: {e}"));
        if directions == 2 {
            return;
        }
        let step = |inputs: &[Var]| {
            let mut state = match &inputs[1..=states] {
                [h] => RecurrentState::from([h.clone()]),
                [h, c] => RecurrentState::from([h.clone(), c.clone()]),
                _ => unreachable!(),
            };
            let y = filled(inputs).single_step(&inputs[0].select(1, 0), &mut state);
            joined(y, state.states())
        };
        gradcheck(step, &inputs).unwrap_or_else(|e| panic!("{name}, a step: {e}"));
        gradgradcheck(step, &inputs)
            .unwrap_or_else(|e| panic!("{name}, a step, second order: {e}"));
    }
    for directions in [Directions::Forward, Directions::Both] {
        let options = options(1, directions);
        check(&|| Box::new(Lstm::with(2, 2, options, &mut Rng::new(3))), 2, "lstm");
        check(&|| Box::new(Gru::with(2, 2, options, &mut Rng::new(3))), 1, "gru");
        check(&|| Box::new(Rnn::with(2, 2, options, &mut Rng::new(3))), 1, "rnn");
    }
}
