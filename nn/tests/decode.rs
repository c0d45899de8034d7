//! Beam search against all sequences that there are, and what a model is told while it is taught.

use std::sync::{Arc, Mutex};

use plies_nn::data::{Loader, TensorDataset};
use plies_nn::optim::Sgd;
use plies_nn::train::{Fit, fit};
use plies_nn::{BeamSearch, Linear, Module, Pass, Var, Visitor, VisitorMut, Written, loss};
use plies_tensor::{DType, Device, Result, Rng, Tensor};

/// The end, and what is written.
const V: usize = 4;
const MAX_STEPS: usize = 4;

/// Logits of what comes after a beginning: any numbers, but always the same.
fn logits(sequence: usize, beginning: &[i32]) -> Vec<f32> {
    let seed = beginning.iter().fold(sequence as u64, |seed, &token| 5 * seed + 1 + token as u64);
    Rng::new(seed).normal([V], DType::F32, &Device::cpu()).to_vec().unwrap()
}

/// Writes so, and checks on the way that rows are those of the call before.
fn search(search: BeamSearch, sequences: usize) -> Vec<Vec<Written>> {
    let mut beginnings: Vec<(usize, Vec<i32>)> = (0..sequences).map(|s| (s, Vec::new())).collect();
    let mut is_first = true;
    let step = |tokens: &Tensor, rows: &[usize]| -> Result<Tensor> {
        let tokens = tokens.to_vec::<i32>()?;
        assert_eq!(tokens.len(), rows.len());
        let go_on = |(&row, &token): (&usize, &i32)| {
            let (sequence, mut beginning) = beginnings[row].clone();
            if !is_first {
                beginning.push(token);
            }
            (sequence, beginning)
        };
        beginnings = rows.iter().zip(&tokens).map(go_on).collect();
        is_first = false;
        let all: Vec<f32> = beginnings.iter().flat_map(|(s, b)| logits(*s, b)).collect();
        Ok(Tensor::from_vec(all, [rows.len(), V]))
    };
    search.run(sequences, step).unwrap()
}

fn log_probs(sequence: usize, beginning: &[i32]) -> Vec<f64> {
    let logits = logits(sequence, beginning);
    let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
    logits.iter().map(|&x| f64::from(x) - sum.ln()).collect()
}

/// All that can be written after a beginning, with its probability.
fn all(sequence: usize, beginning: &[i32], log_prob: f64) -> Vec<(Vec<i32>, f64)> {
    if beginning.len() == MAX_STEPS {
        return vec![(beginning.to_vec(), log_prob)];
    }
    let next = log_probs(sequence, beginning);
    let mut found = vec![(beginning.to_vec(), log_prob + next[0])];
    for (token, next) in (0..).zip(next).skip(1) {
        let longer = [beginning, &[token]].concat();
        found.extend(all(sequence, &longer, log_prob + next));
    }
    found
}

