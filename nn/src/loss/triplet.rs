//! The triplet loss.
//!
//! ℓ = max(0, d(a, p) - d(a, n) + margin) with d(x, y) = ‖x - y + ε‖

use plies_autograd::Var;

use plies_tensor::Elementwise;

use super::{Reduction, reduced};

/// Asks that an anchor be nearer to what is like it, by 1, than to what is not: the mean of
/// max(0, d(a, p) - d(a, n) + 1) with Euclid's distance.
///
/// # Shapes
/// anchor [B, D], positive [B, D], negative [B, D] -> []
///
/// # Gradient
/// of the distances, where the margin is too small; else 0
///
/// # Panics
/// When the shapes differ.
///
/// # Source
/// Schroff, Kalenichenko, Philbin: FaceNet (2015), equation 2, of distances that are not squared; the swap:
/// Balntas et al.: Learning local feature descriptors with triplets and shallow convolutional neural networks
/// (2016).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::triplet;
/// use plies_tensor::Tensor;
/// let x = |x: f64, y: f64| Var::constant(Tensor::from([[x, y]]));
/// let loss = triplet(&x(0.0, 0.0), &x(3.0, 4.0), &x(0.0, 5.5));
/// assert!((loss.item().unwrap() - 0.5).abs() < 1e-5);
/// ```
#[doc(alias("TripletMarginLoss", "triplet_margin_loss"))]
#[track_caller]
pub fn triplet(anchor: &Var, positive: &Var, negative: &Var) -> Var {
    Triplet::default().of(anchor, positive, negative)
}

/// [`triplet`] with another margin or norm, or with the swap; as its mean, its sum, or one number for each
/// anchor. As PyTorch's `TripletMarginLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triplet {
    /// How much nearer.
    pub margin: f64,
    /// Of which norm the distance is; 2 is Euclid's.
    pub p: f64,
    /// ε, which keeps the distance of equal vectors smooth.
    pub eps: f64,
    /// Takes the negative's distance from the positive, where that is less than from the anchor.
    pub swap: bool,
    /// What becomes of the anchors' losses.
    pub reduction: Reduction,
}

impl Default for Triplet {
    /// A margin of 1, Euclid's distance, ε = 1e-6, no swap; the mean.
    fn default() -> Self {
        let reduction = Reduction::Mean;
        Triplet { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction }
    }
}

impl Triplet {
    /// The loss of anchor [B, D], positive [B, D], negative [B, D] -> [] or `[B]`.
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, anchor: &Var, positive: &Var, negative: &Var) -> Var {
        assert!(
            anchor.rank() == 2
                && anchor.shape() == positive.shape()
                && anchor.shape() == negative.shape(),
            "triplet: anchor {}, positive {}, negative {}; expected [B, D] each",
            anchor.shape(),
            positive.shape(),
            negative.shape()
        );
        let distance = |x: &Var, y: &Var| (x - y + self.eps).norm_p(self.p, &[-1], false); // [B]
        let mut apart = distance(anchor, negative);
        if self.swap {
            apart = apart.minimum(&distance(positive, negative));
        }
        reduced((distance(anchor, positive) - apart + self.margin).relu(), self.reduction)
    }
}
