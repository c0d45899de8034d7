//! Adadelta.
//!
//! v ← ρv + (1 - ρ)g², δ = √(u + ε) / √(v + ε) · g, u ← ρu + (1 - ρ)δ², p ← p - η δ

use plies_tensor::{Formula, formula};

use super::settings::{not_negative, share};
use super::{Memory, Rule};

/// Steps whose size is that of earlier steps in proportion to that of the gradient, so that they have
/// the unit of the parameter and need no learning rate; as PyTorch's `Adadelta`.
///
/// # Source
/// Zeiler: ADADELTA: an adaptive learning rate method (2012), algorithm 1.
///
/// # Example
/// ```
/// use plies_nn::optim::{Adadelta, Optimizer};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[1f32]]), None);
/// (layer.weight() * 3.0).sum_all().backward();
/// Adadelta::new(1.0).step(&mut layer);
/// assert!((layer.weight().value().item().unwrap() - 0.99683774).abs() < 1e-6);
/// ```
#[derive(Debug)]
pub struct Adadelta {
    lr: f64,
    rho: f64,
    eps: f64,
    weight_decay: f64,
    memory: Memory,
}

impl Adadelta {
    /// Adadelta with its steps multiplied by `lr`, 1 in the paper; ρ = 0.9 and ε = 1e-6.
    ///
    /// # Panics
    /// When this or another number is not one that it can be:
    /// a learning rate, ε or decay below 0 or NaN, a ρ not in 0..1.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let lr = not_negative("adadelta", "lr", lr);
        Adadelta { lr, rho: 0.9, eps: 1e-6, weight_decay: 0.0, memory: Memory::default() }
    }

    /// Another ρ.
    #[track_caller]
    pub fn rho(mut self, rho: f64) -> Self {
        self.rho = share("adadelta", "rho", rho);
        self
    }

    /// Another ε.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = not_negative("adadelta", "eps", eps);
        self
    }

    /// With λp added to the gradient.
    #[track_caller]
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        self.weight_decay = not_negative("adadelta", "weight_decay", lambda);
        self
    }
}

impl Rule for Adadelta {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let Adadelta { rho, eps, weight_decay, .. } = self;
        format!("adadelta rho={rho} eps={eps} weight_decay={weight_decay}")
    }

    fn moments(&self) -> &'static [&'static str] {
        &["square_avg", "acc_delta"]
    }

    fn formula(&self, _t: u64) -> (&'static Formula, Vec<f64>) {
        let f = formula!(|p, v, u, g; lr, rho, rest, eps, l2| {
            let g = g + l2 * p;
            let v = rho * v + rest * g * g;
            let delta = (u + eps).sqrt() / (v + eps).sqrt() * g;
            [p - lr * delta, v, rho * u + rest * delta * delta]
        });
        (f, vec![self.lr, self.rho, 1.0 - self.rho, self.eps, self.weight_decay])
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}
