//! NAdam.
//!
//! m ← β₁m + (1 - β₁)g, v ← β₂v + (1 - β₂)g², p ← p - η ((1 - μₜ) / (1 - Π) · g + μₜ₊₁ / (1 - Π μₜ₊₁) · m)
//! / (√v̂ + ε) with μₜ = β₁ (1 - 0.96^ψt / 2), Π = μ₁ μ₂ … μₜ and v̂ = v / (1 - β₂ᵗ).

use plies_tensor::{Formula, formula};

use super::settings::{not_negative, share};
use super::{Memory, Rule};

/// Adam with Nesterov's momentum, which grows to β₁ over the first steps; as PyTorch's `NAdam`.
///
/// # Source
/// Dozat: Incorporating Nesterov momentum into Adam (2016), algorithm 2 and section 3.2.
///
/// # Example
/// ```
/// use plies_nn::optim::{NAdam, Optimizer};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[1f32]]), None);
/// (layer.weight() * 3.0).sum_all().backward();
/// NAdam::new(0.1).step(&mut layer);
/// assert!(layer.weight().value().item().unwrap() < 0.9);
/// ```
#[derive(Debug)]
pub struct NAdam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    momentum_decay: f64,
    weight_decay: f64,
    decoupled: bool,
    memory: Memory,
}

impl NAdam {
    /// NAdam at learning rate `lr` with β = (0.9, 0.999), ε = 1e-8 and ψ = 0.004.
    ///
    /// # Panics
    /// When this or another number is not one that it can be:
    /// a learning rate, ε or decay below 0 or NaN, a β not in 0..1.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let lr = not_negative("nadam", "lr", lr);
        NAdam {
            lr,
            betas: (0.9, 0.999),
            eps: 1e-8,
            momentum_decay: 0.004,
            weight_decay: 0.0,
            decoupled: false,
            memory: Memory::default(),
        }
    }

    /// Other β₁ and β₂.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (share("nadam", "beta1", beta1), share("nadam", "beta2", beta2));
        self
    }

    /// Another ε.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = not_negative("nadam", "eps", eps);
        self
    }

    /// Another ψ, which says how fast the momentum grows.
    #[track_caller]
    pub fn momentum_decay(mut self, psi: f64) -> Self {
        self.momentum_decay = not_negative("nadam", "momentum_decay", psi);
        self
    }

    /// With λp added to the gradient.
    #[track_caller]
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        (self.weight_decay, self.decoupled) =
            (not_negative("nadam", "weight_decay", lambda), false);
        self
    }

    /// With decoupled weight decay λ, as in AdamW.
    #[track_caller]
    pub fn decoupled_weight_decay(mut self, lambda: f64) -> Self {
        (self.weight_decay, self.decoupled) = (not_negative("nadam", "weight_decay", lambda), true);
        self
    }

    /// μₜ
    fn momentum(&self, t: u64) -> f64 {
        self.betas.0 * (1.0 - 0.5 * 0.96f64.powf(t as f64 * self.momentum_decay))
    }

    /// Π, computed anew, so that the number of steps is all there is to be saved. Far from 1 - Π = 1 by less
    /// than can be told it may stop.
    fn momenta(&self, t: u64) -> f64 {
        let mut product = 1.0;
        for i in 1..=t {
            product *= self.momentum(i);
            if product < 1e-20 {
                return 0.0;
            }
        }
        product
    }
}

impl Rule for NAdam {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let NAdam { betas: (beta1, beta2), eps, momentum_decay, weight_decay, decoupled, .. } =
            self;
        format!(
            "nadam beta1={beta1} beta2={beta2} eps={eps} momentum_decay={momentum_decay} \
             weight_decay={weight_decay} decoupled={decoupled}"
        )
    }

    fn moments(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn formula(&self, t: u64) -> (&'static Formula, Vec<f64>) {
        let (beta1, beta2) = self.betas;
        let (product, next) = (self.momenta(t), self.momentum(t + 1));
        let rate_g = self.lr * (1.0 - self.momentum(t)) / (1.0 - product);
        let rate_m = self.lr * next / (1.0 - product * next);
        let root = 1.0 / (1.0 - beta2.powf(t as f64)).sqrt();
        let (l2, keep) = match self.decoupled {
            true => (0.0, 1.0 - self.lr * self.weight_decay),
            false => (self.weight_decay, 1.0),
        };
        let f = formula!(|p, m, v, g; beta1, rest1, beta2, rest2, rate_g, rate_m, root, eps, l2, keep| {
            let g = g + l2 * p;
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            [keep * p - (rate_g * g + rate_m * m) / (v.sqrt() * root + eps), m, v]
        });
        let rests = [beta1, 1.0 - beta1, beta2, 1.0 - beta2];
        (f, [&rests[..], &[rate_g, rate_m, root, self.eps, l2, keep]].concat())
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}
