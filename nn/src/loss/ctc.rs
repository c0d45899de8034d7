//! Connectionist temporal classification: labels for a sequence, of which nobody says where they are.
//!
//! ℓ = -ln Σ p(π) over all ways π to say at each time a label or blank, that become the targets when repetitions
//! are joined and then blanks left out; p(π) = Π_t e^x_t,π(t).
//!
//! With blanks around all S targets, l = (blank, y₁, blank, y₂, …, blank), the ways that end at s at time t are
//! α_t(s) = e^x_t,l(s) (α_t-1(s) + α_t-1(s - 1) + α_t-1(s - 2)), the last only where l(s) is neither blank nor
//! l(s - 2).

use plies_autograd::Var;
use plies_tensor::{DType, Elementwise, Tensor, formula};

use super::{Reduction, reduced};

/// What stands for the logarithm of 0, so that differences of it are numbers.
const LOW: f64 = -1e30;

/// The CTC loss of label sequences, shorter than the sequences they are heard in; blank is 0. The mean is over
/// the batch, of each loss divided by its number of labels.
///
/// # Shapes
/// log_probs [B, T, C], targets [B, S] (I32), B lengths up to T, B lengths up to S -> []
///
/// # Gradient
/// d_x of class c at time t is minus the share of ways that say c there
///
/// # Panics
/// When shapes or lengths do not fit, or a target is blank or outside 0..C.
///
/// # Source
/// Graves, Fernández, Gomez, Schmidhuber: Connectionist temporal classification (2006), equations 6 to 8, in
/// logarithms. Its gradient is that of these steps.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::ctc;
/// use plies_tensor::Tensor;
/// // Two times, blank or "a" alike: of the four ways, "aa", "a-" and "-a" say "a".
/// let log_probs = Var::constant(Tensor::from([[[0.5f64.ln(); 2]; 2]]));
/// let loss = ctc(&log_probs, &Tensor::from([[1]]), &[2], &[1]);
/// assert!((loss.item().unwrap() + 0.75f64.ln()).abs() < 1e-12);
/// ```
#[doc(alias("CTCLoss", "connectionist temporal classification"))]
#[track_caller]
pub fn ctc(
    log_probs: &Var,
    targets: &Tensor,
    input_lengths: &[usize],
    target_lengths: &[usize],
) -> Var {
    Ctc::default().of(log_probs, targets, input_lengths, target_lengths)
}

/// [`ctc`] with another blank, or leaving out what is impossible; as its mean, its sum, or one number for each
/// sequence. As PyTorch's `CTCLoss`, with the batch first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ctc {
    /// The class that says nothing.
    pub blank: i32,
    /// Whether a sequence too short for its labels has the loss 0 in place of ∞. Its gradient is 0 anyway.
    pub zero_infinity: bool,
    /// What becomes of the sequences' losses.
    pub reduction: Reduction,
}

