//! What looks on while a model is trained: logs, checkpoints, statistics, the search for a learning rate.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use plies_nn::data::{Loader, TensorDataset};
use plies_nn::loss::cross_entropy;
use plies_nn::optim::{Adam, Ema, Lazy, Optimizer, ParameterGroups, Sgd};
use plies_nn::train::{
    BatchEvent, Callback, Checkpoints, CsvLog, EarlyStopping, Fit, Flow, KeepBest, LrSweep,
    Plateau, Report, Statistics, Subject, TrainError, Training, dead_units, find_lr, fit,
};
use plies_nn::{
    Activation, BatchNorm, Checkpoint, Dropout, Embedding, Linear, Module, Pass, Probe, Sequential,
    Var,
};
use plies_tensor::{DType, Device, Rng, Tensor};

/// Two classes in batches of 16, the last of 4.
fn loader(n: usize) -> Loader {
    let x = Rng::new(1).uniform([n, 2], DType::F32, &Device::cpu()) * 2.0 - 1.0;
    let rows = x.to_vec::<f32>().unwrap();
    let targets: Vec<i32> =
        rows.chunks(2).map(|p| i32::from(p[0] * p[0] + p[1] * p[1] < 0.5)).collect();
    Loader::new(Arc::new(TensorDataset::new(x, Tensor::from(targets))), 16).shuffle(5)
}

fn network() -> Sequential {
    let mut rng = Rng::new(2);
    Sequential::new()
        .push(Linear::new(2, 16, &mut rng))
        .push(BatchNorm::new(16))
        .push(Probe::new(Activation::Relu))
        .push(Dropout::new(0.1))
        .push(Linear::new(16, 2, &mut rng))
}

fn train(settings: &Fit, callbacks: &mut [&mut dyn Callback]) -> Result<Report, TrainError> {
    let (mut model, mut adam) = (network(), Adam::new(0.01));
    fit(&mut model, &mut adam, &cross_entropy, &loader(100), settings, callbacks)
}

/// Stops after a batch.
struct StopAt(u64);

