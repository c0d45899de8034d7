//! Dropout from none to nine units of ten (Srivastava et al. 2014, section 7.3).

use plies_console::plot::Curve;

use super::{
    Effect, Finding, Found, Lab, Mean, difference,
    lab::{adam, mlp},
    paired,
};
use crate::trial::{Plan, TrialError};

pub(super) const EFFECT: Effect = Effect {
    name: "dropout",
    claim: "Dropping some of the hidden units while training makes fewer mistakes than dropping none.",
    settings: &[
        ("0.0", 1.3),
        ("0.1", 1.5),
        ("0.2", 1.5),
        ("0.3", 1.5),
        ("0.4", 1.5),
        ("0.5", 1.5),
        ("0.6", 1.5),
        ("0.7", 1.5),
        ("0.8", 1.5),
        ("0.9", 1.5),
    ],
    numbers: 2,
    measure,
    judge,
    picture: None,
};

// What a trial gives: errors on what is held out, and on the test set.
const HELD_OUT: usize = 0;
const TEST: usize = 1;

/// Two layers on so few examples that they can be learnt by heart.
fn measure(lab: &Lab<'_>, tenths: usize, seed: u64) -> Result<Vec<f64>, TrialError> {
    let mut model = mlp(seed, &[256, 256]).dropout(0.0, tenths as f64 / 10.0);
    lab.train(seed, &lab.first(5000), &mut model, &mut adam(), Plan::epochs(40))?;
    Ok(lab.errors(&model)?.to_vec())
}

fn judge(found: &Found) -> Finding {
    let rates = || EFFECT.settings.iter().enumerate().map(|(tenths, (rate, _))| (tenths, rate));
    let best = found.least(1..EFFECT.settings.len(), HELD_OUT);
    let fewer = paired(&found.each(best, TEST), &found.each(0, TEST), difference);
    let points = rates().map(|(tenths, _)| found.mean(tenths, TEST).point(tenths as f64 / 10.0));
    Finding {
        measured: rates()
            .map(|(tenths, rate)| (format!("{rate} dropped, %"), found.mean(tenths, TEST)))
            .collect(),
        decides: vec![(format!("%, 0.{best} dropped less none"), Mean::of(&fewer))],
        axes: ["share of the hidden units that is dropped", "test error %"],
        log: [false, true],
        curves: vec![Curve { label: "2 x 256 units".to_owned(), points: points.collect() }],
    }
}
