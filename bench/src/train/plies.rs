//! Steps of plies.

use plies_autograd::Var;
use plies_nn::optim;
use plies_nn::{
    Activation, Conv2d, Embedding, Flatten, Gru, Linear, Lstm, MaxPool2d, Mlp, Module, Pass,
    Sequential, Visitor, VisitorMut, loss,
};
use plies_tensor::{Conv, Pool, Rng, Tensor};

use super::{Case, Network, Optimizer, STEPS, VOCABULARY, integers};
use crate::gemm::numbers;

/// One step of `case`.
pub(super) fn step(case: &Case) -> Box<dyn FnMut()> {
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
        Network::Lstm | Network::Gru => {
            let cell = match case.network {
                Network::Lstm => Cell::Lstm(Lstm::new(128, 128, rng)),
                _ => Cell::Gru(Gru::new(128, 128, rng)),
            };
            let embedding = Embedding::new(VOCABULARY, 128, rng);
            let model = Recurrent { embedding, cell, output: Linear::new(128, 2, rng) };
            let tokens = integers(b * STEPS, VOCABULARY).into_iter().map(|i| i as i32);
            (Box::new(model), Tensor::from_vec(tokens.collect::<Vec<i32>>(), [b, STEPS]))
        }
        Network::LeNet => {
            let model = Sequential::new()
                .push(Conv2d::new(1, 16, [5, 5], Conv::default(), rng))
                .push(Activation::Relu)
                .push(MaxPool2d(Pool::new(2)))
                .push(Conv2d::new(16, 32, [5, 5], Conv::default(), rng))
                .push(Activation::Relu)
                .push(MaxPool2d(Pool::new(2)))
                .push(Flatten::default())
                .push(Linear::new(512, 128, rng))
                .push(Activation::Relu)
                .push(Linear::new(128, 10, rng));
            (Box::new(model), Tensor::from_slice(&numbers(b * 784), [b, 1, 28, 28]))
        }
    };
    let targets = integers(b, case.network.classes()).into_iter().map(|y| y as i32);
    let targets = Tensor::from(targets.collect::<Vec<i32>>());
    match case.optimizer {
        Optimizer::Sgd => repeat(model, x, targets, optim::Sgd::new(0.01)),
        Optimizer::Adam => repeat(model, x, targets, optim::Adam::new(0.001)),
    }
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

enum Cell {
    Lstm(Lstm),
    Gru(Gru),
}

/// Tokens to classes by way of the last state.
struct Recurrent {
    embedding: Embedding,
    cell: Cell,
    output: Linear,
}

impl Module for Recurrent {
    fn forward(&self, tokens: &Var, pass: &mut Pass) -> Var {
        let x = self.embedding.forward(tokens, pass);
        let state = match &self.cell {
            Cell::Lstm(lstm) => lstm.run(&x, None, None, pass).1[0].select(0, 0),
            Cell::Gru(gru) => gru.run(&x, None, None, pass).1.select(0, 0),
        };
        self.output.forward(&state, pass)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("embedding", &self.embedding);
        match &self.cell {
            Cell::Lstm(lstm) => visitor.child("cell", lstm),
            Cell::Gru(gru) => visitor.child("cell", gru),
        }
        visitor.child("output", &self.output);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("embedding", &mut self.embedding);
        match &mut self.cell {
            Cell::Lstm(lstm) => visitor.child("cell", lstm),
            Cell::Gru(gru) => visitor.child("cell", gru),
        }
        visitor.child("output", &mut self.output);
    }
}
