//! Whole trainings: they learn, repeat, resume, stop, and follow the optimisers' formulas.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plies_autograd::Var;
use plies_nn::data::{Batch, Loader, SequenceDataset, TensorDataset};
use plies_nn::loss::{CrossEntropy, cross_entropy};
use plies_nn::optim::{
    Adadelta, Adagrad, Adam, Lbfgs, Lion, Muon, NAdam, Optimizer, ParameterGroups, RAdam, RmsProp,
    Schedule, Sgd, clip_grad_norm, clip_grad_value,
};
use plies_nn::train::{
    BatchEvent, Callback, Divergence, EarlyStopping, EpochEvent, Fit, Flow, History, KeepBest,
    Report, TrainError, Training, evaluate, fit,
};
use plies_nn::{
    Activation, Checkpoint, Gru, Linear, Mlp, Module, MultiHeadAttention, SequencePool, Sequential,
};
use plies_tensor::{DType, Device, Rng, Tensor};

/// Two classes: inside and outside a circle.
fn circle(n: usize) -> Loader {
    let x = Rng::new(1).uniform([n, 2], DType::F32, &Device::cpu()) * 2.0 - 1.0;
    let rows = x.to_vec::<f32>().unwrap();
    let inside = |p: &[f32]| i32::from(p[0] * p[0] + p[1] * p[1] < 0.5);
    let targets: Vec<i32> = rows.chunks(2).map(inside).collect();
    Loader::new(Arc::new(TensorDataset::new(x, Tensor::from(targets))), 32).shuffle(5)
}

fn network() -> Mlp {
    Mlp::new(&[2, 32, 2], Activation::Relu, &mut Rng::new(2)).dropout(0.0, 0.1)
}

fn train(model: &mut Mlp, optimizer: &mut dyn Optimizer, epochs: std::ops::Range<usize>) {
    let settings = Fit { epochs, seed: 3, schedule: Schedule::Constant, ..Fit::epochs(0) };
    fit(model, optimizer, &cross_entropy, &circle(512), &settings, &mut []).unwrap();
}

fn bytes(model: &Mlp, optimizer: &dyn Optimizer) -> Vec<u8> {
    let mut checkpoint = Checkpoint::new();
    checkpoint.put_model(model);
    checkpoint.put_optimizer(optimizer);
    checkpoint.to_bytes().unwrap()
}

#[test]
fn a_network_learns_a_circle() {
    let (mut model, mut adam) = (network(), Adam::new(0.01));
    train(&mut model, &mut adam, 0..30);
    let evaluation = evaluate(&model, &circle(512), 2, &cross_entropy).unwrap();
    assert!(evaluation.confusion.accuracy() > 0.95, "{}", evaluation.confusion.accuracy());
}

#[test]
fn resuming_gives_the_bytes_of_an_uninterrupted_training() {
    type Make = fn() -> Box<dyn Optimizer>;
    let optimizers: [Make; 14] = [
        || {
            let bias = |name: &str, _: &Tensor| name.ends_with("bias");
            Box::new(
                ParameterGroups::new(Adam::adamw(0.01, 0.1))
                    .group(bias, Sgd::new(0.1).momentum(0.9)),
            )
        },
        || Box::new(RmsProp::new(0.01).momentum(0.5)),
        || Box::new(Adagrad::new(0.1)),
        || Box::new(Adadelta::new(1.0)),
        || Box::new(Lion::new(0.001)),
        || Box::new(Adam::new(0.01)),
        || Box::new(Adam::new(0.01).amsgrad()),
        || Box::new(NAdam::new(0.01)),
        || Box::new(RAdam::new(0.01).betas(0.9, 0.99)),
        || {
            let vectors = |_: &str, parameter: &Tensor| parameter.rank() < 2;
            Box::new(ParameterGroups::new(Muon::new(0.02)).group(vectors, Adam::new(0.01)))
        },
        || Box::new(Lbfgs::new().history(3).learning_rate(0.01)),
        || Box::new(Adam::adamw(0.01, 0.1)),
        || Box::new(Sgd::new(0.1).momentum(0.9).weight_decay(1e-3)),
        || Box::new(Sgd::new(0.1).nesterov(0.9)),
    ];
    for make in optimizers {
        let (mut model, mut optimizer) = (network(), make());
        train(&mut model, optimizer.as_mut(), 0..4);
        let whole = bytes(&model, optimizer.as_ref());

        let (mut model, mut optimizer) = (network(), make());
        train(&mut model, optimizer.as_mut(), 0..2);
        let half = Checkpoint::from_bytes(&bytes(&model, optimizer.as_ref()), "half").unwrap();
        let (mut model, mut optimizer) = (network(), make());
        half.load_model(&mut model).unwrap();
        half.load_optimizer(optimizer.as_mut()).unwrap();
        train(&mut model, optimizer.as_mut(), 2..4);
        assert!(whole == bytes(&model, optimizer.as_ref()), "{}", optimizer.describe());
    }
}

