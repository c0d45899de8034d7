//! Muon.
//!
//! m ← μm + (1 - μ)g, u = μm + (1 - μ)g, p ← (1 - ηλ)p - η s · orthogonal(u) with s = √max(1, O / I) for p [O, I]

use std::collections::BTreeMap;

use plies_tensor::{Elementwise, Tensor, formula};

use super::settings::{not_negative, share};
use super::{Memory, Optimizer, State};
use crate::{CheckpointError, Module};

/// The names of what is remembered of each parameter.
const MOMENTS: &[&str] = &["momentum_buffer"];

/// Steps along the nearest orthogonal matrix to the momentum, so that all directions that a weight
/// matrix has in its gradients move alike, not the few strongest alone.
///
/// It is for weights of two and more axes; of those of convolutions the first axis is the rows and all
/// others together the columns. Biases, scales, and by experience embeddings and the last layer, go
/// with [`Adam`](super::Adam), in [`ParameterGroups`](super::ParameterGroups).
///
/// # Panics
/// In a step, for a parameter of fewer axes that has a gradient.
///
/// # Source
/// Jordan et al.: Muon, an optimizer for hidden layers in neural networks (2024), with weight decay as
/// PyTorch's `Muon`; the matching of Adam's size: Liu et al.: Muon is scalable for LLM training (2025),
/// equation 4. The iteration is computed in the parameter's own dtype.
///
/// # Example
/// ```
/// use plies_nn::optim::{Adam, Muon, Optimizer, ParameterGroups};
/// use plies_nn::{Activation, Mlp, Module, Pass, Var, loss};
/// use plies_tensor::{Rng, Tensor};
/// let mut optimizer = ParameterGroups::new(Muon::new(0.02))
///     .group(|name, p| p.rank() < 2 || name.starts_with("layers.1"), Adam::adamw(1e-3, 0.01));
/// let mut model = Mlp::new(&[2, 8, 2], Activation::Relu, &mut Rng::new(1));
/// let x = Var::constant(Tensor::from([[1f32, 0.0]]));
/// loss::cross_entropy(&model.forward(&x, &mut Pass::eval()), &Tensor::from([1])).backward();
/// optimizer.step(&mut model);
/// ```
#[derive(Debug)]
pub struct Muon {
    lr: f64,
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    matches_adam: bool,
    iterations: usize,
    memory: Memory,
}

impl Muon {
    /// Muon at learning rate `lr` with Nesterov's momentum of 0.95 and five iterations.
    ///
    /// # Panics
    /// When this or another number is not one that it can be:
    /// a learning rate or decay below 0 or NaN, a momentum not in 0..1, no iterations.
    #[track_caller]
    pub fn new(lr: f64) -> Self {
        let lr = not_negative("muon", "lr", lr);
        Muon {
            lr,
            momentum: 0.95,
            nesterov: true,
            weight_decay: 0.0,
            matches_adam: false,
            iterations: 5,
            memory: Memory::default(),
        }
    }

    /// Another momentum `mu`.
    #[track_caller]
    pub fn momentum(mut self, mu: f64) -> Self {
        self.momentum = share("muon", "momentum", mu);
        self
    }

    /// With plain momentum, u = m.
    pub fn plain_momentum(mut self) -> Self {
        self.nesterov = false;
        self
    }

    /// With decoupled weight decay λ.
    #[track_caller]
    pub fn weight_decay(mut self, lambda: f64) -> Self {
        self.weight_decay = not_negative("muon", "weight_decay", lambda);
        self
    }

    /// With s = √max(O, I) / 5, which makes steps as large as Adam's, so that Adam's learning rate and weight
    /// decay serve.
    pub fn match_adam(mut self) -> Self {
        self.matches_adam = true;
        self
    }

    /// Another number of iterations towards the orthogonal matrix.
    #[track_caller]
    pub fn iterations(mut self, n: usize) -> Self {
        assert!(n > 0, "muon: 0 iterations make no matrix orthogonal");
        self.iterations = n;
        self
    }
}

impl Optimizer for Muon {
    #[track_caller]
    fn step(&mut self, model: &mut dyn Module) {
        self.memory.next_step();
        let Muon { lr, momentum, nesterov, weight_decay, matches_adam, iterations, .. } = *self;
        let stepped = self.memory.for_each(MOMENTS.len(), model, &mut |name, p, gradient, m| {
            if p.rank() < 2 {
                return Err(format!(
                    "parameter {name} {} is no matrix; it belongs to another optimiser of \
                     ParameterGroups",
                    p.shape()
                ));
            }
            let (g, m) = (&gradient.to_dense(), &mut m[0]);
            let mix = formula!(|m, g; mu, rest| mu * m + rest * g);
            let scalars = [momentum, 1.0 - momentum];
            Tensor::update(&mut [&mut *m], mix, &[g], &scalars);
            let u = if nesterov { Tensor::map(mix, &[&*m, g], &scalars) } else { m.clone() };
            let (rows, columns) = (p.dim(0), p.elem_count() / p.dim(0).max(1));
            let o = orthogonal(&u.reshape([rows, columns]), iterations).reshape(p.shape());
            let scale = match matches_adam {
                true => 0.2 * (rows.max(columns) as f64).sqrt(),
                false => (rows as f64 / columns as f64).max(1.0).sqrt(),
            };
            let move_on = formula!(|p, o; keep, rate| keep * p - rate * o);
            Tensor::update(&mut [p], move_on, &[&o], &[1.0 - lr * weight_decay, lr * scale]);
            Ok(())
        });
        if let Err(mistake) = stepped {
            panic!("muon: {mistake}");
        }
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let Muon { momentum, nesterov, weight_decay, matches_adam, iterations, .. } = self;
        format!(
            "muon momentum={momentum} nesterov={nesterov} weight_decay={weight_decay} \
             match_adam={matches_adam} iterations={iterations}"
        )
    }

    fn state(&self) -> State {
        self.memory.state(MOMENTS)
    }

    fn load_state(
        &mut self,
        state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), CheckpointError> {
        self.memory = Memory::from_state(MOMENTS, state, parameters)?;
        Ok(())
    }
}

/// Nearly U Vᵀ of x = U S Vᵀ [M, N]: each iteration takes the singular values, which begin in 0..=1, by
/// s ← as + bs³ + cs⁵ towards 1, fast rather than exactly, to about 0.7..1.2.
///
/// x ← ax + (bA + cA²)x with A = x xᵀ
fn orthogonal(x: &Tensor, iterations: usize) -> Tensor {
    const A: f64 = 3.4445;
    const B: f64 = -4.7750;
    const C: f64 = 2.0315;
    let tall = x.dim(0) > x.dim(1);
    let mut x = if tall { x.t() } else { x.clone() }; // [M, N], M <= N
    let shorten = formula!(|x, norm; least| x / norm.max(least));
    x = Tensor::map(shorten, &[&x, &x.norm_all()], &[1e-7]);
    for _ in 0..iterations {
        let a = x.matmul(&x.t()); // [M, M]
        let squares = a.matmul(&a); // [M, M]
        let polynomial = formula!(|a, squares; b, c| b * a + c * squares);
        let factor = Tensor::map(polynomial, &[&a, &squares], &[B, C]);
        let product = factor.matmul(&x); // [M, N]
        x = Tensor::map(formula!(|product, x; a| a * x + product), &[&product, &x], &[A]);
    }
    if tall { x.t() } else { x }
}
