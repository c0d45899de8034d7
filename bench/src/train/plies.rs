//! Steps of plies.

use plies_autograd::Var;
use plies_nn::optim;
use plies_nn::{Activation, Mlp, Module, Pass, loss};
use plies_tensor::{Rng, Tensor};

use super::{Case, Network, Optimizer, integers};
use crate::gemm::numbers;

/// One step of `case`; `None` for a network that there is no layer for yet.
pub(super) fn step(case: &Case) -> Option<Box<dyn FnMut()>> {
    let rng = &mut Rng::new(1);
    let b = case.batch;
    let (model, x): (Box<dyn Module>, Tensor) = match case.network {
        Network::Mlp { dropout } => (
            Box::new(Mlp::new(&[784, 512, 512, 10], Activation::Relu, rng).dropout(0.0, dropout)),
            Tensor::from_slice(&numbers(b * 784), [b, 784]),
        ),
        Network::Tiny => (
            Box::new(Mlp::new(&[64, 32, 10], Activation::Relu, rng)),
            Tensor::from_slice(&numbers(b * 64), [b, 64]),
        ),
        Network::LeNet | Network::Lstm | Network::Gru => return None,
    };
    let targets = integers(b, case.network.classes()).into_iter().map(|y| y as i32);
    let targets = Tensor::from(targets.collect::<Vec<i32>>());
    Some(match case.optimizer {
        Optimizer::Sgd => repeat(model, x, targets, optim::Sgd::new(0.01)),
        Optimizer::Adam => repeat(model, x, targets, optim::Adam::new(0.001)),
    })
}

fn repeat(
    mut model: Box<dyn Module>,
    x: Tensor,
    targets: Tensor,
    mut optimizer: impl optim::Optimizer + 'static,
) -> Box<dyn FnMut()> {
    let x = Var::constant(x);
    let mut rng = Rng::new(2);
    Box::new(move || {
        let logits = model.forward(&x, &mut Pass::train(rng.split()));
        loss::cross_entropy(&logits, &targets).backward();
        optimizer.step(&mut *model);
        model.zero_grad();
    })
}
