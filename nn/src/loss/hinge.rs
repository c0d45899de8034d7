//! The multi-class hinge loss.
//!
//! ℓ = max(0, 1 + max over c ≠ t of x_c - x_t)

use plies_autograd::Var;
use plies_tensor::{DType, Elementwise, Tensor, formula};

use super::{Reduction, check_classes, reduced};

/// The multi-class hinge loss: the mean over the batch of
/// max(0, 1 + max over c ≠ t of x_c - x_t).
///
/// # Shapes
/// scores [B, C], targets `[B]` (I32) -> []
///
/// # Gradient
/// 1 / B at the highest wrong class and -1 / B at the target where the margin is too small, else 0
///
/// # Panics
/// When shapes do not fit or a target is outside 0..C.
///
/// # Source
/// Crammer, Singer: On the algorithmic implementation of multiclass kernel-based vector machines
/// (2001).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::hinge;
/// use plies_tensor::Tensor;
/// let scores = Var::constant(Tensor::from([[0f32, 3.0, 1.0], [2.0, 1.5, 0.0]]));
/// assert_eq!(hinge(&scores, &Tensor::from([1, 0])).value().item().unwrap(), 0.25);
/// ```
#[track_caller]
pub fn hinge(scores: &Var, targets: &Tensor) -> Var {
    Hinge::default().of(scores, targets)
}

/// [`hinge`] as its mean, its sum, or one number for each row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hinge {
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
}

impl Hinge {
    /// The loss of scores [B, C], targets `[B]` (I32) -> [] or `[B]`.
    ///
    /// # Panics
    /// When shapes do not fit or a target is outside 0..C.
    #[track_caller]
    pub fn of(&self, scores: &Var, targets: &Tensor) -> Var {
        assert!(scores.rank() == 2, "hinge: scores {}; expected [B, C]", scores.shape());
        check_classes("hinge", scores, targets, None);
        let target_score = scores.gather(-1, &targets.unsqueeze(-1)); // [B, 1]
        let is_target = Var::constant(targets.one_hot(scores.dim(-1), scores.dtype())); // [B, C]
        let f = formula!(|x, t, hot; low| hot.select(low, 1.0 + x - t));
        let low = if scores.dtype() == DType::F64 { f64::MIN } else { f64::from(f32::MIN) };
        let margin = Var::map(f, &[scores, &target_score, &is_target], &[low]);
        reduced(margin.max(&[-1], false).relu(), self.reduction)
    }
}
