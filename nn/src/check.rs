//! Mistakes, found before a tensor would report them in its own words: the messages name the layer and
//! what was asked of it.

use plies_tensor::{DType, Device, Tensor};

/// Checks that so many numbers can exist, before anything multiplies the sizes.
#[track_caller]
pub(crate) fn size(layer: &str, sizes: &[usize]) {
    let bytes = sizes.iter().try_fold(size_of::<f64>(), |n, &size| n.checked_mul(size.max(1)));
    assert!(
        bytes.is_some_and(|n| isize::try_from(n).is_ok()),
        "{layer}: sizes {sizes:?} are more numbers than memory can address"
    );
}

/// Checks that integers on the CPU are in 0..n or one that is left out. Other devices say so where
/// they read them: looking here would wait for the device.
#[track_caller]
pub(crate) fn numbers(name: &str, what: &str, numbers: &Tensor, n: usize, left_out: Option<i32>) {
    if *numbers.device() != Device::cpu() {
        return;
    }
    let list = numbers.to_vec::<i32>().unwrap_or_default();
    let is_wrong = |&c: &i32| (c < 0 || c as usize >= n) && Some(c) != left_out;
    if let Some(at) = list.iter().position(is_wrong) {
        panic!("{name}: {what} {} at position {at} is outside 0..{n}", list[at]);
    }
}

/// Checks that numbers on the CPU are -1 or 1.
#[track_caller]
pub(crate) fn signs(name: &str, targets: &Tensor) {
    if *targets.device() != Device::cpu() {
        return;
    }
    let list = targets.to_dtype(DType::F64).to_vec::<f64>().unwrap_or_default();
    if let Some(at) = list.iter().position(|t| t.abs() != 1.0) {
        panic!("{name}: target {} at position {at} is neither -1 nor 1", list[at]);
    }
}
