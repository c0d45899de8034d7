//! Gradients proved by finite differences.

use plies_tensor::{DType, Device, Rng, Tensor};

use crate::{Var, grad};

/// Step of the central differences: the cube root of F64's precision balances the two errors.
const STEP: f64 = 6e-6;

fn weights(y: &Var) -> Var {
    let mut rng = Rng::new(0x9e37);
    Var::constant(rng.uniform(y.shape(), DType::F64, &Device::cpu()) + 0.5)
}

/// Checks the gradient of every element of every input of `f`, at F64 inputs, against central
/// differences. A result that is not a scalar is projected on fixed random weights.
///
/// # Errors
/// The first input, element and pair of numbers that differ by more than `1e-6 + 1e-5 · |number|`.
pub fn gradcheck(f: impl Fn(&[Var]) -> Var, inputs: &[Tensor]) -> Result<(), String> {
    let scalar = |x: &[Var]| {
        let y = f(x);
        let w = weights(&y);
        (y * w).sum_all()
    };
    check(scalar, inputs, false)
}

/// Checks the second derivatives of `f` like [`gradcheck`]: the gradient of a fixed random
/// projection of its gradients.
///
/// # Errors
/// The first input, element and pair of numbers that differ.
pub fn gradgradcheck(f: impl Fn(&[Var]) -> Var, inputs: &[Tensor]) -> Result<(), String> {
    let scalar = |x: &[Var]| {
        let y = f(x);
        let w = weights(&y);
        let y = (y * w).sum_all();
        let wrt: Vec<&Var> = x.iter().collect();
        let gradients = grad(&y, &wrt, true);
        let zero = Var::constant(Tensor::scalar(0f64));
        gradients.iter().fold(zero, |sum, g| sum + (g * weights(g)).sum_all())
    };
    check(scalar, inputs, true)
}

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
                    "gradient of input {i} {} at element {at} (x = {}): {} by the graph, {numeric} \
                     by finite differences",
                    x.shape(),
                    values[at],
                    gradients[at]
                ));
            }
        }
    }
    Ok(())
}
