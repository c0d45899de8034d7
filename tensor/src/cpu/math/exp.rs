//! eˣ and eˣ - 1: x = n ln 2 + r with |r| ≤ ln 2 / 2, and eˣ = 2ⁿ eʳ.

use super::{LN_2_HIGH, LN_2_LOW, ROUND, fma, limit, polynomial, power_of_two};

/// n and r.
#[inline(always)]
pub(super) fn reduce<const FMA: bool>(x: f32) -> (i32, f32) {
    let t = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = t - ROUND;
    let r = fma::<FMA>(n, -LN_2_LOW, fma::<FMA>(n, -LN_2_HIGH, x));
    (t.to_bits().wrapping_sub(ROUND.to_bits()) as i32, r)
}

/// eʳ - 1 = r + r² q(r), 2⁻³¹.
#[inline(always)]
pub(super) fn reduced<const FMA: bool>(r: f32) -> f32 {
    let q = polynomial::<FMA, 6>(
        r,
        [0.5, 0.166_666_66, 0.041_666_493, 0.008_333_543, 0.001_393_236_9, 1.976_435_7e-4],
    );
    fma::<FMA>(r * r, q, r)
}

/// eˣ within 1 ULP; 0 below -104, infinite above 88.73, and subnormal results are gradual.
#[inline(always)]
pub(in super::super) fn exp<const FMA: bool>(x: f32) -> f32 {
    let (n, r) = reduce::<FMA>(limit(x, -104.0, 89.0));
    // In two steps, since 2ⁿ may lie outside of what has a full exponent; only the last one rounds.
    let half = n >> 1;
    (reduced::<FMA>(r) + 1.0) * power_of_two(half) * power_of_two(n - half)
}

/// eˣ within 1 ULP for x ≤ 0.
#[inline(always)]
pub(super) fn exp_below_0<const FMA: bool>(x: f32) -> f32 {
    const SMALL: f32 = f32::from_bits((127 - 64) << 23); // 2⁻⁶⁴
    let (n, r) = reduce::<FMA>(if x < -104.0 { -104.0 } else { x });
    // 2ⁿ⁺⁶⁴ has a full exponent; only the last product rounds.
    (reduced::<FMA>(r) + 1.0) * power_of_two(n + 64) * SMALL
}

/// eˣ - 1 = 2ⁿ (eʳ - 1) + (2ⁿ - 1) within 2 ULP; where n is 0 nothing cancels.
#[inline(always)]
pub(in super::super) fn exp_m1<const FMA: bool>(x: f32) -> f32 {
    // Below -18 the result is -1.
    let (n, r) = reduce::<FMA>(limit(x, -18.0, 89.0));
    // Half of everything, since 2ⁿ alone may overflow where the result does not.
    let power = power_of_two(n - 1);
    let y = 2.0 * fma::<FMA>(power, reduced::<FMA>(r), power - 0.5);
    // Also for -0 and for subnormal numbers, whose half may not be exact.
    if x.abs() < 1e-8 { x } else { y }
}
