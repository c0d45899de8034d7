//! The network: vectors of words, an encoder, a pool over time, a linear layer.
//!
//!   z = W · dropout(pool(encode(dropout(E[words])))) + b

use plies_nn::{Dropout, Embedding, Linear, Module, Pass, Var, Visitor, VisitorMut};
use plies_tensor::{Rng, Tensor};

use super::NeuralSettings;
use super::encoder::Layers;
use super::pool::Pool;

/// A classifier of texts whose words are numbers of the embedding's rows.
#[derive(Debug)]
pub(super) struct Network {
    embedding: Embedding,
    dropout: Dropout,
    layers: Layers,
    pool: Pool,
    linear: Linear,
}

impl Network {
    /// A network whose words have the vectors of `table` [V, D].
    pub(super) fn new(
        settings: &NeuralSettings,
        table: Tensor,
        n_labels: usize,
        rng: &mut Rng,
    ) -> Network {
        let embedding = Embedding::from_weights(table);
        let is_frozen = settings.frozen && settings.vectors.is_some();
        let (layers, width) = (Layers::new(settings, rng), Layers::width(settings));
        let halves = settings.both_directions && settings.encoder.is_recurrent();
        Network {
            embedding: if is_frozen { embedding.frozen() } else { embedding },
            dropout: Dropout::new(settings.dropout),
            layers,
            pool: Pool::new(settings.pooling(), width, halves, rng),
            linear: Linear::new(width, n_labels, rng),
        }
    }

    /// The vectors of words, [V, D].
    pub(super) fn table(&self) -> &Tensor {
        self.embedding.weight().value()
    }

    /// The vectors of words [B, T] -> [B, T, D].
    pub(super) fn vectors(&self, words: &Tensor) -> Var {
        self.embedding.of(words)
    }

    /// A state for each word: x [B, T, D] -> [B, T, H].
    pub(super) fn states(&self, x: &Var, pass: &mut Pass) -> Var {
        self.layers.states(&self.dropout.forward(x, pass), pass)
    }

    /// A score for each label: x [B, T, D] -> [B, C].
    pub(super) fn scores(&self, x: &Var, pass: &mut Pass) -> Var {
        let states = self.states(x, pass);
        let pooled = self.dropout.forward(&self.pool.of(&states, pass), pass);
        self.linear.forward(&pooled, pass)
    }
}

impl Module for Network {
    /// Words [B, T] (I32) -> scores [B, C]
    fn forward(&self, words: &Var, pass: &mut Pass) -> Var {
        self.scores(&self.vectors(words.value()), pass)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("embedding", &self.embedding);
        self.layers.visit(visitor);
        self.pool.visit(visitor);
        visitor.child("linear", &self.linear);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("embedding", &mut self.embedding);
        self.layers.visit_mut(visitor);
        self.pool.visit_mut(visitor);
        visitor.child("linear", &mut self.linear);
    }
}
