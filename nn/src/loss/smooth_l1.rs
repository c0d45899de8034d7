//! Smooth absolute error.
//!
//! ℓ = (x - t)² / 2β where |x - t| < β, |x - t| - β/2 elsewhere

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, elementwise};

/// Squared error near 0, absolute error beyond 1: the mean of (x - t)² / 2 where |x - t| < 1, and
/// |x - t| - 1/2 elsewhere. One far-off target pulls no harder than a near one.
///
/// # Shapes
/// predictions [...], targets [...] -> []
///
/// # Gradient
/// d_x = (x - t) between -1 and 1, / n
///
/// # Panics
/// When the shapes differ.
///
/// # Source
/// Girshick: Fast R-CNN (2015), equation 3.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::smooth_l1;
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([0.5f32, 10.0]));
/// assert_eq!(smooth_l1(&x, &Tensor::from([0f32, 0.0])).value().item().unwrap(), 4.8125);
/// ```
#[track_caller]
pub fn smooth_l1(predictions: &Var, targets: &Tensor) -> Var {
    SmoothL1::default().of(predictions, targets)
}

/// [`smooth_l1`] with another β where squared and absolute error meet; as its mean, its sum, or one number
/// for each element.
///
/// # Source
/// β is that of later implementations; Huber (1964) is this times β.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothL1 {
    /// Where the two meet, above 0.
    pub beta: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for SmoothL1 {
    /// β = 1, the mean.
    fn default() -> Self {
        SmoothL1 { beta: 1.0, reduction: Reduction::Mean }
    }
}

impl SmoothL1 {
    /// The loss of predictions [...], targets [...] -> [] or [...].
    ///
    /// # Panics
    /// When the shapes differ or β is not above 0.
    #[track_caller]
    pub fn of(&self, predictions: &Var, targets: &Tensor) -> Var {
        assert!(self.beta > 0.0, "smooth_l1: beta {} is not above 0", self.beta);
        let f = formula!(|x, t; beta| {
            let error = (x - t).abs();
            error.lt(beta).select(0.5 * error.sqr() / beta, error - 0.5 * beta)
        });
        elementwise("smooth_l1", f, predictions, &[targets], &[self.beta], self.reduction)
    }
}
