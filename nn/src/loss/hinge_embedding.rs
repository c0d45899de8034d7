//! The hinge loss of distances.
//!
//! ℓ = x where t = 1, max(0, margin - x) where t = -1

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, elementwise};

/// Makes distances small between what belongs together, and at least 1 between what does not: the mean of
/// x where t = 1, and of max(0, 1 - x) where t = -1.
///
/// # Shapes
/// distances [...], targets [...] of -1 or 1 -> []
///
/// # Gradient
/// 1 / n where t = 1; -1 / n where t = -1 and x below the margin; else 0
///
/// # Panics
/// When the shapes differ.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::hinge_embedding;
/// use plies_tensor::Tensor;
/// let distances = Var::constant(Tensor::from([0.5f32, 0.25, 7.0]));
/// let loss = hinge_embedding(&distances, &Tensor::from([1f32, -1.0, -1.0]));
/// assert!((loss.value().item().unwrap() - 1.25 / 3.0).abs() < 1e-6);
/// ```
#[doc(alias("HingeEmbeddingLoss"))]
#[track_caller]
pub fn hinge_embedding(distances: &Var, targets: &Tensor) -> Var {
    HingeEmbedding::default().of(distances, targets)
}

/// [`hinge_embedding`] with another margin; as its mean, its sum, or one number for each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HingeEmbedding {
    /// How far what does not belong together is to be apart.
    pub margin: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for HingeEmbedding {
    /// A margin of 1, the mean.
    fn default() -> Self {
        HingeEmbedding { margin: 1.0, reduction: Reduction::Mean }
    }
}

impl HingeEmbedding {
    /// The loss of distances [...], targets [...] of -1 or 1 -> [] or [...].
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, distances: &Var, targets: &Tensor) -> Var {
        let f = formula!(|x, t; margin| {
            let missing = margin - x;
            t.gt(0.0).select(x, missing.gt(0.0).select(missing, 0.0))
        });
        elementwise("hinge_embedding", f, distances, &[targets], &[self.margin], self.reduction)
    }
}
