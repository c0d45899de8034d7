//! The error function.

use super::exp::{reduce, reduced};
use super::{fma, limit, polynomial, power_of_two};

/// erf x = 2/√π ∫₀ˣ exp(-t²) dt within 2 ULP.
///
/// x + x p(x²) up to |x| = 0.84, beyond it 1 - exp(-x r(x)), since -ln erfc(x) / x is smooth; it is 1
/// from 3.92 on.
#[inline(always)]
pub(in super::super) fn erf<const FMA: bool>(x: f32) -> f32 {
    let z = limit(x.abs(), 0.0, 4.0);
    // 2⁻²⁷·³
    let p = polynomial::<FMA, 6>(
        z * z,
        [
            0.128_379_17,
            -0.376_125_93,
            0.112_829_186,
            -0.026_810_035,
            0.005_063_036,
            -6.383_363_4e-4,
        ],
    );
    let near = fma::<FMA>(z, p, z);
    // 2⁻²⁹·³
    let r = polynomial::<FMA, 7>(
        z,
        [
            1.128_603_3,
            0.635_339_86,
            0.105_916_72,
            -0.023_479_337,
            0.003_505_627_9,
            -2.884_12e-4,
            7.725_348e-6,
        ],
    );
    let (n, r) = reduce::<FMA>(-z * r);
    let far = 1.0 - (reduced::<FMA>(r) + 1.0) * power_of_two(n);
    (if z < 0.84 { near } else { far }).copysign(x)
}
