//! Training asks the system for memory in its first steps only. One test alone in its process: what
//! is counted is counted for the whole process.

use plies_autograd::Var;
use plies_nn::optim::{Adam, Lazy, Optimizer, Sgd};
use plies_nn::{
    Activation, Conv2d, Embedding, Flatten, Linear, MaxPool2d, Module, Pass, Sequential, loss,
};
use plies_tensor::{Conv, DType, Device, Pool, Rng, Tensor};

#[test]
fn steps_after_the_first_ones_take_no_new_memory() {
    plies_tensor::set_threads(1); // Which thread keeps which block is a matter of chance.
    let rng = &mut Rng::new(1);
    let mut images = Sequential::new()
        .push(Conv2d::new(1, 8, [3, 3], Conv::default(), rng))
        .push(Activation::Relu)
        .push(MaxPool2d(Pool::new(2)))
        .push(Flatten::default())
        .push(Linear::new(8 * 13 * 13, 64, rng))
        .push(Activation::Tanh)
        .push(Linear::new(64, 10, rng));
    let x = rng.normal([32, 1, 28, 28], DType::F32, &Device::cpu());
    steady(&mut images, x, &mut Adam::new(0.001));

    let tokens = |n: i32| Tensor::from((0..n).map(|i| i * i % 97).collect::<Vec<i32>>());
    let mut words = Sequential::new()
        .push(Embedding::new(1000, 16, rng).padding(0))
        .push(Flatten::default())
        .push(Linear::new(20 * 16, 10, rng));
    for optimizer in [&mut Sgd::new(0.1) as &mut dyn Optimizer, &mut Lazy(Adam::new(0.1))] {
        steady(&mut words, tokens(32 * 20).reshape([32, 20]), optimizer);
        // The gradient has as many rows as words were read: all of them would be 64 000 bytes.
        let y = words.forward(&Var::constant(tokens(40).reshape([2, 20])), &mut Pass::eval());
        let before = Device::cpu().memory_use().in_use;
        y.sum_all().backward();
        let gradients = Device::cpu().memory_use().in_use - before;
        assert!(gradients < 32_000, "{gradients} bytes");
        words.zero_grad();
    }
}

fn steady(model: &mut dyn Module, x: Tensor, optimizer: &mut dyn Optimizer) {
    let x = Var::constant(x);
    let targets = Tensor::from((0..32).map(|i| i % 10).collect::<Vec<i32>>());
    let mut pass = Pass::train(Rng::new(2));
    let mut step = || {
        let loss = loss::cross_entropy(&model.forward(&x, &mut pass), &targets);
        loss.backward();
        drop(loss);
        optimizer.step(model);
        model.zero_grad();
        let memory = Device::cpu().memory_use();
        (memory.in_use, memory.cached)
    };
    let before = (0..5).map(|_| step()).last();
    let after = (0..50).map(|_| step()).last();
    assert_eq!(before, after, "bytes in use between steps, and kept for the next one");
}
