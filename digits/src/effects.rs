//! What is said about networks, tested: a claim, a measurement over seeds, a verdict, a figure.
//!
//! Each experiment is a few lines: networks that differ in one thing only, trained alike, from several seeds. A
//! verdict compares 95 % intervals; where they overlap, it says that nothing was shown.

use std::{cell::Cell, time::Instant};

use image::{GrayImage, Luma};
use plies_autograd::{Var, no_grad};
use plies_console::plot::Curve;
use plies_nn::{
    Activation, Flatten, Linear, Maxout, Mlp, Module, Pass, Sequential,
    data::Augment,
    optim::{Adam, Optimizer, Regularized, Schedule},
};
use plies_tensor::{DType, Rng, Tensor};
use serde::Serialize;

use crate::{
    idx::{COLS, Examples, PIXELS, ROWS},
    results::student,
    trial::{Plan, Trial, TrialError},
};

/// Something that is said about networks.
pub struct Effect {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What is said.
    pub claim: &'static str,
    /// How it is tested.
    pub test: fn(&Lab<'_>) -> Result<Finding, TrialError>,
}

/// All of them.
pub const EFFECTS: &[Effect] = &[
    Effect {
        name: "activations",
        claim: "A network of ReLU units needs fewer epochs than one of sigmoid units.",
        test: activations,
    },
    Effect {
        name: "dropout",
        claim: "Dropping some of the hidden units while training makes fewer mistakes than dropping none.",
        test: dropout,
    },
    Effect {
        name: "remedies",
        claim: "The fewer the examples, the more a remedy against overfitting helps.",
        test: remedies,
    },
    Effect {
        name: "starts",
        claim: "Different first weights end in different minima, which are about as good, with a ridge between them.",
        test: starts,
    },
    Effect {
        name: "depth",
        claim: "A second hidden layer helps less than the first.",
        test: depth,
    },
    Effect {
        name: "size",
        claim: "Ten times the examples leave less than half of the mistakes.",
        test: size,
    },
    Effect {
        name: "lesions",
        claim: "A network that was trained with dropout loses less when hidden units are cut out.",
        test: lesions,
    },
    Effect {
        name: "probes",
        claim: "Each hidden layer makes the classes easier to tell apart by lines.",
        test: probes,
    },
    Effect {
        name: "weights",
        claim: "Dropout makes what the first layer looks for smoother: neighbouring weights differ less.",
        test: weights,
    },
];

/// Whether a claim has held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The intervals lie as the claim says.
    Holds,
    /// They lie the other way round.
    Fails,
    /// They overlap.
    Unclear,
}

/// The mean over seeds and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Student's interval.
    pub interval: [f64; 2],
}

impl Mean {
    /// Of one number for each seed. One alone has no interval that could separate it from another.
    pub fn of(values: &[f64]) -> Mean {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        if values.len() < 2 {
            return Mean { mean, interval: [f64::NEG_INFINITY, f64::INFINITY] };
        }
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let half = student(values.len() - 1) * (squares / (n - 1.0) / n).sqrt();
        Mean { mean, interval: [mean - half, mean + half] }
    }

    /// The claim that this is less than the other.
    pub fn less(&self, other: &Mean) -> Verdict {
        if self.interval[1] < other.interval[0] {
            Verdict::Holds
        } else if other.interval[1] < self.interval[0] {
            Verdict::Fails
        } else {
            Verdict::Unclear
        }
    }

    fn point(&self, x: f64) -> (f64, f64, [f64; 2]) {
        (x, self.mean, self.interval.map(|bound| if bound.is_finite() { bound } else { self.mean }))
    }
}

/// All of several claims: fails if one does, holds if all do.
fn all(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().fold(Verdict::Holds, |so_far, next| match (so_far, next) {
        (Verdict::Fails, _) | (_, Verdict::Fails) => Verdict::Fails,
        (Verdict::Unclear, _) | (_, Verdict::Unclear) => Verdict::Unclear,
        _ => Verdict::Holds,
    })
}

