//! Stochastic gradient descent.
//!
//! g = ∂L/∂p + λp, v ← μv + g, p ← p - η v; with Nesterov's momentum p ← p - η (g + μv).

use std::collections::BTreeMap;

use plies_tensor::{Tensor, formula};

use super::{Memory, Optimizer, State};
use crate::Module;

/// Gradient descent with momentum μ and weight decay λ (L2), as PyTorch's `SGD` without dampening.
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
    weight_decay: f64,
    velocity: Memory<1>,
}

impl Sgd {
    /// Plain gradient descent at learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Sgd { lr, momentum: 0.0, nesterov: false, weight_decay: 0.0, velocity: Memory::new() }
    }

    /// With momentum `mu`.
    pub fn momentum(mut self, mu: f64) -> Self {
        self.momentum = mu;
        self
    }

    /// With Nesterov's form of momentum `mu`.
    pub fn nesterov(mut self, mu: f64) -> Self {
        (self.momentum, self.nesterov) = (mu, true);
        self
    }

    /// With λp added to the gradient.
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        self.weight_decay = lambda;
        self
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, model: &mut dyn Module) {
        let (lr, mu, decay) = (self.lr, self.momentum, self.weight_decay);
        model.for_each_parameter_mut(&mut |name, parameter| {
            let Some(gradient) = parameter.grad() else { return };
            let (p, g) = (parameter.value_mut(), gradient.value());
            if mu == 0.0 && decay == 0.0 {
                return Tensor::update(&mut [p], formula!(|p, g; lr| p - lr * g), &[g], &[lr]);
            }
            if mu == 0.0 {
                let f = formula!(|p, g; lr, decay| p - lr * (g + decay * p));
                return Tensor::update(&mut [p], f, &[g], &[lr, decay]);
            }
            let f = if self.nesterov {
                formula!(|p, v, g; lr, mu, decay| {
                    let g = g + decay * p;
                    let v = mu * v + g;
                    [p - lr * (g + mu * v), v]
                })
            } else {
                formula!(|p, v, g; lr, mu, decay| {
                    let v = mu * v + (g + decay * p);
                    [p - lr * v, v]
                })
            };
            let [v] = self.velocity.of(name, p);
            Tensor::update(&mut [p, v], f, &[g], &[lr, mu, decay]);
        });
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let Sgd { momentum, nesterov, weight_decay, .. } = self;
        format!("sgd momentum={momentum} nesterov={nesterov} weight_decay={weight_decay}")
    }

    fn state(&self) -> State {
        let mut state = State::new();
        self.velocity.save(&["momentum_buffer"], &mut state);
        state
    }

    fn load_state(
        &mut self,
        state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), String> {
        self.velocity.load(&["momentum_buffer"], state, parameters)
    }
}
