//! The negative log-likelihood of normal distributions whose variances are predicted too.
//!
//! ℓ = (ln v + (x - t)² / v) / 2

use plies_autograd::Var;
use plies_tensor::{Elementwise, Tensor, formula};

use super::{Reduction, reduced};

/// The negative log-likelihood of targets under normal distributions: the mean of
/// (ln v + (x - t)² / v) / 2. A model that predicts the variances v besides the means x says how sure it is.
///
/// # Shapes
/// means [...], variances [...], or any that broadcasts to it, targets [...] -> []
///
/// # Gradient
/// d_x = (x - t) / v / n, d_v = (1 / v - (x - t)² / v²) / 2n
///
/// # Panics
/// When the shapes do not fit.
///
/// # Source
/// Nix, Weigend: Estimating the mean and variance of the target probability distribution (1994).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::gaussian_nll;
/// use plies_tensor::Tensor;
/// let (x, v) = (Var::constant(Tensor::from([1f64])), Var::leaf(Tensor::from([4f64])));
/// gaussian_nll(&x, &v, &Tensor::from([3f64])).backward();
/// assert_eq!(v.grad().unwrap().item().unwrap(), 0.0); // the error is as large as was expected
/// ```
#[doc(alias("GaussianNLLLoss"))]
#[track_caller]
pub fn gaussian_nll(means: &Var, variances: &Var, targets: &Tensor) -> Var {
    GaussianNll::default().of(means, variances, targets)
}

/// [`gaussian_nll`] with its constant part, or another least variance; as its mean, its sum, or one number
/// for each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianNll {
    /// Adds ln(2π) / 2.
    pub full: bool,
    /// The least variance; a smaller one counts as this, and has the gradient that this has.
    pub eps: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for GaussianNll {
    /// Without the constant part, ε = 1e-6; the mean.
    fn default() -> Self {
        GaussianNll { full: false, eps: 1e-6, reduction: Reduction::Mean }
    }
}

impl GaussianNll {
    /// The loss of means [...], variances [...], targets [...] -> [] or [...].
    ///
    /// # Panics
    /// When the shapes do not fit.
    #[track_caller]
    pub fn of(&self, means: &Var, variances: &Var, targets: &Tensor) -> Var {
        assert!(
            means.shape() == targets.shape(),
            "gaussian_nll: means {} with targets {}; they must have one shape",
            means.shape(),
            targets.shape()
        );
        // So that one far too sure is drawn back, the gradient passes the bound, as in PyTorch.
        let missing = formula!(|v; eps| v.lt(eps).select(eps - v, 0.0));
        let missing = Var::constant(Tensor::map(missing, &[variances.value()], &[self.eps]));
        let constant = if self.full { std::f64::consts::TAU.ln() } else { 0.0 };
        let f = formula!(|x, v, missing, t; constant| {
            let v = v + missing;
            0.5 * (v.ln() + (x - t).sqr() / v + constant)
        });
        let targets = Var::constant(targets.clone());
        reduced(Var::map(f, &[means, variances, &missing, &targets], &[constant]), self.reduction)
    }
}