/// What a test has found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The numbers, a line each.
    pub measured: Vec<(String, Mean)>,
    /// What these numbers are.
    pub unit: &'static str,
    /// Whether the claim holds.
    pub verdict: Verdict,
    /// What the axes of the figure are.
    pub axes: [&'static str; 2],
    /// Which of them are logarithmic.
    pub log: [bool; 2],
    /// The figure.
    pub curves: Vec<Curve>,
    /// A picture, where there is one.
    pub picture: Option<GrayImage>,
}

impl Finding {
    /// Mistakes in per cent, and no figure yet.
    fn errors(measured: Vec<(String, Mean)>, verdict: Verdict) -> Finding {
        let (axes, log) = (["", "test error %"], [false, false]);
        Finding { measured, unit: "%", verdict, axes, log, curves: Vec::new(), picture: None }
    }
}

/// Where experiments are made.
pub struct Lab<'a> {
    /// The data, and how an experiment is stopped. Its seed is not used, its progress is that of all.
    pub trial: Trial<'a>,
    /// How many seeds.
    pub seeds: u64,
    /// Sets are this share of what experiments ask for.
    pub scale: f64,
    /// Trainings so far.
    pub trainings: Cell<usize>,
}

impl Lab<'_> {
    /// So many examples, or what `scale` leaves of them; at least 100, at most all.
    fn first(&self, count: usize) -> Examples {
        let mut few = self.trial.train.clone();
        few.truncate(((count as f64 * self.scale) as usize).max(100));
        few
    }

    /// With fewer examples smaller batches, so that an epoch has as many steps.
    fn batch_size(&self) -> usize {
        ((128.0 * self.scale) as usize).clamp(16, 128)
    }

    /// A number for each seed, as a mean.
    fn over_seeds(
        &self,
        measure: impl Fn(u64) -> Result<f64, TrialError>,
    ) -> Result<Mean, TrialError> {
        let values: Result<Vec<f64>, TrialError> = (1..=self.seeds).map(measure).collect();
        Ok(Mean::of(&values?))
    }

    /// Trains a network of flat images, and gives it back.
    fn train<M: Module + 'static>(
        &self,
        seed: u64,
        examples: &Examples,
        model: M,
        mut optimizer: impl Optimizer,
        plan: Plan,
    ) -> Result<Flat<M>, TrialError> {
        let trial = Trial { train: examples, seed, ..self.trial };
        let plan = Plan { batch_size: self.batch_size(), ..plan };
        let mut model = Flat(model);
        let pictures = crate::trial::pictures(examples);
        trial.fit(&mut model, &mut optimizer, &plies_nn::loss::cross_entropy, pictures, plan)?;
        self.trainings.set(self.trainings.get() + 1);
        Ok(model)
    }

    /// Test error in per cent.
    fn error(&self, model: &dyn Module) -> Result<f64, TrialError> {
        let read = self.trial.read(model)?;
        let wrong = read.iter().zip(&self.trial.test.labels).filter(|(a, b)| a != b).count();
        Ok(100.0 * wrong as f64 / read.len() as f64)
    }
}

/// A network of vectors that takes pictures.
struct Flat<M>(M);

impl<M: Module> Module for Flat<M> {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.0.forward(&Flatten::default().forward(x, pass), pass)
    }

    fn visit(&self, visitor: &mut plies_nn::Visitor<'_>) {
        self.0.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut plies_nn::VisitorMut<'_>) {
        self.0.visit_mut(visitor);
    }
}

fn mlp(seed: u64, hidden: &[usize]) -> Mlp {
    let sizes = [&[PIXELS], hidden, &[10]].concat();
    Mlp::new(&sizes, Activation::Relu, &mut Rng::new(seed))
}

fn adam() -> Adam {
    Adam::new(1e-3)
}

