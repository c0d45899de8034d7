//! Mean absolute error.
//!
//! ℓ = |x - t|

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, elementwise};

/// Mean absolute error: the mean of |x - t|. Its least point is the median of the targets, as that of
/// [`mse`](super::mse) is their mean.
///
/// # Shapes
/// predictions [...], targets [...] -> []
///
/// # Gradient
/// d_x = sign(x - t) / n, 0 where they are equal
///
/// # Panics
/// When the shapes differ.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::l1;
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([1f32, 4.0]));
/// assert_eq!(l1(&x, &Tensor::from([2f32, 1.0])).value().item().unwrap(), 2.0);
/// ```
#[doc(alias("L1Loss", "mae", "mean absolute error"))]
#[track_caller]
pub fn l1(predictions: &Var, targets: &Tensor) -> Var {
    L1::default().of(predictions, targets)
}

/// [`l1`] as its mean, its sum, or one number for each element.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct L1 {
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl L1 {
    /// The loss of predictions [...], targets [...] -> [] or [...].
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, predictions: &Var, targets: &Tensor) -> Var {
        let f = formula!(|x, t| (x - t).abs());
        elementwise("l1", f, predictions, &[targets], &[], self.reduction)
    }
}
