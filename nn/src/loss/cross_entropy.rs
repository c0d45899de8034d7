//! Softmax and cross-entropy as one operation.
//!
//! ℓ = ln Σ_c e^x_c - Σ_c q_c x_c, with q the target's distribution; d_x = softmax(x) - q.
//!
//! Neither the probabilities nor their logarithms [B, C] are stored: forward reads the logits twice
//! (largest, sum of exponentials) and keeps one number for each row, backward is a single pass.

use plies_autograd::{Op, Var, apply, is_recording, no_grad};
use plies_tensor::{DType, Device, Elementwise, Tensor, formula};

use super::{Reduction, reduce};

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
    let log_sum = no_grad(|| logits.logsumexp(&[-1], true)).into_value();
    let op = CrossEntropy { targets: targets.unsqueeze(-1), log_sum, label_smoothing };
    reduce(apply(op, &[logits]), reduction)
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
    // Other devices say so where they read the positions: looking here would wait for them.
    if *targets.device() == Device::cpu() {
        let n_classes = scores.dim(-1);
        let classes = targets.to_vec::<i32>().unwrap_or_default();
        let wrong = classes.iter().position(|&c| c < 0 || c as usize >= n_classes);
        if let Some(row) = wrong {
            panic!("{name}: target {} in row {row} is outside 0..{n_classes}", classes[row]);
        }
    }
}

/// ℓ = log_sum - (1 - ε) x_target - ε mean x, for each row
///
/// # Gradient
/// d_x = d_ℓ · (e^(x - log_sum) - q)
struct CrossEntropy {
    /// [B, 1] (I32)
    targets: Tensor,
    /// ln Σ_c e^x_c, [B, 1]
    log_sum: Tensor,
    label_smoothing: f64,
}

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        let (x, e) = (inputs[0], self.label_smoothing);
        let picked = x.gather(-1, &self.targets); // [B, 1]
        let each = if e == 0.0 {
            Tensor::map(formula!(|log_sum, t| log_sum - t), &[&self.log_sum, &picked], &[])
        } else {
            let mean = x.mean(&[-1], true); // [B, 1]
            let f = formula!(|log_sum, t, mean; e| log_sum - ((1.0 - e) * t + e * mean));
            Tensor::map(f, &[&self.log_sum, &picked, &mean], &[e])
        };
        each.squeeze(-1)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let x = &inputs[0];
        // What forward kept is a number; for a gradient of the gradient it must be a function of x.
        let log_sum = match is_recording() {
            true => x.logsumexp(&[-1], true),
            false => Var::constant(self.log_sum.clone()),
        };
        let n_classes = x.dim(-1);
        let device = x.value().device();
        let classes: Vec<i32> = (0..n_classes as i32).collect();
        let classes = Tensor::from_slice_on(&classes, [n_classes], device).to_dtype(x.dtype());
        let target = self.targets.to_dtype(x.dtype());
        // Where a class is the target is compared on the way: no one-hot [B, C] is made.
        let f = formula!(|d, x, log_sum, target, class; hot, cold| {
            d * ((x - log_sum).exp() - target.eq(class).select(hot, cold))
        });
        let cold = self.label_smoothing / n_classes as f64;
        let hot = 1.0 - self.label_smoothing + cold;
        let d_y = d_y.unsqueeze(-1); // [B, 1]
        let (target, classes) = (Var::constant(target), Var::constant(classes));
        vec![Some(Var::map(f, &[&d_y, x, &log_sum, &target, &classes], &[hot, cold]))]
    }
}
