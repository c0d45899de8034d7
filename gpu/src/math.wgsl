// Elementary functions, on one number or four at a time: F is f32 or vec4<f32>, I, U and B are alike.
//
// The functions of the language are not used, since their accuracy is left to the device (a sine may
// be off by 5e-4). These are the ones of the CPU in plies-tensor, with its coefficients: reductions of
// Cody and Waite (1980) and Moshier's Cephes, series fitted anew. Where the CPU rounds by adding and
// subtracting 1.5 * 2^23, round() does it here: a driver may take the difference of a sum for its part.
// What is NaN is decided in bits, because drivers may assume that no number is.

fn is_nan(x: F) -> Bools {
    return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u);
}

// The compiler of shaders forbids constants that are no number.
var<private> nan_bits: u32 = 0x7fc00000u;
var<private> infinity_bits: u32 = 0x7f800000u;

fn nan() -> F {
    return bitcast<F>(U(nan_bits));
}

fn infinity() -> F {
    return bitcast<F>(U(infinity_bits));
}

// A choice, not bits put together: of these, LLVM 19 in Mesa's software makes something else where F is one number
// (gpu/README.md, Tests).
fn copy_sign(x: F, sign: F) -> F {
    return select(abs(x), -abs(x), bitcast<I>(sign) < I(0));
}

fn minimum(x: F, y: F) -> F {
    // Of equals, which zeros of different signs are, all bits that either has.
    let tie = bitcast<F>(bitcast<U>(x) | bitcast<U>(y));
    let z = select(select(y, x, x < y), tie, x == y);
    return select(select(z, y, is_nan(y)), x, is_nan(x));
}

fn maximum(x: F, y: F) -> F {
    let tie = bitcast<F>(bitcast<U>(x) & bitcast<U>(y));
    let z = select(select(y, x, x > y), tie, x == y);
    return select(select(z, y, is_nan(y)), x, is_nan(x));
}

// The language's root may be made of a reciprocal one, which is infinite at 0.
fn square_root(x: F) -> F {
    let y = select(sqrt(x), x, (x == F(0f)) | (bitcast<U>(x) == U(0x7f800000u)));
    return select(y, nan(), (x < F(0f)) | is_nan(x));
}

// x between two bounds; NaN stays NaN.
fn limit(x: F, low: F, high: F) -> F {
    let y = select(x, low, x < low);
    return select(y, high, y > high);
}

fn power_of_two(n: I) -> F {
    return bitcast<F>((n + I(127)) << U(23u));
}

// ln 2 in two parts. The first has 10 bits, so that its product with an exponent is exact.
const LN_2_HIGH = 0.693359375f;
const LN_2_LOW = -2.1219444e-4f;

// Between the two steps stands a bound that is never reached: a driver may join two products with n to
// one, which loses what the two parts are for.
fn of_exponent(x: F, n: F) -> F {
    return fma(n, F(-LN_2_LOW), apart(fma(n, F(-LN_2_HIGH), x)));
}

fn apart(x: F) -> F {
    return clamp(x, F(-4f), F(4f));
}

// e^r - 1 for |r| <= ln 2 / 2
fn exp_reduced(r: F) -> F {
    var q = F(1.9764357e-4f);
    q = fma(q, r, F(1.3932369e-3f));
    q = fma(q, r, F(8.333543e-3f));
    q = fma(q, r, F(0.041666493f));
    q = fma(q, r, F(0.16666666f));
    q = fma(q, r, F(0.5f));
    return fma(r * r, q, r);
}

const LOG2_E = 1.442695f;

fn exponential(x: F) -> F {
    let z = limit(x, F(-104f), F(89f));
    let n = round(z * F(LOG2_E));
    let k = I(n);
    let half = k >> U(1u);
    let y = (exp_reduced(of_exponent(z, n)) + F(1f)) * power_of_two(half) * power_of_two(k - half);
    return select(y, x, is_nan(x));
}

fn exponential_m1(x: F) -> F {
    let z = limit(x, F(-18f), F(89f));
    let n = round(z * F(LOG2_E));
    // Half of everything, since 2^n alone may overflow where the result does not.
    let power = power_of_two(I(n) - I(1));
    let y = F(2f) * fma(power, exp_reduced(of_exponent(z, n)), power - F(0.5f));
    return select(y, x, (abs(x) < F(1e-8f)) | is_nan(x));
}

// n ln 2 + ln(1 + f) for 1 + f in sqrt(1/2)..sqrt(2)
fn ln_reduced(n: F, f: F) -> F {
    var p = F(0.06750968f);
    p = fma(p, f, F(-0.11671544f));
    p = fma(p, f, F(0.118836075f));
    p = fma(p, f, F(-0.124060266f));
    p = fma(p, f, F(0.14220324f));
    p = fma(p, f, F(-0.16667996f));
    p = fma(p, f, F(0.20002073f));
    p = fma(p, f, F(-0.2500001f));
    p = fma(p, f, F(0.33333313f));
    let f2 = f * f;
    let tail = fma(f2, F(-0.5f), fma(n, F(LN_2_LOW), f2 * f * p));
    return fma(n, F(LN_2_HIGH), f + tail);
}

const SQRT_HALF = 0x3f3504f3u;

