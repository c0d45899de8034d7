//! What each layer has learnt: a linear classifier on its units, which stay as they are (Alain, Bengio: Understanding
//! intermediate layers using linear classifier probes, 2016).

use plies_autograd::{Var, no_grad};
use plies_console::plot::Curve;
use plies_nn::{Linear, Module, Pass, Visitor, VisitorMut};
use plies_tensor::{Elementwise, Rng};

use super::{
    Effect, Finding, Found, Lab, Mean, difference,
    lab::{adam, mlp},
    paired,
};
use crate::{
    idx::PIXELS,
    trial::{Plan, TrialError},
};

pub(super) const EFFECT: Effect = Effect {
    name: "probes",
    claim: "Each hidden layer makes the classes easier to tell apart by lines.",
    settings: &[("3 x 128 units", 3.0)],
    numbers: LAYERS + 1,
    measure,
    judge,
    picture: None,
};

const LAYERS: usize = 3;
const UNITS: usize = 128;

/// A layer that learns on top of some that don't.
struct Probe<'a> {
    below: &'a [Linear],
    reads: Linear,
}

impl Module for Probe<'_> {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let units = no_grad(|| {
            self.below.iter().fold(x.clone(), |x, layer| layer.forward(&x, pass).relu())
        });
        self.reads.forward(&units, pass)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.reads.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.reads.visit_mut(visitor);
    }
}

fn measure(lab: &Lab<'_>, _: usize, seed: u64) -> Result<Vec<f64>, TrialError> {
    let examples = lab.all();
    let part = |i: usize| Plan::epochs(6).part(i as f64 / 5.0, (i + 1) as f64 / 5.0);
    let mut model = mlp(seed, &[UNITS; LAYERS]);
    lab.train(seed, &examples, &mut model, &mut adam(), part(0))?;
    let mut errors = Vec::new();
    for layers in 0..=LAYERS {
        let units = if layers == 0 { PIXELS } else { UNITS };
        let reads = Linear::new(units, 10, &mut Rng::new(seed));
        let mut probe = Probe { below: &model.layers()[..layers], reads };
        lab.train(seed, &examples, &mut probe, &mut adam(), part(layers + 1))?;
        errors.push(lab.error(&probe)?);
    }
    Ok(errors)
}

fn judge(found: &Found) -> Finding {
    let name = |layers: usize| match layers {
        0 => "the pixels".to_owned(),
        _ => format!("hidden layer {layers}"),
    };
    let errors = (0..=LAYERS).map(|layers| (layers, found.mean(0, layers)));
    let points = errors.clone().map(|(layers, error)| error.point(layers as f64)).collect();
    let decides = (1..=LAYERS).map(|layers| {
        let easier = paired(&found.each(0, layers), &found.each(0, layers - 1), difference);
        (format!("%, {} less {}", name(layers), name(layers - 1)), Mean::of(&easier))
    });
    Finding {
        measured: errors.map(|(layers, error)| (format!("{}, %", name(layers)), error)).collect(),
        decides: decides.collect(),
        axes: ["hidden layer that is read by a linear classifier (0: pixels)", "test error %"],
        log: [false, true],
        curves: vec![Curve { label: "3 x 128 units".to_owned(), points }],
    }
}
