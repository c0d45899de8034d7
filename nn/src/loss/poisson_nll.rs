//! The negative log-likelihood of counts.
//!
//! ℓ = eˣ - t x, where x is the logarithm of the expected count

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, elementwise};

/// The negative log-likelihood of Poisson's distribution, for targets that are counts: the mean of
/// eˣ - t x. The predictions are logarithms of rates.
///
/// # Shapes
/// predictions [...], targets [...] -> []
///
/// # Gradient
/// d_x = (eˣ - t) / n
///
/// # Panics
/// When the shapes differ.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::poisson_nll;
/// use plies_tensor::Tensor;
/// let x = Var::leaf(Tensor::from([3f64.ln()]));
/// poisson_nll(&x, &Tensor::from([3f64])).backward();
/// assert!(x.grad().unwrap().item().unwrap().abs() < 1e-12); // a rate of 3 is the best for a count of 3
/// ```
#[doc(alias("PoissonNLLLoss"))]
#[track_caller]
pub fn poisson_nll(predictions: &Var, targets: &Tensor) -> Var {
    PoissonNll::default().of(predictions, targets)
}

/// [`poisson_nll`] of rates in place of their logarithms, or with the part that depends on the targets
/// alone; as its mean, its sum, or one number for each element. As PyTorch's `PoissonNLLLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoissonNll {
    /// Whether predictions are the logarithms of rates, or else the rates: ℓ = x - t ln(x + ε).
    pub log_input: bool,
    /// Adds Stirling's approximation of ln t! to targets above 1: t ln t - t + ln(2πt) / 2.
    pub full: bool,
    /// ε
    pub eps: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for PoissonNll {
    /// Logarithms, without the constant part, ε = 1e-8; the mean.
    fn default() -> Self {
        PoissonNll { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

impl PoissonNll {
    /// The loss of predictions [...], targets [...] -> [] or [...].
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, predictions: &Var, targets: &Tensor) -> Var {
        let constant = match self.full {
            false => targets.zeros_like(),
            true => {
                let stirling = formula!(|t; tau| {
                    let above = t.gt(1.0);
                    let t = above.select(t, 1.0);
                    above.select(t * t.ln() - t + 0.5 * (tau * t).ln(), 0.0)
                });
                plies_tensor::Elementwise::map(stirling, &[targets], &[std::f64::consts::TAU])
            }
        };
        let f = match self.log_input {
            true => formula!(|x, t, constant; eps| x.exp() - t * x + constant + 0.0 * eps),
            false => formula!(|x, t, constant; eps| x - t * (x + eps).ln() + constant),
        };
        let others = [targets, &constant];
        elementwise("poisson_nll", f, predictions, &others, &[self.eps], self.reduction)
    }
}
