//! The models of `models.py`, for tests and examples.

use plies_autograd::Var;
use plies_nn::onnx::{self, Graph, Value};
use plies_nn::{
    Activation, AvgPool2d, BatchNorm, Conv2d, Directions, Embedding, Flatten, Linear, Lstm,
    MaxPool2d, Mlp, Module, Pass, RecurrentOptions, Sequential, Visitor, VisitorMut,
};
use plies_tensor::{Conv, Pool, Rng, Tensor};

pub(crate) fn mlp(rng: &mut Rng) -> Mlp {
    Mlp::new(&[6, 8, 5, 3], Activation::Relu, rng)
}

/// x [B, 1, 8, 8] -> [B, 3]
pub(crate) fn cnn(rng: &mut Rng) -> Sequential {
    let same = Conv::default().padding(1);
    Sequential::new()
        .push(Conv2d::new(1, 4, [3, 3], same, rng))
        .push(BatchNorm::new(4))
        .push(Activation::Relu)
        .push(MaxPool2d(Pool::new(2)))
        .push(Conv2d::new(4, 6, [3, 3], same.groups(2), rng).without_bias())
        .push(BatchNorm::new(6).eps(1e-3))
        .push(Activation::Gelu)
        .push(AvgPool2d(Pool::new(2)))
        .push(Flatten::default())
        .push(Linear::new(24, 3, rng))
}

/// A label for each token, read in both directions.
pub(crate) struct Tagger {
    embedding: Embedding,
    lstm: Lstm,
    linear: Linear,
}

impl Tagger {
    pub(crate) fn new(rng: &mut Rng) -> Tagger {
        let directions = Directions::Both;
        let options = RecurrentOptions { layers: 2, directions, ..RecurrentOptions::default() };
        let embedding = Embedding::new(7, 3, rng);
        let lstm = Lstm::with(3, 4, options, rng);
        Tagger { embedding, lstm, linear: Linear::new(8, 2, rng) }
    }

    /// x [B, T] -> [B, T, 2]
    pub(crate) fn run(&self, x: &Tensor, lengths: Option<&[usize]>, pass: &mut Pass) -> Var {
        let x = self.embedding.of(x); // [B, T, 3]
        let (y, _) = self.lstm.run(&x, lengths, None, pass); // [B, T, 8]
        self.linear.forward(&y, pass)
    }
}

impl Module for Tagger {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.run(x.value(), None, pass)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let x = graph.child("embedding", &self.embedding, x)?;
        let y = graph.child("lstm", &self.lstm, &x)?;
        graph.child("linear", &self.linear, &y)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("embedding", &self.embedding);
        visitor.child("lstm", &self.lstm);
        visitor.child("linear", &self.linear);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("embedding", &mut self.embedding);
        visitor.child("lstm", &mut self.lstm);
        visitor.child("linear", &mut self.linear);
    }
}
