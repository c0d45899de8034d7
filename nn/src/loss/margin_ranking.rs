//! The ranking loss of pairs.
//!
//! ℓ = max(0, margin - t (a - b))

use plies_autograd::Var;
use plies_tensor::{Elementwise, Tensor, formula};

use super::{Reduction, reduced};

/// Asks for a above b where t = 1, and below where t = -1: the mean of max(0, -t (a - b)).
///
/// # Shapes
/// a [...], b [...], targets [...] of -1 or 1 -> []
///
/// # Gradient
/// d_a = -t / n and d_b = t / n where the order is wrong, else 0
///
/// # Panics
/// When the shapes differ.
///
/// # Source
/// Herbrich, Graepel, Obermayer: Large margin rank boundaries for ordinal regression (2000).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::margin_ranking;
/// use plies_tensor::Tensor;
/// let (a, b) = (Tensor::from([1f32, 5.0]), Tensor::from([3f32, 4.0]));
/// let loss = margin_ranking(&Var::constant(a), &Var::constant(b), &Tensor::from([1f32, 1.0]));
/// assert_eq!(loss.value().item().unwrap(), 1.0);
/// ```
#[doc(alias("MarginRankingLoss", "pairwise ranking"))]
#[track_caller]
pub fn margin_ranking(a: &Var, b: &Var, targets: &Tensor) -> Var {
    MarginRanking::default().of(a, b, targets)
}

/// [`margin_ranking`] with a margin; as its mean, its sum, or one number for each pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MarginRanking {
    /// How far the two are to be apart.
    pub margin: f64,
    /// What becomes of the pairs' losses.
    pub reduction: Reduction,
}

impl MarginRanking {
    /// The loss of a [...], b [...], targets [...] of -1 or 1 -> [] or [...].
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, a: &Var, b: &Var, targets: &Tensor) -> Var {
        assert!(
            a.shape() == b.shape() && a.shape() == targets.shape(),
            "margin_ranking: {} and {} with targets {}; they must have one shape",
            a.shape(),
            b.shape(),
            targets.shape()
        );
        let f = formula!(|a, b, t; margin| {
            let missing = margin - t * (a - b);
            missing.gt(0.0).select(missing, 0.0)
        });
        let targets = Var::constant(targets.clone());
        reduced(Var::map(f, &[a, b, &targets], &[self.margin]), self.reduction)
    }
}
