//! Hyperbolic tangent.

use super::exp::{reduce, reduced};
use super::{fma, limit, polynomial, power_of_two};

/// tanh x within 2 ULP.
///
/// x + x³ p(x²) up to |x| = 0.55, beyond it 1 - 2 / (e²ˣ + 1), which is 1 from 9.02 on.
#[inline(always)]
pub(in super::super) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let z = limit(x.abs(), 0.0, 9.1);
    let z2 = z * z;
    // 2⁻²⁹·⁷
    let p = polynomial::<FMA, 5>(
        z2,
        [-0.333_333_16, 0.133_325_44, -0.053_847_548, 0.021_050_714, -0.006_242_849_4],
    );
    let near = fma::<FMA>(z * z2, p, z);
    let (n, r) = reduce::<FMA>(2.0 * z);
    let power = (reduced::<FMA>(r) + 1.0) * power_of_two(n);
    let far = 1.0 - 2.0 / (power + 1.0);
    (if z < 0.55 { near } else { far }).copysign(x)
}
