//! What decides on the steps of a training: schedules and averages against PyTorch's numbers, which
//! `golden/optim/make.py` has written down; several batches to a step, and bounds of gradients, against the
//! same by hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use plies_autograd::Var;
use plies_nn::data::{Loader, TensorDataset};
use plies_nn::loss::cross_entropy;
use plies_nn::optim::{
    Adam, Clip, Ema, Optimizer, ParameterGroups, Schedule, Sgd, clip_grad_norm, clip_grad_value,
};
use plies_nn::train::{
    Callback, EpochEvent, Fit, Flow, KeepBest, Plateau, TrainError, Training, fit,
};
use plies_nn::{Activation, Checkpoint, Linear, Module, Pass, Sequential};
use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Device, Rng, Tensor};

fn golden(name: &str) -> Checkpoint {
    crate::golden::read(&format!("optim/{name}"))
}

fn numbers(file: &Checkpoint, name: &str) -> Vec<f64> {
    file.tensors()[name].to_vec().unwrap()
}

#[test]
fn schedules_are_those_of_pytorch() {
    let one_cycle = |rise, first, last| Schedule::OneCycle { rise, first, last };
    let smith = vec![(0, 1.0 / 25.0), (7, 1.0), (14, 1.0 / 25.0), (19, 1.0 / 25e4)];
    let rows: [(&str, Schedule, u64); 14] = [
        ("constant", Schedule::Constant, 0),
        ("linear", Schedule::Linear { last: 0.25 }, 0),
        ("polynomial", Schedule::Polynomial { power: 2.5, last: 0.0 }, 0),
        ("cosine", Schedule::Cosine { last: 0.1 }, 0),
        ("cosine_warm_up", Schedule::Cosine { last: 0.1 }, 5),
        ("cosine_restarts", Schedule::CosineRestarts { period: 6, growth: 1, last: 0.05 }, 0),
        (
            "cosine_restarts_growing",
            Schedule::CosineRestarts { period: 3, growth: 2, last: 0.0 },
            0,
        ),
        ("exponential", Schedule::Exponential { gamma: 0.8 }, 0),
        ("step", Schedule::Step { every: 6, gamma: 0.3 }, 0),
        ("multi_step", Schedule::MultiStep { at: vec![3, 4, 11], gamma: 0.5 }, 0),
        ("one_cycle", one_cycle(0.3, 1.0 / 25.0, 1.0 / 25e4), 0),
        ("one_cycle_short_rise", one_cycle(0.1, 0.1, 1e-3), 0),
        ("one_cycle_linear", Schedule::Piecewise { points: smith }, 0),
        ("custom", Schedule::Custom(|t, _| 1.0 / (1.0 + t as f64).sqrt()), 0),
    ];
    let file = golden("schedules");
    let names: BTreeSet<&str> = rows.iter().map(|row| row.0).collect();
    assert!(file.tensors().keys().map(String::as_str).eq(names), "a row for each in the file");
    for (name, schedule, warm_up) in rows {
        for (step, expected) in numbers(&file, name).into_iter().enumerate() {
            let found = schedule.factor(step as u64, 20, warm_up);
            assert!((found - expected).abs() < 1e-12, "{name} {step}: {found} for {expected}");
        }
    }
}

/// What nobody asks for, but a program may.
#[test]
fn schedules_are_finite_at_the_edges() {
    let schedules = [
        Schedule::Linear { last: 0.0 },
        Schedule::Polynomial { power: 0.5, last: 0.0 },
        Schedule::Cosine { last: 0.0 },
        Schedule::CosineRestarts { period: 0, growth: 0, last: 0.0 },
        Schedule::CosineRestarts { period: 1, growth: u64::MAX, last: 0.0 },
        Schedule::Step { every: 0, gamma: 0.5 },
        Schedule::MultiStep { at: vec![], gamma: 0.5 },
        Schedule::OneCycle { rise: 0.0, first: 0.1, last: 0.0 },
        Schedule::OneCycle { rise: 1.0, first: 0.1, last: 0.0 },
        Schedule::Piecewise { points: vec![] },
        Schedule::Piecewise { points: vec![(3, 0.5), (3, 0.25)] },
    ];
    for schedule in schedules {
        for total in [0, 1, 2, 10] {
            for step in [0, 1, 2, 3, 9, 10, 1 << 40] {
                for warm_up in [0, 1, 20] {
                    let factor = schedule.factor(step, total, warm_up);
                    let good = (0.0..=1.0).contains(&factor);
                    assert!(good, "{schedule:?} at {step} of {total}, {warm_up}: {factor}");
                }
            }
        }
    }
}

