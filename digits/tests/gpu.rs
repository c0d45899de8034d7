//! Whole training steps on a graphics processor, which must lead where the CPU's lead. Without one these
//! tests are left out, and say so; with `PLIES_GPU` there must be the one that it names.

use std::sync::Arc;

use plies_autograd::Var;
use plies_gpu::Gpu;
use plies_nn::{
    Activation, BatchNorm, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Mlp, Module, Pass,
    Sequential,
    data::{Loader, TensorDataset},
    loss::cross_entropy,
    optim::{Adam, Clip, Optimizer},
    pretrain::Rbm,
    train::{
        BatchEvent, Callback, EpochEvent, Fit, Flow, Position, Summary, TrainError, Training,
        dead_units, evaluate, fit,
    },
};
use plies_tensor::{Conv, DType, Device, Pool, Rng, Tensor};

fn open() -> Option<Gpu> {
    match Gpu::open_from_env() {
        Ok(gpu) => Some(gpu),
        Err(reason) if std::env::var("PLIES_GPU").is_ok() => panic!("PLIES_GPU: {reason}"),
        Err(reason) => {
            eprintln!("LEFT OUT: {reason}");
            None
        }
    }
}

/// Batches of pictures that can be told apart, and their classes.
fn batch(i: u64, n: usize) -> (Tensor, Tensor) {
    let mut rng = Rng::new(100 + i);
    let classes: Vec<i32> = (0..n).map(|_| rng.below(10) as i32).collect();
    let prototypes = Rng::new(7).normal([10, 784], DType::F32, &Device::cpu());
    let classes = Tensor::from(classes);
    let noise = rng.normal([n, 784], DType::F32, &Device::cpu());
    (prototypes.index_select(0, &classes) + noise * 2.0, classes)
}

/// The loss of each step.
fn train(
    model: &mut dyn Module,
    device: &Device,
    steps: u64,
    n: usize,
    dims: &[usize],
) -> Vec<f64> {
    model.to_device(device).unwrap();
    let mut optimizer = Adam::new(1e-3);
    let mut losses = Vec::new();
    for i in 0..steps {
        let (x, targets) = batch(i, n);
        let x = Var::constant(x.reshape(dims).to_device(device).unwrap());
        let mut pass = Pass::train(Rng::new(i));
        let loss =
            cross_entropy(&model.forward(&x, &mut pass), &targets.to_device(device).unwrap());
        loss.backward();
        losses.push(loss.value().clone());
        drop(loss);
        optimizer.step(model);
        model.zero_grad();
    }
    losses.iter().map(|loss| loss.item().unwrap()).collect()
}

#[track_caller]
fn assert_alike(cpu: &[f64], gpu: &[f64], tolerance: f64) {
    for (step, (a, b)) in cpu.iter().zip(gpu).enumerate() {
        let error = (a - b).abs() / a.abs().max(0.1);
        assert!(error <= tolerance, "step {step}: {b} on the GPU, {a} on the CPU");
    }
    assert!(cpu[cpu.len() - 1] < 0.5 * cpu[0], "nothing was learnt: {cpu:?}");
}

/// With dropout, whose masks are the same on both.
#[test]
fn a_perceptron_is_trained_as_on_the_cpu() {
    let Some(gpu) = open() else { return };
    let build = || {
        Sequential::new()
            .push(Linear::new(784, 64, &mut Rng::new(1)))
            .push(Activation::Relu)
            .push(Dropout::new(0.2))
            .push(Linear::new(64, 10, &mut Rng::new(2)))
    };
    let run = |device: &Device| train(&mut build(), device, 100, 32, &[32, 784]);
    assert_alike(&run(&Device::cpu()), &run(&gpu.device()), 1e-3);
}

/// LeCun, Bottou, Bengio and Haffner (1998), with rectifiers.
#[test]
fn lenet_is_trained_as_on_the_cpu_and_allocates_nothing_after_the_first_steps() {
    let Some(gpu) = open() else { return };
    let build = || {
        Sequential::new()
            .push(Conv2d::new(1, 6, [5, 5], Conv::default(), &mut Rng::new(1)))
            .push(Activation::Relu)
            .push(MaxPool2d(Pool::new(2)))
            .push(Conv2d::new(6, 16, [5, 5], Conv::default(), &mut Rng::new(2)))
            .push(Activation::Relu)
            .push(MaxPool2d(Pool::new(2)))
            .push(Flatten::default())
            .push(Linear::new(256, 84, &mut Rng::new(3)))
            .push(Activation::Relu)
            .push(Linear::new(84, 10, &mut Rng::new(4)))
    };
    let dims = [16, 1, 28, 28];
    let cpu = train(&mut build(), &Device::cpu(), 100, 16, &dims);
    let mut model = build();
    let device = gpu.device();
    assert_alike(&cpu, &train(&mut model, &device, 100, 16, &dims), 2e-2);
    // The optimiser of a training has memory of its own, which the last one has left behind.
    let before = gpu.counters();
    train(&mut model, &device, 20, 16, &dims);
    let after = gpu.counters();
    assert_eq!(after.allocations, before.allocations);
    assert_eq!(after.pipelines, before.pipelines);
}

