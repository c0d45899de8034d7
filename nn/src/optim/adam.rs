//! Adam and AdamW.
//!
//! m ← β₁m + (1 - β₁)g, v ← β₂v + (1 - β₂)g², p ← p - η m̂ / (√v̂ + ε) with m̂ = m / (1 - β₁ᵗ) and
//! v̂ = v / (1 - β₂ᵗ).

use std::collections::BTreeMap;

use plies_tensor::{Tensor, formula};

use super::{Memory, Optimizer, State, step_tensor, take_step};
use crate::Module;

/// Steps in proportion to the gradient's mean over its root mean square, both as running averages.
///
/// Weight decay comes in two forms: added to the gradient ([`weight_decay`](Adam::weight_decay)), or
/// decoupled, p ← p - ηλp, which is AdamW ([`Adam::adamw`]).
///
/// # Source
/// Kingma, Ba: Adam (2015), algorithm 1; Loshchilov, Hutter: Decoupled weight decay regularization
/// (2019), algorithm 2. ε is outside the root, as in PyTorch.
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
    step: u64,
    /// m and v
    moments: Memory<2>,
}

impl Adam {
    /// Adam at learning rate `lr` with β = (0.9, 0.999) and ε = 1e-8.
    pub fn new(lr: f64) -> Self {
        let (betas, eps) = ((0.9, 0.999), 1e-8);
        let moments = Memory::new();
        Adam { lr, betas, eps, weight_decay: 0.0, decoupled: false, step: 0, moments }
    }

    /// AdamW: Adam with decoupled weight decay λ.
    #[doc(alias = "AdamW")]
    pub fn adamw(lr: f64, lambda: f64) -> Self {
        Adam { weight_decay: lambda, decoupled: true, ..Self::new(lr) }
    }

    /// Other β₁ and β₂.
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (beta1, beta2);
        self
    }

    /// Another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// With λp added to the gradient.
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        (self.weight_decay, self.decoupled) = (lambda, false);
        self
    }
}

impl Optimizer for Adam {
    fn step(&mut self, model: &mut dyn Module) {
        self.step += 1;
        let (beta1, beta2) = self.betas;
        let t = self.step as f64;
        let rate = self.lr / (1.0 - beta1.powf(t));
        let root = 1.0 / (1.0 - beta2.powf(t)).sqrt();
        let (l2, keep) = match self.decoupled {
            true => (0.0, 1.0 - self.lr * self.weight_decay),
            false => (self.weight_decay, 1.0),
        };
        // 1 - β is computed here, in F64: in F32 it would lose half its digits.
        let scalars = [beta1, 1.0 - beta1, beta2, 1.0 - beta2, rate, root, self.eps, l2, keep];
        let f = formula!(|p, m, v, g; beta1, rest1, beta2, rest2, rate, root, eps, l2, keep| {
            let g = g + l2 * p;
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            [keep * p - rate * m / (v.sqrt() * root + eps), m, v]
        });
        model.for_each_parameter_mut(&mut |name, parameter| {
            let Some(gradient) = parameter.grad() else { return };
            let p = parameter.value_mut();
            let [m, v] = self.moments.of(name, p);
            Tensor::update(&mut [p, m, v], f, &[gradient.value()], &scalars);
        });
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let Adam { betas: (beta1, beta2), eps, weight_decay, decoupled, .. } = self;
        let name = if *decoupled { "adamw" } else { "adam" };
        format!("{name} beta1={beta1} beta2={beta2} eps={eps} weight_decay={weight_decay}")
    }

    fn state(&self) -> State {
        let mut state = State::from([("step".to_owned(), step_tensor(self.step))]);
        self.moments.save(&["exp_avg", "exp_avg_sq"], &mut state);
        state
    }

    fn load_state(
        &mut self,
        mut state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), String> {
        let step = take_step(&mut state)?;
        self.moments.load(&["exp_avg", "exp_avg_sq"], state, parameters)?;
        self.step = step;
        Ok(())
    }
}
