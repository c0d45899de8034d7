//! Elementary functions of F32, written so that the compiler turns a loop over them into vector
//! code: no branches, no tables, no calls.
//!
//! They are computed in F64 and rounded once at the end. That costs half of the vector's width and
//! saves everything that makes such functions long: split constants, compensation, special ranges.
//! With a relative error of about 1e-10 before the rounding, results are correctly rounded in all
//! but one of some hundred cases, and never more than 1 ULP off (erf: 2); the tests walk through
//! the whole range of F32. Gradual underflow, overflow to infinity and NaN come with the
//! conversion.
//!
//! F64 itself uses the standard library's functions (and `libm`'s erf), one number at a time: it is
//! the type for checking, not for speed.

/// `a * b + c`, fused where the instruction set has it. Without it the library's fused operation
/// would be a slow call.
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

/// Adding and subtracting it rounds to an integer, which is left in the low bits of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²

/// (2ⁿ, eʳ - 1) with x = n ln 2 + r, |r| ≤ ln 2 / 2.
///
/// eʳ - 1 = r + r²/2! + … + r⁹/9!, whose first missing term is below 7e-12 r.
#[inline(always)]
fn exp_parts<const FMA: bool>(x: f64) -> (f64, f64) {
    let t = fma::<FMA>(x, std::f64::consts::LOG2_E, ROUND);
    let r = fma::<FMA>(t - ROUND, -std::f64::consts::LN_2, x);
    let power = f64::from_bits(t.to_bits().wrapping_add(1023) << 52);
    let tail = polynomial::<FMA, 9>(
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
        ],
    );
    (power, tail * r)
}

/// NaN stays NaN.
#[inline(always)]
fn limit(x: f64, low: f64, high: f64) -> f64 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    let (power, tail) = exp_parts::<FMA>(limit(f64::from(x), -110.0, 90.0));
    fma::<FMA>(power, tail, power) as f32
}

#[inline(always)]
fn exp_m1_wide<const FMA: bool>(x: f64) -> f64 {
    let (power, tail) = exp_parts::<FMA>(x);
    fma::<FMA>(power, tail, power - 1.0)
}

#[inline(always)]
pub(super) fn exp_m1<const FMA: bool>(x: f32) -> f32 {
    let y = exp_m1_wide::<FMA>(limit(f64::from(x), -110.0, 90.0)) as f32;
    if x == 0.0 { x } else { y }
}

/// tanh x = (e²ˣ - 1) / (e²ˣ + 1); beyond ±10 it is ±1 in F32.
#[inline(always)]
pub(super) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let e = exp_m1_wide::<FMA>(2.0 * limit(f64::from(x), -10.0, 10.0));
    let y = (e / (e + 2.0)) as f32;
    if x == 0.0 { x } else { y }
}

