//! No hidden layer to five.

use plies_console::plot::Curve;

use super::{
    Effect, Finding, Found, Lab, Mean, difference,
    lab::{adam, mlp},
    paired,
};
use crate::trial::{Plan, TrialError};

pub(super) const EFFECT: Effect = Effect {
    name: "depth",
    claim: "A second hidden layer helps, but less than the first.",
    settings: &[("0", 1.0), ("1", 1.5), ("2", 1.7), ("3", 2.0), ("4", 2.2), ("5", 2.5)],
    numbers: 1,
    measure,
    judge,
    picture: None,
};

fn measure(lab: &Lab<'_>, layers: usize, seed: u64) -> Result<Vec<f64>, TrialError> {
    let mut model = mlp(seed, &vec![128; layers]);
    lab.train(seed, &lab.all(), &mut model, &mut adam(), Plan::epochs(5))?;
    Ok(vec![lab.error(&model)?])
}

fn judge(found: &Found) -> Finding {
    let errors: Vec<Mean> = (0..6).map(|layers| found.mean(layers, 0)).collect();
    let points = errors.iter().enumerate().map(|(layers, mean)| mean.point(layers as f64));
    // What a layer more changes, seed by seed: less than nothing if it helps.
    let change = |to: usize| paired(&found.each(to, 0), &found.each(to - 1, 0), difference);
    let less = paired(&change(1), &change(2), difference);
    Finding {
        measured: errors
            .iter()
            .enumerate()
            .map(|(layers, mean)| (format!("{layers} hidden layers, %"), *mean))
            .collect(),
        decides: vec![
            ("%, two layers less one".to_owned(), Mean::of(&change(2))),
            ("%, what the first changes less the second".to_owned(), Mean::of(&less)),
        ],
        axes: ["hidden layers of 128 units", "test error %"],
        log: [false, true],
        curves: vec![Curve { label: "ReLU".to_owned(), points: points.collect() }],
    }
}