/// Epochs until less than 5 % of the test set is misread, nanoseconds for an element, and how many units are
/// exactly 0.
fn activations(lab: &Lab<'_>) -> Result<Finding, TrialError> {
    const MOST: usize = 15;
    let examples = lab.first(20_000);
    let network = |name: &str, seed: u64| {
        let rng = &mut Rng::new(seed);
        let hidden = |activation: Activation, rng: &mut Rng| {
            Sequential::new().push(Mlp::new(&[PIXELS, 256], activation, rng)).push(activation)
        };
        let hidden = match name {
            "maxout" => Sequential::new().push(Maxout::new(PIXELS, 256, 2, rng)),
            name => hidden(name.parse().expect("a name of the table"), rng),
        };
        hidden.push(Linear::new(256, 10, rng))
    };
    let (mut measured, mut curves, mut epochs) = (Vec::new(), Vec::new(), Vec::new());
    for name in ["sigmoid", "tanh", "relu", "maxout"] {
        let mut after = vec![Vec::new(); MOST];
        for seed in 1..=lab.seeds {
            // An epoch at a time, at one learning rate.
            let (mut model, mut optimizer) = (Flat(network(name, seed)), adam());
            for (epoch, errors) in after.iter_mut().enumerate() {
                let trial = Trial {
                    train: &examples,
                    seed: 100 * seed + epoch as u64,
                    effort: 1.0,
                    ..lab.trial
                };
                let plan = Plan {
                    schedule: Schedule::Constant,
                    batch_size: lab.batch_size(),
                    ..Plan::epochs(1)
                };
                let pictures = crate::trial::pictures(&examples);
                trial.fit(
                    &mut model,
                    &mut optimizer,
                    &plies_nn::loss::cross_entropy,
                    pictures,
                    plan,
                )?;
                errors.push(lab.error(&model)?);
            }
        }
        let reached =
            |seed: usize| after.iter().position(|errors| errors[seed] < 5.0).unwrap_or(MOST);
        let needed: Vec<f64> =
            (0..lab.seeds as usize).map(|seed| (reached(seed) + 1) as f64).collect();
        epochs.push(Mean::of(&needed));
        measured.push((format!("{name}: epochs to 5 % misread"), epochs[epochs.len() - 1]));
        let points = after.iter().enumerate().map(|(i, e)| Mean::of(e).point((i + 1) as f64));
        curves.push(Curve { label: name.to_owned(), points: points.collect() });
    }
    let x = Rng::new(1).normal([1 << 16], DType::F32, &Default::default());
    for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Relu] {
        let cost = |_| {
            let began = Instant::now();
            let y = activation.apply(&x);
            Ok(began.elapsed().as_secs_f64() * 1e9 / y.elem_count() as f64)
        };
        let zeros = activation.apply(&x).to_vec::<f32>()?.iter().filter(|v| **v == 0.0).count();
        let share = 100.0 * zeros as f64 / x.elem_count() as f64;
        measured.push((
            format!("{activation}: ns an element ({share:.0} % zeros)"),
            lab.over_seeds(cost)?,
        ));
    }
    Ok(Finding {
        axes: ["epochs", "test error %"],
        log: [false, true],
        curves,
        unit: "",
        ..Finding::errors(measured, epochs[2].less(&epochs[0]))
    })
}

/// 5,000 examples, two layers of 256 units.
fn dropout(lab: &Lab<'_>) -> Result<Finding, TrialError> {
    let examples = lab.first(5000);
    let (mut measured, mut points) = (Vec::new(), Vec::new());
    for tenths in 0..10 {
        let rate = f64::from(tenths) / 10.0;
        let error = lab.over_seeds(|seed| {
            let model = mlp(seed, &[256, 256]).dropout(0.0, rate);
            lab.error(&lab.train(seed, &examples, model, adam(), Plan::epochs(30))?)
        })?;
        points.push(error.point(rate));
        measured.push((format!("{rate:.1} dropped"), error));
    }
    let best = measured[1..].iter().map(|row| row.1).min_by(|a, b| a.mean.total_cmp(&b.mean));
    let verdict = best.map_or(Verdict::Unclear, |best| best.less(&measured[0].1));
    Ok(Finding {
        axes: ["share of the hidden units that is dropped", "test error %"],
        curves: vec![Curve { label: "2 x 256 units".to_owned(), points }],
        ..Finding::errors(measured, verdict)
    })
}

