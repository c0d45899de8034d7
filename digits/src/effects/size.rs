//! 1,000 examples to all.

use plies_console::plot::Curve;

use super::{
    Effect, Finding, Found, Lab, Mean,
    lab::{adam, mlp},
    paired,
};
use crate::trial::{Plan, TrialError};

pub(super) const EFFECT: Effect = Effect {
    name: "size",
    claim: "Ten times the examples leave less than half of the mistakes.",
    settings: &[
        ("1,000", 0.5),
        ("2,000", 0.6),
        ("5,500", 0.8),
        ("10,000", 1.0),
        ("20,000", 1.2),
        ("55,000", 2.5),
    ],
    numbers: 1,
    measure,
    judge,
    picture: None,
};

/// Examples and epochs, which more examples take fewer of.
const SIZES: [(usize, usize); 6] =
    [(1000, 100), (2000, 50), (5500, 20), (10_000, 15), (20_000, 8), (55_000, 6)];
/// Ten times as many.
const TENFOLD: [(usize, usize); 2] = [(0, 3), (2, 5)];

fn measure(lab: &Lab<'_>, setting: usize, seed: u64) -> Result<Vec<f64>, TrialError> {
    let (size, epochs) = SIZES[setting];
    let mut model = mlp(seed, &[256]);
    lab.train(seed, &lab.first(size), &mut model, &mut adam(), Plan::epochs(epochs))?;
    Ok(vec![lab.error(&model)?])
}

fn judge(found: &Found) -> Finding {
    let errors = SIZES.iter().enumerate();
    let errors = errors.map(|(i, &(size, _))| (found.scale.of(size), found.mean(i, 0)));
    let points = errors.clone().map(|(size, error)| error.point(size as f64)).collect();
    // Where there are not ten times as many, on half of MNIST say, that pair says nothing about the claim.
    let tenfold = TENFOLD
        .into_iter()
        .filter(|&(few, many)| found.scale.of(SIZES[many].0) == 10 * found.scale.of(SIZES[few].0));
    let decides = tenfold.map(|(few, many)| {
        let left = paired(&found.each(many, 0), &found.each(few, 0), |a, b| 100.0 * a / b - 50.0);
        let [few, many] = [few, many].map(|i| found.scale.of(SIZES[i].0));
        (format!("% that {many} leave of {few}'s, less 50"), Mean::of(&left))
    });
    Finding {
        measured: errors.map(|(size, error)| (format!("{size} examples, %"), error)).collect(),
        decides: decides.collect(),
        axes: ["training examples", "test error %"],
        log: [true, true],
        curves: vec![Curve { label: "256 units".to_owned(), points }],
    }
}
