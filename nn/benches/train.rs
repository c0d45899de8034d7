//! A quick look while a layer, a loss, an optimiser or the loader is being changed: a training step of a
//! network of each kind, and the parts of a training that a step does not show. Nothing but plies is
//! compiled. How fast that is beside other libraries, and with which optimiser, says `cargo xtask bench
//! train`; figures for others to read come from there.
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
use plies_tensor::{Conv, DType, Device, Pool, Reduce, Rng, Tensor, formula, set_threads};

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

fn steps(bencher: Bencher<'_, '_>, mut model: impl Module, x: Tensor, targets: Tensor) {
    let x = Var::constant(x);
    let mut optimizer = Sgd::new(0.01);
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
fn mlp(bencher: Bencher<'_, '_>, threads: usize) {
    set_threads(threads);
    let (x, targets) = data(BATCH);
    steps(bencher, network(), x, targets);
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
        .push(Flatten::default())
        .push(Linear::new(512, 128, &mut rng))
        .push(Activation::Relu)
        .push(Linear::new(128, 10, &mut rng));
    let (x, targets) = data(BATCH);
    steps(bencher, model, x.reshape([BATCH, 1, 28, 28]), targets);
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

/// Softmax cross-entropy and its gradient, of ten classes and of a vocabulary.
#[divan::bench(args = [[128, 10], [1024, 30_000]])]
fn cross_entropy(bencher: Bencher<'_, '_>, [n, n_classes]: [usize; 2]) {
    set_threads(1);
    let logits = Rng::new(1).normal([n, n_classes], DType::F32, &Device::cpu());
    let targets: Vec<i32> = (0..n).map(|i| (i * 7 % n_classes) as i32).collect();
    let targets = Tensor::from(targets);
    bencher.bench_local(|| {
        loss::cross_entropy(&Var::leaf(logits.clone()), &targets).backward();
    });
}

/// The forward pass as it would be if it wrote nothing: the largest and the sum of exponentials of each row, in
/// two readings; beside [`log_softmax`], which writes.
#[divan::bench(args = [[128, 10], [1024, 30_000]])]
fn sums_of_exponentials(bencher: Bencher<'_, '_>, [n, n_classes]: [usize; 2]) {
    set_threads(1);
    let logits = Rng::new(1).normal([n, n_classes], DType::F32, &Device::cpu());
    bencher.bench_local(|| {
        let most = logits.max(&[-1], true);
        let f = formula!(|x, most| (x - most).exp());
        Tensor::map_reduce(Reduce::Sum, f, &[&logits, &most], &[], &[1], true)
    });
}

#[divan::bench(args = [[128, 10], [1024, 30_000]])]
fn log_softmax(bencher: Bencher<'_, '_>, [n, n_classes]: [usize; 2]) {
    set_threads(1);
    let logits = Rng::new(1).normal([n, n_classes], DType::F32, &Device::cpu());
    bencher.bench_local(|| logits.log_softmax(-1));
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
