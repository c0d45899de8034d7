//! Gradients proved by finite differences.

use plies_tensor::{DType, Device, Rng, Tensor};

use crate::{Var, grad};

/// Step of the central differences: the cube root of F64's precision balances the two errors.
const STEP: f64 = 6e-6;

/// Fixed random numbers between 0.5 and 1.5. A plain sum would not notice gradients that arrive at
/// the wrong element.
fn weights(y: &Var, seed: u64) -> Tensor {
    Rng::new(seed).uniform(y.shape(), DType::F64, &Device::cpu()) + 0.5
}

/// Checks the gradient of every element of every input of `f`, at F64 inputs, against central
/// differences. A result that is not a scalar is projected on fixed random weights.
///
/// `f` must be smooth around the inputs: keep away from kinks by more than the step, 6e-6 · max(1, |x|).
///
/// # Errors
/// The first input, element and pair of numbers that differ by more than `1e-6 + 1e-5 · |number|`.
///
/// # Panics
/// When an input is not F64.
///
/// # Example
/// ```
/// use plies_autograd::gradcheck::gradcheck;
/// use plies_tensor::{Elementwise, Tensor};
/// let x = Tensor::from([[0.3f64, -1.2], [2.0, 0.7]]);
/// gradcheck(|x| x[0].tanh().softmax(-1), &[x.clone()]).unwrap();
/// let error = gradcheck(|x| x[0].detach() * &x[0], &[x]).unwrap_err();
/// assert!(error.starts_with("gradient of input 0 [2, 2] at [0, 0]"), "{error}");
/// ```
pub fn gradcheck(f: impl Fn(&[Var]) -> Var, inputs: &[Tensor]) -> Result<(), String> {
    let scalar = |x: &[Var]| {
        let y = f(x);
        let w = Var::constant(weights(&y, 1));
        (y * w).sum_all()
    };
    check(scalar, inputs, false)
}

/// Checks the second derivatives of `f` like [`gradcheck`]: the gradient of a fixed random
/// projection of its gradients. The gradient that arrives at `f` is varied as well, since a vjp must
/// be differentiable in that too; in messages it is the last input.
///
/// # Errors
/// The first input, element and pair of numbers that differ.
///
/// # Panics
/// When an input is not F64.
pub fn gradgradcheck(f: impl Fn(&[Var]) -> Var, inputs: &[Tensor]) -> Result<(), String> {
    let constants: Vec<Var> = inputs.iter().map(|x| Var::constant(x.clone())).collect();
    let d_y = weights(&f(&constants), 1);
    let scalar = |x: &[Var]| {
        let [x @ .., d_y] = x else { return Var::constant(Tensor::scalar(f64::NAN)) };
        let projected = (f(x) * d_y).sum_all();
        let gradients = grad(&projected, &x.iter().collect::<Vec<_>>(), true);
        let sum = Var::constant(Tensor::scalar(0f64));
        let weigh = |(i, g): (usize, &Var)| (g * Var::constant(weights(g, 2 + i as u64))).sum_all();
        gradients.iter().enumerate().map(weigh).fold(sum, |sum, term| sum + term)
    };
    let inputs: Vec<Tensor> = inputs.iter().cloned().chain([d_y]).collect();
    check(scalar, &inputs, true)
}

/// `leaves`: whether `f` needs variables to differentiate by even where only its value is wanted.
#[track_caller]
fn check(f: impl Fn(&[Var]) -> Var, inputs: &[Tensor], leaves: bool) -> Result<(), String> {
    for (i, x) in inputs.iter().enumerate() {
        assert!(x.dtype() == DType::F64, "gradcheck: input {i} is {}, not f64", x.dtype());
    }
    let vars: Vec<Var> = inputs.iter().map(|x| Var::leaf(x.clone())).collect();
    let wrt: Vec<&Var> = vars.iter().collect();
    let analytic = grad(&f(&vars), &wrt, false);
    let read = |t: &Tensor| t.to_vec::<f64>().map_err(|e| e.to_string());
    for (i, x) in inputs.iter().enumerate() {
        let values = read(x)?;
        let gradients = read(analytic[i].value())?;
        for at in 0..values.len() {
            let shifted = |by: f64| {
                let mut moved = values.clone();
                moved[at] += by;
                let var = |j: usize, t: &Tensor| {
                    let t = if j == i { Tensor::from_slice(&moved, x.shape()) } else { t.clone() };
                    if leaves { Var::leaf(t) } else { Var::constant(t) }
                };
                let vars: Vec<Var> = inputs.iter().enumerate().map(|(j, t)| var(j, t)).collect();
                f(&vars).value().item().map_err(|e| e.to_string())
            };
            let step = STEP * values[at].abs().max(1.0);
            let numeric = (shifted(step)? - shifted(-step)?) / (2.0 * step);
            let error = (numeric - gradients[at]).abs();
            if error.is_nan() || error > 1e-6 + 1e-5 * numeric.abs() {
                return Err(format!(
                    "gradient of input {i} {} at {:?} (x = {}): {} by the graph, {numeric} by \
                     finite differences",
                    x.shape(),
                    position(at, x.dims()),
                    values[at],
                    gradients[at]
                ));
            }
        }
    }
    Ok(())
}

/// The index of the `at`-th element in row-major order.
fn position(mut at: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (index, &dim) in index.iter_mut().zip(dims).rev() {
        (*index, at) = (at % dim, at / dim);
    }
    index
}
