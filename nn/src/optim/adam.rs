//! Adam and AdamW.
//!
//! m ← β₁m + (1 - β₁)g, v ← β₂v + (1 - β₂)g², p ← p - η m̂ / (√v̂ + ε) with m̂ = m / (1 - β₁ᵗ) and
//! v̂ = v / (1 - β₂ᵗ); AMSGrad: the largest v so far in its place.

use plies_tensor::{Formula, formula};

use super::settings::{not_negative, share};
use super::{Memory, Rule};

/// Steps in proportion to the gradient's mean over its root mean square, both as running averages.
///
/// Weight decay comes in two forms: added to the gradient ([`weight_decay`](Adam::weight_decay)), or
/// decoupled, p ← p - ηλp, which is AdamW ([`Adam::adamw`]).
///
/// # Source
/// Kingma, Ba: Adam (2015), algorithm 1; Loshchilov, Hutter: Decoupled weight decay regularization
/// (2019), algorithm 2; Reddi, Kale, Kumar: On the convergence of Adam and beyond (2018), algorithm 2
/// (AMSGrad). ε is outside the root, as in PyTorch.
///
/// # Example
/// ```
/// use plies_nn::optim::{Adam, Optimizer};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[1f32, 1.0]]), None);
/// (layer.weight() * 1000.0).sum_all().backward();
/// Adam::new(0.1).step(&mut layer);
/// // The first step is the learning rate, however large the gradient.
/// let weight = layer.weight().value().to_vec::<f32>().unwrap();
/// assert!(weight.iter().all(|w| (w - 0.9).abs() < 1e-6));
/// ```
#[derive(Debug)]
pub struct Adam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    decoupled: bool,
    amsgrad: bool,
    memory: Memory,
}

impl Adam {
    /// Adam at learning rate `lr` with β = (0.9, 0.999) and ε = 1e-8.
    ///
    /// # Panics
    /// When this or another number is not one that it can be:
    /// a learning rate, ε or decay below 0 or NaN, a β not in 0..1.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let lr = not_negative("adam", "lr", lr);
        let (betas, eps) = ((0.9, 0.999), 1e-8);
        let memory = Memory::default();
        Adam { lr, betas, eps, weight_decay: 0.0, decoupled: false, amsgrad: false, memory }
    }

    /// AdamW: Adam with decoupled weight decay λ.
    #[doc(alias = "AdamW")]
    #[track_caller]
    pub fn adamw(lr: f64, lambda: f64) -> Self {
        Adam {
            weight_decay: not_negative("adamw", "weight_decay", lambda),
            decoupled: true,
            ..Self::new(lr)
        }
    }

    /// Other β₁ and β₂.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (share("adam", "beta1", beta1), share("adam", "beta2", beta2));
        self
    }

    /// Another ε.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = not_negative("adam", "eps", eps);
        self
    }

    /// With the largest second moment so far in place of the present one, so that steps do not grow again
    /// when gradients that were large have been forgotten.
    pub fn amsgrad(mut self) -> Self {
        self.amsgrad = true;
        self
    }

    /// With λp added to the gradient, or after [`adamw`](Adam::adamw) with another decoupled λ.
    #[track_caller]
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        self.weight_decay = not_negative("adam", "weight_decay", lambda);
        self
    }
}

impl Rule for Adam {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let Adam { betas: (beta1, beta2), eps, weight_decay, decoupled, amsgrad, .. } = self;
        let name = if *decoupled { "adamw" } else { "adam" };
        format!(
            "{name} beta1={beta1} beta2={beta2} eps={eps} weight_decay={weight_decay} \
             amsgrad={amsgrad}"
        )
    }

    fn moments(&self) -> &'static [&'static str] {
        match self.amsgrad {
            false => &["exp_avg", "exp_avg_sq"],
            true => &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
        }
    }

    fn formula(&self, t: u64) -> (&'static Formula, Vec<f64>) {
        let (beta1, beta2) = self.betas;
        let rate = self.lr / (1.0 - beta1.powf(t as f64));
        let root = 1.0 / (1.0 - beta2.powf(t as f64)).sqrt();
        let (l2, keep) = match self.decoupled {
            true => (0.0, 1.0 - self.lr * self.weight_decay),
            false => (self.weight_decay, 1.0),
        };
        // 1 - β is computed here, in F64: in F32 it would lose half its digits.
        let scalars = [beta1, 1.0 - beta1, beta2, 1.0 - beta2, rate, root, self.eps, l2, keep];
        if self.amsgrad {
            let f = formula!(|p, m, v, most, g; beta1, rest1, beta2, rest2, rate, root, eps, l2, keep| {
                let g = g + l2 * p;
                let m = beta1 * m + rest1 * g;
                let v = beta2 * v + rest2 * g * g;
                let most = most.max(v);
                [keep * p - rate * m / (most.sqrt() * root + eps), m, v, most]
            });
            return (f, scalars.to_vec());
        }
        let f = formula!(|p, m, v, g; beta1, rest1, beta2, rest2, rate, root, eps, l2, keep| {
            let g = g + l2 * p;
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            [keep * p - rate * m / (v.sqrt() * root + eps), m, v]
        });
        (f, scalars.to_vec())
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}
