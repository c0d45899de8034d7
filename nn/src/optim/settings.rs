//! What the numbers may be that an optimiser is set to. PyTorch refuses the same ones, and the averages that
//! forget nothing as well: with β = 1 the division by 1 - βᵗ has no result.

/// A learning rate, ε, decay or penalty: finite, and not below 0.
#[track_caller]
pub(super) fn not_negative(optimizer: &str, what: &str, value: f64) -> f64 {
    assert!(value >= 0.0 && value.is_finite(), "{optimizer}: {what} {value} is not 0 or more");
    value
}

/// What is kept of a running average from step to step: from 0 to less than 1.
#[track_caller]
pub(super) fn share(optimizer: &str, what: &str, value: f64) -> f64 {
    assert!((0.0..1.0).contains(&value), "{optimizer}: {what} {value} is not in 0..1");
    value
}
