//! Binary cross-entropy: each number of the predictions is a yes-or-no question of its own.
//!
//! ℓ = -t ln σ(x) - (1 - t) ln(1 - σ(x))

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, elementwise};

/// Binary cross-entropy from logits: the mean of -t ln σ(x) - (1 - t) ln(1 - σ(x)), computed as
/// max(x, 0) - x·t + ln(1 + e^-|x|), which does not overflow.
///
/// # Shapes
/// logits [...], targets [...] in 0..=1 -> []
///
/// # Gradient
/// d_x = (σ(x) - t) / n
///
/// # Panics
/// When the shapes differ.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::binary_cross_entropy;
/// use plies_tensor::Tensor;
/// let logits = Var::leaf(Tensor::from([0f32, 200.0]));
/// let loss = binary_cross_entropy(&logits, &Tensor::from([1f32, 1.0]));
/// assert!((loss.value().item().unwrap() - 2f64.ln() / 2.0).abs() < 1e-6);
/// loss.backward();
/// assert_eq!(logits.grad().unwrap().value().to_vec::<f32>().unwrap(), [-0.25, 0.0]);
/// ```
#[track_caller]
pub fn binary_cross_entropy(logits: &Var, targets: &Tensor) -> Var {
    BinaryCrossEntropy::default().of(logits, targets)
}

/// [`binary_cross_entropy`] as its mean, its sum, or one number for each element.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BinaryCrossEntropy {
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl BinaryCrossEntropy {
    /// The loss of logits [...], targets [...] in 0..=1 -> [] or [...].
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, logits: &Var, targets: &Tensor) -> Var {
        // Both sides of 0 are smooth formulas that hold at 0 too. With max and abs, which have kinks
        // there, the second derivative at 0 would be 0 instead of 1/4.
        let f = formula!(|x, t| {
            let below = x.lt(0.0);
            below.select(0.0, x) - x * t + below.select(x, -x).exp().ln_1p()
        });
        elementwise("binary_cross_entropy", f, logits, targets, &[], self.reduction)
    }
}
