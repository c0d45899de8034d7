//! The negative log-likelihood of classes.
//!
//! ℓ = -w_t x_t, where x are the logarithms of probabilities

use plies_autograd::Var;
use plies_tensor::{Elementwise, Tensor, formula};

use super::{Reduction, check_class_weights, check_classes};

/// The negative log-likelihood: the mean of minus the target's log-probability. After
/// [`log_softmax`](Var::log_softmax) it is [`cross_entropy`](super::cross_entropy), which does both in one
/// and is to be preferred where there is nothing in between.
///
/// # Shapes
/// log_probs [B, C, ...], targets [B, ...] (I32) -> []
///
/// # Gradient
/// d_x = -1 / B at the target, else 0
///
/// # Panics
/// When shapes do not fit, or a target is outside 0..C.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::nll;
/// use plies_tensor::Tensor;
/// let log_probs = Var::constant(Tensor::from([[0.25f64.ln(), 0.75f64.ln()]]));
/// let loss = nll(&log_probs, &Tensor::from([0]));
/// assert!((loss.item().unwrap() - 4f64.ln()).abs() < 1e-12);
/// ```
#[doc(alias("NLLLoss", "nll_loss", "negative log likelihood"))]
#[track_caller]
pub fn nll(log_probs: &Var, targets: &Tensor) -> Var {
    Nll::default().of(log_probs, targets)
}

/// [`nll`] with class weights and places that do not count; as its mean, its sum, or one number for each
/// place. As PyTorch's `NLLLoss`: the mean is that of the places that count, each as much as its target's
/// weight.
#[derive(Clone, Debug, Default)]
pub struct Nll {
    /// How much a place counts by the class that is its target, `[C]`; all the same when there are none.
    pub class_weights: Option<Tensor>,
    /// The target of places that do not count, such as padding.
    pub ignore_index: Option<i32>,
    /// What becomes of the places' losses.
    pub reduction: Reduction,
}

impl Nll {
    /// The loss of log_probs [B, C, ...], targets [B, ...] (I32) -> [] or [B, ...].
    ///
    /// # Panics
    /// When shapes do not fit, or a target is neither in 0..C nor the one that is ignored.
    #[track_caller]
    pub fn of(&self, log_probs: &Var, targets: &Tensor) -> Var {
        check_classes("nll", log_probs, targets, self.ignore_index);
        let dtype = log_probs.dtype();
        let (mut targets, mut share) = (targets.clone(), targets.to_dtype(dtype).ones_like());
        if let Some(ignored) = self.ignore_index {
            let counts = formula!(|t; ignored| t.eq(ignored).select(0.0, 1.0));
            let counts = Tensor::map(counts, &[&targets], &[f64::from(ignored)]);
            targets = targets * &counts; // A class that exists.
            share = counts.to_dtype(dtype);
        }
        if let Some(weights) = &self.class_weights {
            check_class_weights("nll", weights, log_probs.dim(1));
            let of_targets = weights.to_dtype(dtype).index_select(0, &targets.flatten());
            share = share * of_targets.reshape(targets.shape());
        }
        if self.reduction == Reduction::Mean {
            let total = share.sum_all();
            share = share / total;
        }
        let picked = log_probs.gather(1, &targets.unsqueeze(1)).squeeze(1); // [B, ...]
        // A place that does not count may have any log-probabilities.
        let f = formula!(|x, share| share.eq(0.0).select(0.0, -share * x));
        let share = Var::constant(share);
        match self.reduction {
            Reduction::None => Var::map(f, &[&picked, &share], &[]),
            Reduction::Mean | Reduction::Sum => {
                let axes: Vec<isize> = (0..picked.rank() as isize).collect();
                Var::map_sum(f, &[&picked, &share], &[], &axes, false)
            }
        }
    }
}