#[test]
fn an_mlp_that_moves_to_a_device_and_back_is_the_same() {
    let Some(gpu) = open() else { return };
    let mut mlp = Mlp::new(&[784, 20, 10], Activation::Relu, &mut Rng::new(1));
    let before: Vec<Tensor> =
        mlp.named_parameters().into_iter().map(|(_, p)| p.value().clone()).collect();
    mlp.to_device(&gpu.device()).unwrap();
    assert_eq!(mlp.device(), gpu.device());
    mlp.to_device(&Device::cpu()).unwrap();
    for ((name, p), before) in mlp.named_parameters().iter().zip(before) {
        let vec = |t: &Tensor| t.to_vec::<f32>().unwrap();
        assert_eq!(vec(p.value()), vec(&before), "{name}");
    }
}

/// What a training says, and whether it has to say it at once.
struct Watch {
    waits: bool,
    batches: Vec<(usize, f64)>,
    epochs: Vec<[f64; 2]>,
}

impl Callback for Watch {
    fn wants_loss(&mut self, _: &Position) -> bool {
        self.waits
    }

    fn on_batch(&mut self, event: &BatchEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        self.batches.push((event.examples, event.batch_loss));
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, event: &EpochEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        self.epochs.push([event.loss, event.accuracy]);
        Ok(Flow::Continue)
    }
}

#[test]
fn a_training_that_does_not_wait_for_its_losses_comes_to_the_same() {
    let Some(gpu) = open() else { return };
    let (x, classes) = batch(0, 160);
    let loader = Loader::new(Arc::new(TensorDataset::new(x, classes)), 8);
    let run = |waits| {
        let mut model = Mlp::new(&[784, 10], Activation::Relu, &mut Rng::new(1));
        model.to_device(&gpu.device()).unwrap();
        let mut watch = Watch { waits, batches: Vec::new(), epochs: Vec::new() };
        let (mut optimizer, settings) = (Adam::new(1e-3), Fit::epochs(2));
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut watch];
        fit(&mut model, &mut optimizer, &cross_entropy, &loader, &settings, callbacks).unwrap();
        watch
    };
    let [waiting, not] = [true, false].map(run);
    assert_eq!(waiting.epochs, not.epochs);
    let epochs = waiting.batches.chunks(20).zip(not.batches.chunks(20));
    for (waiting, not) in epochs {
        for (i, (examples, loss)) in not.iter().enumerate() {
            // The first is known at once, the others 16 batches later.
            assert_eq!((*examples, *loss), (8 * (i + 1), waiting[i.saturating_sub(16)].1));
        }
    }
}

#[test]
fn bounding_gradients_does_not_wait_for_the_device_and_is_what_the_cpu_does() {
    let Some(gpu) = open() else { return };
    let (x, classes) = batch(0, 32);
    let gradients = |device: &Device, clip: Clip| {
        let mut model = Mlp::new(&[784, 20, 10], Activation::Relu, &mut Rng::new(1));
        model.to_device(device).unwrap();
        let x = Var::constant(x.to_device(device).unwrap());
        let y = model.forward(&x, &mut Pass::eval());
        cross_entropy(&y, &classes.to_device(device).unwrap()).backward();
        device.synchronize().unwrap();
        let before = gpu.counters().submissions;
        clip.apply(&model).unwrap();
        assert_eq!(gpu.counters().submissions, before);
        let gradient = |p: &Var| p.grad().unwrap().value().to_vec::<f32>().unwrap();
        model.named_parameters().iter().flat_map(|(_, p)| gradient(p)).collect::<Vec<_>>()
    };
    for clip in [Clip::Norm(0.5), Clip::Norm(1e9), Clip::Norm(f64::INFINITY), Clip::Value(0.01)] {
        let [cpu, there] = [&Device::cpu(), &gpu.device()].map(|device| gradients(device, clip));
        for (cpu, there) in cpu.iter().zip(&there) {
            assert!((cpu - there).abs() < 1e-6 + 1e-4 * cpu.abs(), "{clip:?}: {there}, not {cpu}");
        }
    }
}

