//! Elementary functions of F32, written so that the compiler turns a loop over them into vector
//! code: no branches, no tables, no calls, special cases by selection.
//!
//! All but [`pow`] compute in F32, which keeps the whole width of a vector. Each states its largest
//! error in ULP (units in the last place of the exact result); the tests walk through the range of
//! F32, with and without fused multiply-add, and hold it to that.
//!
//! F64 uses the standard library's functions (and `libm`'s erf), one number at a time: it is the
//! type for checking, not for speed.
//!
//! # Source
//! The reductions are those of Cody and Waite, Software Manual for the Elementary Functions (1980),
//! and of Moshier's Cephes library (1984–1992). The coefficients are our own: weighted minimax fits
//! (Lawson's iteration, 40 digits), rounded to F32 one after another from the lowest, the others
//! fitted again after each. `2⁻ⁿ` beside a table is the relative error of the function that the
//! rounded coefficients leave.

mod erf;
mod exp;
mod ln;
mod pow;
mod sigmoid;
mod tanh;
#[cfg(test)]
mod tests;
mod trigonometry;

pub(super) use erf::erf;
pub(super) use exp::{exp, exp_m1};
pub(super) use ln::{ln, ln_1p};
pub(super) use pow::pow;
pub(super) use sigmoid::sigmoid;
pub(super) use tanh::tanh;
pub(super) use trigonometry::{LARGEST_ANGLE, cos, sin, turn};

/// `a · b + c`, fused where the instruction set has it. Without it the library's fused operation
/// would be a slow call.
#[inline(always)]
pub(super) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// c₀ + c₁ x + c₂ x² + … by Horner's scheme.
#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut y = coefficients[N - 1];
    for i in (0..N - 1).rev() {
        y = fma::<FMA>(y, x, coefficients[i]);
    }
    y
}

/// Adding and subtracting it rounds a number below 2²² to an integer; between the two, the integer
/// is in the low bits.
const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³

/// 2ⁿ for -126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// x between two bounds; NaN stays NaN.
#[inline(always)]
fn limit(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// ln 2 in two parts. The first has 10 bits, so that its product with an exponent is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;