/// The rest decays, vectors go with Adam, and the first layer stands still.
fn groups() -> ParameterGroups {
    ParameterGroups::new(Sgd::new(0.2).weight_decay(0.1))
        .group(|_, parameter| parameter.rank() == 1, Adam::new(0.1))
        .group(|name, _| name.starts_with("layers.0"), Sgd::new(0.0))
}

#[test]
fn each_group_of_parameters_follows_its_own_optimiser_in_proportion_to_one_rate() {
    let stepped = |optimizer: &mut dyn Optimizer, lr: f64| {
        let mut model = network();
        let x = Var::constant(Tensor::ones([4, 2], DType::F32, &Device::cpu()));
        let logits = model.forward(&x, &mut plies_nn::Pass::eval());
        cross_entropy(&logits, &Tensor::from([0, 1, 0, 0])).backward();
        optimizer.set_lr(lr);
        optimizer.step(&mut model);
        model.named_parameters().iter().map(|(_, p)| p.to_vec::<f32>().unwrap()).collect::<Vec<_>>()
    };
    let found = stepped(&mut groups(), 0.3);
    let [decayed, adam, still] = [
        stepped(&mut Sgd::new(1.0).weight_decay(0.1), 0.3),
        stepped(&mut Adam::new(1.0), 0.3 * (0.1 / 0.2)),
        stepped(&mut Sgd::new(1.0), 0.0),
    ];
    // layers.0.weight, layers.0.bias, layers.1.weight, layers.1.bias
    assert_eq!(found, [&still[0], &adam[1], &decayed[2], &adam[3]].map(Vec::clone));
}

#[test]
fn what_one_group_cannot_take_up_none_takes_up() {
    let (model, mut state) = (network(), groups().state());
    let parameters = model.named_parameters().into_iter().map(|(name, p)| (name, p.into_value()));
    let parameters = parameters.collect();
    let mut refused = |key: &str| {
        state.insert("0.step".to_owned(), Tensor::from([5f64]));
        state.insert(key.to_owned(), Tensor::from([1f32]));
        let mut fresh = groups();
        let error = fresh.load_state(state.clone(), &parameters).unwrap_err().to_string();
        assert_eq!(fresh.state()["0.step"].item().unwrap(), 0.0);
        state.remove(key);
        error
    };
    let error = refused("1.exp_avg.layers.9.bias");
    assert_eq!(error, "optimiser state: exp_avg.layers.9.bias belongs to no parameter");
    assert_eq!(refused("7.step"), "optimiser state: 7.step is of no group");
}

