//! The multi-class hinge loss over all classes.
//!
//! ℓ = Σ over c ≠ t of max(0, margin + x_c - x_t)ᵖ / C

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, check_classes, reduced};

/// The hinge loss of Weston and Watkins: the mean over the batch of Σ over c ≠ t of max(0, 1 + x_c - x_t) / C.
/// Where [`hinge`](super::hinge) counts the worst wrong class alone, this counts all.
///
/// # Shapes
/// scores [B, C], targets `[B]` (I32) -> []
///
/// # Gradient
/// 1 / BC at each wrong class whose margin is too small, minus their sum at the target
///
/// # Panics
/// When shapes do not fit or a target is outside 0..C.
///
/// # Source
/// Weston, Watkins: Support vector machines for multi-class pattern recognition (1999).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::multi_margin;
/// use plies_tensor::Tensor;
/// let scores = Var::constant(Tensor::from([[0f64, 3.0, 2.5], [2.0, 0.5, 0.0]]));
/// let loss = multi_margin(&scores, &Tensor::from([1, 0])).item().unwrap();
/// assert!((loss - 0.5 / 3.0 / 2.0).abs() < 1e-15);
/// ```
#[doc(alias("MultiMarginLoss"))]
#[track_caller]
pub fn multi_margin(scores: &Var, targets: &Tensor) -> Var {
    MultiMargin::default().of(scores, targets)
}

/// [`multi_margin`] with another margin, squared, or with class weights; as its mean, its sum, or one number
/// for each row. As PyTorch's `MultiMarginLoss`.
#[derive(Clone, Debug)]
pub struct MultiMargin {
    /// By how much the target's score is to be higher than others.
    pub margin: f64,
    /// Whether each class's part is squared.
    pub squared: bool,
    /// What a row's loss is multiplied by, by the class that is its target, `[C]`; all the same when there
    /// are none.
    pub class_weights: Option<Tensor>,
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
}

impl Default for MultiMargin {
    /// A margin of 1, not squared, no weights; the mean.
    fn default() -> Self {
        let reduction = Reduction::Mean;
        MultiMargin { margin: 1.0, squared: false, class_weights: None, reduction }
    }
}

impl MultiMargin {
    /// The loss of scores [B, C], targets `[B]` (I32) -> [] or `[B]`.
    ///
    /// # Panics
    /// When shapes do not fit or a target is outside 0..C.
    #[track_caller]
    pub fn of(&self, scores: &Var, targets: &Tensor) -> Var {
        let name = "multi_margin";
        assert!(scores.rank() == 2, "{name}: scores {}; expected [B, C]", scores.shape());
        check_classes(name, scores, targets, None);
        let n_classes = scores.dim(-1);
        let target_score = scores.gather(-1, &targets.unsqueeze(-1)); // [B, 1]
        let is_target = Var::constant(targets.one_hot(n_classes, scores.dtype())); // [B, C]
        let f = formula!(|x, t, hot; margin, squared| {
            let missing = margin + x - t;
            let counted = missing.gt(0.0).select(missing, 0.0);
            hot.select(0.0, squared.select(counted.sqr(), counted))
        });
        let scalars = [self.margin, f64::from(u8::from(self.squared))];
        let inputs = [scores, &target_score, &is_target];
        let mut each = Var::map_sum(f, &inputs, &scalars, &[-1], false) / n_classes as f64; // [B]
        if let Some(weights) = &self.class_weights {
            super::check_class_weights(name, weights, n_classes);
            let weights = weights.to_dtype(scores.dtype()).index_select(0, targets);
            each = each * Var::constant(weights);
        }
        reduced(each, self.reduction)
    }
}