#[test]
fn a_plateau_lowers_the_rate_when_pytorch_does() {
    let rows = [
        ("plain", Plateau::new(0.5, 1)),
        ("cooldown", Plateau::new(0.5, 0).cooldown(2)),
        ("min_delta", Plateau::new(0.1, 2).min_delta(0.06)),
        ("min_lr", Plateau::new(0.1, 0).min_lr(0.05)),
    ];
    let file = golden("plateau");
    assert_eq!(file.tensors().len(), rows.len() + 1);
    for (name, mut plateau) in rows {
        let mut sgd = Sgd::new(1.0);
        let expected = numbers(&file, name);
        assert!(expected.iter().any(|&lr| lr < 1.0), "{name} shows something");
        for (epoch, (value, expected)) in
            numbers(&file, "values").into_iter().zip(expected).enumerate()
        {
            plateau.observe(value, &mut sgd);
            let found = Optimizer::lr(&sgd);
            assert!((found - expected).abs() < 1e-12, "{name} {epoch}: {found} for {expected}");
        }
    }
}

/// 100 points of the plane and whether they are in a circle, in double precision.
fn circle(batch: usize) -> Loader {
    let x = Rng::new(1).uniform([100, 2], DType::F64, &Device::cpu()) * 2.0 - 1.0;
    let rows = x.to_vec::<f64>().unwrap();
    let inside = |p: &[f64]| i32::from(p[0] * p[0] + p[1] * p[1] < 0.5);
    let targets: Vec<i32> = rows.chunks(2).map(inside).collect();
    Loader::new(Arc::new(TensorDataset::new(x, Tensor::from(targets))), batch)
}

fn network() -> Sequential {
    let mut rng = Rng::new(2);
    let mut linear = |o: usize, i: usize| {
        let mut normal = |dims: &[usize]| rng.normal(dims, DType::F64, &Device::cpu());
        Linear::from_weights(normal(&[o, i]), Some(normal(&[o])))
    };
    Sequential::new().push(linear(8, 2)).push(Activation::Tanh).push(linear(2, 8))
}

fn weights(model: &dyn Module) -> Vec<Tensor> {
    model.named_parameters().into_iter().map(|(_, p)| p.into_value()).collect()
}

fn trained(loader: &Loader, optimizer: &mut dyn Optimizer, settings: &Fit) -> Vec<Tensor> {
    let mut model = network();
    fit(&mut model, optimizer, &cross_entropy, loader, settings, &mut []).unwrap();
    weights(&model)
}

#[test]
fn accumulated_batches_make_the_step_of_one_large_batch() {
    let settings = Fit {
        schedule: Schedule::Linear { last: 0.0 },
        warm_up: 3,
        clip: Some(Clip::Norm(0.2)),
        ..Fit::epochs(3)
    };
    let small = Fit { accumulate: 4, ..settings.clone() };
    let adam = || Adam::new(0.05);
    // Steps of 32, 32, 32 and 4 examples. Of 28, 28, 28 and 16, where the last batch has 2.
    for (large, parts) in [(32, 8), (28, 7)] {
        let whole = trained(&circle(large), &mut adam(), &settings);
        let joined = trained(&circle(parts), &mut adam(), &small);
        for (whole, joined) in whole.iter().zip(&joined) {
            assert_close(joined, whole, 1e-10, 1e-10);
        }
        let apart = trained(&circle(parts), &mut adam(), &settings);
        assert!((&apart[0] - &whole[0]).norm_all().item().unwrap() > 0.1, "there is a difference");
    }
}

#[test]
fn gradients_are_bounded_before_each_step() {
    type Bound<'a> = &'a dyn Fn(&dyn Module);
    let by_hand = |bound: Bound<'_>| {
        let (mut model, mut sgd) = (network(), Sgd::new(0.5).momentum(0.9));
        for epoch in 0..2 {
            for batch in circle(40).epoch(epoch) {
                let logits = model.forward(&Var::constant(batch.inputs), &mut Pass::eval());
                cross_entropy(&logits, &batch.targets).backward();
                drop(logits);
                bound(&model);
                sgd.step(&mut model);
                model.zero_grad();
            }
        }
        weights(&model)
    };
    let by_fit = |clip| {
        let settings = Fit { clip, ..Fit::epochs(2) };
        trained(&circle(40), &mut Sgd::new(0.5).momentum(0.9), &settings)
    };
    let rows: [(Option<Clip>, Bound<'_>); 3] = [
        (None, &|_| ()),
        (Some(Clip::Norm(0.1)), &|model| _ = clip_grad_norm(model, 0.1).unwrap()),
        (Some(Clip::Value(0.03)), &|model| clip_grad_value(model, 0.03)),
    ];
    let mut seen: Vec<Vec<f64>> = Vec::new();
    for (clip, bound) in rows {
        let (fitted, expected) = (by_fit(clip), by_hand(bound));
        for (found, expected) in fitted.iter().zip(&expected) {
            assert_close(found, expected, 1e-14, 1e-14);
        }
        let first = fitted[0].to_vec::<f64>().unwrap();
        assert!(!seen.contains(&first), "{clip:?} makes a difference");
        seen.push(first);
    }
}

