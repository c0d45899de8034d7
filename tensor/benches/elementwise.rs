//! Element-wise functions and reductions over a million F32, and what fusing saves.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use plies_tensor::{DType, Device, Elementwise, Formula, Rng, Tensor, formula, set_threads};

const N: usize = 1_000_000;

fn main() {
    // One thread, so that figures are those of the loops; results are the same with more.
    set_threads(1);
    divan::main();
}

fn numbers() -> Tensor {
    Rng::new(1).normal([1000, 1000], DType::F32, &Device::cpu())
}

type Row = (&'static str, fn(&Tensor) -> Tensor);

const FUNCTIONS: [Row; 13] = [
    ("relu", |x| x.relu()),
    ("exp", |x| x.exp()),
    ("ln", |x| x.ln()),
    ("tanh", |x| x.tanh()),
    ("erf", |x| x.erf()),
    ("sin", |x| x.sin()),
    ("powf", |x| x.abs().powf(1.7)),
    ("sigmoid", |x| x.sigmoid()),
    ("gelu", |x| x.gelu()),
    ("sum_all", |x| x.sum_all()),
    ("sum_rows", |x| x.sum(&[0], false)),
    ("max_of_two_rows", |x| x.reshape([250, 2, 2000]).max(&[1], false)),
    ("softmax", |x| x.softmax(-1)),
];

#[divan::bench(args = FUNCTIONS.map(|(name, _)| name))]
fn function(bencher: Bencher, name: &str) {
    let x = numbers();
    if let Some((_, f)) = FUNCTIONS.iter().find(|(n, _)| *n == name) {
        bencher.counter(ItemsCount::new(N)).bench_local(|| f(black_box(&x)));
    }
}

#[divan::bench]
fn random_uniform(bencher: Bencher) {
    let mut rng = Rng::new(1);
    let bencher = bencher.counter(ItemsCount::new(N));
    bencher.bench_local(|| rng.uniform([1000, 1000], DType::F32, &Device::cpu()));
}

#[divan::bench]
fn random_normal(bencher: Bencher) {
    bencher.counter(ItemsCount::new(N)).bench_local(numbers);
}

#[divan::bench]
fn add(bencher: Bencher) {
    let (x, y) = (numbers(), numbers());
    bencher.counter(ItemsCount::new(N)).bench_local(|| black_box(&x) + &y);
}

#[divan::bench]
fn mish_as_one_formula(bencher: Bencher) {
    let (x, mish) = (numbers(), Formula::new(|[x]| x * x.exp().ln_1p().tanh()));
    bencher.counter(ItemsCount::new(N)).bench_local(|| Tensor::map(&mish, &[black_box(&x)], &[]));
}

#[divan::bench]
fn mish_step_by_step(bencher: Bencher) {
    let x = numbers();
    bencher.counter(ItemsCount::new(N)).bench_local(|| &x * x.exp().ln_1p().tanh());
}

#[divan::bench]
fn adam_step_in_place(bencher: Bencher) {
    let (mut p, mut m, mut v, g) = (numbers(), numbers(), numbers().sqr(), numbers());
    let step = formula!(|p, m, v, g; rate| {
        let (m, v) = (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g);
        [p - rate * m / (v.sqrt() + 1e-8), m, v]
    });
    bencher.counter(ItemsCount::new(N)).bench_local(|| {
        Tensor::update(&mut [&mut p, &mut m, &mut v], step, &[&g], &[1e-3]);
    });
}
