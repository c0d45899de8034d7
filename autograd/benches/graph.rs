//! What recording costs: chains of additions of four elements, forward and backward.

use divan::{Bencher, black_box};
use plies_autograd::{Var, no_grad};
use plies_tensor::Tensor;

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