impl Callback for StopAt {
    fn on_batch(&mut self, event: &BatchEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        Ok(if event.iteration == self.0 { Flow::Stop } else { Flow::Continue })
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_held_out_examples_are_measured_by_the_model_after_the_epoch() {
    let mut found = Vec::new();
    let mut best = KeepBest::new(|event, model| {
        let mut sum = 0.0;
        for batch in loader(50).epoch(0) {
            let n = batch.len() as f64;
            let logits = model.forward(&Var::constant(batch.inputs), &mut Pass::eval());
            sum += cross_entropy(&logits, &batch.targets).value().item()? * n;
        }
        found.push((event.held_out.unwrap(), sum / 50.0));
        Ok(event.judged_loss())
    });
    let settings = Fit { held_out: Some(loader(50)), ..Fit::epochs(3) };
    train(&settings, &mut [&mut best]).unwrap();
    let values = best.values().to_vec();
    drop(best);
    for ((means, expected), value) in found.into_iter().zip(values) {
        assert_eq!((means.loss, value), (expected, expected));
        assert!((0.0..=1.0).contains(&means.accuracy));
    }
}

#[test]
fn checkpoints_come_when_they_are_due_and_at_the_end_and_the_newest_are_kept() {
    let name = |iteration: u64| format!("iteration-{iteration:08}.safetensors");
    // Seven batches in an epoch; stopped in the fourth batch of the third.
    type Every = fn(Checkpoints) -> Checkpoints;
    let rows: [(Every, &[u64]); 5] = [
        (|c| c, &[7, 14, 18]),
        (|c| c.every_epochs(2), &[14, 18]),
        (|c| c.every_batches(5).keep(usize::MAX), &[5, 10, 15, 18]),
        (|c| c.every_batches(6).keep(2), &[12, 18]),
        (|c| c.keep(0), &[18]),
    ];
    for (every, expected) in rows {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let mut settings = Checkpoint::new();
        settings.set_architecture("2-16-2");
        let mut checkpoints = every(Checkpoints::new(&folder)).with(settings);
        assert!(checkpoints.newest().unwrap().is_none());
        train(&Fit::epochs(4), &mut [&mut StopAt(18), &mut checkpoints]).unwrap();
        let expected: Vec<String> = expected.iter().map(|&iteration| name(iteration)).collect();
        assert_eq!(names(&folder), expected);
        let newest = checkpoints.newest().unwrap().unwrap();
        newest.check_architecture("2-16-2").unwrap();
        newest.load_model(&mut network()).unwrap();
        assert_eq!(newest.epoch().unwrap(), 2);
    }
}

#[test]
fn a_folder_with_checkpoints_of_more_is_not_begun_in_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(folder.path());
    train(&Fit::epochs(2), &mut [&mut checkpoints]).unwrap();
    let error = train(&Fit::epochs(2), &mut [&mut checkpoints]).unwrap_err().to_string();
    assert!(error.contains("has 14 batches behind it, this one 0"), "{error}");
    fs::write(folder.path().join("iteration-00000020.safetensors"), "damaged").unwrap();
    let error = checkpoints.newest().unwrap_err().to_string();
    assert!(error.contains("iteration-00000020.safetensors: "), "{error}");
}

/// A checkpoint after the tenth batch of a training, the third of its second epoch.
fn checkpoint() -> Checkpoint {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(folder.path());
    let stopping = &mut EarlyStopping::new(2, 0.0);
    train(&Fit::epochs(2), &mut [&mut StopAt(10), stopping, &mut checkpoints]).unwrap();
    checkpoints.newest().unwrap().unwrap()
}

/// A table of which a batch reads a few rows, three batches to a step: resumed after every batch, between
/// steps too, when the gradient of the table is some of its rows.
#[test]
fn a_training_is_resumed_from_each_of_its_checkpoints_and_ends_alike() {
    let tokens: Vec<i32> = (0..40).map(|i| i * 7 % 50).collect();
    let targets: Vec<i32> = tokens.iter().map(|token| token % 2).collect();
    let data = TensorDataset::new(Tensor::from(tokens), Tensor::from(targets));
    let loader = Loader::new(Arc::new(data), 8).shuffle(1);
    let run = |folder: &Path, resume: Option<Checkpoint>| {
        let mut rng = Rng::new(2);
        let mut model = Sequential::new()
            .push(Embedding::new(50, 4, &mut rng))
            .push(Dropout::new(0.1))
            .push(Linear::new(4, 2, &mut rng));
        let mut optimizer = ParameterGroups::new(Adam::new(0.01))
            .group(|name, _| name.starts_with("0."), Lazy(Adam::new(0.02)));
        let mut checkpoints = Checkpoints::new(folder).every_batches(1).keep(usize::MAX);
        let settings = Fit { accumulate: 3, resume, ..Fit::epochs(2) };
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut checkpoints];
        fit(&mut model, &mut optimizer, &cross_entropy, &loader, &settings, callbacks).unwrap();
        fs::read(folder.join("iteration-00000010.safetensors")).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = run(folder.path(), None);
    let mut with_rows = 0;
    for name in names(folder.path()) {
        let checkpoint = Checkpoint::load(&folder.path().join(&name)).unwrap();
        with_rows += usize::from(checkpoint.tensors().contains_key("training.rows.0.weight"));
        let again = tempfile::tempdir().unwrap();
        assert!(run(again.path(), Some(checkpoint)) == whole, "{name}");
    }
    assert_eq!(with_rows, 6, "after batches 1, 2, 4 of both epochs");
}

#[test]
fn what_does_not_fit_a_training_that_is_resumed_is_named() {
    let good = checkpoint();
    let resumed = |resume: Checkpoint, loader: &Loader| {
        let (mut model, mut adam) = (network(), Adam::new(0.01));
        let settings = Fit { resume: Some(resume), ..Fit::epochs(2) };
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut EarlyStopping::new(2, 0.0)];
        fit(&mut model, &mut adam, &cross_entropy, loader, &settings, callbacks)
    };
    assert_eq!(resumed(good.clone(), &loader(100)).unwrap().examples, 100 - 48);
    let error = resumed(good.clone(), &loader(50)).unwrap_err().to_string();
    assert!(error.contains("in the middle of an epoch of batches 7, here it is 4"), "{error}");
    for (key, value, part) in [
        ("epoch", "x", "epoch \"x\" is no such number"),
        ("training.batch", "-1", "batch \"-1\" is no such number"),
        ("training.sums.loss", "", "loss \"\" is no such number"),
        ("training.callback.0.waited", "1.5", "waited \"1.5\" is no such number"),
    ] {
        let mut damaged = good.clone();
        damaged.set(key, value);
        let error = resumed(damaged, &loader(100)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let mut damaged = good.clone();
    damaged.insert("training.gradient.0.bias", Tensor::from([1f32]));
    let error = resumed(damaged.clone(), &loader(100)).unwrap_err().to_string();
    assert!(error.contains("gradient 0.bias is f32 [1], this model needs f32 [16]"), "{error}");
    for rows in [Tensor::from([16]), Tensor::from([-1]), Tensor::from([0f32]), Tensor::scalar(0)] {
        damaged.insert("training.rows.0.bias", rows);
        let error = resumed(damaged.clone(), &loader(100)).unwrap_err().to_string();
        assert!(error.contains("gradient 0.bias is not of rows of its parameter"), "{error}");
    }
    let settings = Fit { resume: Some(good), ..Fit::epochs(2) };
    let error = train(&settings, &mut [&mut CsvLog::new("")]).unwrap_err().to_string();
    assert!(
        error.contains("holds what callbacks remember: EarlyStopping; here are none"),
        "{error}"
    );
    // Two that remember the same kind of things, in another order.
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(folder.path());
    let (mut stopping, mut plateau) = (EarlyStopping::new(2, 0.0), Plateau::new(0.5, 0));
    train(&Fit::epochs(1), &mut [&mut stopping, &mut plateau, &mut checkpoints]).unwrap();
    let settings = Fit { resume: checkpoints.newest().unwrap(), ..Fit::epochs(2) };
    let error = train(&settings, &mut [&mut plateau, &mut stopping]).unwrap_err().to_string();
    let parts = "remember: EarlyStopping, Plateau; here are Plateau, EarlyStopping";
    assert!(error.contains(parts), "{error}");
    train(&settings, &mut [&mut stopping, &mut plateau]).unwrap();
    let mut model_only = Checkpoint::new();
    model_only.put_model(&network());
    assert!(resumed(model_only, &loader(100)).unwrap_err().to_string().contains("no batch"));
}

#[test]
fn callbacks_take_up_what_they_remembered() {
    let mut optimizer = Sgd::new(0.5);
    let mut stopping = EarlyStopping::new(1, 0.0);
    let mut plateau = Plateau::new(0.5, 0);
    for loss in [0.1, 0.3] {
        stopping.observe(loss);
        plateau.observe(loss, &mut optimizer);
    }
    let through_file = |state: Option<Checkpoint>| {
        Checkpoint::from_bytes(&state.unwrap().to_bytes().unwrap(), "memory").unwrap()
    };
    let mut fresh = EarlyStopping::new(1, 0.0);
    fresh.load_state(&through_file(stopping.state())).unwrap();
    assert_eq!(fresh.observe(0.1), (false, Flow::Stop));
    let mut fresh = Plateau::new(0.5, 0);
    fresh.load_state(&through_file(plateau.state())).unwrap();
    let (mut model, mut resumed) = (network(), Sgd::new(0.5));
    let settings = Fit::epochs(0);
    fit(&mut model, &mut resumed, &cross_entropy, &loader(100), &settings, &mut [&mut fresh])
        .unwrap();
    assert_eq!((Optimizer::lr(&optimizer), Optimizer::lr(&resumed)), (0.25, 0.25));

    let mut best = KeepBest::new(|event, _| Ok([2.0, 1.0, 3.0][event.epoch])).stop_after(1, 0.0);
    train(&Fit::epochs(3), &mut [&mut best]).unwrap();
    let state = best.state();
    let mut fresh = KeepBest::new(|_, _| Ok(4.0)).stop_after(1, 0.0);
    fresh.load_state(&through_file(state)).unwrap();
    assert_eq!((fresh.epoch(), fresh.values()), (Some(1), &[2.0, 1.0, 3.0][..]));
    let bytes = |best: &KeepBest| best.checkpoint().unwrap().to_bytes().unwrap();
    assert!(bytes(&fresh) == bytes(&best));
    let report = train(&Fit { epochs: 3..9, ..Fit::epochs(0) }, &mut [&mut fresh]).unwrap();
    assert_eq!(report.epochs, 4, "one epoch that was no better was before");
}

#[test]
fn an_epoch_is_finished_as_it_was_begun_and_the_next_may_be_another() {
    let good = checkpoint();
    let resumed = |resume: &Checkpoint, loader: Loader, settings: Fit| {
        let (mut model, mut adam) = (network(), Adam::new(0.01));
        let settings = Fit { resume: Some(resume.clone()), ..settings };
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut EarlyStopping::new(2, 0.0)];
        let report = fit(&mut model, &mut adam, &cross_entropy, &loader, &settings, callbacks);
        report.map(|report| report.examples).map_err(|error| error.to_string())
    };
    let two = || Fit::epochs(2);
    let rows = [
        (loader(100), Fit { accumulate: 3, ..two() }, "accumulate 1, here it is 3; an epoch"),
        (loader(100), Fit { seed: 5, ..two() }, "seed 0, here it is 5; an epoch"),
        (loader(100).shuffle(6), two(), "batch_size=16 shuffle=5 bucket=0 drop_last=false"),
        (loader(98), two(), "loader examples=100 batch_size=16"),
        (loader(98), two(), "here it is examples=98 batch_size=16"),
    ];
    for (loader, settings, part) in rows {
        let error = resumed(&good, loader, settings).unwrap_err();
        assert!(error.contains("was saved in the middle of an epoch of ") && error.contains(part));
    }
    // Two epochs of 7 batches, then one of 4, in the same folder.
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(folder.path());
    train(&Fit::epochs(2), &mut [&mut checkpoints]).unwrap();
    let settings = Fit { resume: checkpoints.newest().unwrap(), seed: 5, ..Fit::epochs(3) };
    let (mut model, mut adam) = (network(), Adam::new(0.01));
    let callbacks: &mut [&mut dyn Callback] = &mut [&mut checkpoints];
    fit(&mut model, &mut adam, &cross_entropy, &loader(50), &settings, callbacks).unwrap();
    assert_eq!(names(folder.path()).last().unwrap(), "iteration-00000018.safetensors");
}

#[test]
fn a_resumed_training_that_is_refused_changes_nothing() {
    let stored = |model: &Sequential, optimizer: &Adam| {
        let mut checkpoint = Checkpoint::new();
        checkpoint.put_model(model);
        checkpoint.put_optimizer(optimizer);
        checkpoint.to_bytes().unwrap()
    };
    let good = checkpoint();
    let mut damaged = [good.clone(), good.clone(), good.clone(), good];
    damaged[0].insert("training.gradient.0.bias", Tensor::from([1f32]));
    damaged[1].set("training.callback.0.waited", "x");
    damaged[2].insert("optimizer.exp_avg.0.bias", Tensor::from([1f32]));
    damaged[3].set("optimizer", "sgd");
    for checkpoint in damaged {
        let (mut model, mut adam) = (network(), Adam::new(0.01));
        let before = stored(&model, &adam);
        let settings = Fit { resume: Some(checkpoint), ..Fit::epochs(2) };
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut EarlyStopping::new(2, 0.0)];
        fit(&mut model, &mut adam, &cross_entropy, &loader(100), &settings, callbacks).unwrap_err();
        assert!(stored(&model, &adam) == before);
    }
}

