//! The logistic function.

use super::exp::exp_below_0;

/// 1 / (1 + e⁻ˣ) within 2.5 ULP, as e^-|x| / (1 + e^-|x|) below 0: nothing overflows, and small
/// results keep all their digits.
#[inline(always)]
pub(in super::super) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    let e = exp_below_0::<FMA>(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}
