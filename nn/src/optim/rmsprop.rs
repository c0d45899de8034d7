//! RMSprop.
//!
//! v ← αv + (1 - α)g², b ← μb + g / (√v + ε), p ← p - η b; centred: v - m² in the place of v, with
//! m ← αm + (1 - α)g.

use plies_tensor::{Formula, formula};

use super::settings::{not_negative, share};
use super::{Memory, Rule};

/// Steps by the gradient over its root mean square, a running average; as PyTorch's `RMSprop`.
///
/// # Source
/// Hinton, Srivastava, Swersky: Neural networks for machine learning, lecture 6e (2012); centred:
/// Graves: Generating sequences with recurrent neural networks (2013), equations 38 to 45.
///
/// # Example
/// ```
/// use plies_nn::optim::{RmsProp, Optimizer};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[1f32]]), None);
/// (layer.weight() * 3.0).sum_all().backward();
/// RmsProp::new(0.1).step(&mut layer);
/// assert!((layer.weight().value().item().unwrap() - 0.0).abs() < 1e-6);
/// ```
#[derive(Debug)]
pub struct RmsProp {
    lr: f64,
    alpha: f64,
    eps: f64,
    momentum: f64,
    centered: bool,
    weight_decay: f64,
    memory: Memory,
}

impl RmsProp {
    /// RMSprop at learning rate `lr` with α = 0.99 and ε = 1e-8.
    ///
    /// # Panics
    /// When this or another number is not one that it can be:
    /// a learning rate, ε or decay below 0 or NaN, an α or a momentum not in 0..1.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let lr = not_negative("rmsprop", "lr", lr);
        let memory = Memory::default();
        let (alpha, eps) = (0.99, 1e-8);
        RmsProp { lr, alpha, eps, momentum: 0.0, centered: false, weight_decay: 0.0, memory }
    }

    /// Another α.
    #[track_caller]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = share("rmsprop", "alpha", alpha);
        self
    }

    /// Another ε.
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = not_negative("rmsprop", "eps", eps);
        self
    }

    /// With momentum `mu`.
    #[track_caller]
    pub fn momentum(mut self, mu: f64) -> Self {
        self.momentum = share("rmsprop", "momentum", mu);
        self
    }

    /// By the standard deviation in place of the root mean square.
    pub fn centered(mut self) -> Self {
        self.centered = true;
        self
    }

    /// Whether one moment is all there is.
    fn is_plain(&self) -> bool {
        self.momentum == 0.0 && !self.centered
    }

    /// With λp added to the gradient.
    #[track_caller]
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        self.weight_decay = not_negative("rmsprop", "weight_decay", lambda);
        self
    }
}

impl Rule for RmsProp {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let RmsProp { alpha, eps, momentum, centered, weight_decay, .. } = self;
        format!(
            "rmsprop alpha={alpha} eps={eps} momentum={momentum} centered={centered} \
             weight_decay={weight_decay}"
        )
    }

    fn moments(&self) -> &'static [&'static str] {
        match self.is_plain() {
            true => &["square_avg"],
            false => &["square_avg", "momentum_buffer", "grad_avg"],
        }
    }

    fn formula(&self, _t: u64) -> (&'static Formula, Vec<f64>) {
        let RmsProp { lr, alpha, eps, momentum, weight_decay, .. } = *self;
        if self.is_plain() {
            let f = formula!(|p, v, g; lr, alpha, rest, eps, l2| {
                let g = g + l2 * p;
                let v = alpha * v + rest * g * g;
                [p - lr * (g / (v.sqrt() + eps)), v]
            });
            return (f, vec![lr, alpha, 1.0 - alpha, eps, weight_decay]);
        }
        // Without centring m stays 0.
        let f = formula!(|p, v, b, m, g; lr, alpha, rest, eps, mu, centre, l2| {
            let g = g + l2 * p;
            let v = alpha * v + rest * g * g;
            let m = centre * (alpha * m + rest * g);
            let b = mu * b + g / ((v - m * m).sqrt() + eps);
            [p - lr * b, v, b, m]
        });
        let centre = f64::from(u8::from(self.centered));
        (f, vec![lr, alpha, 1.0 - alpha, eps, momentum, centre, weight_decay])
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}
