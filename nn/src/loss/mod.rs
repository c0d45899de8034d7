//! What training makes small.
//!
//! Each loss is a struct of its options, and `of` computes it; the function of the same name is the
//! loss as it usually is, the mean over the batch. Gradients of any order flow to the predictions.
//!
//! ```
//! use plies_nn::loss::{CrossEntropy, Reduction, cross_entropy};
//! use plies_nn::Var;
//! use plies_tensor::Tensor;
//! let (logits, targets) = (Var::constant(Tensor::from([[0f32, 1.0], [2.0, 0.0]])), Tensor::from([1, 0]));
//! let mean = cross_entropy(&logits, &targets);
//! let each = CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() };
//! assert_eq!(each.of(&logits, &targets).mean_all().item().unwrap(), mean.item().unwrap());
//! ```

mod binary_cross_entropy;
mod cosine_embedding;
mod cross_entropy;
mod ctc;
mod gaussian_nll;
mod hinge;
mod hinge_embedding;
mod huber;
mod kl_divergence;
mod l1;
mod margin_ranking;
mod mse;
mod multi_label_soft_margin;
mod multi_margin;
mod nll;
mod poisson_nll;
mod smooth_l1;
mod soft_margin;
mod soft_targets;
mod triplet;

use plies_autograd::Var;
use plies_tensor::{DType, Elementwise, Formula, Tensor};

use crate::check;

pub use binary_cross_entropy::{BinaryCrossEntropy, binary_cross_entropy};
pub use cosine_embedding::{CosineEmbedding, cosine_embedding};
pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use ctc::{Ctc, ctc};
pub use gaussian_nll::{GaussianNll, gaussian_nll};
pub use hinge::{Hinge, hinge};
pub use hinge_embedding::{HingeEmbedding, hinge_embedding};
pub use huber::{Huber, huber};
pub use kl_divergence::{KlDivergence, kl_divergence};
pub use l1::{L1, l1};
pub use margin_ranking::{MarginRanking, margin_ranking};
pub use mse::{Mse, mse};
pub use multi_label_soft_margin::{MultiLabelSoftMargin, multi_label_soft_margin};
pub use multi_margin::{MultiMargin, multi_margin};
pub use nll::{Nll, nll};
pub use poisson_nll::{PoissonNll, poisson_nll};
pub use smooth_l1::{SmoothL1, smooth_l1};
pub use soft_margin::{SoftMargin, soft_margin};
pub use triplet::{Triplet, triplet};

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

/// A formula of predictions, targets and what else there is beside them, reduced in the pass that computes
/// it.
#[track_caller]
fn elementwise(
    name: &str,
    formula: &Formula,
    predictions: &Var,
    others: &[&Tensor],
    scalars: &[f64],
    reduction: Reduction,
) -> Var {
    let targets = others[0].shape();
    assert!(
        predictions.shape() == targets,
        "{name}: predictions {} with targets {targets}; they must have one shape",
        predictions.shape()
    );
    if let Some(other) = others.iter().find(|other| other.dtype() != predictions.dtype()) {
        panic!(
            "{name}: predictions are {}, what they are compared with {}; cast with to_dtype",
            predictions.dtype(),
            other.dtype()
        );
    }
    let others: Vec<Var> = others.iter().map(|&other| Var::constant(other.clone())).collect();
    let inputs: Vec<&Var> = [predictions].into_iter().chain(&others).collect();
    if reduction == Reduction::None {
        return Var::map(formula, &inputs, scalars);
    }
    let axes: Vec<isize> = (0..predictions.rank() as isize).collect();
    let sum = Var::map_sum(formula, &inputs, scalars, &axes, false);
    if reduction == Reduction::Sum { sum } else { sum / predictions.elem_count() as f64 }
}

/// The losses of single examples as their mean, their sum, or as they are.
#[track_caller]
fn reduced(each: Var, reduction: Reduction) -> Var {
    match reduction {
        Reduction::Mean => each.mean_all(),
        Reduction::Sum => each.sum_all(),
        Reduction::None => each,
    }
}

/// Checks that there is a weight for each class.
#[track_caller]
fn check_class_weights(name: &str, weights: &Tensor, n_classes: usize) {
    assert!(
        weights.dims() == [n_classes],
        "{name}: class weights {} for {n_classes} classes",
        weights.shape()
    );
}

