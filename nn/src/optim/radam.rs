//! RAdam.
//!
//! m and v as Adam's; p ← p - η r m̂ √(1 - β₂ᵗ) / (√v + ε) where ρ > 5, and p ← p - η m̂ before, with
//! ρ∞ = 2 / (1 - β₂) - 1, ρ = ρ∞ - 2t β₂ᵗ / (1 - β₂ᵗ) and r² = (ρ - 4)(ρ - 2)ρ∞ / ((ρ∞ - 4)(ρ∞ - 2)ρ). The
//! paper goes by ρ > 4, and has no ε; both are PyTorch's.

use plies_tensor::{Formula, formula};

use super::settings::{not_negative, share};
use super::{Memory, Rule};

/// Adam that does not trust its second moment while that is made of a few gradients, in place of a
/// warm-up; as PyTorch's `RAdam`.
///
/// # Source
/// Liu et al.: On the variance of the adaptive learning rate and beyond (2020), algorithm 2.
///
/// # Example
/// ```
/// use plies_nn::optim::{Optimizer, RAdam};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[1f32]]), None);
/// (layer.weight() * 3.0).sum_all().backward();
/// RAdam::new(0.1).step(&mut layer);
/// // The first steps are those of gradient descent.
/// assert!((layer.weight().value().item().unwrap() - 0.7).abs() < 1e-6);
/// ```
#[derive(Debug)]
pub struct RAdam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    decoupled: bool,
    memory: Memory,
}

impl RAdam {
    /// RAdam at learning rate `lr` with β = (0.9, 0.999) and ε = 1e-8.
    ///
    /// # Panics
    /// When this or another number is not one that it can be:
    /// a learning rate, ε or decay below 0 or NaN, a β not in 0..1.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let lr = not_negative("radam", "lr", lr);
        let (betas, eps) = ((0.9, 0.999), 1e-8);
        let memory = Memory::default();
        RAdam { lr, betas, eps, weight_decay: 0.0, decoupled: false, memory }
    }

    /// Other β₁ and β₂.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (share("radam", "beta1", beta1), share("radam", "beta2", beta2));
        self
    }

    /// Another ε.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = not_negative("radam", "eps", eps);
        self
    }

    /// With λp added to the gradient.
    #[track_caller]
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        (self.weight_decay, self.decoupled) =
            (not_negative("radam", "weight_decay", lambda), false);
        self
    }

    /// With decoupled weight decay λ, as in AdamW.
    #[track_caller]
    pub fn decoupled_weight_decay(mut self, lambda: f64) -> Self {
        (self.weight_decay, self.decoupled) = (not_negative("radam", "weight_decay", lambda), true);
        self
    }
}

impl Rule for RAdam {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let RAdam { betas: (beta1, beta2), eps, weight_decay, decoupled, .. } = self;
        format!(
            "radam beta1={beta1} beta2={beta2} eps={eps} weight_decay={weight_decay} \
             decoupled={decoupled}"
        )
    }

    fn moments(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn formula(&self, t: u64) -> (&'static Formula, Vec<f64>) {
        let ((beta1, beta2), t) = (self.betas, t as f64);
        let unbiased = 1.0 - beta2.powf(t);
        let longest = 2.0 / (1.0 - beta2) - 1.0;
        let length = longest - 2.0 * t * beta2.powf(t) / unbiased;
        let (l2, keep) = match self.decoupled {
            true => (0.0, 1.0 - self.lr * self.weight_decay),
            false => (self.weight_decay, 1.0),
        };
        let rate = self.lr / (1.0 - beta1.powf(t));
        let rests = [beta1, 1.0 - beta1, beta2, 1.0 - beta2];
        if length <= 5.0 {
            let f = formula!(|p, m, v, g; beta1, rest1, beta2, rest2, rate, l2, keep| {
                let g = g + l2 * p;
                let m = beta1 * m + rest1 * g;
                [keep * p - rate * m, m, beta2 * v + rest2 * g * g]
            });
            return (f, [&rests[..], &[rate, l2, keep]].concat());
        }
        let trust = |length: f64| (length - 4.0) * (length - 2.0) / length;
        let rate = rate * (trust(length) / trust(longest) * unbiased).sqrt();
        let f = formula!(|p, m, v, g; beta1, rest1, beta2, rest2, rate, eps, l2, keep| {
            let g = g + l2 * p;
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            [keep * p - rate * m / (v.sqrt() + eps), m, v]
        });
        (f, [&rests[..], &[rate, self.eps, l2, keep]].concat())
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}