/// Three batches to a step: the checkpoint that is gone on from holds gradients, the next ones do not.
#[test]
fn what_is_saved_beside_an_earlier_checkpoint_holds_nothing_of_its_training() {
    let run = |folder: &Path, stop: u64| {
        let mut checkpoints = Checkpoints::new(folder).every_batches(1);
        let newest = checkpoints.newest().unwrap();
        if let Some(newest) = &newest {
            checkpoints = checkpoints.with(newest.clone());
        }
        let settings = Fit { accumulate: 3, resume: newest, ..Fit::epochs(1) };
        train(&settings, &mut [&mut StopAt(stop), &mut checkpoints]).unwrap();
        checkpoints.newest().unwrap().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let has_gradients = |checkpoint: &Checkpoint| {
        checkpoint.tensors().keys().any(|name| name.starts_with("training.gradient."))
    };
    assert!(has_gradients(&run(folder.path(), 2)));
    assert!(!has_gradients(&run(folder.path(), 3)));
    let whole = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), 7).to_bytes().unwrap() == run(whole.path(), 7).to_bytes().unwrap());
}

#[test]
fn a_process_that_is_slower_than_another_keeps_the_checkpoint_that_it_has_written() {
    let folder = tempfile::tempdir().unwrap();
    struct Faster<'a>(&'a Path);
    impl Callback for Faster<'_> {
        fn on_batch(&mut self, _: &BatchEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
            for i in 90..94 {
                fs::write(self.0.join(format!("iteration-000000{i}.safetensors")), "").unwrap();
            }
            Ok(Flow::Continue)
        }
    }
    let mut checkpoints = Checkpoints::new(folder.path()).keep(2);
    train(&Fit::epochs(1), &mut [&mut Faster(folder.path()), &mut checkpoints]).unwrap();
    let found = [7, 92, 93].map(|i| format!("iteration-000000{i:02}.safetensors"));
    assert_eq!(names(folder.path()), found);
}

