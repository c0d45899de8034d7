//! Binary cross-entropy: each number of the predictions is a yes-or-no question of its own.
//!
//! ℓ = -w (v t ln σ(x) + (1 - t) ln(1 - σ(x)))

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

/// [`binary_cross_entropy`] with weights; as its mean, its sum, or one number for each element. As PyTorch's
/// `BCEWithLogitsLoss`.
#[derive(Clone, Debug, Default)]
pub struct BinaryCrossEntropy {
    /// w, what an element's loss is multiplied by, of any shape that broadcasts to the targets'; all the
    /// same when there is none. The mean is still over the number of elements.
    pub weight: Option<Tensor>,
    /// v, how much more a yes counts than a no, of such a shape too: the ratio of no to yes among the
    /// examples makes up for there being few of one.
    pub pos_weight: Option<Tensor>,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl BinaryCrossEntropy {
    /// The loss of logits [...], targets [...] in 0..=1 -> [] or [...].
    ///
    /// # Gradient
    /// d_x = d_ℓ w ((1 - t) σ(x) - v t σ(-x))
    ///
    /// # Panics
    /// When the shapes differ, or a weight's does not broadcast to them.
    #[track_caller]
    pub fn of(&self, logits: &Var, targets: &Tensor) -> Var {
        // Both sides of 0 are smooth formulas that hold at 0 too. With max and abs, which have kinks
        // there, the second derivative at 0 would be 0 instead of 1/4.
        let name = "binary_cross_entropy";
        if self.weight.is_none() && self.pos_weight.is_none() {
            let f = formula!(|x, t| {
                let below = x.lt(0.0);
                below.select(0.0, x) - x * t + below.select(x, -x).exp().ln_1p()
            });
            return elementwise(name, f, logits, &[targets], &[], self.reduction);
        }
        let or_ones = |weight: &Option<Tensor>| match weight {
            Some(weight) => weight.to_dtype(logits.dtype()).broadcast_to(logits.shape()),
            None => Tensor::ones([1], logits.dtype(), logits.device()),
        };
        let (weight, pos_weight) = (or_ones(&self.weight), or_ones(&self.pos_weight));
        let f = formula!(|x, t, w, v| {
            let below = x.lt(0.0);
            let minus_ln_sigmoid = below.select(-x, 0.0) + below.select(x, -x).exp().ln_1p();
            w * ((1.0 - t) * x + (1.0 + (v - 1.0) * t) * minus_ln_sigmoid)
        });
        elementwise(name, f, logits, &[targets, &weight, &pos_weight], &[], self.reduction)
    }
}
