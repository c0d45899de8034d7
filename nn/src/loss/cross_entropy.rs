//! Softmax and cross-entropy as one operation.
//!
//! ℓ = -Σ_c q_c y_c, where y = x - ln Σ_c e^x_c are the logarithms of the probabilities and q is the
//! target's distribution; d_x = eʸ Σ_c q_c - q.
//!
//! Forward makes y in one pass over the logits; backward is another one, which reads y in their
//! place, so that the logits need not be kept.

use plies_autograd::{Op, Reads, Var, apply, is_recording};
use plies_tensor::{Elementwise, Reduce, Tensor, formula};

use super::{Reduction, check_class_weights, check_classes, soft_targets};

/// Softmax cross-entropy from logits: the mean of -Σ_c q_c ln softmax(logits)_c over the batch,
/// where q is 1 at the target class, or the target itself where that is a distribution: what two
/// examples that are mixed have, or what another model says.
///
/// # Shapes
/// logits [B, C, ...], targets [B, ...] (I32) or [B, C, ...] (floats) -> []
///
/// # Gradient
/// d_logits = (softmax(logits) - q) / B
///
/// # Panics
/// When shapes do not fit, or a target is outside 0..C.
///
/// # Source
/// Targets that are distributions: Hinton, Vinyals, Dean: Distilling the knowledge in a neural network
/// (2015); Zhang et al.: mixup: Beyond empirical risk minimization (2018).
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
/// logits.zero_grad();
/// cross_entropy(&logits, &Tensor::from([[0.25f32, 0.75]])).backward();
/// assert_eq!(logits.grad().unwrap().value().to_vec::<f32>().unwrap(), [0.25, -0.25]);
/// ```
#[track_caller]
pub fn cross_entropy(logits: &Var, targets: &Tensor) -> Var {
    CrossEntropy::default().of(logits, targets)
}

/// [`cross_entropy`] with class weights, places that do not count and label smoothing; as its mean, its
/// sum, or one number for each place. As PyTorch's `CrossEntropyLoss`.
///
/// With smoothing ε and weights w, q is w_c (1 - ε + ε / C) at the target and w_c ε / C elsewhere. The mean
/// is that of the places that count, each as much as its target's weight. Of targets p that are
/// distributions q is w_c ((1 - ε) p_c + ε / C), and in the mean every place counts the same.
///
/// # Source
/// Label smoothing: Szegedy et al., Rethinking the Inception architecture (2016), section 7.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::CrossEntropy;
/// use plies_tensor::Tensor;
/// // A batch of one sentence, three classes, four words of which the last is padding.
/// let logits = Tensor::from([[[0f64, 2.0, 0.0, 9.0], [0.0, 0.0, 0.0, 9.0], [0.0, 0.0, 0.0, 9.0]]]);
/// let targets = Tensor::from([[1, 0, 2, -1]]);
/// let loss = CrossEntropy { ignore_index: Some(-1), ..CrossEntropy::default() };
/// let mean = loss.of(&Var::constant(logits), &targets).item().unwrap();
/// let second = (2f64.exp() + 2.0).ln() - 2.0;
/// assert!((mean - (2.0 * 3f64.ln() + second) / 3.0).abs() < 1e-12);
/// ```
#[doc(alias("CrossEntropyLoss", "nll_loss", "log loss"))]
#[derive(Clone, Debug, Default)]
pub struct CrossEntropy {
    /// How much a place counts by the class that is its target, `[C]`; all the same when there are
    /// none.
    pub class_weights: Option<Tensor>,
    /// The target of places that do not count, such as padding.
    pub ignore_index: Option<i32>,
    /// How much of the target's probability is spread over all classes, in 0..=1.
    pub label_smoothing: f64,
    /// What becomes of the places' losses.
    pub reduction: Reduction,
}