#[test]
fn averages_are_those_of_the_formula_and_of_pytorch() {
    let (given, file) = (golden("given"), golden("average"));
    let (p, g) = (&given.tensors()["p"], &given.tensors()["g"]);
    for (name, decay) in [("all", 1.0), ("decay", 0.8)] {
        // Each step takes the parameter to p + g.
        let mut layer = Linear::from_weights(p.zeros_like(), None);
        let mut ema = Ema::new(Sgd::new(1.0), decay);
        for t in 0..10 {
            let step = layer.weight().value() - (p + g.select(0, t));
            layer.weight().set_grad(Some(Var::constant(step)));
            ema.step(&mut layer);
            let raw = layer.weight().value().clone();
            ema.show_averages(&mut layer, true);
            let expected = file.tensors()[name].select(0, t);
            assert_close(layer.weight().value(), &expected, 1e-12, 1e-12);
            ema.show_averages(&mut layer, false);
            assert_close(layer.weight().value(), &raw, 0.0, 0.0);
        }
    }
}

/// Averages of one group alone, so that the groups are asked too.
fn averaging() -> ParameterGroups {
    ParameterGroups::new(Ema::new(Adam::new(0.02), 0.9))
        .group(|name, _| name.ends_with("bias"), Sgd::new(0.1).momentum(0.9))
}

fn saved(model: &dyn Module, optimizer: &dyn Optimizer) -> Vec<u8> {
    let mut checkpoint = Checkpoint::new();
    checkpoint.put_model(model);
    checkpoint.put_optimizer(optimizer);
    checkpoint.to_bytes().unwrap()
}

#[test]
fn averages_are_saved_and_gone_on_with() {
    let run = |model: &mut Sequential, optimizer: &mut dyn Optimizer, epochs| {
        let settings = Fit { epochs, ..Fit::epochs(0) };
        fit(model, optimizer, &cross_entropy, &circle(32), &settings, &mut []).unwrap();
    };
    let (mut model, mut optimizer) = (network(), averaging());
    run(&mut model, &mut optimizer, 0..4);
    let whole = saved(&model, &optimizer);
    for swapped in [false, true] {
        let (mut model, mut optimizer) = (network(), averaging());
        run(&mut model, &mut optimizer, 0..2);
        if swapped {
            optimizer.show_averages(&mut model, true);
        }
        let half = Checkpoint::from_bytes(&saved(&model, &optimizer), "half").unwrap();
        let (mut model, mut optimizer) = (network(), averaging());
        half.load_model(&mut model).unwrap();
        half.load_optimizer(&mut optimizer).unwrap();
        assert_eq!(optimizer.shows_averages(), Some(swapped));
        run(&mut model, &mut optimizer, 2..4);
        assert!(whole == saved(&model, &optimizer), "swapped: {swapped}");
    }
    let before = weights(&model);
    optimizer.show_averages(&mut model, true);
    let change = |i: usize| {
        let difference: Tensor = &weights(&model)[i] - &before[i];
        difference.norm_all().item().unwrap()
    };
    assert!(change(0) > 1e-3 && change(1) == 0.0, "weights are averaged, biases are not");
    // A step of an optimiser that was left swapped goes on from the model's own numbers.
    Sgd::new(0.0).step(&mut model);
    optimizer.step(&mut model);
    assert_close(&weights(&model)[0], &before[0], 0.0, 0.0);
}

#[test]
fn averages_of_averages_keep_their_states_apart() {
    let make = || Ema::new(Ema::new(Sgd::new(0.5).momentum(0.9), 0.5), 0.9);
    let step = |layer: &mut Linear, ema: &mut Ema| {
        (layer.weight() * layer.weight()).sum_all().backward();
        ema.step(layer);
        layer.zero_grad();
    };
    let (mut layer, mut whole) = (Linear::from_weights(Tensor::from([[1f64, -2.0]]), None), make());
    (0..3).for_each(|_| step(&mut layer, &mut whole));
    whole.show_averages(&mut layer, true);
    let state = whole.state();
    for (name, step) in [("ema.step", 3.0), ("inner.ema.step", 3.0), ("ema.shown", 1.0)] {
        assert_eq!(state[name].item().unwrap(), step, "{name}");
    }
    assert_eq!(state["inner.ema.shown"].item().unwrap(), 0.0);

    let parameters = [("weight".to_owned(), layer.weight().value().clone())].into();
    let mut copy = Linear::from_weights(layer.weight().value().clone(), None);
    let mut resumed = make();
    resumed.load_state(state, &parameters).unwrap();
    (0..2).for_each(|_| step(&mut copy, &mut resumed));
    (0..2).for_each(|_| step(&mut layer, &mut whole));
    assert!(saved(&copy, &resumed) == saved(&layer, &whole));
}

