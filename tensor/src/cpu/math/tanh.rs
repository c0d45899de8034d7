//! Hyperbolic tangent.

use super::exp::{reduce, reduced};
use super::{fma, limit, power_of_two};

/// tanh x within 2.5 ULP: p / (p + 2) with p = e²ˣ - 1, for |x|, which is 1 from 9.02 on.
#[inline(always)]
pub(in super::super) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let (n, r) = reduce::<FMA>(2.0 * limit(x.abs(), 0.0, 9.1));
    let power = power_of_two(n);
    let p = fma::<FMA>(power, reduced::<FMA>(r), power - 1.0);
    (p / (p + 2.0)).copysign(x)
}