impl CrossEntropy {
    /// The loss of logits [B, C, ...], targets [B, ...] (I32) or [B, C, ...] (floats) -> [] or [B, ...].
    ///
    /// # Gradient
    /// d_logits = d_ℓ (softmax(logits) Σ_c q_c - q), over the sum of the weights for a mean; 0 where a
    /// place does not count
    ///
    /// # Panics
    /// When shapes do not fit, a target is neither in 0..C nor the one that is ignored, the smoothing is
    /// outside 0..=1, or a class is to be ignored where targets are distributions.
    #[track_caller]
    pub fn of(&self, logits: &Var, targets: &Tensor) -> Var {
        let soft = targets.dtype().is_float();
        if soft {
            soft_targets::check(logits, targets, self.ignore_index);
        } else {
            check_classes("cross_entropy", logits, targets, self.ignore_index);
        }
        let (smoothing, n_classes) = (self.label_smoothing, logits.dim(1));
        assert!(
            (0.0..=1.0).contains(&smoothing),
            "cross_entropy: label smoothing {smoothing} is not in 0..=1"
        );
        if let Some(weights) = &self.class_weights {
            check_class_weights("cross_entropy", weights, n_classes);
        }
        if logits.rank() == 2 {
            return if soft {
                soft_targets::of_rows(self, logits, targets)
            } else {
                self.of_rows(logits, targets)
            };
        }
        let classes_last = (0..logits.rank() as isize).filter(|&axis| axis != 1).chain([1]);
        let classes_last: Vec<isize> = classes_last.collect();
        let rows = logits.permute(&classes_last);
        let places: Vec<usize> = rows.dims()[..rows.rank() - 1].to_vec();
        let dims = [places.iter().product(), n_classes];
        let losses = if soft {
            let targets = targets.permute(&classes_last).reshape(dims);
            soft_targets::of_rows(self, &rows.reshape(dims), &targets)
        } else {
            self.of_rows(&rows.reshape(dims), &targets.flatten())
        };
        match self.reduction {
            Reduction::None => losses.reshape(places),
            Reduction::Mean | Reduction::Sum => losses,
        }
    }

    /// logits [N, C], targets `[N]` -> [] or `[N]`
    #[track_caller]
    fn of_rows(&self, logits: &Var, targets: &Tensor) -> Var {
        let (x, mut targets) = (logits.value(), targets.unsqueeze(-1));
        let mut share = None;
        if let Some(ignored) = self.ignore_index {
            let counts = formula!(|t; ignored| t.eq(ignored).select(0.0, 1.0));
            let counts = Tensor::map(counts, &[&targets], &[f64::from(ignored)]);
            targets = targets * &counts; // A class that exists.
            share = Some(counts.to_dtype(x.dtype()));
        }
        let weights = self.class_weights.as_ref().map(|weights| {
            let of_classes = weights.to_dtype(x.dtype());
            let of_targets = of_classes.index_select(0, &targets.flatten()).unsqueeze(-1);
            Weights { of_classes, of_targets }
        });
        let mut scale = 1.0;
        if self.reduction == Reduction::Mean {
            let parts = match (&share, &weights) {
                (None, None) => None,
                (Some(counts), None) => Some(counts.sum_all()),
                (None, Some(weights)) => Some(weights.of_targets.sum_all()),
                (Some(counts), Some(weights)) => Some((counts * &weights.of_targets).sum_all()),
            };
            match parts {
                None => scale = 1.0 / targets.elem_count() as f64,
                Some(parts) => {
                    let counts = share.unwrap_or_else(|| parts.ones_like());
                    share = Some((counts / parts).broadcast_to(targets.shape()));
                }
            }
        }
        let (label_smoothing, reduction) = (self.label_smoothing, self.reduction);
        let log_probs = x.log_softmax(-1);
        let op = Rows { targets, log_probs, weights, share, scale, label_smoothing, reduction };
        apply(op, &[logits])
    }
}

/// ℓ = -s Σ_c q_c y_c for each row, added up or as they are
///
/// # Gradient
/// d_x = d_ℓ · s (eʸ Σ_c q_c - q)
struct Rows {
    /// [N, 1] (I32)
    targets: Tensor,
    /// y, [N, C]
    log_probs: Tensor,
    /// w, unless all are 1
    weights: Option<Weights>,
    /// How much of the result a row's ℓ is, s: a number for each [N, 1], times one for all.
    share: Option<Tensor>,
    scale: f64,
    label_smoothing: f64,
    reduction: Reduction,
}

