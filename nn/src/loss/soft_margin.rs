//! The logistic loss of two classes that are called -1 and 1.
//!
//! ℓ = ln(1 + e^-tx)

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, elementwise};

/// The logistic loss: the mean of ln(1 + e^-tx). It is [`binary_cross_entropy`](super::binary_cross_entropy)
/// with targets of -1 and 1 for its 0 and 1.
///
/// # Shapes
/// scores [...], targets [...] of -1 or 1 -> []
///
/// # Gradient
/// d_x = -t σ(-tx) / n
///
/// # Panics
/// When the shapes differ.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::soft_margin;
/// use plies_tensor::Tensor;
/// let scores = Var::constant(Tensor::from([0f32, -200.0]));
/// let loss = soft_margin(&scores, &Tensor::from([1f32, 1.0])).value().item().unwrap();
/// assert!((loss - (2f64.ln() + 200.0) / 2.0).abs() < 1e-5);
/// ```
#[doc(alias("SoftMarginLoss", "logistic loss"))]
#[track_caller]
pub fn soft_margin(scores: &Var, targets: &Tensor) -> Var {
    SoftMargin::default().of(scores, targets)
}

/// [`soft_margin`] as its mean, its sum, or one number for each element.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftMargin {
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl SoftMargin {
    /// The loss of scores [...], targets [...] of -1 or 1 -> [] or [...].
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, scores: &Var, targets: &Tensor) -> Var {
        // As in binary cross-entropy: no overflow, and no kink at 0.
        let f = formula!(|x, t| {
            let x = x * t;
            let below = x.lt(0.0);
            below.select(-x, 0.0) + below.select(x, -x).exp().ln_1p()
        });
        elementwise("soft_margin", f, scores, &[targets], &[], self.reduction)
    }
}
