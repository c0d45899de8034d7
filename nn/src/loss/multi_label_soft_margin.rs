//! Binary cross-entropy over the classes of an example, several of which may be right.
//!
//! ℓ = Σ_c w_c (-t_c ln σ(x_c) - (1 - t_c) ln(1 - σ(x_c))) / C

use plies_autograd::Var;
use plies_tensor::Tensor;

use super::{BinaryCrossEntropy, Reduction, reduced};

/// The mean over the batch of the mean over an example's classes of
/// [`binary_cross_entropy`](super::binary_cross_entropy).
///
/// # Shapes
/// logits [B, C], targets [B, C] in 0..=1 -> []
///
/// # Gradient
/// d_x = (σ(x) - t) / BC
///
/// # Panics
/// When the shapes differ.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::multi_label_soft_margin;
/// use plies_tensor::Tensor;
/// let logits = Var::constant(Tensor::from([[0f64, 0.0]]));
/// let loss = multi_label_soft_margin(&logits, &Tensor::from([[1f64, 1.0]]));
/// assert!((loss.item().unwrap() - 2f64.ln()).abs() < 1e-12);
/// ```
#[doc(alias("MultiLabelSoftMarginLoss", "multi-label"))]
#[track_caller]
pub fn multi_label_soft_margin(logits: &Var, targets: &Tensor) -> Var {
    MultiLabelSoftMargin::default().of(logits, targets)
}

/// [`multi_label_soft_margin`] with class weights; as its mean, its sum, or one number for each example. As
/// PyTorch's `MultiLabelSoftMarginLoss`.
#[derive(Clone, Debug, Default)]
pub struct MultiLabelSoftMargin {
    /// What each class's part is multiplied by, `[C]`; all the same when there are none.
    pub class_weights: Option<Tensor>,
    /// What becomes of the examples' losses.
    pub reduction: Reduction,
}

impl MultiLabelSoftMargin {
    /// The loss of logits [B, C], targets [B, C] in 0..=1 -> [] or `[B]`.
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, logits: &Var, targets: &Tensor) -> Var {
        let name = "multi_label_soft_margin";
        assert!(logits.rank() == 2, "{name}: logits {}; expected [B, C]", logits.shape());
        if let Some(weights) = &self.class_weights {
            super::check_class_weights(name, weights, logits.dim(-1));
        }
        let weight = self.class_weights.clone();
        let loss = BinaryCrossEntropy { weight, pos_weight: None, reduction: Reduction::None };
        reduced(loss.of(logits, targets).mean(&[-1], false), self.reduction)
    }
}
