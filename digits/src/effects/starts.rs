//! The straight way from one minimum to another (Goodfellow, Vinyals, Saxe: Qualitatively characterizing neural
//! network optimization problems, 2015).

use plies_console::plot::Curve;
use plies_nn::{Mlp, Module};

use super::{
    Effect, Finding, Found, Lab, Mean, difference,
    lab::{adam, mlp},
    paired,
};
use crate::trial::{Plan, TrialError};

pub(super) const EFFECT: Effect = Effect {
    name: "starts",
    claim: "Different first weights end in different minima, with a ridge between them.",
    settings: &[("a pair of networks", 3.0)],
    numbers: STEPS + 1,
    measure,
    judge,
    picture: None,
};

/// Test errors are measured at so many steps from one end to the other.
const STEPS: usize = 10;

fn measure(lab: &Lab<'_>, _: usize, seed: u64) -> Result<Vec<f64>, TrialError> {
    let examples = lab.all();
    let ended = |seed: u64, plan: Plan| -> Result<Mlp, TrialError> {
        let mut model = mlp(seed, &[256]);
        lab.train(seed, &examples, &mut model, &mut adam(), plan)?;
        Ok(model)
    };
    let plan = Plan::epochs(6);
    let from = ended(2 * seed - 1, plan.clone().part(0.0, 0.5))?.named_parameters();
    let to = ended(2 * seed, plan.part(0.5, 1.0))?.named_parameters();
    let mut errors = Vec::new();
    for step in 0..=STEPS {
        let share = step as f64 / STEPS as f64;
        let mut between = mlp(seed, &[256]);
        let mut ends = from.iter().zip(&to);
        between.for_each_parameter_mut(&mut |_, p| {
            let ((_, from), (_, to)) = ends.next().expect("networks of one shape");
            *p.value_mut() = from.value() * (1.0 - share) + to.value() * share;
        });
        errors.push(lab.error(&between)?);
    }
    Ok(errors)
}

fn judge(found: &Found) -> Finding {
    let way: Vec<Mean> = (0..=STEPS).map(|step| found.mean(0, step)).collect();
    let worse_end = paired(&found.each(0, 0), &found.each(0, STEPS), f64::max);
    let lower = paired(&worse_end, &found.each(0, STEPS / 2), difference);
    let points = way.iter().enumerate().map(|(i, mean)| mean.point(i as f64 / STEPS as f64));
    Finding {
        measured: vec![
            ("at one end, %".to_owned(), way[0]),
            ("at the other, %".to_owned(), way[STEPS]),
            ("half-way between them, %".to_owned(), way[STEPS / 2]),
        ],
        decides: vec![("%, the worse end less half-way".to_owned(), Mean::of(&lower))],
        axes: ["share of the way from one minimum to another", "test error %"],
        log: [false, false],
        curves: vec![Curve { label: "256 units".to_owned(), points: points.collect() }],
    }
}
