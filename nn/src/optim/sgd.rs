//! Stochastic gradient descent.
//!
//! g = ∂L/∂p + λp, v ← μv + (1 - τ)g, p ← p - η v; with Nesterov's momentum p ← p - η (g + μv).

use plies_tensor::{Formula, formula};

use super::settings::{not_negative, share};
use super::{Memory, Rule};

/// Gradient descent with momentum μ, dampening τ and weight decay λ (L2), as PyTorch's `SGD`.
///
/// # Source
/// Robbins, Monro (1951); momentum: Polyak (1964); Nesterov's: Sutskever, Martens, Dahl, Hinton: On
/// the importance of initialization and momentum in deep learning (2013).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::optim::{Optimizer, Sgd};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[1f32]]), None);
/// (layer.weight() * 3.0).sum_all().backward();
/// Sgd::new(0.1).step(&mut layer);
/// assert_eq!(layer.weight().value().to_vec::<f32>().unwrap(), [0.7]);
/// ```
#[derive(Debug)]
pub struct Sgd {
    lr: f64,
    momentum: f64,
    nesterov: bool,
    dampening: f64,
    weight_decay: f64,
    memory: Memory,
}

impl Sgd {
    /// Plain gradient descent at learning rate `lr`.
    ///
    /// # Panics
    /// When this or another number is not one that it can be:
    /// a learning rate or decay below 0 or NaN, a momentum or dampening not in 0..1.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let lr = not_negative("sgd", "lr", lr);
        let memory = Memory::default();
        Sgd { lr, momentum: 0.0, nesterov: false, dampening: 0.0, weight_decay: 0.0, memory }
    }

    /// With momentum `mu`.
    #[track_caller]
    pub fn momentum(mut self, mu: f64) -> Self {
        self.momentum = share("sgd", "momentum", mu);
        self
    }

    /// With Nesterov's form of momentum `mu`.
    #[track_caller]
    pub fn nesterov(mut self, mu: f64) -> Self {
        (self.momentum, self.nesterov) = (share("sgd", "momentum", mu), true);
        self
    }

    /// With what a gradient adds to the momentum multiplied by 1 - τ, from the second step on. Nesterov's
    /// form has no dampening.
    #[track_caller]
    pub fn dampening(mut self, tau: f64) -> Self {
        self.dampening = share("sgd", "dampening", tau);
        self
    }

    /// With λp added to the gradient.
    #[track_caller]
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        self.weight_decay = not_negative("sgd", "weight_decay", lambda);
        self
    }
}

impl Rule for Sgd {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let Sgd { momentum, nesterov, dampening, weight_decay, .. } = self;
        format!(
            "sgd momentum={momentum} nesterov={nesterov} dampening={dampening} \
             weight_decay={weight_decay}"
        )
    }

    fn moments(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum_buffer"] }
    }

    fn formula(&self, t: u64) -> (&'static Formula, Vec<f64>) {
        let (lr, mu, decay) = (self.lr, self.momentum, self.weight_decay);
        if mu == 0.0 && decay == 0.0 {
            return (formula!(|p, g; lr| p - lr * g), vec![lr]);
        }
        if mu == 0.0 {
            return (formula!(|p, g; lr, decay| p - lr * (g + decay * p)), vec![lr, decay]);
        }
        let f = if self.nesterov {
            formula!(|p, v, g; lr, mu, decay| {
                let g = g + decay * p;
                let v = mu * v + g;
                [p - lr * (g + mu * v), v]
            })
        } else {
            let taken = if t == 1 { 1.0 } else { 1.0 - self.dampening };
            let f = formula!(|p, v, g; lr, mu, taken, decay| {
                let v = mu * v + taken * (g + decay * p);
                [p - lr * v, v]
            });
            return (f, vec![lr, mu, taken, decay]);
        };
        (f, vec![lr, mu, decay])
    }

    fn leaves_rows_out(&self) -> bool {
        self.momentum == 0.0 && self.weight_decay == 0.0
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}
