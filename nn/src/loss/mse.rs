//! Mean squared error.
//!
//! ℓ = (x - t)²

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, elementwise};

/// Mean squared error: the mean of (x - t)².
///
/// # Shapes
/// predictions [...], targets [...] -> []
///
/// # Gradient
/// d_x = 2 (x - t) / n
///
/// # Panics
/// When the shapes differ.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::mse;
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([1f32, 4.0]));
/// assert_eq!(mse(&x, &Tensor::from([1f32, 1.0])).value().item().unwrap(), 4.5);
/// ```
#[track_caller]
pub fn mse(predictions: &Var, targets: &Tensor) -> Var {
    Mse::default().of(predictions, targets)
}

/// [`mse`] as its mean, its sum, or one number for each element.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mse {
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Mse {
    /// The loss of predictions [...], targets [...] -> [] or [...].
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, predictions: &Var, targets: &Tensor) -> Var {
        let f = formula!(|x, t| (x - t).sqr());
        elementwise("mse", f, predictions, &[targets], &[], self.reduction)
    }
}
