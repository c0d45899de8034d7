//! Adagrad.
//!
//! s ← s + g², p ← p - η / (1 + (t - 1)γ) · g / (√s + ε)

use plies_tensor::{Formula, formula};

use super::settings::not_negative;
use super::{Memory, Rule};

/// Steps that become smaller for each number as its gradients add up, so that what is rarely seen, a
/// rare word, learns faster; as PyTorch's `Adagrad`.
///
/// # Source
/// Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic optimization
/// (2011).
///
/// # Example
/// ```
/// use plies_nn::optim::{Adagrad, Optimizer};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[1f32]]), None);
/// (layer.weight() * 3.0).sum_all().backward();
/// Adagrad::new(0.1).step(&mut layer);
/// assert!((layer.weight().value().item().unwrap() - 0.9).abs() < 1e-6);
/// ```
#[derive(Debug)]
pub struct Adagrad {
    lr: f64,
    lr_decay: f64,
    eps: f64,
    weight_decay: f64,
    memory: Memory,
}

impl Adagrad {
    /// Adagrad at learning rate `lr` with ε = 1e-10.
    ///
    /// # Panics
    /// When this or another number is not one that it can be:
    /// a learning rate, ε or decay below 0 or NaN.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let lr = not_negative("adagrad", "lr", lr);
        Adagrad { lr, lr_decay: 0.0, eps: 1e-10, weight_decay: 0.0, memory: Memory::default() }
    }

    /// With the learning rate divided by 1 + (t - 1)γ in step t.
    #[track_caller]
    pub fn lr_decay(mut self, gamma: f64) -> Self {
        self.lr_decay = not_negative("adagrad", "lr_decay", gamma);
        self
    }

    /// Another ε.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = not_negative("adagrad", "eps", eps);
        self
    }

    /// With λp added to the gradient.
    #[track_caller]
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        self.weight_decay = not_negative("adagrad", "weight_decay", lambda);
        self
    }
}

impl Rule for Adagrad {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let Adagrad { lr_decay, eps, weight_decay, .. } = self;
        format!("adagrad lr_decay={lr_decay} eps={eps} weight_decay={weight_decay}")
    }

    fn moments(&self) -> &'static [&'static str] {
        &["sum"]
    }

    fn formula(&self, t: u64) -> (&'static Formula, Vec<f64>) {
        let f = formula!(|p, s, g; rate, eps, l2| {
            let g = g + l2 * p;
            let s = s + g * g;
            [p - rate * g / (s.sqrt() + eps), s]
        });
        let rate = self.lr / (1.0 + t.saturating_sub(1) as f64 * self.lr_decay);
        (f, vec![rate, self.eps, self.weight_decay])
    }

    fn leaves_rows_out(&self) -> bool {
        // Without ε, 0 / √0 is no number.
        self.weight_decay == 0.0 && self.eps > 0.0
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}
