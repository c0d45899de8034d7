//! Cross-entropy whose targets are distributions: a class is named with a probability, such as those of
//! two examples that are mixed, or what another model says.
//!
//! ℓ = -Σ_c q_c y_c and d_x = eʸ Σ_c q_c - q, as with classes, but q [N, C] is given.

use plies_autograd::{Op, Reads, Var, apply, is_recording};
use plies_tensor::{Elementwise, Reduce, Tensor, formula};

use super::cross_entropy::LogSoftmax;
use super::{CrossEntropy, Reduction};

/// Checks that `targets` are as many probabilities as there are scores.
#[track_caller]
pub(super) fn check(scores: &Var, targets: &Tensor, ignored: Option<i32>) {
    assert!(
        scores.shape() == targets.shape() && scores.rank() >= 2 && scores.dim(1) > 0,
        "cross_entropy: probabilities {} for scores {}; both are [B, C, ...], or targets are classes",
        targets.shape(),
        scores.shape()
    );
    assert!(
        scores.dtype() == targets.dtype(),
        "cross_entropy: probabilities are {}, scores {}",
        targets.dtype(),
        scores.dtype()
    );
    if let Some(class) = ignored {
        panic!("cross_entropy: class {class} is to be ignored, but targets are probabilities");
    }
}

/// logits [N, C], targets [N, C] -> [] or `[N]`
pub(super) fn of_rows(loss: &CrossEntropy, logits: &Var, targets: &Tensor) -> Var {
    let (x, smoothing) = (logits.value(), loss.label_smoothing);
    let mut q = targets.clone();
    if smoothing != 0.0 {
        let spread = formula!(|q; kept, spread| kept * q + spread);
        q = Tensor::map(spread, &[&q], &[1.0 - smoothing, smoothing / x.dim(-1) as f64]);
    }
    if let Some(weights) = &loss.class_weights {
        q = q * weights.to_dtype(x.dtype());
    }
    let scale = match loss.reduction {
        Reduction::Mean => 1.0 / x.dim(0) as f64,
        Reduction::Sum | Reduction::None => 1.0,
    };
    let op = Rows { q, log_probs: x.log_softmax(-1), scale, reduction: loss.reduction };
    apply(op, &[logits])
}

/// ℓ = -s Σ_c q_c y_c for each row, added up or as they are
///
/// # Gradient
/// d_x = d_ℓ · s (eʸ Σ_c q_c - q)
struct Rows {
    /// [N, C]
    q: Tensor,
    /// y, [N, C]
    log_probs: Tensor,
    scale: f64,
    reduction: Reduction,
}

impl Op for Rows {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn forward(&self, _inputs: &[&Tensor]) -> Tensor {
        // What is ruled out (y is -∞) and does not come (q is 0) costs nothing.
        let f = formula!(|q, y; scale| -scale * q.eq(0.0).select(0.0, q * y));
        let (inputs, scalars) = ([&self.q, &self.log_probs], [self.scale]);
        let axes: &[isize] = if self.reduction == Reduction::None { &[-1] } else { &[0, 1] };
        Tensor::map_reduce(Reduce::Sum, f, &inputs, &scalars, axes, false)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_loss: &Var) -> Vec<Option<Var>> {
        let y = self.log_probs.clone();
        // For a gradient of the gradient it must be known what y is a function of.
        let y =
            if is_recording() { apply(LogSoftmax { y }, &[&inputs[0]]) } else { Var::constant(y) };
        let f = formula!(|d, y, q; scale| scale * d * (y.exp() * q.row_sum() - q));
        let (d, q) = (d_loss.unsqueeze(-1), Var::constant(self.q.clone())); // [N, 1] or [1]
        vec![Some(Var::map(f, &[&d, &y, &q], &[self.scale]))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}
