//! A quick look while a recurrent layer is being changed: a training step of a classifier of sequences,
//! an embedding of 20 000 tokens, a recurrent layer of 128 units over 100 steps, a linear layer on its
//! last state. Nothing but plies is compiled; `cargo xtask bench train` has the same networks beside other
//! libraries, but no sequences of different lengths, whose point is what they cost beside equal ones.
//!
//! `cargo bench -p plies-nn --bench recurrent -- --max-time 2`

use divan::Bencher;
use divan::counter::ItemsCount;
use plies_autograd::Var;
use plies_nn::optim::{Optimizer, Sgd};
use plies_nn::{Embedding, Gru, Linear, Lstm, Module, Pass, Visitor, VisitorMut, loss};
use plies_tensor::{Rng, Tensor, set_threads};

const BATCH: usize = 32;
const STEPS: usize = 100;
const TOKENS: usize = 20_000;
const WIDTH: usize = 128;

fn main() {
    divan::main();
}

enum Layer {
    Lstm(Lstm),
    Gru(Gru),
}

struct Classifier {
    embedding: Embedding,
    layer: Layer,
    linear: Linear,
}

impl Classifier {
    fn layer(&self) -> &dyn Module {
        match &self.layer {
            Layer::Lstm(layer) => layer,
            Layer::Gru(layer) => layer,
        }
    }

    fn logits(&self, tokens: &Var, lengths: Option<&[usize]>, pass: &mut Pass) -> Var {
        let x = self.embedding.forward(tokens, pass);
        let h = match &self.layer {
            Layer::Lstm(layer) => layer.run(&x, lengths, None, pass).1[0].clone(),
            Layer::Gru(layer) => layer.run(&x, lengths, None, pass).1,
        };
        self.linear.forward(&h.select(0, 0), pass)
    }
}

impl Module for Classifier {
    fn forward(&self, tokens: &Var, pass: &mut Pass) -> Var {
        self.logits(tokens, None, pass)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("embedding", &self.embedding);
        visitor.child("layer", self.layer());
        visitor.child("linear", &self.linear);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("embedding", &mut self.embedding);
        match &mut self.layer {
            Layer::Lstm(layer) => visitor.child("layer", layer),
            Layer::Gru(layer) => visitor.child("layer", layer),
        }
        visitor.child("linear", &mut self.linear);
    }
}

fn new_lstm(rng: &mut Rng) -> Layer {
    Layer::Lstm(Lstm::new(WIDTH, WIDTH, rng))
}

fn new_gru(rng: &mut Rng) -> Layer {
    Layer::Gru(Gru::new(WIDTH, WIDTH, rng))
}

fn steps(
    bencher: Bencher<'_, '_>,
    threads: usize,
    layer: fn(&mut Rng) -> Layer,
    lengths: Option<&[usize]>,
) {
    set_threads(threads);
    let mut optimizer = Sgd::new(0.01);
    let mut rng = Rng::new(1);
    let tokens: Vec<i32> = (0..BATCH * STEPS).map(|i| (i * 7919 % TOKENS) as i32).collect();
    let tokens = Var::constant(Tensor::from_vec(tokens, [BATCH, STEPS]));
    let targets = Tensor::from((0..BATCH as i32).map(|i| i % 2).collect::<Vec<i32>>());
    let mut model = Classifier {
        embedding: Embedding::new(TOKENS, WIDTH, &mut rng),
        layer: layer(&mut rng),
        linear: Linear::new(WIDTH, 2, &mut rng),
    };
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let logits = model.logits(&tokens, lengths, &mut Pass::train(rng.split()));
        loss::cross_entropy(&logits, &targets).backward();
        drop(logits);
        optimizer.step(&mut model);
        model.zero_grad();
    });
}

#[divan::bench(args = [1, 2])]
fn lstm(bencher: Bencher<'_, '_>, threads: usize) {
    steps(bencher, threads, new_lstm, None);
}

/// Lengths from 10 to 100, half of the steps on average.
#[divan::bench(args = [1, 2])]
fn lstm_of_different_lengths(bencher: Bencher<'_, '_>, threads: usize) {
    let lengths: Vec<usize> = (0..BATCH).map(|i| 10 + i * 37 % 91).collect();
    steps(bencher, threads, new_lstm, Some(&lengths));
}

#[divan::bench(args = [1, 2])]
fn gru(bencher: Bencher<'_, '_>, threads: usize) {
    steps(bencher, threads, new_gru, None);
}