/// Four remedies at three sizes; the claim compares what is left of the mistakes at the least and the most examples.
fn remedies(lab: &Lab<'_>) -> Result<Finding, TrialError> {
    let remedies = ["none", "L2", "max-norm", "dropout", "shifts"];
    let sizes = [(1000, 80), (10_000, 20), (60_000, 5)];
    let (mut measured, mut curves) = (Vec::new(), Vec::new());
    let mut errors = Vec::new();
    for remedy in remedies {
        let mut points = Vec::new();
        for (size, epochs) in sizes {
            let examples = lab.first(size);
            let error = lab.over_seeds(|seed| {
                let model =
                    mlp(seed, &[512]).dropout(0.0, if remedy == "dropout" { 0.5 } else { 0.0 });
                let optimizer = match remedy {
                    "L2" => Regularized::new(adam()).l2(1e-4),
                    "max-norm" => Regularized::new(adam()).max_norm(1.5),
                    _ => Regularized::new(adam()),
                };
                let plan = match remedy {
                    "shifts" => Plan::epochs(epochs).augment(Augment::new().shift(1.5)),
                    _ => Plan::epochs(epochs),
                };
                lab.error(&lab.train(seed, &examples, model, optimizer, plan)?)
            })?;
            points.push(error.point(examples.len() as f64));
            measured.push((format!("{remedy}, {} examples", examples.len()), error));
            errors.push(error);
        }
        curves.push(Curve { label: remedy.to_owned(), points });
    }
    // In the order remedies, sizes: what the best remedy leaves of the mistakes made without.
    let left = |size: usize| {
        let best = (1..remedies.len())
            .map(|r| errors[3 * r + size])
            .min_by(|a, b| a.mean.total_cmp(&b.mean));
        let (best, none) = (best.unwrap_or(errors[size]), errors[size]);
        Mean {
            mean: 100.0 * best.mean / none.mean,
            interval: [0, 1].map(|i| 100.0 * best.interval[i] / none.interval[1 - i]),
        }
    };
    measured.push(("of the mistakes, left at the fewest".to_owned(), left(0)));
    measured.push(("of the mistakes, left at the most".to_owned(), left(2)));
    Ok(Finding {
        axes: ["training examples", "test error %"],
        log: [true, true],
        curves,
        ..Finding::errors(measured, left(0).less(&left(2)))
    })
}

/// The way from one seed's weights straight to the next seed's.
fn starts(lab: &Lab<'_>) -> Result<Finding, TrialError> {
    const STEPS: usize = 10;
    let examples = lab.first(10_000);
    let train = |seed| lab.train(seed, &examples, mlp(seed, &[128]), adam(), Plan::epochs(10));
    let models = (1..=lab.seeds + 1).map(train).collect::<Result<Vec<_>, _>>()?;
    let mut on_the_way = vec![Vec::new(); STEPS + 1];
    for pair in models.windows(2) {
        for (step, errors) in on_the_way.iter_mut().enumerate() {
            let share = step as f64 / STEPS as f64;
            let mut between = Flat(mlp(1, &[128]));
            let ends = pair.iter().map(|model| model.named_parameters()).collect::<Vec<_>>();
            let mut i = 0;
            between.for_each_parameter_mut(&mut |_, p| {
                let [from, to] = [&ends[0][i].1, &ends[1][i].1];
                *p.value_mut() = from.value() * (1.0 - share) + to.value() * share;
                i += 1;
            });
            errors.push(lab.error(&between)?);
        }
    }
    let way: Vec<Mean> = on_the_way.iter().map(|errors| Mean::of(errors)).collect();
    let measured = vec![
        ("at the ends".to_owned(), way[0]),
        ("half-way between two".to_owned(), way[STEPS / 2]),
    ];
    let points =
        way.iter().enumerate().map(|(i, mean)| mean.point(i as f64 / STEPS as f64)).collect();
    Ok(Finding {
        axes: ["share of the way from one minimum to the next", "test error %"],
        curves: vec![Curve { label: "128 units".to_owned(), points }],
        ..Finding::errors(measured, way[0].less(&way[STEPS / 2]))
    })
}