/// The fused step in F32, over a tensor long enough to be shared among threads.
#[test]
fn steps_do_not_depend_on_the_number_of_threads() {
    let _turn = crate::threads::Turn::take();
    let run = |threads: usize, optimizer: &mut dyn Optimizer| {
        plies_tensor::set_threads(threads);
        let mut model = Mlp::new(&[300, 400, 10], Activation::Gelu, &mut Rng::new(1));
        let x = Var::constant(Rng::new(2).normal([64, 300], DType::F32, &Device::cpu()));
        let targets: Vec<i32> = (0..64).map(|i| i % 10).collect();
        let targets = Tensor::from(targets);
        for step in 0..3 {
            let mut pass = plies_nn::Pass::train(Rng::new(step));
            cross_entropy(&model.forward(&x, &mut pass), &targets).backward();
            optimizer.step(&mut model);
            model.zero_grad();
        }
        bytes(&model, optimizer)
    };
    assert!(run(1, &mut Adam::new(0.01)) == run(2, &mut Adam::new(0.01)));
    let sgd = || Sgd::new(0.01).nesterov(0.9).weight_decay(0.01);
    assert!(run(1, &mut sgd()) == run(4, &mut sgd()));
}

#[test]
fn a_handle_to_a_parameter_keeps_its_numbers_through_a_step() {
    let mut model = network();
    let x = Var::constant(Tensor::ones([4, 2], DType::F32, &Device::cpu()));
    let logits = model.forward(&x, &mut plies_nn::Pass::eval());
    cross_entropy(&logits, &Tensor::from([0, 1, 0, 1])).backward();
    drop(logits);
    let place = |model: &Mlp| model.layers()[0].weight().value().to_vec::<f32>().unwrap();
    let before = place(&model);
    let shared = model.layers()[0].weight().value().clone();
    Adam::new(0.1).step(&mut model);
    // A handle that somebody still has keeps its numbers, the model goes on.
    assert_eq!(shared.to_vec::<f32>().unwrap(), before);
    assert_ne!(place(&model), before);
}

#[test]
fn parameters_without_a_gradient_stay_as_they_are() {
    let mut model = network();
    let before = bytes(&model, &Sgd::new(0.1));
    Sgd::new(0.1).momentum(0.9).weight_decay(0.1).step(&mut model);
    Adam::adamw(0.1, 0.1).step(&mut model);
    assert!(before == bytes(&model, &Sgd::new(0.1)));
}

/// Counts what it is told, and may ask for a stop after a batch.
#[derive(Default)]
struct Watch {
    batches: Vec<BatchEvent>,
    epochs: Vec<EpochEvent>,
    rates: Vec<f64>,
    stop_after: Option<usize>,
    flag: Option<Arc<AtomicBool>>,
}

impl Callback for Watch {
    fn on_batch(
        &mut self,
        event: &BatchEvent,
        training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        self.batches.push(*event);
        training.model.for_each_parameter(&mut |_, p| assert!(p.grad().is_some()));
        if self.stop_after != Some(self.batches.len()) {
            return Ok(Flow::Continue);
        }
        match &self.flag {
            None => Ok(Flow::Stop),
            Some(flag) => {
                flag.store(true, Ordering::Relaxed);
                Ok(Flow::Continue)
            }
        }
    }
    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        self.epochs.push(*event);
        self.rates.push(training.optimizer.lr());
        training.model.for_each_parameter(&mut |_, p| assert!(p.grad().is_none()));
        Ok(Flow::Continue)
    }
}

fn watched(watch: &mut Watch, settings: &Fit) -> Report {
    let (mut model, mut adam) = (network(), Adam::new(0.01));
    // 100 examples in batches of 32: the fourth has 4.
    fit(&mut model, &mut adam, &cross_entropy, &circle(100), settings, &mut [watch]).unwrap()
}

#[test]
fn callbacks_see_every_batch_and_epoch() {
    let mut watch = Watch::default();
    let report =
        watched(&mut watch, &Fit { schedule: Schedule::Cosine { last: 0.0 }, ..Fit::epochs(3) });
    assert_eq!((report.epochs, report.examples, report.stopped), (3, 300, false));
    let examples: Vec<usize> = watch.batches.iter().map(|e| e.examples).collect();
    assert_eq!(examples, [32, 64, 96, 100].repeat(3));
    assert!(watch.batches.iter().all(|e| e.batches == 4 && e.loss.is_finite()));
    assert!(watch.epochs.iter().all(|e| (0.0..=1.0).contains(&e.accuracy)));
    // The last batch's running mean is the epoch's.
    assert_eq!(watch.batches[3].loss, watch.epochs[0].loss);
    assert_eq!(watch.rates, [0.01; 3], "between epochs the rate is the optimiser's own");
}

