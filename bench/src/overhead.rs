//! What an operation costs besides its arithmetic: four elements, which are none to speak of.

use std::hint::black_box;

use plies_autograd::Var;
use plies_tensor::Tensor;

use crate::{Bench, Contender, Heading, Unit};

const FOUR: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

pub fn run(bench: &mut Bench) {
    if bench.threads > 1 {
        return;
    }
    bench.report.section("overhead, ns/operation");
    case(bench, "add4", 1.0, 165.0 / 60.0, add);
    case(bench, "add4_recorded", 1.0, 196.0 / 120.0, add_recorded);
    case(bench, "chain100_forward_backward", 100.0, 670.0 / 250.0, chain);
}

fn case(
    bench: &mut Bench,
    case: &str,
    work: f64,
    goal: f64,
    contenders: fn() -> Vec<Contender<'static>>,
) {
    if bench.wants(case) {
        let heading =
            Heading { section: "overhead", case, unit: Unit::Nanoseconds, work, goal: Some(goal) };
        bench.case(&heading, contenders());
    }
}

fn candle() -> candle_core::Tensor {
    candle_core::Tensor::new(&FOUR, &candle_core::Device::Cpu).expect("four numbers")
}

fn candle_variable() -> candle_core::Tensor {
    candle_core::Var::from_tensor(&candle()).expect("four numbers").as_tensor().clone()
}

fn burn(recorded: bool) -> burn::Tensor<1> {
    let device = burn::tensor::Device::flex();
    if recorded {
        burn::Tensor::from_floats(FOUR, &device.autodiff()).require_grad()
    } else {
        burn::Tensor::from_floats(FOUR, &device)
    }
}

fn add() -> Vec<Contender<'static>> {
    let (x, y) = (Tensor::from(FOUR), Tensor::from(FOUR));
    let (candle_x, candle_y) = (candle(), candle());
    let (burn_x, burn_y) = (burn(false), burn(false));
    vec![
        Contender::new("plies", move || {
            black_box(&x + &y);
        }),
        Contender::new("candle", move || {
            black_box((&candle_x + &candle_y).expect("a sum"));
        }),
        Contender::new("burn", move || {
            black_box(burn_x.clone() + burn_y.clone());
        }),
    ]
}

fn add_recorded() -> Vec<Contender<'static>> {
    let (x, y) = (Var::leaf(Tensor::from(FOUR)), Var::leaf(Tensor::from(FOUR)));
    let (candle_x, candle_y) = (candle_variable(), candle_variable());
    let (burn_x, burn_y) = (burn(true), burn(true));
    vec![
        Contender::new("plies", move || {
            black_box(&x + &y);
        }),
        Contender::new("candle", move || {
            black_box((&candle_x + &candle_y).expect("a sum"));
        }),
        Contender::new("burn", move || {
            black_box(burn_x.clone() + burn_y.clone());
        }),
    ]
}

fn chain() -> Vec<Contender<'static>> {
    let (x, y) = (Var::leaf(Tensor::from(FOUR)), Var::leaf(Tensor::from(FOUR)));
    let (candle_x, candle_y) = (candle_variable(), candle_variable());
    let (burn_x, burn_y) = (burn(true), burn(true));
    vec![
        Contender::new("plies", move || {
            x.zero_grad();
            y.zero_grad();
            (0..100).fold(x.clone(), |sum, _| sum + &y).sum_all().backward();
        }),
        Contender::new("candle", move || {
            let sum = (0..100).fold(candle_x.clone(), |sum, _| (sum + &candle_y).expect("a sum"));
            black_box(sum.sum_all().and_then(|sum| sum.backward()).expect("gradients"));
        }),
        Contender::new("burn", move || {
            let sum = (0..100).fold(burn_x.clone(), |sum, _| sum + burn_y.clone());
            black_box(sum.sum().backward());
        }),
    ]
}
