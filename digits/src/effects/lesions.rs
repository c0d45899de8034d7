//! Hidden units cut out after the training.

use plies_console::plot::Curve;
use plies_nn::{Activation, Linear, Mlp};
use plies_tensor::{Rng, Tensor};

use super::{
    Effect, Finding, Found, Lab, Mean, difference,
    lab::{adam, mlp},
    paired,
};
use crate::trial::{Plan, TrialError};

pub(super) const EFFECT: Effect = Effect {
    name: "lesions",
    claim: "A network that was trained with dropout loses less when half of its hidden units are cut out.",
    settings: &[("without dropout", 4.0), ("with dropout", 4.5)],
    numbers: SHARES,
    measure,
    judge,
    picture: None,
};

const UNITS: usize = 256;
/// A trial gives the test error with 0, 1/10, … 9/10 of the units cut out,
const SHARES: usize = 10;
/// the mean of so many ways to choose them.
const WAYS: u64 = 5;

fn measure(lab: &Lab<'_>, setting: usize, seed: u64) -> Result<Vec<f64>, TrialError> {
    let mut model = mlp(seed, &[UNITS]).dropout(0.0, [0.0, 0.5][setting]);
    lab.train(seed, &lab.all(), &mut model, &mut adam(), Plan::epochs(8))?;
    let mut errors = vec![0.0; SHARES];
    for way in 0..WAYS {
        let order = Rng::new(1000 * seed + way).permutation_vec(UNITS);
        for (tenths, error) in errors.iter_mut().enumerate() {
            let gone = &order[..UNITS * tenths / SHARES];
            *error += lab.error(&without(&model, gone))? / WAYS as f64;
        }
    }
    Ok(errors)
}

/// The network without some units; those that are left are as loud as all were.
fn without(model: &Mlp, gone: &[usize]) -> Mlp {
    let mut keep = [UNITS as f32 / (UNITS - gone.len()) as f32; UNITS];
    gone.iter().for_each(|&unit| keep[unit] = 0.0);
    let copy = |layer: &Linear, weight: Tensor| {
        Linear::from_weights(weight, layer.bias().map(|b| b.value().clone()))
    };
    let [first, last] = model.layers() else { unreachable!("one hidden layer") };
    let weight = last.weight().value() * &Tensor::from(keep); // [10, 256]
    let layers = vec![copy(first, first.weight().value().clone()), copy(last, weight)];
    Mlp::from_layers(layers, Activation::Relu)
}

fn judge(found: &Found) -> Finding {
    const HALF: usize = SHARES / 2;
    let lost = |i: usize| paired(&found.each(i, HALF), &found.each(i, 0), difference);
    let (mut measured, mut curves) = (Vec::new(), Vec::new());
    for (i, (name, _)) in EFFECT.settings.iter().enumerate() {
        measured.push((format!("{name}, whole, %"), found.mean(i, 0)));
        measured.push((format!("{name}, half is cut out, %"), found.mean(i, HALF)));
        let points = (0..SHARES).map(|tenths| found.mean(i, tenths).point(tenths as f64 / 10.0));
        curves.push(Curve { label: (*name).to_owned(), points: points.collect() });
    }
    let less = Mean::of(&paired(&lost(1), &lost(0), difference));
    Finding {
        measured,
        decides: vec![("% lost, with dropout less without".to_owned(), less)],
        axes: ["share of the hidden units that is cut out", "test error %"],
        log: [false, true],
        curves,
    }
}
