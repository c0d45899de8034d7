//! How fast a network learns, what a unit costs and how many units are silent, by the function of its units.
//!
//! Each function is tried at two learning rates, and gets the one with which it needs fewer epochs on what is held out:
//! what is small enough for one may be a crawl for another. Running averages of the weights are read, because at a
//! constant rate the weights themselves are now better, now worse, and would cross any line by luck.

use plies_console::plot::Curve;
use std::time::Instant;

use plies_autograd::{Var, no_grad};
use plies_nn::{
    Activation, Linear, Maxout, Pass, Sequential,
    optim::{Adam, Ema, Optimizer, Schedule},
};
use plies_tensor::{DType, Rng, Tensor};

use super::{Effect, Finding, Found, Lab, Mean, difference, paired};
use crate::{
    dataset,
    idx::PIXELS,
    trial::{Plan, TrialError},
};

pub(super) const EFFECT: Effect = Effect {
    name: "activations",
    claim: "A network of ReLU units needs fewer epochs than one of sigmoid units.",
    settings: &[
        ("sigmoid, rate 0.001", 4.5),
        ("sigmoid, rate 0.003", 4.5),
        ("tanh, rate 0.001", 4.5),
        ("tanh, rate 0.003", 4.5),
        ("relu, rate 0.001", 4.0),
        ("relu, rate 0.003", 4.0),
        ("maxout, rate 0.001", 6.0),
        ("maxout, rate 0.003", 6.0),
    ],
    numbers: ERRORS + EPOCHS,
    measure,
    judge,
    picture: None,
};

// What a trial gives: epochs until less than the goal is misread of what is held out and of the test set,
const HELD_OUT: usize = 0;
const TEST: usize = 1;
// nanoseconds for an output of the function, the share of outputs that are 0,
const COST: usize = 2;
const ZEROS: usize = 3;
// and the test error after each epoch.
const ERRORS: usize = 4;

const FUNCTIONS: [&str; 4] = ["sigmoid", "tanh", "relu", "maxout"];
const RATES: [f64; 2] = [1e-3, 3e-3];
const UNITS: usize = 512;
/// One that has not reached the goal by then counts as one more.
const EPOCHS: usize = 8;

fn measure(lab: &Lab<'_>, setting: usize, seed: u64) -> Result<Vec<f64>, TrialError> {
    let (function, rate) = (FUNCTIONS[setting / RATES.len()], RATES[setting % RATES.len()]);
    let rng = &mut Rng::new(seed);
    // As many weights for all: a maxout unit has twice as many.
    let units = if function == "maxout" { UNITS / 2 } else { UNITS };
    let hidden = match function.parse::<Activation>() {
        Ok(function) => Sequential::new().push(Linear::new(PIXELS, units, rng)).push(function),
        Err(_) => Sequential::new().push(Maxout::new(PIXELS, units, 2, rng)),
    };
    let mut model = hidden.push(Linear::new(units, 10, rng));
    let mut optimizer = Ema::new(Adam::new(rate), 0.995);
    let (examples, goal) = (lab.all(), if lab.scale.is_full() { 2.0 } else { 10.0 });
    let mut errors = Vec::new();
    for epoch in 0..EPOCHS {
        // An epoch at a time, at one learning rate, each in an order of its own.
        let plan = Plan { schedule: Schedule::Constant, ..Plan::epochs(1) };
        let plan = plan.part(epoch as f64 / EPOCHS as f64, (epoch + 1) as f64 / EPOCHS as f64);
        lab.train(1000 * seed + epoch as u64, &examples, &mut model, &mut optimizer, plan)?;
        optimizer.show_averages(&mut model, true);
        errors.push(lab.errors(&model)?);
        optimizer.show_averages(&mut model, false);
    }
    let needed = |which: usize| {
        1.0 + errors.iter().position(|errors| errors[which] < goal).unwrap_or(EPOCHS) as f64
    };
    let numbers = [needed(0), needed(1), cost(function)?, zeros(&model, lab)?];
    Ok(numbers.into_iter().chain(errors.iter().map(|errors| errors[1])).collect())
}

/// Nanoseconds for an output of the function alone, without the matrix before it: the least of many tries.
fn cost(function: &str) -> Result<f64, TrialError> {
    const OUTPUTS: usize = 1 << 16;
    let x = Rng::new(1).normal([OUTPUTS, 2], DType::F32, &Default::default());
    let one = x.slice(1, 0..1).contiguous();
    let function = function.parse::<Activation>().ok();
    let apply = || match function {
        Some(function) => function.apply(&one),
        None => x.max(&[1], false),
    };
    let mut least = f64::INFINITY;
    for _ in 0..50 {
        let began = Instant::now();
        let y: Tensor = apply();
        least = least.min(began.elapsed().as_secs_f64() / y.elem_count() as f64);
    }
    Ok(1e9 * least)
}

/// The share of the hidden units that are exactly 0 on test images, in per cent.
fn zeros(model: &Sequential, lab: &Lab<'_>) -> Result<f64, TrialError> {
    let test = lab.test();
    let images = dataset::inputs((0..test.len().min(2000)).map(|i| test.image(i)));
    let layers = model.iter().take(model.len() - 1);
    let units = no_grad(|| {
        layers.fold(Var::constant(images), |x, layer| layer.forward(&x, &mut Pass::eval()))
    });
    let units = units.value().to_vec::<f32>()?;
    Ok(100.0 * units.iter().filter(|unit| **unit == 0.0).count() as f64 / units.len() as f64)
}

fn judge(found: &Found) -> Finding {
    let goal = if found.scale.is_full() { 2 } else { 10 };
    let (mut measured, mut curves, mut needed) = (Vec::new(), Vec::new(), Vec::new());
    for (i, function) in FUNCTIONS.iter().enumerate() {
        let best = found.least(RATES.len() * i..RATES.len() * (i + 1), HELD_OUT);
        let name = EFFECT.settings[best].0;
        let never = found.each(best, TEST).iter().any(|&epochs| epochs > EPOCHS as f64);
        let never =
            if never { format!(", {} for not in {EPOCHS}", EPOCHS + 1) } else { String::new() };
        measured.push((format!("{name}: epochs to {goal} %{never}"), found.mean(best, TEST)));
        measured.push((format!("{function}: ns an output"), found.mean(best, COST)));
        measured.push((format!("{function}: % exactly 0"), found.mean(best, ZEROS)));
        let points = (0..EPOCHS).map(|e| found.mean(best, ERRORS + e).point((e + 1) as f64));
        curves.push(Curve { label: name.to_owned(), points: points.collect() });
        needed.push(found.each(best, TEST));
    }
    let fewer = paired(&needed[2], &needed[0], difference);
    Finding {
        measured,
        decides: vec![("epochs, ReLU less sigmoid".to_owned(), Mean::of(&fewer))],
        axes: ["epochs", "test error %"],
        log: [false, true],
        curves,
    }
}