struct Weights {
    /// `[C]`
    of_classes: Tensor,
    /// [N, 1]
    of_targets: Tensor,
}

impl Rows {
    /// q, by weight: at the target, and at each other class.
    fn hot_and_cold(&self) -> [f64; 2] {
        let cold = self.label_smoothing / self.log_probs.dim(-1) as f64;
        [1.0 - self.label_smoothing + cold, cold]
    }
}

impl Op for Rows {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn forward(&self, _inputs: &[&Tensor]) -> Tensor {
        let (y, [hot, cold]) = (&self.log_probs, self.hot_and_cold());
        let mut sums = y.gather(-1, &self.targets); // Σ_c q_c y_c, [N, 1]
        if let Some(weights) = &self.weights {
            sums = sums * &weights.of_targets;
        }
        if self.label_smoothing != 0.0 {
            let all = match &self.weights {
                None => y.sum(&[-1], true),
                Some(weights) => (y * &weights.of_classes).sum(&[-1], true),
            };
            let spread = formula!(|t, all; rest, cold| rest * t + cold * all);
            sums = Tensor::map(spread, &[&sums, &all], &[hot - cold, cold]);
        }
        if let Some(share) = &self.share {
            // A place that does not count may have any logits.
            let take = formula!(|t, share| share.eq(0.0).select(0.0, share * t));
            sums = Tensor::map(take, &[&sums, share], &[]);
        }
        let f = formula!(|t; scale| -scale * t);
        match self.reduction {
            Reduction::None => Tensor::map(f, &[&sums], &[self.scale]).squeeze(-1),
            Reduction::Mean if sums.elem_count() == 0 => y.mean_all(),
            _ => Tensor::map_reduce(Reduce::Sum, f, &[&sums], &[self.scale], &[0, 1], false),
        }
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_loss: &Var) -> Vec<Option<Var>> {
        let x = &inputs[0];
        let y = self.log_probs.clone();
        // For a gradient of the gradient it must be known what y is a function of.
        let y = if is_recording() { apply(LogSoftmax { y }, &[x]) } else { Var::constant(y) };
        let mut d = d_loss.unsqueeze(-1); // [N, 1] or [1]
        if let Some(share) = &self.share {
            d = d * Var::constant(share.clone());
        }
        // Where a class is the target is compared on the way: no one-hot [N, C] is made.
        let target = Var::constant(self.targets.to_dtype(x.dtype()));
        let class = Var::constant(class_numbers(x.value()));
        let [hot, cold] = self.hot_and_cold();
        let Some(weights) = &self.weights else {
            let f = formula!(|d, y, target, class; hot, cold, scale| {
                scale * d * (y.exp() - target.eq(class).select(hot, cold))
            });
            return vec![Some(Var::map(f, &[&d, &y, &target, &class], &[hot, cold, self.scale]))];
        };
        let Weights { of_classes, of_targets } = weights;
        let total = formula!(|t, all; rest, cold| rest * t + cold * all); // Σ_c q_c, [N, 1]
        let total = Tensor::map(total, &[of_targets, &of_classes.sum_all()], &[hot - cold, cold]);
        let f = formula!(|d, y, target, class, total, w; hot, cold, scale| {
            scale * d * (y.exp() * total - w * target.eq(class).select(hot, cold))
        });
        let (total, w) = (Var::constant(total), Var::constant(of_classes.clone()));
        let inputs = [&d, &y, &target, &class, &total, &w];
        vec![Some(Var::map(f, &inputs, &[hot, cold, self.scale]))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// 0, 1, …, C - 1 for logits [N, C]. Made anew at each step: keeping them would save 1 to 3 % of the
/// loss's time.
fn class_numbers(logits: &Tensor) -> Tensor {
    let n_classes = logits.dim(-1);
    let numbers: Vec<i32> = (0..n_classes as i32).collect();
    Tensor::from_slice_on(&numbers, [n_classes], logits.device()).to_dtype(logits.dtype())
}

/// y = x - ln Σ eˣ along the last axis, which has been computed.
///
/// # Gradient
/// d_x = d_y - eʸ · Σ d_y
pub(super) struct LogSoftmax {
    pub(super) y: Tensor,
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