/// ln of a positive F64 that is not subnormal.
///
/// x = 2ⁿ m with m in √½..√2, and ln m = 2 artanh s = 2 (s + s³/3 + s⁵/5 + …) with
/// s = (m - 1) / (m + 1), |s| < 0.172; the first missing term is below 3e-13 s.
#[inline(always)]
fn ln_wide<const FMA: bool>(x: f64) -> f64 {
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

#[inline(always)]
pub(super) fn ln<const FMA: bool>(x: f32) -> f32 {
    let y = ln_wide::<FMA>(f64::from(x)) as f32;
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}

#[inline(always)]
pub(super) fn ln_1p<const FMA: bool>(x: f32) -> f32 {
    let wide = f64::from(x);
    // Near 0 the sum 1 + x would lose digits; two terms of the series are enough there.
    let near = fma::<FMA>(wide * wide, fma::<FMA>(wide, 1.0 / 3.0, -0.5), wide);
    let far = ln_wide::<FMA>(1.0 + wide);
    let y = (if wide.abs() < 1e-4 { near } else { far }) as f32;
    let y = if x == f32::INFINITY || x == 0.0 { x } else { y };
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    if x >= -1.0 { y } else { f32::NAN }
}

/// Angles beyond this are left to the standard library: π/2 in two parts is not enough for them.
pub(super) const LARGEST_ANGLE: f32 = 1e5;

/// sin(x + quarter · π/2) for |x| up to [`LARGEST_ANGLE`].
///
/// x = n π/2 + r with |r| ≤ π/4; Taylor series of sin and cos to r¹³ and r¹⁴.
#[inline(always)]
fn sine_of_quarters<const FMA: bool>(x: f32, quarter: u64) -> f32 {
    // The first 24 bits of π/2, so that n · HIGH is exact.
    const HIGH: f64 = 1.570_796_251_296_997;
    const LOW: f64 = std::f64::consts::FRAC_PI_2 - HIGH;
    let x = f64::from(x);
    let t = fma::<FMA>(x, std::f64::consts::FRAC_2_PI, ROUND);
    let n = t - ROUND;
    let r = fma::<FMA>(n, -LOW, fma::<FMA>(n, -HIGH, x));
    let r2 = r * r;
    let sin = polynomial::<FMA, 6>(
        r2,
        [
            1.0 / 6_227_020_800.0,
            -1.0 / 39_916_800.0,
            1.0 / 362_880.0,
            -1.0 / 5040.0,
            1.0 / 120.0,
            -1.0 / 6.0,
        ],
    );
    let sin = fma::<FMA>(sin * r2, r, r);
    let cos = polynomial::<FMA, 7>(
        r2,
        [
            1.0 / 479_001_600.0,
            -1.0 / 3_628_800.0,
            1.0 / 40_320.0,
            -1.0 / 720.0,
            1.0 / 24.0,
            -0.5,
            1.0,
        ],
    );
    let turns = t.to_bits().wrapping_add(quarter);
    let y = if turns & 1 == 0 { sin } else { cos };
    (if turns & 2 == 0 { y } else { -y }) as f32
}

#[inline(always)]
pub(super) fn sin<const FMA: bool>(x: f32) -> f32 {
    let y = sine_of_quarters::<FMA>(x, 0);
    if x == 0.0 { x } else { y }
}

#[inline(always)]
pub(super) fn cos<const FMA: bool>(x: f32) -> f32 {
    sine_of_quarters::<FMA>(x, 1)
}

/// The Taylor series up to |x| = 0.7, and beyond it 1 - erfc|x| with the sign of x.
///
/// erfc x = t exp(-x² + P(t)), t = 1 / (1 + x/2), with a relative error of 1.2e-7.
///
/// # Source
/// P: Press, Teukolsky, Vetterling, Flannery: Numerical Recipes (2nd ed. 1992), section 6.2.
#[inline(always)]
pub(super) fn erf<const FMA: bool>(x: f32) -> f32 {
    let wide = f64::from(x);
    let x2 = wide * wide;
    let near = polynomial::<FMA, 10>(
        x2,
        [
            -1.0 / 6_894_720.0,
            1.0 / 685_440.0,
            -1.0 / 75_600.0,
            1.0 / 9360.0,
            -1.0 / 1320.0,
            1.0 / 216.0,
            -1.0 / 42.0,
            1.0 / 10.0,
            -1.0 / 3.0,
            1.0,
        ],
    ) * (wide * std::f64::consts::FRAC_2_SQRT_PI);
    let z = limit(wide.abs(), 0.0, 6.0);
    let t = 1.0 / fma::<FMA>(0.5, z, 1.0);
    let p = polynomial::<FMA, 10>(
        t,
        [
            0.170_872_77,
            -0.822_152_23,
            1.488_515_87,
            -1.135_203_98,
            0.278_868_07,
            -0.186_288_06,
            0.096_784_18,
            0.374_091_96,
            1.000_023_68,
            -1.265_512_23,
        ],
    );
    let (power, tail) = exp_parts::<FMA>(fma::<FMA>(-z, z, p));
    let far = 1.0 - t * fma::<FMA>(power, tail, power);
    let far = if wide < 0.0 { -far } else { far };
    let y = if z < 0.7 { near } else { far } as f32;
    if x == 0.0 || x.is_nan() { x } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units of the last place of the correctly rounded result.
    fn ulps(found: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        if found.is_nan() && rounded.is_nan() || found == rounded {
            return 0.0;
        }
        if !found.is_finite() || !rounded.is_finite() {
            return f64::INFINITY;
        }
        let magnitude = rounded.abs().max(f32::MIN_POSITIVE);
        let unit = f64::from(f32::from_bits(magnitude.to_bits() + 1)) - f64::from(magnitude);
        (f64::from(found) - exact).abs() / unit
    }

    type Row = (&'static str, fn(f32) -> f32, fn(f32) -> f32, fn(f64) -> f64, f64);

    #[test]
    fn every_function_keeps_its_stated_accuracy_over_all_of_f32() {
        let rows: [Row; 8] = [
            ("exp", exp::<false>, exp::<true>, f64::exp, 1.0),
            ("exp_m1", exp_m1::<false>, exp_m1::<true>, f64::exp_m1, 1.0),
            ("ln", ln::<false>, ln::<true>, f64::ln, 1.0),
            ("ln_1p", ln_1p::<false>, ln_1p::<true>, f64::ln_1p, 1.0),
            ("tanh", tanh::<false>, tanh::<true>, f64::tanh, 1.0),
            ("erf", erf::<false>, erf::<true>, libm::erf, 2.0),
            ("sin", sin::<false>, sin::<true>, f64::sin, 1.0),
            ("cos", cos::<false>, cos::<true>, f64::cos, 1.0),
        ];
        for (name, plain, fused, exact, bound) in rows {
            let specials = [0.0, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
            let samples = (0..=u32::MAX / 4999).map(|i| f32::from_bits(i * 4999));
            let around = (0..400_000).map(|i| (i as f32 - 200_000.0) * 6.1e-5);
            for x in samples.chain(around).chain(specials) {
                let angle = name == "sin" || name == "cos";
                if angle && x.abs() > LARGEST_ANGLE {
                    continue;
                }
                for y in [plain(x), fused(x)] {
                    let error = ulps(y, exact(f64::from(x)));
                    assert!(error <= bound, "{name}({x:?}) = {y:?}: {error} ULP");
                }
            }
        }
    }

    #[test]
    fn signs_of_zero_are_kept() {
        for f in [sin::<true>, tanh::<true>, exp_m1::<true>, ln_1p::<true>, erf::<true>] {
            assert_eq!(f(-0.0).to_bits(), (-0.0f32).to_bits());
            assert_eq!(f(0.0).to_bits(), 0);
        }
    }
}
