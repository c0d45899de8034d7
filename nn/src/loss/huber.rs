//! Huber's loss.
//!
//! ℓ = (x - t)² / 2 where |x - t| < δ, δ (|x - t| - δ/2) elsewhere

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, elementwise};

/// Half the squared error near 0, absolute error from 1 on: [`smooth_l1`](super::smooth_l1) times δ, which
/// here is 1.
///
/// # Shapes
/// predictions [...], targets [...] -> []
///
/// # Gradient
/// d_x = (x - t) between -δ and δ, / n
///
/// # Panics
/// When the shapes differ.
///
/// # Source
/// Huber: Robust estimation of a location parameter (1964).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::huber;
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([0.5f32, 10.0]));
/// assert_eq!(huber(&x, &Tensor::from([0f32, 0.0])).value().item().unwrap(), 4.8125);
/// ```
#[doc(alias("HuberLoss", "huber_loss"))]
#[track_caller]
pub fn huber(predictions: &Var, targets: &Tensor) -> Var {
    Huber::default().of(predictions, targets)
}

/// [`huber`] with another δ; as its mean, its sum, or one number for each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Huber {
    /// Where the two meet, above 0.
    pub delta: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for Huber {
    /// δ = 1, the mean.
    fn default() -> Self {
        Huber { delta: 1.0, reduction: Reduction::Mean }
    }
}

impl Huber {
    /// The loss of predictions [...], targets [...] -> [] or [...].
    ///
    /// # Panics
    /// When the shapes differ or δ is not above 0.
    #[track_caller]
    pub fn of(&self, predictions: &Var, targets: &Tensor) -> Var {
        assert!(self.delta > 0.0, "huber: delta {} is not above 0", self.delta);
        let f = formula!(|x, t; delta| {
            let error = (x - t).abs();
            error.lt(delta).select(0.5 * error.sqr(), delta * (error - 0.5 * delta))
        });
        elementwise("huber", f, predictions, &[targets], &[self.delta], self.reduction)
    }
}
