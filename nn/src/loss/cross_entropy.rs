//! Softmax and cross-entropy as one operation.
//!
//! ℓ = -Σ_c q_c y_c, where y = x - ln Σ_c e^x_c are the logarithms of the probabilities and q is the
//! target's distribution; d_x = eʸ - q.
//!
//! Forward makes y in one pass over the logits; backward is another one, which reads y in their
//! place, so that the logits need not be kept.

use plies_autograd::{Op, Reads, Var, apply, is_recording};
use plies_tensor::{DType, Elementwise, Reduce, Tensor, formula};

use super::Reduction;
use crate::check;

/// Softmax cross-entropy from logits: the mean of -Σ_c q_c ln softmax(logits)_c over the batch,
/// where q is 1 at the target class.
///
/// # Shapes
/// logits [B, C], targets `[B]` (I32) -> []
///
/// # Gradient
/// d_logits = (softmax(logits) - q) / B
///
/// # Panics
/// When shapes do not fit, or a target is outside 0..C.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::cross_entropy;
/// use plies_tensor::Tensor;
/// let logits = Var::leaf(Tensor::from([[0f32, 0.0]]));
/// let loss = cross_entropy(&logits, &Tensor::from([1]));
/// assert!((loss.value().item().unwrap() - 2f64.ln()).abs() < 1e-6);
/// loss.backward();
/// assert_eq!(logits.grad().unwrap().value().to_vec::<f32>().unwrap(), [0.5, -0.5]);
/// ```
#[track_caller]
pub fn cross_entropy(logits: &Var, targets: &Tensor) -> Var {
    cross_entropy_with(logits, targets, 0.0, Reduction::Mean)
}

/// [`cross_entropy`] with label smoothing ε, as its mean, its sum, or one number for each row: q is
/// 1 - ε at the target plus ε / C everywhere.
///
/// # Shapes
/// logits [B, C], targets `[B]` (I32) -> [] or `[B]`
///
/// # Panics
/// As [`cross_entropy`], and when ε is outside 0..=1.
///
/// # Source
/// Szegedy et al., Rethinking the Inception architecture (2016), section 7.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::{Reduction, cross_entropy_with};
/// use plies_tensor::Tensor;
/// let logits = Var::constant(Tensor::from([[0f64, 0.0], [0.0, 2.0]]));
/// let each = cross_entropy_with(&logits, &Tensor::from([1, 0]), 0.0, Reduction::None);
/// let each = each.value().to_vec::<f64>().unwrap();
/// assert!((each[0] - 2f64.ln()).abs() < 1e-12);
/// assert!((each[1] - (1.0 + 2f64.exp()).ln()).abs() < 1e-12);
/// ```
#[track_caller]
pub fn cross_entropy_with(
    logits: &Var,
    targets: &Tensor,
    label_smoothing: f64,
    reduction: Reduction,
) -> Var {
    check_classes("cross_entropy", logits, targets);
    assert!(
        (0.0..=1.0).contains(&label_smoothing),
        "cross_entropy: label smoothing {label_smoothing} is not in 0..=1"
    );
    let log_probs = logits.value().log_softmax(-1);
    let op = CrossEntropy { targets: targets.unsqueeze(-1), log_probs, label_smoothing, reduction };
    apply(op, &[logits])
}

/// Checks that `targets` are classes of `scores`, one for each row.
#[track_caller]
pub(super) fn check_classes(name: &str, scores: &Var, targets: &Tensor) {
    assert!(
        scores.rank() == 2 && targets.dims() == [scores.dim(0)],
        "{name}: scores {} with targets {}; expected [B, C] and [B]",
        scores.shape(),
        targets.shape()
    );
    assert!(
        targets.dtype() == DType::I32,
        "{name}: targets are {}, not i32; they are the numbers of classes",
        targets.dtype()
    );
    check::numbers(name, "target", targets, scores.dim(-1), None);
}

/// ℓ = -(1 - ε) y_target - ε mean y for each row, these averaged, summed or as they are
///
/// # Gradient
/// d_x = d_ℓ · (eʸ - q)
struct CrossEntropy {
    /// [B, 1] (I32)
    targets: Tensor,
    /// y, [B, C]
    log_probs: Tensor,
    label_smoothing: f64,
    reduction: Reduction,
}

impl CrossEntropy {
    /// How much of the result a row's ℓ is.
    fn weight(&self) -> f64 {
        match self.reduction {
            Reduction::Mean => 1.0 / self.targets.elem_count() as f64,
            Reduction::Sum | Reduction::None => 1.0,
        }
    }
}

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn forward(&self, _inputs: &[&Tensor]) -> Tensor {
        let (y, e, weight) = (&self.log_probs, self.label_smoothing, self.weight());
        let picked = y.gather(-1, &self.targets); // [B, 1]
        let mean = (e != 0.0).then(|| y.mean(&[-1], true)); // [B, 1]
        let (f, inputs, scalars) = match &mean {
            None => (formula!(|t; weight| -weight * t), &[&picked][..], &[weight][..]),
            Some(mean) => (
                formula!(|t, mean; weight, e| -weight * ((1.0 - e) * t + e * mean)),
                &[&picked, mean][..],
                &[weight, e][..],
            ),
        };
        match self.reduction {
            Reduction::None => Tensor::map(f, inputs, scalars).squeeze(-1),
            Reduction::Mean if picked.elem_count() == 0 => y.mean_all(),
            _ => Tensor::map_reduce(Reduce::Sum, f, inputs, scalars, &[0, 1], false),
        }
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_loss: &Var) -> Vec<Option<Var>> {
        let x = &inputs[0];
        let y = self.log_probs.clone();
        // For a gradient of the gradient it must be known what y is a function of.
        let y = if is_recording() { apply(LogSoftmax { y }, &[x]) } else { Var::constant(y) };
        let n_classes = x.dim(-1);
        let device = x.value().device();
        let classes: Vec<i32> = (0..n_classes as i32).collect();
        let classes = Tensor::from_slice_on(&classes, [n_classes], device).to_dtype(x.dtype());
        let target = self.targets.to_dtype(x.dtype());
        // Where a class is the target is compared on the way: no one-hot [B, C] is made.
        let f = formula!(|d, y, target, class; hot, cold, weight| {
            weight * d * (y.exp() - target.eq(class).select(hot, cold))
        });
        let cold = self.label_smoothing / n_classes as f64;
        let hot = 1.0 - self.label_smoothing + cold;
        let d_loss = d_loss.unsqueeze(-1); // [B, 1] or [1]
        let (target, classes) = (Var::constant(target), Var::constant(classes));
        let scalars = [hot, cold, self.weight()];
        vec![Some(Var::map(f, &[&d_loss, &y, &target, &classes], &scalars))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y = x - ln Σ eˣ along the last axis, which has been computed.
///
/// # Gradient
/// d_x = d_y - eʸ · Σ d_y
struct LogSoftmax {
    y: Tensor,
}

impl Op for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn forward(&self, _inputs: &[&Tensor]) -> Tensor {
        self.y.clone()
    }

    fn vjp(&self, _inputs: &[Var], y: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(Var::map(formula!(|d, y| d - y.exp() * d.row_sum()), &[d_y, y], &[]))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::OUTPUT
    }
}
