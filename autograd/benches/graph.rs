//! What recording costs: chains of additions of four elements, forward and backward; and what the walk
//! back does with the gradients of many parts of one value.
//!
//! `cargo bench -p plies-autograd`

use divan::{Bencher, black_box};
use plies_autograd::{Var, no_grad};
use plies_tensor::{DType, Device, Elementwise, Tensor};

fn main() {
    divan::main();
}

fn chain(x: &Var, n: usize) -> Var {
    (0..n).fold(x.clone(), |y, _| &y + x)
}

#[divan::bench]
fn one_hundred_adds_not_recorded(bencher: Bencher) {
    let x = Var::leaf(Tensor::from([1f32, 2.0, 3.0, 4.0]));
    bencher
        .counter(divan::counter::ItemsCount::new(100usize))
        .bench_local(|| no_grad(|| chain(black_box(&x), 100)));
}

#[divan::bench]
fn one_hundred_adds_recorded(bencher: Bencher) {
    let x = Var::leaf(Tensor::from([1f32, 2.0, 3.0, 4.0]));
    bencher
        .counter(divan::counter::ItemsCount::new(100usize))
        .bench_local(|| chain(black_box(&x), 100));
}

#[divan::bench]
fn one_hundred_adds_forward_and_backward(bencher: Bencher) {
    let x = Var::leaf(Tensor::from([1f32, 2.0, 3.0, 4.0]));
    bencher.counter(divan::counter::ItemsCount::new(100usize)).bench_local(|| {
        x.zero_grad();
        chain(black_box(&x), 100).sum_all().backward();
    });
}

/// A value [500, 1000] that is read row by row, as a recurrent network reads its sequence.
#[divan::bench(sample_count = 10)]
fn five_hundred_rows_backward(bencher: Bencher) {
    let x = Var::leaf(Tensor::zeros([500, 1000], DType::F32, &Device::cpu()));
    let rows = (0..500).map(|i| x.select(0, i));
    let sum = rows.reduce(|sum, row| sum + row).unwrap_or_else(|| x.clone()).sum_all();
    bencher.bench_local(|| {
        x.zero_grad();
        black_box(&sum).backward();
    });
}

/// Two layers' worth of element-wise work with biases that are broadcast over 1000 rows.
#[divan::bench(sample_count = 20)]
fn broadcast_bias_and_activation(bencher: Bencher) {
    let x = Var::leaf(Tensor::ones([1000, 256], DType::F32, &Device::cpu()));
    let b = Var::leaf(Tensor::ones([256], DType::F32, &Device::cpu()));
    bencher.bench_local(|| {
        x.zero_grad();
        b.zero_grad();
        let h = (&x + &b).gelu();
        (h - &b).sqr().mean_all().backward();
    });
}

#[divan::bench(sample_count = 20)]
fn log_softmax_of_a_vocabulary(bencher: Bencher) {
    let x = Var::leaf(Tensor::ones([64, 10_000], DType::F32, &Device::cpu()));
    bencher.bench_local(|| {
        x.zero_grad();
        x.log_softmax(-1).narrow(1, 0, 1).sum_all().backward();
    });
}