/// No user may write there.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_in_which_nothing_can_be_written_is_noticed_before_the_first_epoch() {
    let mut history = plies_nn::train::History::default();
    let error = train(&Fit::epochs(1), &mut [&mut history, &mut Checkpoints::new("/proc/self")]);
    assert!(error.unwrap_err().to_string().starts_with("/proc/self: "));
    assert!(history.epochs().is_empty());
}

#[test]
fn the_log_of_an_earlier_training_is_whole_if_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, mut checkpoints) =
        (CsvLog::new(folder.path().join("log.csv")), Checkpoints::new(folder.path()));
    train(&Fit::epochs(2), &mut [&mut log, &mut checkpoints]).unwrap();
    let text = || fs::read_to_string(folder.path().join("log.csv")).unwrap();
    let before = text();
    train(&Fit::epochs(1), &mut [&mut log, &mut checkpoints]).unwrap_err();
    assert_eq!(text(), before);
    // One that is not refused begins the file anew with its first row.
    train(&Fit::epochs(1), &mut [&mut log]).unwrap();
    assert_eq!(text().lines().count(), 2);
}

#[test]
fn a_panic_leaves_the_learning_rate_no_gradients_and_the_parameters_in_their_place() {
    #[derive(Clone, Copy)]
    struct Falls {
        in_an_epoch: bool,
    }
    impl Callback for Falls {
        fn on_batch(&mut self, _: &BatchEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
            assert!(!self.in_an_epoch, "on purpose");
            Ok(Flow::Continue)
        }
    }
    for in_an_epoch in [true, false] {
        let (mut model, mut ema) = (network(), Ema::new(Adam::new(0.5), 0.9));
        let settings = Fit { warm_up: 100, ..Fit::epochs(1) };
        let run = std::panic::AssertUnwindSafe(|| {
            let mut best = KeepBest::new(|_, _| panic!("on purpose"));
            let callbacks: &mut [&mut dyn Callback] = &mut [&mut Falls { in_an_epoch }, &mut best];
            fit(&mut model, &mut ema, &cross_entropy, &loader(100), &settings, callbacks)
        });
        std::panic::catch_unwind(run).unwrap_err();
        assert_eq!((ema.lr(), ema.shows_averages()), (0.5, Some(false)));
        model.for_each_parameter(&mut |_, p| assert!(p.grad().is_none()));
    }
}

