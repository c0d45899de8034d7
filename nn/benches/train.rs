//! A training step of a small network, in examples per second.
//!
//! `cargo bench -p plies-nn --bench train -- --max-time 2`

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use plies_autograd::Var;
use plies_nn::data::{Loader, TensorDataset};
use plies_nn::optim::{Adam, Optimizer, Sgd};
use plies_nn::{
    Activation, Conv2d, Flatten, Linear, MaxPool2d, Mlp, Module, Pass, Sequential, loss,
};
use plies_tensor::{Conv, DType, Device, Pool, Rng, Tensor, set_threads};

const BATCH: usize = 64;
const SIZES: &[usize] = &[784, 512, 512, 10];

fn main() {
    divan::main();
}

fn data(n: usize) -> (Tensor, Tensor) {
    let x = Rng::new(1).uniform([n, SIZES[0]], DType::F32, &Device::cpu());
    let targets: Vec<i32> = (0..n as i32).map(|i| i % 10).collect();
    (x, Tensor::from(targets))
}

fn network() -> Mlp {
    Mlp::new(SIZES, Activation::Relu, &mut Rng::new(2))
}

fn steps(bencher: Bencher<'_, '_>, model: Mlp, optimizer: impl Optimizer) {
    let (x, targets) = data(BATCH);
    steps_on(bencher, model, x, targets, optimizer);
}

fn steps_on(
    bencher: Bencher<'_, '_>,
    mut model: impl Module,
    x: Tensor,
    targets: Tensor,
    mut optimizer: impl Optimizer,
) {
    let x = Var::constant(x);
    let mut rng = Rng::new(3);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let logits = model.forward(&x, &mut Pass::train(rng.split()));
        loss::cross_entropy(&logits, &targets).backward();
        drop(logits);
        optimizer.step(&mut model);
        model.zero_grad();
    });
}

#[divan::bench(args = [1, 2])]
fn sgd(bencher: Bencher<'_, '_>, threads: usize) {
    set_threads(threads);
    steps(bencher, network(), Sgd::new(0.01));
}

/// LeNet: two convolutions, each halved by its maxima, and two affine layers.
#[divan::bench(args = [1, 2])]
fn lenet(bencher: Bencher<'_, '_>, threads: usize) {
    set_threads(threads);
    let mut rng = Rng::new(2);
    let model = Sequential::new()
        .push(Conv2d::new(1, 16, [5, 5], Conv::default(), &mut rng))
        .push(Activation::Relu)
        .push(MaxPool2d(Pool::new(2)))
        .push(Conv2d::new(16, 32, [5, 5], Conv::default(), &mut rng))
        .push(Activation::Relu)
        .push(MaxPool2d(Pool::new(2)))
        .push(Flatten)
        .push(Linear::new(512, 128, &mut rng))
        .push(Activation::Relu)
        .push(Linear::new(128, 10, &mut rng));
    let (x, targets) = data(BATCH);
    steps_on(bencher, model, x.reshape([BATCH, 1, 28, 28]), targets, Sgd::new(0.01));
}

#[divan::bench(args = [1, 2])]
fn adam(bencher: Bencher<'_, '_>, threads: usize) {
    set_threads(threads);
    steps(bencher, network(), Adam::new(0.001));
}

#[divan::bench(args = [1, 2])]
fn adam_with_dropout(bencher: Bencher<'_, '_>, threads: usize) {
    set_threads(threads);
    steps(bencher, network().dropout(0.0, 0.2), Adam::new(0.001));
}

/// The step of the optimiser alone, 670 000 parameters.
#[divan::bench(args = [1, 2])]
fn adam_update(bencher: Bencher<'_, '_>, threads: usize) {
    set_threads(threads);
    let mut model = network();
    let (x, targets) = data(BATCH);
    let logits = model.forward(&Var::constant(x), &mut Pass::eval());
    loss::cross_entropy(&logits, &targets).backward();
    drop(logits);
    let mut optimizer = Adam::new(0.001);
    bencher
        .counter(ItemsCount::new(model.parameter_count()))
        .bench_local(|| optimizer.step(&mut model));
}

/// Batches made by the loader's thread, taken as fast as they come.
#[divan::bench]
fn loader(bencher: Bencher<'_, '_>) {
    const N: usize = 10_000;
    let (x, targets) = data(N);
    let loader = Loader::new(Arc::new(TensorDataset::new(x, targets)), BATCH).shuffle(1);
    bencher
        .counter(ItemsCount::new(N))
        .bench_local(|| loader.epoch(0).map(|b| b.len()).sum::<usize>());
}
