//! Sine and cosine: x = n π/2 + r with |r| ≤ π/4; n says which of the two series and which sign.

use super::{ROUND, fma, polynomial};

/// Angles beyond this are left to the standard library: π/2 has too few digits here for them.
pub(in super::super) const LARGEST_ANGLE: f32 = 1e5;

/// (bits whose last two are n modulo 4, r) for |x| up to [`LARGEST_ANGLE`].
#[inline(always)]
fn reduce<const FMA: bool>(x: f32) -> (u32, f32) {
    if FMA {
        // Cody and Waite: π/2 = A + B + C. The first two steps are exact before their rounding.
        const A: f32 = std::f32::consts::FRAC_PI_2;
        const B: f32 = -4.371_139e-8;
        const C: f32 = -1.715_124_5e-15;
        let t = x.mul_add(std::f32::consts::FRAC_2_PI, ROUND);
        let n = t - ROUND;
        (t.to_bits(), n.mul_add(-C, n.mul_add(-B, n.mul_add(-A, x))))
    } else {
        // Products in F32 would have to be exact, so the parts tiny and many; F64 is shorter.
        // A has 30 bits of π/2.
        const ROUND_WIDE: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²
        const A: f64 = f64::from_bits(0x3ff9_21fb_5440_0000);
        const B: f64 = 6.077_100_506_506_192e-11;
        let x = f64::from(x);
        let t = x * std::f64::consts::FRAC_2_PI + ROUND_WIDE;
        let n = t - ROUND_WIDE;
        (t.to_bits() as u32, ((x - n * A) - n * B) as f32)
    }
}

/// sin(r + n π/2) for |r| ≤ π/4.
#[inline(always)]
fn quarters<const FMA: bool>(n: u32, r: f32) -> f32 {
    let r2 = r * r;
    // 2⁻²⁷·⁷
    let p = polynomial::<FMA, 3>(r2, [-0.166_666_54, 0.008_332_093, -1.950_514_6e-4]);
    let sin = fma::<FMA>(r * r2, p, r);
    // 2⁻³²·⁶
    let p = polynomial::<FMA, 3>(r2, [0.041_666_64, -0.001_388_713, 2.441_208_6e-5]);
    let cos = fma::<FMA>(r2 * r2, p, fma::<FMA>(r2, -0.5, 1.0));
    let y = if n & 1 == 0 { sin } else { cos };
    f32::from_bits(y.to_bits() ^ (n & 2) << 30)
}

/// sin x within 2 ULP for |x| up to [`LARGEST_ANGLE`].
#[inline(always)]
pub(in super::super) fn sin<const FMA: bool>(x: f32) -> f32 {
    let (n, r) = reduce::<FMA>(x);
    let y = quarters::<FMA>(n, r);
    if x == 0.0 { x } else { y }
}

/// cos x within 2 ULP for |x| up to [`LARGEST_ANGLE`].
#[inline(always)]
pub(in super::super) fn cos<const FMA: bool>(x: f32) -> f32 {
    let (n, r) = reduce::<FMA>(x);
    quarters::<FMA>(n.wrapping_add(1), r)
}

/// (cos 2πx, sin 2πx) within 2 ULP for 0 ≤ x ≤ 1: an angle in turns is reduced exactly.
#[inline(always)]
pub(in super::super) fn turn<const FMA: bool>(x: f32) -> (f32, f32) {
    let t = fma::<FMA>(x, 4.0, ROUND);
    let r = (x * 4.0 - (t - ROUND)) * std::f32::consts::FRAC_PI_2;
    let n = t.to_bits();
    (quarters::<FMA>(n.wrapping_add(1), r), quarters::<FMA>(n, r))
}