#[test]
fn a_stop_is_honoured_after_the_batch_by_callback_or_flag() {
    for by_flag in [false, true] {
        // After batch 6: the second of the second epoch. After 8: its last, which completes it.
        for (after, epochs) in [(6, 1), (8, 2), (12, 3)] {
            let flag = Arc::new(AtomicBool::new(false));
            let mut watch = Watch {
                stop_after: Some(after),
                flag: by_flag.then(|| flag.clone()),
                ..Watch::default()
            };
            let report = watched(&mut watch, &Fit { stop: flag, ..Fit::epochs(3) });
            assert_eq!(watch.batches.len(), after);
            assert_eq!((report.epochs, watch.epochs.len()), (epochs, epochs));
            assert_eq!(report.stopped, after < 12, "the whole was done by then");
        }
    }
}

#[test]
fn history_notes_each_epoch_and_early_stopping_ends_what_gets_no_better() {
    let (mut model, mut history) = (network(), History::default());
    // A rate of 0 never gets better than its first epoch; dropout alone moves the loss a little.
    let mut stopping = EarlyStopping::new(2, 0.5);
    let report = fit(
        &mut model,
        &mut Sgd::new(0.0),
        &cross_entropy,
        &circle(100),
        &Fit::epochs(50),
        &mut [&mut history, &mut stopping],
    )
    .unwrap();
    assert_eq!((report.epochs, history.epochs().len(), report.stopped), (4, 4, true));
}

#[test]
fn the_best_epoch_is_kept_in_memory_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let (mut model, mut adam) = (network(), Adam::new(0.01));
    // Pretend that the second epoch was the best, and that nothing after it came near.
    let numbers = [3.0, 1.0, 2.0, f64::NAN, 5.0, 0.0];
    let mut snapshot = Vec::new();
    let mut template = Checkpoint::new();
    template.set_architecture("mlp 2-32-2");
    let mut best = KeepBest::new(|event, model| {
        if event.epoch == 1 {
            model.for_each_parameter(&mut |_, p| snapshot.push(p.value().to_vec::<f32>().unwrap()));
        }
        Ok(numbers[event.epoch])
    })
    .stop_after(2, 0.0)
    .with(template)
    .in_file(&path);
    let settings = Fit::epochs(6);
    let report =
        fit(&mut model, &mut adam, &cross_entropy, &circle(100), &settings, &mut [&mut best])
            .unwrap();
    assert_eq!((report.epochs, best.epoch(), best.values().len()), (5, Some(1), 5));
    best.restore(&mut model).unwrap();
    drop(best);
    let parameters = |model: &Mlp| -> Vec<Vec<f32>> {
        model.named_parameters().iter().map(|(_, p)| p.value().to_vec().unwrap()).collect()
    };
    assert_eq!(parameters(&model), snapshot);

    let checkpoint = Checkpoint::load(&path).unwrap();
    checkpoint.check_architecture("mlp 2-32-2").unwrap();
    assert_eq!(checkpoint.epoch().unwrap(), 2);
    let mut loaded = network();
    checkpoint.load_model(&mut loaded).unwrap();
    checkpoint.load_optimizer(&mut Adam::new(0.5)).unwrap();
    assert_eq!(parameters(&loaded), snapshot);
}

