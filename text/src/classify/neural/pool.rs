//! From a state for each word to one for the text.
//!
//!   h_n,  Σ_t h_t / n,  max_t h_t,  or  Σ_t a_t h_t  with  a = softmax_t(v · tanh(W h_t + b))
//!
//! # Source
//! Attention: Yang et al., *Hierarchical Attention Networks for Document Classification*, 2016, equations
//! 5 to 7.

use plies_nn::{Linear, Module, Pass, SequencePool, Var, Visitor, VisitorMut};
use plies_tensor::{Elementwise, Rng, Tensor};

/// How the states of a text's words become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The last state; of a layer that reads backwards the one at the first word.
    Last,
    /// The mean.
    Mean,
    /// The largest of each number.
    Max,
    /// A mean with weights that the network learns to give.
    Attention,
}

impl Pooling {
    /// All of them, by the names that the program and files use.
    pub const NAMES: [(&str, Pooling); 4] = [
        ("last", Pooling::Last),
        ("mean", Pooling::Mean),
        ("max", Pooling::Max),
        ("attention", Pooling::Attention),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|row| row.1 == self).expect("each has a name").0
    }

    /// The one with a name.
    pub fn from_name(name: &str) -> Option<Pooling> {
        Self::NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }
}

/// A pool, with its weights if it has some.
#[derive(Debug)]
pub(super) enum Pool {
    /// The last state, of each half that reads in another direction.
    Last { both_directions: bool },
    /// The mean, or the largest.
    Plain(SequencePool),
    /// [H] -> [H] -> a number
    Attention(Box<[Linear; 2]>),
}

impl Pool {
    /// Of states of H = `width` numbers, whose second half reads backwards if both directions are read.
    pub(super) fn new(
        pooling: Pooling,
        width: usize,
        both_directions: bool,
        rng: &mut Rng,
    ) -> Pool {
        match pooling {
            Pooling::Last => Pool::Last { both_directions },
            Pooling::Mean => Pool::Plain(SequencePool::Mean),
            Pooling::Max => Pool::Plain(SequencePool::Max),
            Pooling::Attention => {
                let project = Linear::new(width, width, rng);
                Pool::Attention(Box::new([project, Linear::new(width, 1, rng).without_bias()]))
            }
        }
    }

    /// h [B, T, H] -> [B, H]
    pub(super) fn of(&self, h: &Var, pass: &mut Pass) -> Var {
        let lengths = pass.lengths();
        let lengths = lengths.as_deref();
        match self {
            Pool::Plain(pool) => pool.of(h, lengths),
            Pool::Last { both_directions: false } => SequencePool::Last.of(h, lengths),
            Pool::Last { both_directions: true } => {
                let [forward, backward] = &h.chunk(2, 2)[..] else { unreachable!("two halves") };
                let forward = SequencePool::Last.of(forward, lengths);
                Var::cat(&[&forward, &backward.select(1, 0)], 1)
            }
            Pool::Attention(parts) => {
                let [project, score] = &**parts;
                let scores = score.forward(&project.forward(h, pass).tanh(), pass); // [B, T, 1]
                let scores = match steps(h, lengths) {
                    // Far below any score: exp gives 0 for it.
                    Some(steps) => &scores + &((steps - 1.0) * 1e9),
                    None => scores,
                };
                (h * &scores.softmax(1)).sum(&[1], false)
            }
        }
    }

    pub(super) fn visit(&self, visitor: &mut Visitor<'_>) {
        if let Pool::Attention(parts) = self {
            visitor.child("pool.project", &parts[0]);
            visitor.child("pool.score", &parts[1]);
        }
    }

    pub(super) fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        if let Pool::Attention(parts) = self {
            let [project, score] = &mut **parts;
            visitor.child("pool.project", project);
            visitor.child("pool.score", score);
        }
    }
}

/// 1 where a text of x [B, T, …] has a word and 0 where it has ended, [B, T, 1]; nothing when all texts are
/// as long as the batch.
pub(super) fn steps(x: &Var, lengths: Option<&[usize]>) -> Option<Var> {
    let (batch, time) = (x.dim(0), x.dim(1));
    let lengths = lengths.filter(|lengths| lengths.iter().any(|&n| n < time))?;
    let row = |&length: &usize| (0..time).map(move |t| if t < length { 1.0f32 } else { 0.0 });
    let mask: Vec<f32> = lengths.iter().flat_map(row).collect();
    Some(Var::constant(Tensor::from_slice_on(&mask, [batch, time, 1], x.device())))
}
