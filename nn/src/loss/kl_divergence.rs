//! The Kullback-Leibler divergence of predictions from a distribution.
//!
//! ℓ = Σ_c t_c (ln t_c - x_c), where x are the logarithms of predicted probabilities

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use super::{Reduction, reduced};

/// How far predicted distributions are from those of the targets: the mean over examples of
/// Σ_c t_c (ln t_c - x_c). The predictions are logarithms of probabilities, as
/// [`log_softmax`](Var::log_softmax) gives them.
///
/// PyTorch's mean is over numbers, its `batchmean` is this one.
///
/// # Shapes
/// log_probs [B, C, ...], targets [B, C, ...] -> []
///
/// # Gradient
/// d_x = -t / B
///
/// # Panics
/// When the shapes differ.
///
/// # Source
/// Kullback, Leibler: On information and sufficiency (1951).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::kl_divergence;
/// use plies_tensor::Tensor;
/// let log_probs = Var::constant(Tensor::from([[0.5f64.ln(), 0.5f64.ln()]]));
/// let certain = kl_divergence(&log_probs, &Tensor::from([[1f64, 0.0]]));
/// assert!((certain.item().unwrap() - 2f64.ln()).abs() < 1e-12);
/// assert_eq!(kl_divergence(&log_probs, &Tensor::from([[0.5f64, 0.5]])).item().unwrap(), 0.0);
/// ```
#[doc(alias("KLDivLoss", "kl_div", "distillation"))]
#[track_caller]
pub fn kl_divergence(log_probs: &Var, targets: &Tensor) -> Var {
    KlDivergence::default().of(log_probs, targets)
}

/// [`kl_divergence`] from targets that are logarithms too; as its mean, its sum, or one number for each
/// distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KlDivergence {
    /// Whether the targets are logarithms of probabilities as well.
    pub log_target: bool,
    /// What becomes of the distributions' losses.
    pub reduction: Reduction,
}

impl KlDivergence {
    /// The loss of log_probs [B, C, ...], targets [B, C, ...] -> [] or [B, ...].
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn of(&self, log_probs: &Var, targets: &Tensor) -> Var {
        assert!(
            log_probs.rank() >= 2 && log_probs.shape() == targets.shape(),
            "kl_divergence: log_probs {} with targets {}; expected [B, C, ...] twice",
            log_probs.shape(),
            targets.shape()
        );
        // What is impossible has no part, whatever was predicted for it.
        let f = match self.log_target {
            false => formula!(|x, t| t.eq(0.0).select(0.0, t * (t.ln() - x))),
            true => formula!(|x, t| {
                let p = t.exp();
                p.eq(0.0).select(0.0, p * (t - x))
            }),
        };
        let targets = Var::constant(targets.clone());
        reduced(Var::map_sum(f, &[log_probs, &targets], &[], &[1], false), self.reduction)
    }
}