#[test]
fn a_beam_as_wide_as_all_beginnings_finds_all_sequences_in_their_order() {
    let width = V.pow(MAX_STEPS as u32);
    for (sequence, found) in search(BeamSearch::new(width, 0, MAX_STEPS), 3).iter().enumerate() {
        let mut expected = all(sequence, &[], 0.0);
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        assert_eq!(found.len(), expected.len());
        for (written, (tokens, log_prob)) in found.iter().zip(&expected) {
            assert_eq!(&written.tokens, tokens);
            assert!((written.log_prob() - log_prob).abs() < 1e-5);
            assert_eq!(written.ended, tokens.len() < MAX_STEPS);
        }
        let sum: f64 = found.iter().map(|written| written.log_prob().exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}

#[test]
fn a_beam_of_one_takes_the_likeliest_token_each_time() {
    for (sequence, found) in search(BeamSearch::new(1, 0, MAX_STEPS), 20).iter().enumerate() {
        assert_eq!(found.len(), 1);
        let mut tokens = Vec::new();
        while tokens.len() < MAX_STEPS {
            let next = log_probs(sequence, &tokens);
            let best = (0..V).max_by(|&a, &b| next[a].total_cmp(&next[b])).unwrap();
            if best == 0 {
                break;
            }
            tokens.push(best as i32);
        }
        assert_eq!(found[0].tokens, tokens);
    }
}

#[test]
fn a_wider_beam_finds_no_worse_on_the_whole_and_what_is_beside_makes_no_difference() {
    let best = |width| -> Vec<Written> {
        let found = search(BeamSearch::new(width, 0, MAX_STEPS), 40);
        found.into_iter().map(|mut all| all.remove(0)).collect()
    };
    let sum = |written: &[Written]| written.iter().map(Written::log_prob).sum::<f64>();
    let (one, three) = (best(1), best(3));
    assert!(sum(&three) > sum(&one) + 0.1, "{} and {}", sum(&three), sum(&one));
    let fewer = search(BeamSearch::new(3, 0, MAX_STEPS), 7);
    assert!(fewer.iter().zip(&three).all(|(alone, together)| alone[0].tokens == together.tokens));
}

#[test]
fn lengths_are_made_up_for_if_wanted() {
    let best = |search_: BeamSearch| {
        let found = search(search_, 40);
        found.iter().map(|all| all[0].tokens.len()).sum::<usize>()
    };
    let wide = BeamSearch::new(300, 0, MAX_STEPS);
    assert!(best(wide.length_penalty(1.0)) > best(wide));
}

#[test]
fn nothing_is_written_in_no_step_and_no_number_is_no_reason_to_fall() {
    let of = |logits: f32, max_steps| {
        let step = |tokens: &Tensor, _: &[usize]| {
            Ok(Tensor::from_vec(vec![logits; tokens.dim(0) * V], [tokens.dim(0), V]))
        };
        BeamSearch::new(2, 0, max_steps).run(2, step).unwrap()
    };
    assert!(of(0.0, 0).iter().all(|all| all.len() == 1 && all[0].tokens.is_empty()));
    for logits in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38] {
        let found = of(logits, 3);
        assert!(found.iter().all(|all| all.len() == 2), "{logits}: {found:?}");
    }
}

#[test]
#[should_panic(expected = "beam_search: logits [1, 3] for 1 beginnings and the end 3")]
fn the_end_is_one_of_the_tokens() {
    let step = |_: &Tensor, _: &[usize]| Ok(Tensor::from([[0f32, 0.0, 0.0]]));
    let _ = BeamSearch::new(1, 3, 2).run(1, step);
}

/// Keeps what it is told should come out.
struct Told {
    linear: Linear,
    targets: Mutex<Vec<(bool, Vec<i32>)>>,
}

impl Module for Told {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let targets = pass.targets().unwrap().to_vec::<i32>().unwrap();
        self.targets.lock().unwrap().push((pass.training(), targets));
        self.linear.forward(x, pass)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("linear", &self.linear);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("linear", &mut self.linear);
    }
}

#[test]
fn a_model_is_told_what_should_come_out_in_training_and_for_held_out_examples() {
    let part = |targets: [i32; 2]| {
        let x = Tensor::from([[1f32], [2.0]]);
        Loader::new(Arc::new(TensorDataset::new(x, Tensor::from(targets))), 2)
    };
    let linear = Linear::new(1, 2, &mut Rng::new(1));
    let mut model = Told { linear, targets: Mutex::default() };
    let settings = Fit { held_out: Some(part([1, 0])), ..Fit::epochs(1) };
    let (mut sgd, loader) = (Sgd::new(0.1), part([0, 1]));
    fit(&mut model, &mut sgd, &loss::cross_entropy, &loader, &settings, &mut []).unwrap();
    assert_eq!(*model.targets.lock().unwrap(), [(true, vec![0, 1]), (false, vec![1, 0])]);
    assert!(Pass::eval().targets().is_none());
}

#[test]
fn what_has_no_probability_is_not_written_however_wide_the_beam() {
    const NEVER: f32 = f32::NEG_INFINITY;
    // After the beginning 2, after 2 the end; 1 and 3 never.
    let next = |before: i32| {
        if before == 0 { [NEVER, NEVER, 0.0, NEVER] } else { [0.0, NEVER, 0.0, NEVER] }
    };
    let step = |tokens: &Tensor, _: &[usize]| {
        let rows: Vec<f32> = tokens.to_vec::<i32>()?.into_iter().flat_map(next).collect();
        Ok(Tensor::from_vec(rows, [tokens.dim(0), V]))
    };
    let found = BeamSearch::new(50, 0, 3).run(1, step).unwrap().remove(0);
    let found: Vec<(&[i32], bool)> = found.iter().map(|w| (&w.tokens[..], w.ended)).collect();
    assert_eq!(found, [(&[2][..], true), (&[2, 2], true), (&[2, 2, 2], false)]);
}
