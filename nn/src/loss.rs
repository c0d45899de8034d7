//! What training makes small.
//!
//! Every loss is the mean over the batch, a scalar; gradients flow to the predictions.

use plies_autograd::Var;
use plies_tensor::{DType, Elementwise, Tensor, formula};

/// Softmax cross-entropy from logits: the mean of -Σ_c q_c ln softmax(logits)_c over the batch,
/// where q is 1 at the target class.
///
/// With label smoothing ε, q is 1 - ε at the target plus ε / C everywhere.
///
/// # Shapes
/// logits [B, C], targets [B] (I32) -> []
///
/// # Gradient
/// d_logits = (softmax(logits) - q) / B
///
/// # Panics
/// When shapes do not fit or a target is outside 0..C.
///
/// # Source
/// Label smoothing: Szegedy et al., Rethinking the Inception architecture (2016), section 7.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::loss::cross_entropy;
/// use plies_tensor::Tensor;
/// let logits = Var::leaf(Tensor::from([[0f32, 0.0]]));
/// let loss = cross_entropy(&logits, &Tensor::from([1]), 0.0);
/// assert!((loss.value().item().unwrap() - 2f64.ln()).abs() < 1e-6);
/// loss.backward();
/// assert_eq!(logits.grad().unwrap().value().to_vec::<f32>().unwrap(), [0.5, -0.5]);
/// ```
#[track_caller]
pub fn cross_entropy(logits: &Var, targets: &Tensor, label_smoothing: f64) -> Var {
    assert!(
        logits.rank() == 2 && targets.dims() == [logits.dim(0)],
        "cross_entropy: logits {} with targets {}; expected [B, C] and [B]",
        logits.shape(),
        targets.shape()
    );
    let log_p = logits.log_softmax(-1);
    let picked = log_p.gather(-1, &targets.unsqueeze(-1)).mean_all();
    if label_smoothing == 0.0 {
        return -picked;
    }
    let uniform = log_p.mean_all();
    let f = formula!(|picked, uniform; e| -((1.0 - e) * picked + e * uniform));
    Var::map(f, &[&picked, &uniform], &[label_smoothing])
}

/// Binary cross-entropy from logits: the mean of max(x, 0) - x·t + ln(1 + e^-|x|), which is
/// -t ln σ(x) - (1 - t) ln(1 - σ(x)) without overflow.
///
/// # Shapes
/// logits [...], targets [...] in 0..=1 -> []
///
/// # Gradient
/// d_x = (σ(x) - t) / n
#[track_caller]
pub fn binary_cross_entropy(logits: &Var, targets: &Tensor) -> Var {
    same_shape("binary_cross_entropy", logits, targets);
    let targets = Var::constant(targets.clone());
    let f = formula!(|x, t; zero| x.max(zero) - x * t + (-x.abs()).exp().ln_1p());
    Var::map(f, &[logits, &targets], &[0.0]).mean_all()
}

/// Mean squared error: the mean of (x - t)².
///
/// # Shapes
/// predictions [...], targets [...] -> []
///
/// # Gradient
/// d_x = 2 (x - t) / n
#[track_caller]
pub fn mse(predictions: &Var, targets: &Tensor) -> Var {
    same_shape("mse", predictions, targets);
    let n = predictions.elem_count() as f64;
    let axes: Vec<isize> = (0..predictions.rank() as isize).collect();
    let targets = Var::constant(targets.clone());
    Var::map_sum(
        formula!(|x, t; n| (x - t).sqr() / n),
        &[predictions, &targets],
        &[n],
        &axes,
        false,
    )
}

/// The multi-class hinge loss: the mean over the batch of
/// max(0, 1 + max over c ≠ t of x_c - x_t).
///
/// # Shapes
/// scores [B, C], targets [B] (I32) -> []
///
/// # Source
/// Crammer, Singer: On the algorithmic implementation of multiclass kernel-based vector machines
/// (2001).
#[track_caller]
pub fn hinge(scores: &Var, targets: &Tensor) -> Var {
    assert!(
        scores.rank() == 2 && targets.dims() == [scores.dim(0)],
        "hinge: scores {} with targets {}; expected [B, C] and [B]",
        scores.shape(),
        targets.shape()
    );
    let target_score = scores.gather(-1, &targets.unsqueeze(-1));
    let is_target = Var::constant(targets.one_hot(scores.dim(-1), scores.dtype()));
    let f = formula!(|x, t, hot; low| hot.select(low, 1.0 + x - t));
    let low = if scores.dtype() == DType::F64 { f64::MIN } else { f64::from(f32::MIN) };
    let margin = Var::map(f, &[scores, &target_score, &is_target], &[low]);
    margin.max(&[-1], false).relu().mean_all()
}

#[track_caller]
fn same_shape(name: &str, x: &Var, targets: &Tensor) {
    assert!(
        x.shape() == targets.shape(),
        "{name}: predictions {} with targets {}",
        x.shape(),
        targets.shape()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
    use plies_tensor::{Device, Rng};

    #[test]
    fn every_gradient_is_that_of_finite_differences() {
        type Loss = fn(&Var) -> Var;
        let rows: [(&str, Loss); 5] = [
            ("cross_entropy", |x| cross_entropy(x, &Tensor::from([2, 0, 1]), 0.0)),
            ("smoothed", |x| cross_entropy(x, &Tensor::from([2, 0, 1]), 0.1)),
            ("binary_cross_entropy", |x| binary_cross_entropy(x, &x.value().full_like(0.3))),
            ("mse", |x| mse(x, &x.value().full_like(0.3))),
            ("hinge", |x| hinge(x, &Tensor::from([2, 0, 1]))),
        ];
        for (name, loss) in rows {
            let x = Rng::new(9).normal([3, 4], DType::F64, &Device::cpu());
            gradcheck(|x| loss(&x[0]), &[x.clone()]).unwrap_or_else(|e| panic!("{name}: {e}"));
            gradgradcheck(|x| loss(&x[0]), &[x]).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }

    #[test]
    fn large_logits_neither_overflow_nor_lose_the_loss() {
        let x = Var::constant(Tensor::from([[1e4f32, -1e4]]));
        let loss = |t: i32| cross_entropy(&x, &Tensor::from([t]), 0.0).value().item().unwrap();
        assert_eq!((loss(0), loss(1)), (0.0, 2e4));
        let bce = binary_cross_entropy(&x, &Tensor::from([[0f32, 1.0]]));
        assert_eq!(bce.value().item().unwrap(), 1e4);
    }
}
