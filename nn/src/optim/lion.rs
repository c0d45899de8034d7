//! Lion.
//!
//! p ← p - η (sign(β₁m + (1 - β₁)g) + λp), m ← β₂m + (1 - β₂)g

use plies_tensor::{Elementwise, Formula, formula};

use super::settings::{not_negative, share};
use super::{Memory, Rule};

/// Steps of one size, the learning rate, in the direction of a running average. It remembers half of
/// what Adam does; its learning rate is to be three to ten times smaller than Adam's, and λ as much
/// larger.
///
/// # Source
/// Chen et al.: Symbolic discovery of optimization algorithms (2023), algorithm 2.
///
/// # Example
/// ```
/// use plies_nn::optim::{Lion, Optimizer};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[1f32]]), None);
/// (layer.weight() * 3.0).sum_all().backward();
/// Lion::new(0.1).step(&mut layer);
/// assert!((layer.weight().value().item().unwrap() - 0.9).abs() < 1e-6);
/// ```
#[derive(Debug)]
pub struct Lion {
    lr: f64,
    betas: (f64, f64),
    weight_decay: f64,
    memory: Memory,
}

impl Lion {
    /// Lion at learning rate `lr` with β = (0.9, 0.99).
    ///
    /// # Panics
    /// When this or another number is not one that it can be:
    /// a learning rate or decay below 0 or NaN, a β not in 0..1.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let lr = not_negative("lion", "lr", lr);
        Lion { lr, betas: (0.9, 0.99), weight_decay: 0.0, memory: Memory::default() }
    }

    /// Other β₁ and β₂.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (share("lion", "beta1", beta1), share("lion", "beta2", beta2));
        self
    }

    /// With decoupled weight decay λ.
    #[track_caller]
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        self.weight_decay = not_negative("lion", "weight_decay", lambda);
        self
    }
}

impl Rule for Lion {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let Lion { betas: (beta1, beta2), weight_decay, .. } = self;
        format!("lion beta1={beta1} beta2={beta2} weight_decay={weight_decay}")
    }

    fn moments(&self) -> &'static [&'static str] {
        &["exp_avg"]
    }

    fn formula(&self, _t: u64) -> (&'static Formula, Vec<f64>) {
        let f = formula!(|p, m, g; lr, beta1, rest1, beta2, rest2, keep| {
            let direction = (beta1 * m + rest1 * g).sign();
            [keep * p - lr * direction, beta2 * m + rest2 * g]
        });
        let (beta1, beta2) = self.betas;
        let keep = 1.0 - self.lr * self.weight_decay;
        (f, vec![self.lr, beta1, 1.0 - beta1, beta2, 1.0 - beta2, keep])
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}
