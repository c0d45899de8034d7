//! What training makes small.
//!
//! Every loss is the mean over the batch, a scalar, or with the ending `_with` whatever the
//! [`Reduction`] says. Gradients of any order flow to the predictions.

mod cross_entropy;

use plies_autograd::Var;
use plies_tensor::{DType, Elementwise, Formula, Tensor, formula};

use cross_entropy::check_classes;
pub use cross_entropy::{cross_entropy, cross_entropy_with};

/// What becomes of the losses of single examples (of single numbers for the element-wise losses).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean, a scalar.
    #[default]
    Mean,
    /// Their sum, a scalar.
    Sum,
    /// They are left as they are.
    None,
}

#[track_caller]
fn reduce(each: Var, reduction: Reduction) -> Var {
    match reduction {
        Reduction::Mean => each.mean_all(),
        Reduction::Sum => each.sum_all(),
        Reduction::None => each,
    }
}

/// A formula of predictions and targets, reduced in the pass that computes it.
#[track_caller]
fn elementwise(
    name: &str,
    formula: &Formula,
    predictions: &Var,
    targets: &Tensor,
    scalars: &[f64],
    reduction: Reduction,
) -> Var {
    assert!(
        predictions.shape() == targets.shape(),
        "{name}: predictions {} with targets {}; they must have one shape",
        predictions.shape(),
        targets.shape()
    );
    let targets = Var::constant(targets.clone());
    let inputs = [predictions, &targets];
    if reduction == Reduction::None {
        return Var::map(formula, &inputs, scalars);
    }
    let axes: Vec<isize> = (0..predictions.rank() as isize).collect();
    let sum = Var::map_sum(formula, &inputs, scalars, &axes, false);
    if reduction == Reduction::Sum { sum } else { sum / predictions.elem_count() as f64 }
}

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
    binary_cross_entropy_with(logits, targets, Reduction::Mean)
}

/// [`binary_cross_entropy`] as its mean, its sum, or one number for each element.
#[track_caller]
pub fn binary_cross_entropy_with(logits: &Var, targets: &Tensor, reduction: Reduction) -> Var {
    // Both sides of 0 are smooth formulas that hold at 0 too. With max and abs, which have kinks there,
    // the second derivative at 0 would be 0 instead of 1/4.
    let f = formula!(|x, t| {
        let below = x.lt(0.0);
        below.select(0.0, x) - x * t + below.select(x, -x).exp().ln_1p()
    });
    elementwise("binary_cross_entropy", f, logits, targets, &[], reduction)
}

/// Mean squared error: the mean of (x - t)².
///
/// # Shapes
/// predictions [...], targets [...] -> []
///
/// # Gradient
/// d_x = 2 (x - t) / n
///
/// # Panics
/// When the shapes differ.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::mse;
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([1f32, 4.0]));
/// assert_eq!(mse(&x, &Tensor::from([1f32, 1.0])).value().item().unwrap(), 4.5);
/// ```
#[track_caller]
pub fn mse(predictions: &Var, targets: &Tensor) -> Var {
    mse_with(predictions, targets, Reduction::Mean)
}

/// [`mse`] as its mean, its sum, or one number for each element.
#[track_caller]
pub fn mse_with(predictions: &Var, targets: &Tensor, reduction: Reduction) -> Var {
    elementwise("mse", formula!(|x, t| (x - t).sqr()), predictions, targets, &[], reduction)
}

/// Squared error near 0, absolute error beyond β: the mean of (x - t)² / 2β where |x - t| < β, and
/// |x - t| - β/2 elsewhere. One far-off target pulls no harder than a near one.
///
/// # Shapes
/// predictions [...], targets [...] -> []
///
/// # Gradient
/// d_x = (x - t) / β between -1 and 1, / n
///
/// # Panics
/// When the shapes differ or β is not above 0.
///
/// # Source
/// Girshick: Fast R-CNN (2015), equation 3, with the β of later implementations; Huber (1964) is
/// this times β.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::smooth_l1;
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([0.5f32, 10.0]));
/// assert_eq!(smooth_l1(&x, &Tensor::from([0f32, 0.0]), 1.0).value().item().unwrap(), 4.8125);
/// ```
#[track_caller]
pub fn smooth_l1(predictions: &Var, targets: &Tensor, beta: f64) -> Var {
    smooth_l1_with(predictions, targets, beta, Reduction::Mean)
}

/// [`smooth_l1`] as its mean, its sum, or one number for each element.
#[track_caller]
pub fn smooth_l1_with(predictions: &Var, targets: &Tensor, beta: f64, reduction: Reduction) -> Var {
    assert!(beta > 0.0, "smooth_l1: beta {beta} is not above 0");
    let f = formula!(|x, t; beta| {
        let error = (x - t).abs();
        error.lt(beta).select(0.5 * error.sqr() / beta, error - 0.5 * beta)
    });
    elementwise("smooth_l1", f, predictions, targets, &[beta], reduction)
}