#[test]
fn an_earlier_best_is_kept_until_an_epoch_is_better() {
    let (mut model, mut adam) = (network(), Adam::new(0.01));
    let mut earlier = Checkpoint::new();
    earlier.put_model(&model);
    let before = bytes(&model, &Sgd::new(0.1));
    for (numbers, expected) in [([3.0, 2.0], None), ([3.0, 1.0], Some(1))] {
        let mut best =
            KeepBest::new(|event, _| Ok(numbers[event.epoch])).beating(2.0, earlier.clone());
        let settings = Fit::epochs(2);
        fit(&mut model, &mut adam, &cross_entropy, &circle(100), &settings, &mut [&mut best])
            .unwrap();
        assert_eq!(best.epoch(), expected);
        best.restore(&mut model).unwrap();
        assert_eq!(before == bytes(&model, &Sgd::new(0.1)), expected.is_none());
    }
}

#[test]
fn a_best_that_cannot_be_written_ends_the_training_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent").join("best.safetensors");
    let (mut model, mut adam) = (network(), Adam::new(0.01));
    let mut best = KeepBest::new(|event, _| Ok(event.loss)).in_file(&path);
    let settings = Fit::epochs(6);
    let error =
        fit(&mut model, &mut adam, &cross_entropy, &circle(100), &settings, &mut [&mut best])
            .unwrap_err();
    assert!(error.to_string().contains("best.safetensors"), "{error}");
    assert_eq!(best.values().len(), 1);
}

#[test]
fn clipped_gradients_are_those_of_the_formulas() {
    let model = network();
    let numbers = |i: usize, n: usize| (0..n).map(move |k| ((i + 1) * (k + 3) % 7) as f32 - 3.0);
    let fill = || {
        for (i, (_, p)) in model.named_parameters().iter().enumerate() {
            let values: Vec<f32> = numbers(i, p.elem_count()).collect();
            p.set_grad(Some(Var::constant(Tensor::from_vec(values, p.dims()))));
        }
    };
    let gradients = || -> Vec<f32> {
        let all = model.named_parameters().into_iter();
        all.flat_map(|(_, p)| p.grad().unwrap().value().to_vec::<f32>().unwrap()).collect()
    };
    fill();
    let before = gradients();
    let norm = before.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    let found = clip_grad_norm(&model, 1.5).unwrap();
    assert!((found / norm - 1.0).abs() < 1e-6, "{found} for {norm}");
    for (g, b) in gradients().into_iter().zip(&before) {
        assert!((f64::from(g) - 1.5 * f64::from(*b) / norm).abs() < 1e-6, "{g} from {b}");
    }
    assert!((clip_grad_norm(&model, 10.0).unwrap() - 1.5).abs() < 1e-6, "now it is short enough");

    fill();
    clip_grad_value(&model, 1.0);
    let clamped: Vec<f32> = before.iter().map(|g| g.clamp(-1.0, 1.0)).collect();
    assert_eq!(gradients(), clamped);
    model.zero_grad();
    assert_eq!(clip_grad_norm(&model, 1.0).unwrap(), 0.0, "no gradient, no length");
}

/// Padding that is read would be seen: nothing that comes of a NaN is a number.
#[test]
fn a_training_reads_no_padding() {
    let rng = &mut Rng::new(1);
    let device = Device::cpu();
    let sequences = [3usize, 1, 4, 2].map(|n| rng.normal([n, 2], DType::F32, &device));
    let train = |padding: f64| {
        let data = SequenceDataset::new(sequences.to_vec(), Tensor::from([0, 1, 1, 0]));
        let loader = Loader::new(Arc::new(data.padding(padding)), 2).shuffle(3);
        let rng = &mut Rng::new(2);
        let mut model = Sequential::new()
            .push(Gru::new(2, 4, rng))
            .push(MultiHeadAttention::new(4, 2, rng))
            .push(SequencePool::Mean)
            .push(Linear::new(4, 2, rng));
        let mut history = History::default();
        let settings = Fit { held_out: Some(loader.clone()), ..Fit::epochs(3) };
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut history];
        fit(&mut model, &mut Sgd::new(0.1), &cross_entropy, &loader, &settings, callbacks).unwrap();
        let losses: Vec<f64> =
            history.epochs().iter().flat_map(|e| [e.loss, e.judged_loss()]).collect();
        (losses, evaluate(&model, &loader, 2, &cross_entropy).unwrap().probability)
    };
    let (losses, probability) = train(0.0);
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    assert_eq!(train(f64::NAN), (losses, probability));
}

