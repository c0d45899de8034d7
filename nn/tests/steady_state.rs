//! Training asks the system for memory in its first steps only. One test alone in its process: what
//! is counted is counted for the whole process.

use plies_autograd::Var;
use plies_nn::optim::{Adam, Optimizer};
use plies_nn::{Activation, Conv2d, Flatten, Linear, MaxPool2d, Module, Pass, Sequential, loss};
use plies_tensor::{Conv, DType, Device, Pool, Rng, Tensor};

#[test]
fn steps_after_the_first_ones_take_no_new_memory() {
    plies_tensor::set_threads(1); // Which thread keeps which block is a matter of chance.
    let device = Device::cpu();
    let rng = &mut Rng::new(1);
    let mut model = Sequential::new()
        .push(Conv2d::new(1, 8, [3, 3], Conv::default(), rng))
        .push(Activation::Relu)
        .push(MaxPool2d(Pool::new(2)))
        .push(Flatten)
        .push(Linear::new(8 * 13 * 13, 64, rng))
        .push(Activation::Tanh)
        .push(Linear::new(64, 10, rng));
    let x = Var::constant(rng.normal([32, 1, 28, 28], DType::F32, &device));
    let targets = Tensor::from((0..32).map(|i| i % 10).collect::<Vec<i32>>());
    let mut optimizer = Adam::new(0.001);
    let mut pass = Pass::train(rng.split());
    let mut step = || {
        let loss = loss::cross_entropy(&model.forward(&x, &mut pass), &targets);
        loss.backward();
        drop(loss);
        optimizer.step(&mut model);
        model.zero_grad();
        let memory = device.memory_use();
        (memory.in_use, memory.cached)
    };
    let before = (0..5).map(|_| step()).last();
    let after = (0..50).map(|_| step()).last();
    assert_eq!(before, after, "bytes in use between steps, and kept for the next one");
}