/// None to five layers of 128 units.
fn depth(lab: &Lab<'_>) -> Result<Finding, TrialError> {
    let examples = lab.first(10_000);
    let (mut measured, mut points) = (Vec::new(), Vec::new());
    for layers in 0..6 {
        let error = lab.over_seeds(|seed| {
            let model = mlp(seed, &vec![128; layers]);
            lab.error(&lab.train(seed, &examples, model, adam(), Plan::epochs(15))?)
        })?;
        points.push(error.point(layers as f64));
        measured.push((format!("{layers} hidden layers"), error));
    }
    // The gain of the second is less than that of the first: e₁ - e₂ < e₀ - e₁.
    let gain = |i: usize| {
        let [before, after]: [Mean; 2] = [measured[i].1, measured[i + 1].1];
        let interval = [0, 1].map(|k| before.interval[k] - after.interval[1 - k]);
        Mean { mean: before.mean - after.mean, interval }
    };
    Ok(Finding {
        axes: ["hidden layers of 128 units", "test error %"],
        curves: vec![Curve { label: "ReLU".to_owned(), points }],
        verdict: gain(1).less(&gain(0)),
        ..Finding::errors(measured, Verdict::Unclear)
    })
}

/// 1,000 to 60,000 examples; ten times as many from the first to the fourth, and from the third to the last.
fn size(lab: &Lab<'_>) -> Result<Finding, TrialError> {
    let (mut measured, mut points) = (Vec::new(), Vec::new());
    for (size, epochs) in
        [(1000, 100), (3000, 50), (6000, 30), (10_000, 20), (20_000, 10), (60_000, 5)]
    {
        let examples = lab.first(size);
        let error = lab.over_seeds(|seed| {
            lab.error(&lab.train(
                seed,
                &examples,
                mlp(seed, &[256]),
                adam(),
                Plan::epochs(epochs),
            )?)
        })?;
        points.push(error.point(examples.len() as f64));
        measured.push((format!("{} examples", examples.len()), error));
    }
    let half =
        |mean: Mean| Mean { mean: mean.mean / 2.0, interval: mean.interval.map(|b| b / 2.0) };
    let verdicts =
        [(0, 3), (2, 5)].map(|(few, many)| measured[many].1.less(&half(measured[few].1)));
    Ok(Finding {
        axes: ["training examples", "test error %"],
        log: [true, true],
        curves: vec![Curve { label: "256 units".to_owned(), points }],
        ..Finding::errors(measured, all(verdicts))
    })
}

/// A share of the 512 hidden units is put out; those that are left are as loud as they were together.
fn lesions(lab: &Lab<'_>) -> Result<Finding, TrialError> {
    let examples = lab.first(10_000);
    let shares = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
    let (mut measured, mut curves) = (Vec::new(), Vec::new());
    for (name, rate) in [("without dropout", 0.0), ("with dropout", 0.5)] {
        let mut errors = vec![Vec::new(); shares.len()];
        for seed in 1..=lab.seeds {
            let model = mlp(seed, &[512]).dropout(0.0, rate);
            let Flat(model) = lab.train(seed, &examples, model, adam(), Plan::epochs(20))?;
            let [first, last] = model.layers() else { continue };
            let order = Rng::new(seed).permutation_vec(512);
            for (errors, share) in errors.iter_mut().zip(shares) {
                let mut keep = [1.0 / (1.0 - share) as f32; 512];
                order[..(512.0 * share) as usize].iter().for_each(|&unit| keep[unit] = 0.0);
                let weight = last.weight().value() * &Tensor::from(keep); // [10, 512]
                let cut = Mlp::from_layers(
                    vec![
                        copy(first),
                        Linear::from_weights(weight, last.bias().map(|b| b.value().clone())),
                    ],
                    Activation::Relu,
                );
                errors.push(lab.error(&Flat(cut))?);
            }
        }
        let means: Vec<Mean> = errors.iter().map(|errors| Mean::of(errors)).collect();
        measured.push((format!("{name}, whole"), means[0]));
        measured.push((format!("{name}, half is cut out"), means[5]));
        let points = means.iter().zip(shares).map(|(mean, share)| mean.point(share)).collect();
        curves.push(Curve { label: name.to_owned(), points });
    }
    Ok(Finding {
        axes: ["share of the hidden units that is cut out", "test error %"],
        log: [false, true],
        verdict: measured[3].1.less(&measured[1].1),
        curves,
        ..Finding::errors(measured, Verdict::Unclear)
    })
}