/// The multi-class hinge loss: the mean over the batch of
/// max(0, 1 + max over c ≠ t of x_c - x_t).
///
/// # Shapes
/// scores [B, C], targets `[B]` (I32) -> []
///
/// # Gradient
/// 1 / B at the highest wrong class and -1 / B at the target where the margin is too small, else 0
///
/// # Panics
/// When shapes do not fit or a target is outside 0..C.
///
/// # Source
/// Crammer, Singer: On the algorithmic implementation of multiclass kernel-based vector machines
/// (2001).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::hinge;
/// use plies_tensor::Tensor;
/// let scores = Var::constant(Tensor::from([[0f32, 3.0, 1.0], [2.0, 1.5, 0.0]]));
/// assert_eq!(hinge(&scores, &Tensor::from([1, 0])).value().item().unwrap(), 0.25);
/// ```
#[track_caller]
pub fn hinge(scores: &Var, targets: &Tensor) -> Var {
    hinge_with(scores, targets, Reduction::Mean)
}

/// [`hinge`] as its mean, its sum, or one number for each row.
#[track_caller]
pub fn hinge_with(scores: &Var, targets: &Tensor, reduction: Reduction) -> Var {
    check_classes("hinge", scores, targets);
    let target_score = scores.gather(-1, &targets.unsqueeze(-1)); // [B, 1]
    let is_target = Var::constant(targets.one_hot(scores.dim(-1), scores.dtype())); // [B, C]
    let f = formula!(|x, t, hot; low| hot.select(low, 1.0 + x - t));
    let low = if scores.dtype() == DType::F64 { f64::MIN } else { f64::from(f32::MIN) };
    let margin = Var::map(f, &[scores, &target_score, &is_target], &[low]);
    reduce(margin.max(&[-1], false).relu(), reduction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
    use plies_tensor::{Device, Rng};

    type Loss = fn(&Var, Reduction) -> Var;

    fn classes() -> Tensor {
        Tensor::from([2, 0, 1])
    }

    fn numbers(x: &Var) -> Tensor {
        x.value().full_like(0.3)
    }

    /// Name, the loss of [3, 4] predictions, and whether it reduces rows (or else elements).
    const LOSSES: [(&str, Loss, bool); 7] = [
        ("cross_entropy", |x, r| cross_entropy_with(x, &classes(), 0.0, r), true),
        ("smoothed", |x, r| cross_entropy_with(x, &classes(), 0.1, r), true),
        ("binary_cross_entropy", |x, r| binary_cross_entropy_with(x, &numbers(x), r), false),
        ("mse", |x, r| mse_with(x, &numbers(x), r), false),
        ("smooth_l1", |x, r| smooth_l1_with(x, &numbers(x), 0.7, r), false),
        ("smooth_l1 wide", |x, r| smooth_l1_with(x, &numbers(x), 9.0, r), false),
        ("hinge", |x, r| hinge_with(x, &classes(), r), true),
    ];

    fn predictions(seed: u64) -> Tensor {
        Rng::new(seed).normal([3, 4], DType::F64, &Device::cpu())
    }

    #[test]
    fn every_gradient_is_that_of_finite_differences() {
        for (name, loss, _) in LOSSES {
            for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
                let f = |x: &[Var]| loss(&x[0], reduction);
                gradcheck(f, &[predictions(9)]).unwrap_or_else(|e| panic!("{name}: {e}"));
                gradgradcheck(f, &[predictions(9)]).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
        }
    }

    #[test]
    fn mean_and_sum_are_those_of_the_single_losses() {
        for (name, loss, by_row) in LOSSES {
            let x = Var::constant(predictions(4));
            let each = loss(&x, Reduction::None);
            assert_eq!(each.dims(), if by_row { &[3][..] } else { &[3, 4] }, "{name}");
            let sum: f64 = each.value().to_vec::<f64>().unwrap().iter().sum();
            let value = |reduction| loss(&x, reduction).value().item().unwrap();
            assert!((value(Reduction::Sum) - sum).abs() < 1e-12, "{name}");
            let mean = sum / each.elem_count() as f64;
            assert!((value(Reduction::Mean) - mean).abs() < 1e-12, "{name}");
        }
    }

    /// The definitions, one number at a time.
    #[test]
    fn values_are_those_of_the_definitions() {
        let x = predictions(2);
        let rows: Vec<Vec<f64>> = x.to_vec::<f64>().unwrap().chunks(4).map(<[_]>::to_vec).collect();
        let targets = [2usize, 0, 1];
        let of_rows = |f: &dyn Fn(&[f64], usize) -> f64| -> f64 {
            rows.iter().zip(targets).map(|(row, t)| f(row, t)).sum::<f64>() / 3.0
        };
        let of_numbers = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
            rows.iter().flatten().map(|&x| f(x, 0.3)).sum::<f64>() / 12.0
        };
        let log_p =
            |row: &[f64], c: usize| (row[c].exp() / row.iter().map(|x| x.exp()).sum::<f64>()).ln();
        let smoothed = |row: &[f64], t: usize| {
            let q = |c| if c == t { 0.9 + 0.025 } else { 0.025 };
            -(0..4).map(|c| q(c) * log_p(row, c)).sum::<f64>()
        };
        let smooth_l1 = |beta: f64| {
            move |x: f64, t: f64| {
                let e = (x - t).abs();
                if e < beta { e * e / (2.0 * beta) } else { e - beta / 2.0 }
            }
        };
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let hinge = |row: &[f64], t: usize| {
            let wrong = (0..4).filter(|&c| c != t).map(|c| row[c]).fold(f64::MIN, f64::max);
            (1.0 + wrong - row[t]).max(0.0)
        };
        let expected = [
            of_rows(&|row, t| -log_p(row, t)),
            of_rows(&smoothed),
            of_numbers(&|x, t| -t * sigmoid(x).ln() - (1.0 - t) * (1.0 - sigmoid(x)).ln()),
            of_numbers(&|x, t| (x - t) * (x - t)),
            of_numbers(&smooth_l1(0.7)),
            of_numbers(&smooth_l1(9.0)),
            of_rows(&hinge),
        ];
        for ((name, loss, _), expected) in LOSSES.into_iter().zip(expected) {
            let found = loss(&Var::constant(x.clone()), Reduction::Mean).value().item().unwrap();
            assert!((found - expected).abs() < 1e-12, "{name}: {found} for {expected}");
        }
    }

    #[test]
    fn large_logits_neither_overflow_nor_lose_the_loss_or_its_gradient() {
        let x = Var::leaf(Tensor::from([[1e4f32, -1e4]]));
        let loss = |t: i32| cross_entropy(&x, &Tensor::from([t]));
        assert_eq!(loss(0).value().item().unwrap(), 0.0);
        let wrong = loss(1);
        assert_eq!(wrong.value().item().unwrap(), 2e4);
        wrong.backward();
        assert_eq!(x.grad().unwrap().value().to_vec::<f32>().unwrap(), [1.0, -1.0]);
        x.zero_grad();
        let bce = binary_cross_entropy(&x, &Tensor::from([[0f32, 1.0]]));
        assert_eq!(bce.value().item().unwrap(), 1e4);
        bce.backward();
        assert_eq!(x.grad().unwrap().value().to_vec::<f32>().unwrap(), [0.5, -0.5]);
    }

    /// Layers that start at 0 give logits of exactly 0.
    #[test]
    fn binary_cross_entropy_has_no_kink_at_0() {
        let smooth = |x: &[Var]| {
            let targets = Tensor::from([0f64, 1.0, 0.3]);
            binary_cross_entropy_with(&x[0], &targets, Reduction::None)
        };
        gradcheck(smooth, &[Tensor::from([0f64, 0.0, 0.0])]).unwrap();
        gradgradcheck(smooth, &[Tensor::from([0f64, 0.0, 0.0])]).unwrap();
        let x = Var::leaf(Tensor::from([0f32, 0.0, -0.0]));
        binary_cross_entropy_with(&x, &Tensor::from([0f32, 1.0, 1.0]), Reduction::Sum).backward();
        assert_eq!(x.grad().unwrap().value().to_vec::<f32>().unwrap(), [0.5, -0.5, -0.5]);
    }

    /// A logit of -∞ is a class that is ruled out.
    #[test]
    fn ruled_out_classes_have_no_gradient() {
        let x = Var::leaf(Tensor::from([[0f64, f64::NEG_INFINITY, 0.0]]));
        let loss = cross_entropy(&x, &Tensor::from([0]));
        assert!((loss.value().item().unwrap() - 2f64.ln()).abs() < 1e-15);
        loss.backward();
        assert_eq!(x.grad().unwrap().value().to_vec::<f64>().unwrap(), [-0.5, 0.0, 0.5]);
    }

    #[test]
    fn wrong_targets_are_named() {
        let x = Var::constant(predictions(1));
        let message = |f: &dyn Fn() -> Var| {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
            panic.downcast_ref::<String>().unwrap().clone()
        };
        let far = message(&|| cross_entropy(&x, &Tensor::from([0, 4, 1])));
        assert_eq!(far, "cross_entropy: target 4 at position 1 is outside 0..4");
        let below = message(&|| hinge(&x, &Tensor::from([0, 1, -1])));
        assert_eq!(below, "hinge: target -1 at position 2 is outside 0..4");
        let few = message(&|| cross_entropy(&x, &Tensor::from([0, 1])));
        assert!(few.contains("scores [3, 4] with targets [2]"), "{few}");
        let float = message(&|| cross_entropy(&x, &Tensor::from([0f32, 1.0, 2.0])));
        assert!(float.contains("targets are f32, not i32"), "{float}");
        let shapes = message(&|| mse(&x, &Tensor::from([0f64])));
        assert!(shapes.contains("predictions [3, 4] with targets [1]"), "{shapes}");
    }
}
