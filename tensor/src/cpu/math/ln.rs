//! ln x and ln(1 + x): x = 2ⁿ (1 + f) with 1 + f in √½..√2, and
//! ln x = n ln 2 + f - f²/2 + f³ p(f).

use super::{LN_2_HIGH, LN_2_LOW, fma, polynomial, power_of_two};

const SQRT_HALF: u32 = 0x3f35_04f3;
const TWO_TO_23: f32 = 8_388_608.0;

/// n of the reduction, for a positive number that is not subnormal, and the bits of 1 + f.
#[inline(always)]
fn exponent(x: f32) -> (i32, u32) {
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF);
    (shifted as i32 >> 23, (shifted & 0x007f_ffff).wrapping_add(SQRT_HALF))
}

/// n ln 2 + ln(1 + f), 2⁻³⁰ where n is 0.
#[inline(always)]
fn reduced<const FMA: bool>(n: f32, f: f32) -> f32 {
    let p = polynomial::<FMA, 9>(
        f,
        [
            0.333_333_13,
            -0.250_000_1,
            0.200_020_73,
            -0.166_679_96,
            0.142_203_24,
            -0.124_060_26,
            0.118_836_075,
            -0.116_715_44,
            0.067_509_68,
        ],
    );
    let f2 = f * f;
    // From the small to the large.
    let tail = fma::<FMA>(n, LN_2_LOW, f2 * f * p);
    let tail = fma::<FMA>(f2, -0.5, tail);
    fma::<FMA>(n, LN_2_HIGH, f + tail)
}

/// ln x within 1 ULP, of subnormal numbers too.
#[inline(always)]
pub(in super::super) fn ln<const FMA: bool>(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let (n, m) = exponent(x * if subnormal { TWO_TO_23 } else { 1.0 });
    let n = n as f32 - if subnormal { 23.0 } else { 0.0 };
    let y = reduced::<FMA>(n, f32::from_bits(m) - 1.0);
    // Inequalities: tests for equality would become a slow classification of the number's kind.
    let y = if x < f32::INFINITY { y } else { x };
    let below = if x < 0.0 { f32::NAN } else { f32::NEG_INFINITY };
    if x <= 0.0 { below } else { y }
}

/// ln(1 + x) within 2 ULP.
///
/// n comes from the rounded sum, f from x itself: f = 2⁻ⁿ x + (2⁻ⁿ - 1), which is x where n is 0.
#[inline(always)]
pub(in super::super) fn ln_1p<const FMA: bool>(x: f32) -> f32 {
    let (n, _) = exponent(1.0 + x);
    // 2⁻ⁿ itself would be subnormal for the largest x.
    let scale = power_of_two(2 - n);
    let f = fma::<FMA>(0.25 * x, scale, fma::<FMA>(0.25, scale, -1.0));
    let y = reduced::<FMA>(n as f32, f);
    let y = if x == f32::INFINITY || x.abs() < 1e-8 { x } else { y };
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    if x >= -1.0 { y } else { f32::NAN }
}