fn copy(layer: &Linear) -> Linear {
    Linear::from_weights(layer.weight().value().clone(), layer.bias().map(|b| b.value().clone()))
}

/// A linear classifier on the pixels, and on the units of each of three layers, which stay as they are.
fn probes(lab: &Lab<'_>) -> Result<Finding, TrialError> {
    let examples = lab.first(10_000);
    let mut errors = vec![Vec::new(); 4];
    for seed in 1..=lab.seeds {
        let model = mlp(seed, &[128, 128, 128]);
        let Flat(model) = lab.train(seed, &examples, model, adam(), Plan::epochs(10))?;
        for (below, errors) in errors.iter_mut().enumerate() {
            // What is below the probe is a constant of it, so that only the probe learns.
            let mut frozen = Sequential::new();
            for layer in &model.layers()[..below] {
                frozen = frozen.push(copy(layer)).push(Activation::Relu);
            }
            let units = if below == 0 { PIXELS } else { 128 };
            let probe = Probe { frozen, read: Linear::new(units, 10, &mut Rng::new(seed)) };
            errors.push(lab.error(&lab.train(
                seed,
                &examples,
                probe,
                adam(),
                Plan::epochs(15),
            )?)?);
        }
    }
    let means: Vec<Mean> = errors.iter().map(|errors| Mean::of(errors)).collect();
    let name = |below: usize| {
        if below == 0 { "pixels".to_owned() } else { format!("hidden layer {below}") }
    };
    let measured = means.iter().enumerate().map(|(i, mean)| (name(i), *mean)).collect();
    let points = means.iter().enumerate().map(|(i, mean)| mean.point(i as f64)).collect();
    Ok(Finding {
        axes: ["layer that is read by a linear classifier (0: pixels)", "test error %"],
        curves: vec![Curve { label: "3 x 128 units".to_owned(), points }],
        ..Finding::errors(measured, all(means.windows(2).map(|pair| pair[1].less(&pair[0]))))
    })
}

/// A layer that learns on top of some that don't.
struct Probe {
    frozen: Sequential,
    read: Linear,
}

impl Module for Probe {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let units = no_grad(|| self.frozen.forward(x, pass));
        self.read.forward(&units, pass)
    }

    fn visit(&self, visitor: &mut plies_nn::Visitor<'_>) {
        self.read.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut plies_nn::VisitorMut<'_>) {
        self.read.visit_mut(visitor);
    }
}

/// Σ (difference of neighbours)² / Σ weight², of 64 units; the picture has those without dropout on the left.
fn weights(lab: &Lab<'_>) -> Result<Finding, TrialError> {
    let examples = lab.first(20_000);
    let (mut measured, mut pictures) = (Vec::new(), Vec::new());
    for (name, rates) in [("without dropout", (0.0, 0.0)), ("with dropout", (0.2, 0.5))] {
        let picture = Cell::new(None);
        let roughness = lab.over_seeds(|seed| {
            let model = mlp(seed, &[256]).dropout(rates.0, rates.1);
            let Flat(model) = lab.train(seed, &examples, model, adam(), Plan::epochs(15))?;
            let weight = model.layers()[0].weight().value().to_vec::<f32>()?; // [256, 784]
            let units = weight.as_chunks::<PIXELS>().0;
            if seed == 1 {
                picture.set(Some(tiles(&units[..64])));
            }
            Ok(units.iter().map(roughness).sum::<f64>() / units.len() as f64)
        })?;
        measured.push((name.to_owned(), roughness));
        pictures.extend(picture.into_inner());
    }
    let points = measured.iter().enumerate().map(|(i, row)| row.1.point(i as f64)).collect();
    let mut both = GrayImage::new(0, 0);
    if let [left, right] = &pictures[..] {
        both = GrayImage::new(left.width() + right.width() + 12, left.height());
        image::imageops::replace(&mut both, left, 0, 0);
        image::imageops::replace(&mut both, right, i64::from(left.width()) + 12, 0);
    }
    Ok(Finding {
        unit: "",
        axes: ["0 without, 1 with dropout", "roughness"],
        curves: vec![Curve { label: "256 units".to_owned(), points }],
        picture: (both.width() > 0).then_some(both),
        ..Finding::errors(measured.clone(), measured[1].1.less(&measured[0].1))
    })
}

