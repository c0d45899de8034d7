//! Comparison with a tolerance.

use crate::{DType, Device, Shape, Tensor};

/// Checks that two tensors have one shape and that |actual - expected| ≤ atol + rtol · |expected|
/// everywhere. NaN equals NaN, an infinity equals itself.
///
/// # Panics
/// With the worst index, both values there, and the number of elements that differ.
///
/// # Example
/// ```
/// use plies_tensor::Tensor;
/// use plies_tensor::testing::assert_close;
/// assert_close(&Tensor::from([1f32, 2.0]), &Tensor::from([1f64, 2.000001]), 1e-5, 0.0);
/// ```
#[track_caller]
pub fn assert_close(actual: &Tensor, expected: &Tensor, rtol: f64, atol: f64) {
    if let Err(reason) = compare(actual, expected, rtol, atol) {
        panic!("assert_close: {reason}");
    }
}

/// What [`assert_close`] would complain about.
pub(super) fn compare(
    actual: &Tensor,
    expected: &Tensor,
    rtol: f64,
    atol: f64,
) -> Result<(), String> {
    if actual.shape() != expected.shape() {
        return Err(format!("shape {} instead of {}", actual.shape(), expected.shape()));
    }
    let read = |t: &Tensor| {
        let here = t.to_device(&Device::cpu()).map_err(|fault| fault.to_string())?;
        here.to_dtype(DType::F64).to_vec::<f64>().map_err(|fault| fault.to_string())
    };
    let (found, wanted) = (read(actual)?, read(expected)?);
    let excess = |(&x, &y): (&f64, &f64)| {
        if x == y || x.is_nan() && y.is_nan() {
            return 0.0;
        }
        let error = (x - y).abs() / (atol + rtol * y.abs());
        if error.is_nan() { f64::INFINITY } else { error }
    };
    let errors: Vec<f64> = found.iter().zip(&wanted).map(excess).collect();
    let differing = errors.iter().filter(|&&e| e > 1.0).count();
    if differing == 0 {
        return Ok(());
    }
    let worst = (0..errors.len()).max_by(|&i, &j| errors[i].total_cmp(&errors[j])).unwrap_or(0);
    Err(format!(
        "{differing} of {} elements differ; worst at {:?}: {:?} instead of {:?} ({:.1} times the \
         tolerance rtol {rtol:e}, atol {atol:e})",
        errors.len(),
        position(worst, actual.shape()),
        found[worst],
        wanted[worst],
        errors[worst]
    ))
}

/// The multi-dimensional index of the `n`-th element.
fn position(mut n: usize, shape: Shape) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        index[axis] = n % shape[axis];
        n /= shape[axis];
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_index_is_named() {
        let actual = Tensor::from([[1f32, 2.0], [3.0, 5.0]]);
        let expected = Tensor::from([[1f32, 2.1], [3.0, 4.0]]);
        let reason = compare(&actual, &expected, 1e-3, 0.0).unwrap_err();
        assert!(reason.contains("2 of 4 elements differ; worst at [1, 1]: 5.0 instead of 4.0"));
    }

    #[test]
    fn nan_and_infinity_equal_only_themselves() {
        let x = Tensor::from([f32::NAN, f32::INFINITY]);
        assert!(compare(&x, &x, 0.0, 0.0).is_ok());
        assert!(compare(&x, &Tensor::from([0f32, f32::INFINITY]), 1.0, 1e9).is_err());
        assert!(compare(&x, &Tensor::from([f32::NAN, f32::MAX]), 1.0, 1e9).is_err());
    }
}