#[test]
fn a_best_epoch_that_there_is_not_is_not_gone_back_to() {
    let mut best = KeepBest::new(|_, _| Ok(f64::NAN));
    best.restore(&mut network()).unwrap();
    train(&Fit::epochs(2), &mut [&mut best]).unwrap();
    let error = best.restore(&mut network()).unwrap_err().to_string();
    assert_eq!(error, "keep_best: of 2 epochs none is the best, all measure NaN");
}

#[test]
fn a_log_of_something_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    let run = |log: &mut CsvLog| train(&Fit::epochs(1), &mut [log]);
    fs::write(&path, "Dear Ada,\n").unwrap();
    let error = run(&mut CsvLog::new(&path)).unwrap_err().to_string();
    assert!(error.contains("log.csv: is no log with the columns"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "Dear Ada,\n");
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        run(&mut CsvLog::new(&path).every_batches(3)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!((rows.len(), rows[0]), (3, "iteration,epoch,lr,loss"));
        assert!(rows[1].starts_with("3,0,0.01,") && rows[2].starts_with("6,0,0.01,"), "{text}");
    }
    let error = run(&mut CsvLog::new(folder.path())).unwrap_err().to_string();
    assert!(error.ends_with("not a regular file"), "{error}");
}

#[test]
fn statistics_name_every_tensor_and_see_dead_units() {
    let mut statistics = Statistics::every_batches(7);
    let (mut model, mut sgd) = (network(), Sgd::new(0.1));
    let settings = Fit::epochs(2);
    fit(&mut model, &mut sgd, &cross_entropy, &loader(100), &settings, &mut [&mut statistics])
        .unwrap();
    let of = |subject: Subject| {
        let all = statistics.all().iter().filter(move |s| s.iteration == 14);
        let named = all.filter(move |s| s.subject == subject).map(|s| s.name.as_str());
        named.collect::<Vec<_>>()
    };
    let parameters: Vec<String> = model.named_parameters().into_iter().map(|(n, _)| n).collect();
    assert_eq!((of(Subject::Parameter), of(Subject::Gradient)), {
        let names: Vec<&str> = parameters.iter().map(String::as_str).collect();
        (names.clone(), names)
    });
    assert_eq!(of(Subject::Activation), ["2.output"]);
    // At the last batch the parameters are those of the end.
    let last = statistics.all().iter().rfind(|s| s.name == "4.weight").unwrap();
    assert_eq!(last.subject, Subject::Gradient);
    let parameter =
        statistics.all().iter().rfind(|s| s.name == "4.weight" && s.subject == Subject::Parameter);
    let weight = model.named_parameters()[4].1.to_vec::<f32>().unwrap();
    let norm = weight.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
    assert!((parameter.unwrap().summary.norm / norm - 1.0).abs() < 1e-12);

    // Biases far below 0: nothing comes through.
    let bias = Tensor::full([16], -100.0, DType::F32, &Device::cpu());
    let weight = Tensor::ones([16, 2], DType::F32, &Device::cpu());
    let dead = Sequential::new()
        .push(Linear::from_weights(weight, Some(bias)))
        .push(Probe::new(Activation::Relu));
    let batch = loader(100).epoch(0).next().unwrap();
    dead.forward(&Var::constant(batch.inputs), &mut Pass::eval());
    let mut share = None;
    dead.for_each_activation(&mut |_, output| share = Some(dead_units(output).unwrap()));
    assert_eq!(share, Some(1.0));
}

