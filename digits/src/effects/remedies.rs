//! Remedies against overfitting, with few examples and with many.

use plies_console::plot::Curve;
use plies_nn::{Flatten, Sequential, data::Augment, optim::Regularized};

use super::{
    Effect, Finding, Found, Lab, Mean, difference,
    lab::{adam, mlp},
    paired,
};
use crate::trial::{Plan, TrialError};

pub(super) const EFFECT: Effect = Effect {
    name: "remedies",
    claim: "The fewer the examples, the larger the share of the mistakes that the best remedy against overfitting prevents.",
    settings: &[("none", 3.0), ("L2", 3.5), ("max-norm", 3.5), ("dropout", 3.5), ("shifts", 5.0)],
    numbers: 2 * SIZES.len(),
    measure,
    judge,
    picture: None,
};

/// Examples and epochs. More examples take fewer of them, though more steps.
const SIZES: [(usize, usize); 3] = [(1000, 100), (10_000, 20), (55_000, 6)];

/// Errors on what is held out and on the test set, for each size.
const fn held_out(size: usize) -> usize {
    2 * size
}
const fn test(size: usize) -> usize {
    2 * size + 1
}

fn measure(lab: &Lab<'_>, setting: usize, seed: u64) -> Result<Vec<f64>, TrialError> {
    let remedy = EFFECT.settings[setting].0;
    let mut errors = Vec::new();
    for (i, (size, epochs)) in SIZES.into_iter().enumerate() {
        let rate = if remedy == "dropout" { 0.5 } else { 0.0 };
        let mlp = mlp(seed, &[256]).dropout(0.0, rate);
        let mut model = Sequential::new().push(Flatten::default()).push(mlp);
        let mut optimizer = match remedy {
            "L2" => Regularized::new(adam()).l2(1e-4),
            "max-norm" => Regularized::new(adam()).max_norm(1.5),
            _ => Regularized::new(adam()),
        };
        let plan = Plan::epochs(epochs).part(i as f64 / 3.0, (i + 1) as f64 / 3.0);
        let plan = match remedy {
            "shifts" => plan.augment(Augment::new().shift(1.5)),
            _ => plan,
        };
        lab.train(seed, &lab.first(size), &mut model, &mut optimizer, plan)?;
        errors.extend(lab.errors(&model)?);
    }
    Ok(errors)
}

fn judge(found: &Found) -> Finding {
    let examples = |size: usize| found.scale.of(SIZES[size].0);
    let (mut measured, mut curves) = (Vec::new(), Vec::new());
    for (setting, (remedy, _)) in EFFECT.settings.iter().enumerate() {
        let errors = (0..SIZES.len()).map(|size| (examples(size), found.mean(setting, test(size))));
        let points = errors.clone().map(|(examples, error)| error.point(examples as f64));
        curves.push(Curve { label: (*remedy).to_owned(), points: points.collect() });
        measured.extend(errors.map(|(n, error)| (format!("{remedy}, {n} examples, %"), error)));
    }
    // What the best remedy leaves of the mistakes that are made without, seed by seed.
    let left = |size: usize| {
        let best = found.least(1..EFFECT.settings.len(), held_out(size));
        let (with, without) = (found.each(best, test(size)), found.each(0, test(size)));
        (EFFECT.settings[best].0, paired(&with, &without, |a, b| 100.0 * a / b))
    };
    for size in 0..SIZES.len() {
        let (remedy, left) = left(size);
        let what = format!("{} examples: % left by {remedy}", examples(size));
        measured.push((what, Mean::of(&left)));
    }
    let (few, many) = (left(0).1, left(SIZES.len() - 1).1);
    let more = Mean::of(&paired(&few, &many, difference));
    Finding {
        measured,
        decides: vec![("% left, fewest examples less most".to_owned(), more)],
        axes: ["training examples", "test error %"],
        log: [true, true],
        curves,
    }
}