/// Checks that `targets` are classes of `scores`, one for each example and place.
#[track_caller]
fn check_classes(name: &str, scores: &Var, targets: &Tensor, left_out: Option<i32>) {
    let fits = match scores.dims() {
        [batch, n_classes, places @ ..] => {
            let found = targets.dims().split_first();
            found == Some((batch, places)) && *n_classes > 0
        }
        _ => false,
    };
    assert!(
        fits,
        "{name}: scores {} with targets {}; expected [B, C, ...] and [B, ...]",
        scores.shape(),
        targets.shape()
    );
    assert!(
        targets.dtype() == DType::I32,
        "{name}: targets are {}, not i32; they are the numbers of classes",
        targets.dtype()
    );
    check::numbers(name, "target", targets, scores.dim(1), left_out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
    use plies_tensor::{Device, Rng};

    const REDUCTIONS: [Reduction; 3] = [Reduction::Mean, Reduction::Sum, Reduction::None];

    type Loss = fn(&Var, Reduction) -> Var;

    fn classes() -> Tensor {
        Tensor::from([2, 0, 1])
    }

    fn numbers(x: &Var) -> Tensor {
        x.value().full_like(0.3)
    }

    fn entropy(label_smoothing: f64, reduction: Reduction) -> CrossEntropy {
        CrossEntropy { label_smoothing, reduction, ..CrossEntropy::default() }
    }

    /// A distribution for each of three rows; a class is ruled out in the first.
    fn soft(x: &Var) -> Tensor {
        let q = [[0.25f64, 0.0, 0.5, 0.25], [0.0, 1.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]];
        Tensor::from(q).to_dtype(x.dtype())
    }

    fn bce(reduction: Reduction) -> BinaryCrossEntropy {
        BinaryCrossEntropy { reduction, ..BinaryCrossEntropy::default() }
    }

    /// Name, the loss of [3, 4] predictions, and whether it reduces rows (or else elements).
    const LOSSES: [(&str, Loss, bool); 8] = [
        ("cross_entropy", |x, r| entropy(0.0, r).of(x, &classes()), true),
        ("smoothed", |x, r| entropy(0.1, r).of(x, &classes()), true),
        ("soft", |x, r| entropy(0.1, r).of(x, &soft(x)), true),
        ("binary_cross_entropy", |x, r| bce(r).of(x, &numbers(x)), false),
        ("mse", |x, r| Mse { reduction: r }.of(x, &numbers(x)), false),
        ("smooth_l1", |x, r| SmoothL1 { beta: 0.7, reduction: r }.of(x, &numbers(x)), false),
        ("smooth_l1 wide", |x, r| SmoothL1 { beta: 9.0, reduction: r }.of(x, &numbers(x)), false),
        ("hinge", |x, r| Hinge { reduction: r }.of(x, &classes()), true),
    ];

    fn predictions(seed: u64) -> Tensor {
        Rng::new(seed).normal([3, 4], DType::F64, &Device::cpu())
    }

    #[test]
    fn every_gradient_is_that_of_finite_differences() {
        for (name, loss, _) in LOSSES {
            for reduction in REDUCTIONS {
                let f = |x: &[Var]| loss(&x[0], reduction);
                gradcheck(f, &[predictions(9)]).unwrap_or_else(|e| panic!("{name}: {e}"));
                gradgradcheck(f, &[predictions(9)]).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
        }
    }

    #[test]
    fn options_of_cross_entropy_have_the_gradients_of_finite_differences() {
        let weights = Tensor::from([0.5f64, 2.0, 0.0, 1.5]);
        for reduction in REDUCTIONS {
            for (class_weights, ignore_index) in
                [(None, Some(-1)), (Some(weights.clone()), None), (Some(weights.clone()), Some(0))]
            {
                for label_smoothing in [0.0, 0.1] {
                    let class_weights = class_weights.clone();
                    let loss =
                        CrossEntropy { class_weights, ignore_index, label_smoothing, reduction };
                    let ignored = ignore_index.unwrap_or(3);
                    let targets = Tensor::from([[1, ignored], [3, 2]]);
                    let f = |x: &[Var]| loss.of(&x[0], &targets);
                    let x = Rng::new(3).normal([2, 4, 2], DType::F64, &Device::cpu());
                    gradcheck(f, std::slice::from_ref(&x))
                        .unwrap_or_else(|e| panic!("{loss:?}: {e}"));
                    gradgradcheck(f, &[x]).unwrap_or_else(|e| panic!("{loss:?}: {e}"));
                }
            }
        }
    }

    /// Whatever a place that does not count holds.
    #[test]
    fn places_that_do_not_count_have_no_loss_and_no_gradient() {
        let loss = CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() };
        let x = Var::leaf(Tensor::from([[0f64, 0.0], [f64::NEG_INFINITY, 5.0]]));
        let mean = loss.of(&x, &Tensor::from([1, -100]));
        assert!((mean.item().unwrap() - 2f64.ln()).abs() < 1e-15);
        mean.backward();
        assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [0.5, -0.5, 0.0, 0.0]);
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
        let soft_rows = soft(&Var::constant(x.clone())).to_vec::<f64>().unwrap();
        let soft_loss = |row: &[f64], q: &[f64]| {
            -(0..4).map(|c| (0.9 * q[c] + 0.025) * log_p(row, c)).sum::<f64>()
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
            rows.iter().zip(soft_rows.chunks(4)).map(|(row, q)| soft_loss(row, q)).sum::<f64>()
                / 3.0,
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
            bce(Reduction::None).of(&x[0], &targets)
        };
        gradcheck(smooth, &[Tensor::from([0f64, 0.0, 0.0])]).unwrap();
        gradgradcheck(smooth, &[Tensor::from([0f64, 0.0, 0.0])]).unwrap();
        let x = Var::leaf(Tensor::from([0f32, 0.0, -0.0]));
        bce(Reduction::Sum).of(&x, &Tensor::from([0f32, 1.0, 1.0])).backward();
        assert_eq!(x.grad().unwrap().value().to_vec::<f32>().unwrap(), [0.5, -0.5, -0.5]);
    }

    /// All in one class is that class, whatever the options; places beside rows are rows.
    #[test]
    fn probabilities_of_one_class_are_that_class() {
        let x = Rng::new(3).normal([2, 4, 3], DType::F64, &Device::cpu());
        let targets = Tensor::from([[1, 0, 3], [2, 2, 0]]);
        let one_hot = targets.one_hot(4, DType::F64).permute(&[0, 2, 1]); // [2, 4, 3]
        for label_smoothing in [0.0, 0.2] {
            for class_weights in [None, Some(Tensor::from([0.5f64, 2.0, 0.0, 1.5]))] {
                for reduction in [Reduction::Sum, Reduction::None] {
                    let class_weights = class_weights.clone();
                    let loss = CrossEntropy {
                        class_weights,
                        label_smoothing,
                        reduction,
                        ..CrossEntropy::default()
                    };
                    let of = |targets: &Tensor| {
                        let x = Var::leaf(x.clone());
                        let value = loss.of(&x, targets);
                        value.sum_all().backward();
                        [value.value().flatten(), x.grad().unwrap().value().flatten()]
                            .map(|t| t.to_vec::<f64>().unwrap())
                            .concat()
                    };
                    for (hard, soft) in of(&targets).into_iter().zip(of(&one_hot)) {
                        assert!((hard - soft).abs() < 1e-12, "{loss:?}: {hard} and {soft}");
                    }
                }
            }
        }
    }

    /// A logit of -∞ is a class that is ruled out.
    #[test]
    fn ruled_out_classes_have_no_gradient() {
        let x = Var::leaf(Tensor::from([[0f64, f64::NEG_INFINITY, 0.0]]));
        let loss = cross_entropy(&x, &Tensor::from([0]));
        assert!((loss.value().item().unwrap() - 2f64.ln()).abs() < 1e-15);
        loss.backward();
        assert_eq!(x.grad().unwrap().value().to_vec::<f64>().unwrap(), [-0.5, 0.0, 0.5]);
        x.zero_grad();
        let soft = cross_entropy(&x, &Tensor::from([[1f64, 0.0, 0.0]]));
        assert!((soft.value().item().unwrap() - 2f64.ln()).abs() < 1e-15);
        soft.backward();
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
        let weights = Some(Tensor::from([1f64, 2.0]));
        let weighted = CrossEntropy { class_weights: weights, ..CrossEntropy::default() };
        let few = message(&|| weighted.of(&x, &Tensor::from([0, 1, 1])));
        assert_eq!(few, "cross_entropy: class weights [2] for 4 classes");
        let few = message(&|| cross_entropy(&x, &Tensor::from([0, 1])));
        assert!(few.contains("scores [3, 4] with targets [2]"), "{few}");
        let float = message(&|| hinge(&x, &Tensor::from([0f32, 1.0, 2.0])));
        assert!(float.contains("targets are f32, not i32"), "{float}");
        let single = message(&|| cross_entropy(&x, &Tensor::from([0f32, 1.0, 2.0])));
        assert!(single.contains("probabilities [3] for scores [3, 4]"), "{single}");
        let f32s = message(&|| cross_entropy(&x, &x.value().to_dtype(DType::F32)));
        assert!(f32s.contains("probabilities are f32, scores f64"), "{f32s}");
        let ignoring = CrossEntropy { ignore_index: Some(0), ..CrossEntropy::default() };
        let ignored = message(&|| ignoring.of(&x, x.value()));
        assert!(
            ignored.contains("class 0 is to be ignored, but targets are probabilities"),
            "{ignored}"
        );
        let shapes = message(&|| mse(&x, &Tensor::from([0f64])));
        assert!(shapes.contains("predictions [3, 4] with targets [1]"), "{shapes}");
    }
}