#[test]
fn a_probe_changes_nothing() {
    let plain = || Linear::new(3, 2, &mut Rng::new(1));
    let (layer, mut probe) = (plain(), Probe::new(plain()));
    let names = |model: &dyn Module| {
        model.named_parameters().into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names(&layer), names(&probe));
    let x = Var::constant(Tensor::from([[1f32, 2.0, 3.0]]));
    let forward = |model: &dyn Module| model.forward(&x, &mut Pass::eval()).to_vec::<f32>();
    assert_eq!(forward(&layer).unwrap(), forward(&probe).unwrap());
    let mut checkpoint = Checkpoint::new();
    checkpoint.put_model(&layer);
    checkpoint.load_model(&mut probe).unwrap();
}

#[test]
fn the_search_for_a_learning_rate_leaves_everything_as_it_was() {
    type Make = fn() -> Box<dyn Optimizer>;
    let optimizers: [Make; 3] = [
        || Box::new(Adam::adamw(0.003, 0.1)),
        || Box::new(Sgd::new(0.003).momentum(0.9)),
        || Box::new(Sgd::new(0.003)),
    ];
    for make in optimizers {
        let (mut model, mut optimizer) = (network(), make());
        let run = |model: &mut Sequential, optimizer: &mut dyn Optimizer| {
            fit(model, optimizer, &cross_entropy, &loader(100), &Fit::epochs(1), &mut []).unwrap();
        };
        let bytes = |model: &Sequential, optimizer: &dyn Optimizer| {
            let mut checkpoint = Checkpoint::new();
            checkpoint.put_model(model);
            checkpoint.put_optimizer(optimizer);
            checkpoint.to_bytes().unwrap()
        };
        // Once with nothing behind it, once in the middle of a training with a gradient.
        for _ in 0..2 {
            let before = bytes(&model, optimizer.as_ref());
            let gradient = model.named_parameters()[0].1.grad().map(|g| g.to_vec::<f32>().unwrap());
            let sweep = LrSweep { steps: 50, ..LrSweep::default() };
            let curve =
                find_lr(&mut model, optimizer.as_mut(), &cross_entropy, &loader(100), &sweep)
                    .unwrap();
            assert!((10..=50).contains(&curve.points.len()), "{}", curve.points.len());
            assert!(before == bytes(&model, optimizer.as_ref()), "{}", optimizer.describe());
            assert_eq!(optimizer.lr(), 0.003);
            let after = model.named_parameters()[0].1.grad().map(|g| g.to_vec::<f32>().unwrap());
            assert_eq!(gradient, after);
            run(&mut model, optimizer.as_mut());
            let batch = loader(100).epoch(0).next().unwrap();
            let logits = model.forward(&Var::constant(batch.inputs), &mut Pass::eval());
            cross_entropy(&logits, &batch.targets).backward();
        }
    }
}

