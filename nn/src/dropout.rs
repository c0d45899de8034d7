//! Dropout: in training each unit is absent with probability p.
//!
//! y = x · keep / (1 - p), keep ~ Bernoulli(1 - p); in evaluation y = x.

use plies_autograd::Var;
use plies_tensor::{Elementwise, formula};

use crate::{Module, Pass, Visitor, VisitorMut};

/// Sets units to 0 with probability `p` while training and scales the others by 1 / (1 - p), so that
/// evaluation needs no change ("inverted" dropout).
///
/// # Gradient
/// d_x = d_y · keep / (1 - p)
///
/// # Source
/// Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout, JMLR 15 (2014).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Dropout, Module, Pass};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let x = Var::constant(Tensor::ones([1000], DType::F32, &Device::cpu()));
/// let layer = Dropout::new(0.25);
/// let y = layer.forward(&x, &mut Pass::train(Rng::new(1)));
/// assert!((y.mean_all().value().item().unwrap() - 1.0).abs() < 0.1);
/// assert_eq!(layer.forward(&x, &mut Pass::eval()).sum_all().value().item().unwrap(), 1000.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    p: f64,
}

impl Dropout {
    /// Drops units with probability `p`.
    ///
    /// # Panics
    /// When `p` is not in 0..=1.
    #[track_caller]
    pub fn new(p: f64) -> Self {
        assert!((0.0..=1.0).contains(&p), "dropout: p = {p} is not a probability");
        Dropout { p }
    }

    /// The probability that a unit is dropped.
    pub fn p(&self) -> f64 {
        self.p
    }
}

impl Module for Dropout {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let Some(rng) = pass.rng().filter(|_| self.p > 0.0) else { return x.clone() };
        let uniform = rng.uniform(x.shape(), x.dtype(), x.value().device());
        let scale = if self.p < 1.0 { 1.0 / (1.0 - self.p) } else { 0.0 };
        let f = formula!(|x, u; p, scale| u.lt(p).select(0.0, x * scale));
        Var::map(f, &[x, &Var::constant(uniform)], &[self.p, scale])
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
