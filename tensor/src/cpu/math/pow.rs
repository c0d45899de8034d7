//! Powers. In F64, because an error in y ln x comes out y ln x times as large: F32 would need its
//! logarithm in two parts. The result is correctly rounded in all but a few of a million cases.

/// Adding and subtracting it rounds to an integer, which is left in the low bits of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²

#[inline(always)]
fn fma<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Horner's scheme, highest coefficient first.
#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut y = coefficients[0];
    for &c in &coefficients[1..] {
        y = fma::<FMA>(y, x, c);
    }
    y
}

/// eˣ for -110 ≤ x ≤ 90, with a relative error of 7e-12.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, and eʳ = 1 + r + r²/2! + … + r⁹/9!.
#[inline(always)]
fn exp<const FMA: bool>(x: f64) -> f64 {
    let t = fma::<FMA>(x, std::f64::consts::LOG2_E, ROUND);
    let r = fma::<FMA>(t - ROUND, -std::f64::consts::LN_2, x);
    let power = f64::from_bits(t.to_bits().wrapping_add(1023) << 52);
    let series = polynomial::<FMA, 10>(
        r,
        [
            1.0 / 362_880.0,
            1.0 / 40_320.0,
            1.0 / 5040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ],
    );
    series * power
}

/// ln of a positive F64 that is not subnormal, with a relative error of 3e-13.
///
/// x = 2ⁿ m with m in √½..√2, and ln m = 2 artanh s = 2 (s + s³/3 + s⁵/5 + …) with
/// s = (m - 1) / (m + 1), |s| < 0.172.
#[inline(always)]
fn ln<const FMA: bool>(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF);
    let n = (shifted as i64) >> 52;
    let m = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF));
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let series = polynomial::<FMA, 8>(
        s2,
        [2.0 / 15.0, 2.0 / 13.0, 2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0, 2.0],
    );
    // An integer below 2¹² as a float, without a conversion that AVX2 does not have.
    let n = f64::from_bits((n as u64).wrapping_add(ROUND.to_bits())) - ROUND;
    fma::<FMA>(n, std::f64::consts::LN_2, series * s)
}

/// x between two bounds; NaN stays NaN.
#[inline(always)]
fn limit(x: f64, low: f64, high: f64) -> f64 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// xʸ = exp(y ln |x|) within 1 ULP, with the sign and the special cases of IEEE 754 (and NumPy):
/// x⁰ = 1 and 1ʸ = 1 even for NaN, (-1)^±∞ = 1, a negative base has powers with whole exponents only.
#[inline(always)]
pub(in super::super) fn pow<const FMA: bool>(x: f32, y: f32) -> f32 {
    let size = f64::from(x.abs());
    let logarithm = ln::<FMA>(size);
    let logarithm = if size == 0.0 { f64::NEG_INFINITY } else { logarithm };
    // Infinity and NaN.
    let logarithm = if size < f64::INFINITY { logarithm } else { size };
    // Every F32 from 2²⁴ on is even; such a power of what is nearest to 1 is 0 or infinite already.
    const EVEN: f64 = 1_125_899_906_842_624.0; // 2⁵⁰
    let exponent = limit(f64::from(y), -EVEN, EVEN);
    let power = exp::<FMA>(limit(exponent * logarithm, -110.0, 90.0)) as f32;

    let t = exponent + ROUND;
    let whole = t - ROUND == exponent;
    let odd = if whole { (t.to_bits() as u32) << 31 } else { 0 };
    let power = f32::from_bits(power.to_bits() ^ (odd & x.to_bits()));
    // From the smallest below 0 to the largest that is not infinite. (In bits: as numbers the
    // comparisons would become a slow classification.)
    let negative = x.to_bits().wrapping_sub(0x8000_0001) < 0x7f7f_ffff;
    let power = if negative & !whole { f32::NAN } else { power };
    if (x == 1.0) | (y == 0.0) { 1.0 } else { power }
}
