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

/// Every 4999th bit pattern, numbers around 0 in even steps, and the special ones.
fn samples() -> impl Iterator<Item = f32> {
    let specials = [0.0, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let edges = [f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45, 88.722_84, -103.972_08];
    (0..=u32::MAX / 4999)
        .map(|i| f32::from_bits(i * 4999))
        .chain((0..400_000).map(|i| (i as f32 - 200_000.0) * 6.1e-5))
        .chain(specials)
        .chain(edges)
}

type Row = (&'static str, fn(f32) -> f32, fn(f32) -> f32, fn(f64) -> f64, f64);

/// Name, without and with fused multiply-add, the exact function, the stated bound in ULP.
const ROWS: [Row; 9] = [
    ("exp", exp::<false>, exp::<true>, f64::exp, 1.0),
    ("exp_m1", exp_m1::<false>, exp_m1::<true>, f64::exp_m1, 2.0),
    ("ln", ln::<false>, ln::<true>, f64::ln, 1.0),
    ("ln_1p", ln_1p::<false>, ln_1p::<true>, f64::ln_1p, 2.0),
    ("tanh", tanh::<false>, tanh::<true>, f64::tanh, 2.5),
    ("sigmoid", sigmoid::<false>, sigmoid::<true>, |x| 1.0 / (1.0 + (-x).exp()), 2.5),
    ("erf", erf::<false>, erf::<true>, libm::erf, 2.0),
    ("sin", sin::<false>, sin::<true>, f64::sin, 2.0),
    ("cos", cos::<false>, cos::<true>, f64::cos, 2.0),
];

#[test]
fn every_function_keeps_its_stated_accuracy_over_all_of_f32() {
    for (name, plain, fused, exact, bound) in ROWS {
        for x in samples() {
            if matches!(name, "sin" | "cos") && x.abs() > LARGEST_ANGLE {
                continue;
            }
            let expected = exact(f64::from(x));
            for y in [plain(x), fused(x)] {
                let error = ulps(y, expected);
                assert!(error <= bound, "{name}({x:?}) = {y:?}: {error} ULP");
            }
        }
    }
}

#[test]
fn odd_functions_keep_the_sign_of_zero() {
    for (name, plain, fused, ..) in ROWS {
        if matches!(name, "sin" | "tanh" | "exp_m1" | "ln_1p" | "erf") {
            for f in [plain, fused] {
                assert_eq!(f(-0.0).to_bits(), (-0.0f32).to_bits(), "{name}");
                assert_eq!(f(0.0).to_bits(), 0, "{name}");
            }
        }
    }
}

#[test]
fn powers_are_within_one_ulp_of_those_in_f64() {
    for i in 0..400_000u32 {
        // Bases over the whole range, exponents that keep most of the results in it.
        let x = f32::from_bits(i.wrapping_mul(2_654_435_761));
        let y = ((i % 2001) as f32 - 1000.0) * 88.0 / 1000.0 / x.abs().ln().abs().max(1e-4);
        for (x, y) in [(x, y), (x, y.round()), (x.abs(), y)] {
            let exact = f64::from(x).powf(f64::from(y));
            for found in [pow::<false>(x, y), pow::<true>(x, y)] {
                let error = ulps(found, exact);
                assert!(error <= 1.0, "pow({x:?}, {y:?}) = {found:?}: {error} ULP");
            }
        }
    }
}

#[test]
fn special_powers_are_those_of_ieee_754() {
    let inf = f32::INFINITY;
    let values = [0.0, 1e-45, 0.5, 1.0, 1.5, 2.0, 3.0, 8_388_609.0, 16_777_216.0, 1e30, inf];
    let signed: Vec<f32> = values.iter().flat_map(|&v| [v, -v]).chain([f32::NAN]).collect();
    for &x in &signed {
        for &y in &signed {
            // The standard library's, which follows the same rules.
            let exact = f64::from(x).powf(f64::from(y)) as f32;
            for found in [pow::<false>(x, y), pow::<true>(x, y)] {
                let same = found.to_bits() == exact.to_bits() || found.is_nan() && exact.is_nan();
                assert!(same, "pow({x:?}, {y:?}) = {found:?}, not {exact:?}");
            }
        }
    }
}

#[test]
fn a_turn_is_within_two_ulp_of_its_cosine_and_sine() {
    for i in (0..=1 << 24).step_by(7) {
        let x = i as f32 / 16_777_216.0;
        // A quarter turn in F64 is not exact, so sines of half turns are compared absolutely.
        let (sin, cos) = (std::f64::consts::TAU * f64::from(x)).sin_cos();
        for (found_cos, found_sin) in [turn::<false>(x), turn::<true>(x)] {
            for (found, exact) in [(found_cos, cos), (found_sin, sin)] {
                let near = (f64::from(found) - exact).abs() < 1e-15;
                assert!(near || ulps(found, exact) <= 2.0, "{x}: {found} {exact}");
            }
        }
    }
}