#[test]
fn a_classifier_is_evaluated_as_on_the_cpu_and_each_batch_is_not_waited_for() {
    let Some(gpu) = open() else { return };
    let (x, classes) = batch(0, 200);
    let loader = Loader::new(Arc::new(TensorDataset::new(x, classes)), 8);
    let mut model = Mlp::new(&[784, 10], Activation::Relu, &mut Rng::new(1));
    let cpu = evaluate(&model, &loader, 10, &cross_entropy).unwrap();
    model.to_device(&gpu.device()).unwrap();
    let before = gpu.counters().submissions;
    let there = evaluate(&model, &loader, 10, &cross_entropy).unwrap();
    // To read a batch is to hand over what is recorded, if it is read at once: each number of it.
    assert!(gpu.counters().submissions - before < 2 * loader.batches());
    assert_eq!((there.predicted, there.confusion), (cpu.predicted, cpu.confusion));
    assert!((there.loss - cpu.loss).abs() < 1e-4 * cpu.loss);
    let pairs = there.probability.iter().zip(&cpu.probability);
    assert!(pairs.into_iter().all(|(x, y)| (x - y).abs() < 1e-4));
}

/// What is said of the loss in the README of plies-gpu: passes over memory count, and these orders.
#[test]
fn a_loss_and_its_gradient_are_few_orders() {
    let Some(gpu) = open() else { return };
    let there = |x: Tensor| x.to_device(&gpu.device()).unwrap();
    let logits = there(Rng::new(1).normal([32, 10], DType::F32, &Device::cpu()));
    let targets = there(Tensor::from([3; 32]));
    let before = gpu.counters().dispatches;
    let loss = cross_entropy(&Var::leaf(logits), &targets);
    let forward = gpu.counters().dispatches - before;
    loss.backward();
    let backward = gpu.counters().dispatches - before - forward;
    assert!(forward <= 4 && backward <= 5, "{forward} forward, {backward} backward");
}

#[test]
fn averages_over_all_batches_are_the_cpus_and_do_not_wait_for_the_device() {
    let Some(gpu) = open() else { return };
    let averages = |device: &Device| {
        let mut layer = BatchNorm::new(3).cumulative();
        layer.to_device(device).unwrap();
        let draw = |seed| Rng::new(seed).normal([8, 3, 4, 4], DType::F32, &Device::cpu());
        let batches: Vec<Tensor> = (0..3).map(|i| draw(i).to_device(device).unwrap()).collect();
        device.synchronize().unwrap();
        let before = gpu.counters().submissions;
        for x in batches {
            layer.forward(&Var::constant(x), &mut Pass::train(Rng::new(1)));
        }
        assert_eq!(gpu.counters().submissions, before);
        let number = |x: &Tensor| x.to_dtype(DType::F32).to_vec::<f32>().unwrap();
        layer.named_buffers().iter().flat_map(|(_, x)| number(x)).collect::<Vec<f32>>()
    };
    let [cpu, there] = [Device::cpu(), gpu.device()].map(|device| averages(&device));
    assert_eq!((cpu.len(), there[6]), (7, 3.0));
    assert!(cpu.iter().zip(&there).all(|(x, y)| (x - y).abs() < 1e-5), "{there:?}, not {cpu:?}");
}

/// Not every device has F64, in which they count.
#[test]
fn what_looks_at_numbers_sees_them_on_a_device() {
    let Some(gpu) = open() else { return };
    let look = |device: &Device| {
        let x = Rng::new(1).normal([6, 8], DType::F32, &Device::cpu()).to_device(device).unwrap();
        let (mut relu, mut machine) = (Activation::Relu, Rbm::binary(8, 3, &mut Rng::new(2)));
        machine.to_device(device).unwrap();
        relu.to_device(device).unwrap();
        let y = relu.forward(&Var::constant(x.clone()), &mut Pass::eval());
        let Summary { norm, mean, .. } = Summary::of(&x).unwrap();
        [norm, mean, dead_units(y.value()).unwrap(), machine.log_likelihood(&x).unwrap()]
    };
    let [cpu, there] = [Device::cpu(), gpu.device()].map(|device| look(&device));
    let is_near = |(x, y): (&f64, &f64)| (x - y).abs() < 1e-5 * x.abs().max(1.0);
    assert!(cpu.iter().zip(&there).all(is_near), "{there:?}, not {cpu:?}");
}
