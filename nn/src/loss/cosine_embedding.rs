//! The loss of angles between vectors.
//!
//! ℓ = 1 - cos(a, b) where t = 1, max(0, cos(a, b) - margin) where t = -1

use plies_autograd::Var;
use plies_tensor::{Elementwise, Tensor, formula};

use super::{Reduction, reduced};
use crate::check;

/// Turns vectors that belong together (t = 1) into one direction, and others (t = -1) away from each other: the
/// mean of 1 - cos(a, b) or max(0, cos(a, b)), with cos(a, b) = a·b / ‖a‖‖b‖.
///
/// # Shapes
/// a [B, D], b [B, D], targets `[B]` of -1 or 1 -> []
///
/// # Gradient
/// d_a = ∓(b / ‖a‖‖b‖ - cos a / ‖a‖²) / B, and so for b
///
/// # Panics
/// When the shapes do not fit.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::cosine_embedding;
/// use plies_tensor::Tensor;
/// let a = Var::constant(Tensor::from([[1f64, 0.0], [1.0, 0.0]]));
/// let b = Var::constant(Tensor::from([[0f64, 7.0], [3.0, 4.0]]));
/// let loss = cosine_embedding(&a, &b, &Tensor::from([1f64, -1.0]));
/// assert!((loss.item().unwrap() - (1.0 + 0.6) / 2.0).abs() < 1e-9);
/// ```
#[doc(alias("CosineEmbeddingLoss", "cosine similarity"))]
#[track_caller]
pub fn cosine_embedding(a: &Var, b: &Var, targets: &Tensor) -> Var {
    CosineEmbedding::default().of(a, b, targets)
}

/// [`cosine_embedding`] with a margin; as its mean, its sum, or one number for each pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CosineEmbedding {
    /// Up to which cosine vectors that do not belong together are far enough apart.
    pub margin: f64,
    /// What becomes of the pairs' losses.
    pub reduction: Reduction,
}

impl CosineEmbedding {
    /// The loss of a [B, D], b [B, D], targets `[B]` of -1 or 1 -> [] or `[B]`.
    ///
    /// # Panics
    /// When the shapes do not fit, or on the CPU a target is neither -1 nor 1.
    #[track_caller]
    pub fn of(&self, a: &Var, b: &Var, targets: &Tensor) -> Var {
        assert!(
            a.rank() == 2 && a.shape() == b.shape() && targets.dims() == &a.dims()[..1],
            "cosine_embedding: {} and {} with targets {}; expected [B, D], [B, D] and [B]",
            a.shape(),
            b.shape(),
            targets.shape()
        );
        check::signs("cosine_embedding", targets);
        let dot = (a * b).sum(&[-1], false); // [B]
        let squares = |x: &Var| x.sqr().sum(&[-1], false);
        let (aa, bb) = (squares(a), squares(b));
        // ε, as in PyTorch, keeps the cosine of a vector of zeros a number.
        let f = formula!(|dot, aa, bb, t; eps, margin| {
            let cos = dot / ((aa + eps) * (bb + eps)).sqrt();
            let above = cos - margin;
            t.gt(0.0).select(1.0 - cos, above.gt(0.0).select(above, 0.0))
        });
        let targets = Var::constant(targets.clone());
        let each = Var::map(f, &[&dot, &aa, &bb, &targets], &[1e-12, self.margin]);
        reduced(each, self.reduction)
    }
}