#[test]
fn means_over_steps_do_not_depend_on_the_batches() {
    let lengths = [1usize, 5, 2, 4, 3];
    let rng = &mut Rng::new(1);
    let inputs = lengths.map(|n| rng.normal([n, 2], DType::F32, &Device::cpu()));
    let targets = lengths.map(|n| Tensor::from_vec((0..n as i32).map(|t| t % 3).collect(), [n]));
    let data = Arc::new(SequenceDataset::tagged(inputs.to_vec(), targets.to_vec(), -1.0));
    let loss = |logits: &Var, targets: &Tensor| {
        let loss = CrossEntropy { ignore_index: Some(-1), ..CrossEntropy::default() };
        loss.of(&logits.reshape([targets.elem_count(), 3]), &targets.flatten())
    };
    let steps = |batch: &Batch| batch.lengths.iter().flatten().sum();
    let train = |batch: usize, accumulate: usize, lr: f64| {
        let loader = Loader::new(data.clone(), batch);
        let mut model = Linear::new(2, 3, &mut Rng::new(1));
        let mut history = History::default();
        let held_out = Some(loader.clone());
        let settings = Fit { terms: Some(steps), accumulate, held_out, ..Fit::epochs(1) };
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut history];
        fit(&mut model, &mut Sgd::new(lr), &loss, &loader, &settings, callbacks).unwrap();
        let epoch = history.epochs()[0];
        [epoch.loss, epoch.judged_loss()]
    };
    let (still, after_a_step) = (train(5, 1, 0.0), train(5, 1, 0.5));
    assert!(still[0] == still[1] && after_a_step[1] < still[1], "{after_a_step:?} from {still:?}");
    for batch in 1..5 {
        // Nothing is learned, and then a single step from all batches.
        for (found, wanted) in [(train(batch, 1, 0.0), still), (train(batch, 5, 0.5), after_a_step)]
        {
            let differ = found.iter().zip(wanted).any(|(a, b)| (a - b).abs() > 1e-6);
            assert!(!differ, "{batch} to a batch: {found:?}, not {wanted:?}");
        }
    }
}

#[test]
fn a_training_that_diverges_ends_and_the_best_epoch_is_there() {
    /// Raises the learning rate beyond all bounds when an epoch is complete.
    struct TooFar(usize);
    impl Callback for TooFar {
        fn on_epoch(
            &mut self,
            event: &EpochEvent,
            training: &mut Training<'_>,
        ) -> Result<Flow, TrainError> {
            if event.epoch == self.0 {
                training.optimizer.set_lr(f64::MAX);
            }
            Ok(Flow::Continue)
        }
    }
    let mut model = network();
    let mut best = KeepBest::new(|event, _| Ok(event.judged_loss()));
    let callbacks: &mut [&mut dyn Callback] = &mut [&mut Divergence, &mut best, &mut TooFar(1)];
    let settings = Fit::epochs(5);
    let mut sgd = Sgd::new(0.1);
    let ended = fit(&mut model, &mut sgd, &cross_entropy, &circle(64), &settings, callbacks);
    assert!(matches!(ended, Err(TrainError::Diverged { epoch: 3, .. })), "{ended:?}");
    best.restore(&mut model).unwrap();
    assert_eq!((best.epoch(), best.values().len()), (Some(1), 2));
    assert!(evaluate(&model, &circle(64), 2, &cross_entropy).unwrap().loss.is_finite());
    // A single batch: its loss is from before the step, and only the parameters tell.
    let (one, mut sgd) = (circle(32), Sgd::new(f64::MAX));
    let callbacks: &mut [&mut dyn Callback] = &mut [&mut Divergence];
    let ended = fit(&mut model, &mut sgd, &cross_entropy, &one, &Fit::epochs(1), callbacks);
    assert!(matches!(ended, Err(TrainError::Diverged { epoch: 1, .. })), "{ended:?}");
}