fn roughness(unit: &[f32; PIXELS]) -> f64 {
    let at = |x: usize, y: usize| f64::from(unit[y * COLS + x]);
    let mut differences = 0.0;
    // Where there is ink now and then; the margin keeps its first weights.
    for y in 4..ROWS - 5 {
        for x in 4..COLS - 5 {
            differences += (at(x + 1, y) - at(x, y)).powi(2) + (at(x, y + 1) - at(x, y)).powi(2);
        }
    }
    let places = (4..ROWS - 5).flat_map(|y| (4..COLS - 5).map(move |x| (x, y)));
    differences / places.map(|(x, y)| at(x, y).powi(2)).sum::<f64>()
}

/// 64 units, eight beside each other; grey is 0.
fn tiles(units: &[[f32; PIXELS]]) -> GrayImage {
    let mut picture = GrayImage::from_pixel(8 * 30, 8 * 30, Luma([255]));
    for (i, unit) in units.iter().enumerate() {
        let most = unit.iter().fold(f32::MIN_POSITIVE, |most, w| most.max(w.abs()));
        let (left, top) = (30 * (i % 8), 30 * (i / 8));
        for (pixel, weight) in unit.iter().enumerate() {
            let grey = (128.0 + 127.0 * weight / most) as u8;
            let (x, y) = (left + 1 + pixel % COLS, top + 1 + pixel / COLS);
            picture.put_pixel(x as u32, y as u32, Luma([grey]));
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded;

    #[test]
    fn verdicts_compare_intervals() {
        let [low, high, wide] =
            [[1.0, 1.1, 1.2], [2.0, 2.1, 2.2], [0.0, 1.5, 3.0]].map(|v| Mean::of(&v));
        assert_eq!(low.less(&high), Verdict::Holds);
        assert_eq!(high.less(&low), Verdict::Fails);
        assert_eq!(low.less(&wide), Verdict::Unclear);
        // One seed shows nothing.
        assert_eq!(Mean::of(&[1.0]).less(&Mean::of(&[9.0])), Verdict::Unclear);
        assert_eq!(all([Verdict::Holds, Verdict::Unclear]), Verdict::Unclear);
        assert_eq!(all([Verdict::Holds, Verdict::Fails, Verdict::Unclear]), Verdict::Fails);
        assert_eq!(all([]), Verdict::Holds);
    }

    /// On a hundred images nothing is shown, but each gives numbers and a figure.
    #[test]
    fn each_effect_gives_numbers_and_a_figure() {
        let (mut train, mut test) = (embedded::train(), embedded::test());
        train.truncate(100);
        test.truncate(10);
        let trial = Trial {
            train: &train,
            test: &test,
            seed: 0,
            effort: 0.0,
            stop: &Default::default(),
            progress: &|_| {},
            folder: None,
        };
        let lab = Lab { trial, seeds: 1, scale: 0.0, trainings: Cell::new(0) };
        for effect in EFFECTS {
            let finding = (effect.test)(&lab).unwrap_or_else(|e| panic!("{}: {e}", effect.name));
            let finite = finding.measured.iter().all(|(_, mean)| mean.mean.is_finite());
            assert!(finding.measured.len() >= 2 && finite, "{}", effect.name);
            assert!(finding.curves.iter().all(|curve| curve.points.len() >= 2), "{}", effect.name);
            assert_eq!(finding.picture.is_some(), effect.name == "weights");
            assert_eq!(finding.verdict, Verdict::Unclear, "{}", effect.name);
        }
        assert!(lab.trainings.get() > 20);
    }
}