/// Layers wide enough to be shared among threads.
#[test]
fn a_training_does_not_depend_on_the_number_of_threads() {
    let _turn = crate::threads::Turn::take();
    let run = |threads: usize| {
        plies_tensor::set_threads(threads);
        let folder = tempfile::tempdir().unwrap();
        let x = Rng::new(1).normal([300, 64], DType::F32, &Device::cpu());
        let targets: Vec<i32> = (0..300).map(|i| i % 10).collect();
        let data = TensorDataset::new(x, Tensor::from(targets));
        let loader = Loader::new(Arc::new(data), 128).shuffle(3);
        let mut rng = Rng::new(4);
        let mut model = Sequential::new()
            .push(Linear::new(64, 700, &mut rng))
            .push(BatchNorm::new(700))
            .push(Activation::Gelu)
            .push(Dropout::new(0.2))
            .push(Linear::new(700, 10, &mut rng));
        let mut checkpoints = Checkpoints::new(folder.path());
        let settings = Fit { held_out: Some(loader.clone()), ..Fit::epochs(2) };
        let mut best = KeepBest::new(|event, _| Ok(event.judged_loss()));
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut best, &mut checkpoints];
        let mut adam = Adam::new(0.01);
        fit(&mut model, &mut adam, &cross_entropy, &loader, &settings, callbacks).unwrap();
        checkpoints.newest().unwrap().unwrap().to_bytes().unwrap()
    };
    assert!(run(1) == run(2));
}

#[test]
fn nested_checkpoints_come_back_and_are_no_part_of_the_model() {
    let mut inner = Checkpoint::new();
    inner.set("step", "3");
    inner.insert("weight", Tensor::from([1f32]));
    let mut outer = Checkpoint::new();
    outer.put_model(&network());
    outer.nest("training", &inner);
    outer.set("trainings", "2");
    let outer = Checkpoint::from_bytes(&outer.to_bytes().unwrap(), "memory").unwrap();
    outer.load_model(&mut network()).unwrap();
    let mut found = outer.nested("training");
    assert_eq!(found.to_bytes().unwrap(), inner.to_bytes().unwrap());
    assert!(outer.nested("train").is_empty());
    // What was nested before is gone, and what only begins alike is not.
    found.insert("bias", Tensor::from([2f32]));
    let mut again = outer.clone();
    again.nest("training", &found);
    again.nest("training", &Checkpoint::new());
    assert!(again.nested("training").is_empty());
    assert_eq!(again.get("trainings"), Some("2"));
}