fn logarithm(x: F) -> F {
    let small = x < F(1.1754944e-38f);
    let shifted = bitcast<U>(x * select(F(1f), F(8388608f), small)) - U(SQRT_HALF);
    let n = F(bitcast<I>(shifted) >> U(23u)) - select(F(0f), F(23f), small);
    let m = bitcast<F>((shifted & U(0x007fffffu)) + U(SQRT_HALF));
    let y = select(x, ln_reduced(n, m - F(1f)), bitcast<U>(x) < U(0x7f800000u));
    return select(select(y, -infinity(), x == F(0f)), nan(), (x < F(0f)) | is_nan(x));
}

fn logarithm_1p(x: F) -> F {
    let n = bitcast<I>(bitcast<U>(F(1f) + x) - U(SQRT_HALF)) >> U(23u);
    // 2^-n itself would be subnormal for the largest x. Where n is 0 nothing may be lost of x.
    let scale = power_of_two(I(2) - n);
    let f = fma(F(0.25f) * x, scale, fma(F(0.25f), scale, F(-1f)));
    let y = ln_reduced(F(n), select(f, x, n == I(0)));
    let z = select(y, x, (abs(x) < F(1e-8f)) | (bitcast<U>(x) == U(0x7f800000u)));
    return select(select(z, -infinity(), x == F(-1f)), nan(), (x < F(-1f)) | is_nan(x));
}

// pi/2 less 1.5703125, in three parts
const PI_2_B = 4.825592041015625e-4f;
const PI_2_C = 1.2665987014770508e-6f;
const PI_2_D = 9.92093629470503e-10f;

// x - n pi/2. The parts have 8 bits, so that their products with n are exact up to n = 2^16, that is
// x = 1e5, whether or not the device fuses them.
fn of_quarters(x: F, n: F) -> F {
    var r = apart(fma(n, F(-1.5703125f), x));
    r = apart(fma(n, F(-PI_2_B), r));
    r = apart(fma(n, F(-PI_2_C), r));
    return fma(n, F(-PI_2_D), r);
}

// sin(r + n pi/2) for |r| <= pi/4
fn quarters(n: U, r: F) -> F {
    let r2 = r * r;
    var p = fma(F(-1.9505146e-4f), r2, F(8.332093e-3f));
    p = fma(p, r2, F(-0.16666654f));
    let s = fma(r * r2, p, r);
    p = fma(F(2.4412086e-5f), r2, F(-1.388713e-3f));
    p = fma(p, r2, F(0.04166664f));
    let c = fma(r2 * r2, p, fma(r2, F(-0.5f), F(1f)));
    let y = select(c, s, (n & U(1u)) == U(0u));
    return bitcast<F>(bitcast<U>(y) ^ ((n & U(2u)) << U(30u)));
}

fn sine(x: F) -> F {
    let n = round(x * F(0.63661975f));
    let y = quarters(bitcast<U>(I(n)), of_quarters(x, n));
    return select(select(y, x, x == F(0f)), nan(), !(abs(x) < infinity()));
}

fn cosine(x: F) -> F {
    let n = round(x * F(0.63661975f));
    let y = quarters(bitcast<U>(I(n)) + U(1u), of_quarters(x, n));
    return select(y, nan(), !(abs(x) < infinity()));
}

fn hyperbolic_tangent(x: F) -> F {
    let z = F(2f) * limit(abs(x), F(0f), F(9.1f));
    let n = round(z * F(LOG2_E));
    let power = power_of_two(I(n));
    let p = fma(power, exp_reduced(of_exponent(z, n)), power - F(1f));
    return select(copy_sign(p / (p + F(2f)), x), x, is_nan(x));
}

// e^-|x| / (1 + e^-|x|) below 0: nothing overflows, and small results keep all their digits.
fn logistic(x: F) -> F {
    let e = exponential(-abs(x));
    return select(select(F(1f), e, x < F(0f)) / (F(1f) + e), x, is_nan(x));
}

fn error_function(x: F) -> F {
    let z = limit(abs(x), F(0f), F(4f));
    let z2 = z * z;
    var p = fma(F(-6.3833634e-4f), z2, F(5.063036e-3f));
    p = fma(p, z2, F(-0.026810035f));
    p = fma(p, z2, F(0.112829186f));
    p = fma(p, z2, F(-0.37612593f));
    p = fma(p, z2, F(0.12837917f));
    let near = fma(z, p, z);
    var r = fma(F(7.725348e-6f), z, F(-2.88412e-4f));
    r = fma(r, z, F(3.5056279e-3f));
    r = fma(r, z, F(-0.023479337f));
    r = fma(r, z, F(0.10591672f));
    r = fma(r, z, F(0.63533986f));
    r = fma(r, z, F(1.1286033f));
    let far = F(1f) - exponential(-z * r);
    return select(copy_sign(select(far, near, z < F(0.84f)), x), x, is_nan(x));
}

// x^y = exp(y ln |x|), with the sign and the special cases of IEEE 754. Its error grows with y ln x, as
// that of the exponent does: it is about |y ln x| roundings.
fn power(x: F, y: F) -> F {
    // Every number from 2^24 on is even; such a power of what is nearest to 1 is 0 or infinite already.
    let exponent = limit(y, F(-1.07374182e9f), F(1.07374182e9f));
    let size = abs(x);
    var result = exponential(limit(exponent * logarithm(size), F(-104f), F(89f)));
    let whole = round(exponent) == exponent;
    let odd = whole & ((I(exponent) & I(1)) == I(1));
    result = select(result, copy_sign(result, x), odd);
    let negative = (x < F(0f)) & (size < infinity());
    result = select(result, nan(), (negative & (!whole)) | is_nan(x) | is_nan(y));
    return select(result, F(1f), (x == F(1f)) | (y == F(0f)));
}