impl Ctc {
    /// The loss of log_probs [B, T, C], targets [B, S] (I32), B lengths up to T, B lengths up to S -> [] or `[B]`.
    /// What is beyond the lengths does not count.
    ///
    /// # Panics
    /// When shapes or lengths do not fit, or a target is blank or outside 0..C.
    #[track_caller]
    pub fn of(
        &self,
        log_probs: &Var,
        targets: &Tensor,
        input_lengths: &[usize],
        target_lengths: &[usize],
    ) -> Var {
        let (labels, longest) = self.check(log_probs, targets, input_lengths, target_lengths);
        let (batch, width, dtype) = (input_lengths.len(), 2 * longest + 1, log_probs.dtype());
        let device = log_probs.device();

        // l, and 1 where s may be reached from s - 2: [B, 2S + 1]
        let (mut extended, mut skips) =
            (vec![self.blank; batch * width], vec![0f64; batch * width]);
        for (b, labels) in labels.chunks(longest.max(1)).take(batch).enumerate() {
            for (i, &label) in labels.iter().take(target_lengths[b]).enumerate() {
                extended[b * width + 2 * i + 1] = label;
                let differs = i > 0 && labels[i - 1] != label;
                skips[b * width + 2 * i + 1] = f64::from(u8::from(differs));
            }
        }
        let index = Tensor::from_slice_on(&extended, [batch, 1, width], device);
        let times = log_probs.dim(1);
        let index = index.broadcast_to([batch, times, width]).contiguous();
        let said = log_probs.gather(2, &index); // x_t,l(s), [B, T, 2S + 1]
        let numbers = |values: &[f64], dims: &[usize]| {
            Var::constant(Tensor::from_slice_on(values, dims, device).to_dtype(dtype))
        };
        let skips = numbers(&skips, &[batch, width]);

        // Before the first time there is the place before all others.
        let first: Vec<f64> =
            (0..batch * width).map(|i| if i % width < 2 { 0.0 } else { LOW }).collect();
        let first = numbers(&first, &[batch, width]);
        let start = formula!(|x, first; low| x.max(low) + first);
        let mut alpha = Var::map(start, &[&said.select(1, 0), &first], &[LOW]); // [B, 2S + 1]
        let step = formula!(|x, a, a1, a2, skip, active; low| {
            let a2 = skip.select(a2, low);
            let most = a.max(a1).max(a2);
            let sum = (a - most).exp() + (a1 - most).exp() + (a2 - most).exp();
            active.select(x.max(low) + most + sum.ln(), a)
        });
        for t in 1..times {
            let active: Vec<f64> =
                input_lengths.iter().map(|&n| f64::from(u8::from(t < n))).collect();
            let active = numbers(&active, &[batch, 1]);
            let from = |places: usize| alpha.pad(1, places, 0, LOW).slice(1, ..width);
            let inputs = [&said.select(1, t), &alpha, &from(1), &from(2), &skips, &active];
            alpha = Var::map(step, &inputs, &[LOW]);
        }

        // The last label, or the blank after it.
        let ends: Vec<i32> = target_lengths.iter().map(|&n| 2 * n as i32).collect();
        let before: Vec<i32> = ends.iter().map(|&end| (end - 1).max(0)).collect();
        let at = |places: &[i32]| {
            alpha.gather(1, &Tensor::from_slice_on(places, [batch, 1], device)).squeeze(1)
        };
        let empty: Vec<f64> = target_lengths.iter().map(|&n| f64::from(u8::from(n == 0))).collect();
        let parts: Vec<f64> = match self.reduction {
            Reduction::Mean => target_lengths.iter().map(|&n| 1.0 / n.max(1) as f64).collect(),
            Reduction::Sum | Reduction::None => vec![1.0; batch],
        };
        let end = formula!(|last, label, empty, part; low, impossible| {
            let label = empty.select(low, label);
            let most = last.max(label);
            let ln_p = most + ((last - most).exp() + (label - most).exp()).ln();
            ln_p.lt(0.1 * low).select(impossible, -part * ln_p)
        });
        let (empty, parts) = (numbers(&empty, &[batch]), numbers(&parts, &[batch]));
        let impossible = if self.zero_infinity { 0.0 } else { f64::INFINITY };
        let each = Var::map(end, &[&at(&ends), &at(&before), &empty, &parts], &[LOW, impossible]);
        reduced(each, self.reduction)
    }

    /// The labels, and the longest that a sequence of them may be.
    #[track_caller]
    fn check(
        &self,
        log_probs: &Var,
        targets: &Tensor,
        input_lengths: &[usize],
        target_lengths: &[usize],
    ) -> (Vec<i32>, usize) {
        let (x, y) = (log_probs.dims(), targets.dims());
        assert!(
            x.len() == 3
                && y.len() == 2
                && x[0] == y[0]
                && x[1] > 0
                && targets.dtype() == DType::I32,
            "ctc: log_probs {} with targets {} {}; expected [B, T, C] and i32 [B, S]",
            log_probs.shape(),
            targets.dtype(),
            targets.shape()
        );
        let (batch, times, n_classes, longest) = (x[0], x[1], x[2], y[1]);
        assert!(
            input_lengths.len() == batch && input_lengths.iter().all(|&n| (1..=times).contains(&n)),
            "ctc: input lengths {input_lengths:?} for {batch} sequences of 1 to {times}"
        );
        assert!(
            target_lengths.len() == batch && target_lengths.iter().all(|&n| n <= longest),
            "ctc: target lengths {target_lengths:?} for {batch} sequences of up to {longest}"
        );
        assert!(
            (0..n_classes as i64).contains(&i64::from(self.blank)),
            "ctc: blank {} is outside 0..{n_classes}",
            self.blank
        );
        let labels = match targets.to_vec::<i32>() {
            Ok(labels) => labels,
            Err(fault) => panic!("ctc: {fault}"),
        };
        for (b, &length) in target_lengths.iter().enumerate() {
            for (i, &label) in labels[b * longest..].iter().take(length).enumerate() {
                assert!(
                    label >= 0 && (label as usize) < n_classes && label != self.blank,
                    "ctc: target {label} at position {i} of sequence {b} is blank or outside \
                     0..{n_classes}"
                );
            }
        }
        (labels, longest)
    }
}