#[test]
fn a_state_of_averages_that_does_not_fit_is_refused() {
    let (mut model, mut ema) = (network(), Ema::new(Sgd::new(0.1), 0.9));
    ema.step(&mut model);
    let parameters = model.named_parameters().into_iter().map(|(name, p)| (name, p.into_value()));
    let parameters = parameters.collect();
    let mut state = ema.state();
    state.insert("ema.average.9.weight".to_owned(), Tensor::from([1f64]));
    let error = ema.load_state(state, &parameters).unwrap_err();
    assert_eq!(error.to_string(), "optimiser state: average.9.weight belongs to no parameter");
    let mut state = ema.state();
    state.insert("velocity.0.weight".to_owned(), Tensor::from([1f64]));
    let error = ema.load_state(state, &parameters).unwrap_err().to_string();
    assert!(error.ends_with("velocity.0.weight is neither under ema nor under inner"), "{error}");
}

#[test]
fn the_best_epoch_is_measured_and_kept_by_its_averages() {
    let (mut model, mut optimizer) = (network(), Ema::new(Sgd::new(0.5), 0.99));
    let mut measured = Vec::new();
    let mut best = KeepBest::new(|_, model| {
        measured = weights(model);
        Ok(0.0)
    });
    let settings = Fit::epochs(1);
    fit(&mut model, &mut optimizer, &cross_entropy, &circle(32), &settings, &mut [&mut best])
        .unwrap();
    let raw = weights(&model);
    let mut kept = network();
    best.restore(&mut kept).unwrap();
    let kept_weights = weights(&kept);
    drop(best);
    assert_close(&kept_weights[0], &measured[0], 0.0, 0.0);
    assert!((&raw[0] - &kept_weights[0]).norm_all().item().unwrap() > 1e-3);
    optimizer.show_averages(&mut model, true);
    assert_close(&weights(&model)[0], &kept_weights[0], 0.0, 0.0);

    // Who has left the averages in the model's place finds them there, and they are what is kept.
    let mut best = KeepBest::new(|_, model| {
        measured = weights(model);
        Ok(0.0)
    });
    struct Leave;
    impl Callback for Leave {
        fn on_epoch(
            &mut self,
            _: &EpochEvent,
            training: &mut Training<'_>,
        ) -> Result<Flow, TrainError> {
            training.optimizer.show_averages(training.model, true);
            Ok(Flow::Continue)
        }
    }
    let callbacks: &mut [&mut dyn Callback] = &mut [&mut Leave, &mut best];
    fit(&mut model, &mut optimizer, &cross_entropy, &circle(32), &settings, callbacks).unwrap();
    drop(best);
    assert_eq!(optimizer.shows_averages(), Some(true));
    assert_close(&weights(&model)[0], &measured[0], 0.0, 0.0);
    optimizer.show_averages(&mut model, false);
    assert!((&weights(&model)[0] - &measured[0]).norm_all().item().unwrap() > 1e-3);
}

#[test]
fn a_plateau_acts_in_a_training_and_goes_on_from_a_checkpoint() {
    let run = |sgd: &mut Sgd, plateau: &mut Plateau<'_>, epochs| {
        // A rate of 0 gets no better; the schedule multiplies what the plateau has left.
        let settings = Fit { epochs, ..Fit::epochs(0) };
        let mut model = network();
        fit(&mut model, sgd, &cross_entropy, &circle(50), &settings, &mut [plateau]).unwrap();
    };
    let worse = || Plateau::new(0.5, 1).cooldown(1).by(|event, _| Ok(event.epoch as f64));
    let (mut sgd, mut plateau) = (Sgd::new(0.1), worse());
    run(&mut sgd, &mut plateau, 0..9);
    let whole = Optimizer::lr(&sgd);
    assert!(whole < 0.1);

    let (mut sgd, mut plateau) = (Sgd::new(0.1), worse());
    run(&mut sgd, &mut plateau, 0..4);
    let mut state = plateau.state().unwrap();
    let (mut sgd, mut plateau) = (Sgd::new(7.0), worse());
    plateau.load_state(&state).unwrap();
    run(&mut sgd, &mut plateau, 4..9);
    assert_eq!(Optimizer::lr(&sgd), whole);

    state.set("waited", "1 2");
    let error = worse().load_state(&state).unwrap_err().to_string();
    assert_eq!(error, "checkpoint: waited \"1 2\" is no such number");
}
