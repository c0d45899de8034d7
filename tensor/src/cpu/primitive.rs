//! One loop for each primitive and element type, compiled for each instruction set.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::angles::{self, Cos, Sin};
use super::cells::Step;
#[cfg(target_arch = "x86_64")]
use super::isa::Isa;
use super::math;
use crate::expr::{Action, Binary, Signs, Unary};
use crate::{Element, Formula};

/// A block of values, or one value for the whole block.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a, T> {
    Slice(&'a [T]),
    Scalar(T),
}

/// A loop: `out[i] = f(x[i], y[i], z[i])` for i below the last argument. Functions of fewer operands
/// ignore the others; operands that the loop was asked for as single numbers are read once.
///
/// # Safety
/// Operands are valid to read and `out` to write for that many values. `out` may be an operand, but
/// must not overlap one otherwise. The processor has the instruction set the loop was compiled for.
pub(super) type Code<T> = unsafe fn(operands: [*const T; 3], out: *mut T, n: usize);

/// Which operands are single numbers: bit k for operand k.
pub(super) type Singles = u8;

/// Element types that primitives are defined on.
pub(super) trait Primitive: Element {
    /// The loop of an action on elements, for the best instruction set.
    fn code(action: Action, singles: Singles) -> Code<Self>;

    /// The loop of a cell that has been compiled for rows of these elements.
    fn compiled(_cell: &Formula) -> Option<Step<Self>> {
        None
    }
}

/// A function of up to three numbers; `FMA` says whether the instruction set has a fused
/// multiply-add.
pub(super) trait Function<T> {
    const ARITY: usize;
    /// Whether it takes so long that what doesn't fill a vector is padded to fill one.
    const IS_LONG: bool = false;
    fn at<const FMA: bool>(x: [T; 3]) -> T;
}

/// A loop that is compiled for each instruction set.
pub(super) trait Kernel<T> {
    /// # Safety
    /// As for [`Code`].
    unsafe fn run<const FMA: bool>(operands: [*const T; 3], out: *mut T, n: usize);
}

/// A kernel's loop for the best instruction set.
pub(super) fn compiled<T, K: Kernel<T>>() -> Code<T> {
    #[cfg(target_arch = "x86_64")]
    match Isa::detected() {
        Isa::Avx512 => return with_avx512::<T, K>,
        Isa::Avx2 => return with_avx2::<T, K>,
        Isa::Neon | Isa::Portable => {}
    }
    portable::<T, K>
}

/// # Safety
/// As for [`Code`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn with_avx512<T, K: Kernel<T>>(operands: [*const T; 3], out: *mut T, n: usize) {
    // SAFETY: passed on.
    unsafe { K::run::<true>(operands, out, n) }
}

/// # Safety
/// As for [`Code`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2<T, K: Kernel<T>>(operands: [*const T; 3], out: *mut T, n: usize) {
    // SAFETY: passed on.
    unsafe { K::run::<true>(operands, out, n) }
}

/// # Safety
/// As for [`Code`].
unsafe fn portable<T, K: Kernel<T>>(operands: [*const T; 3], out: *mut T, n: usize) {
    // SAFETY: passed on.
    unsafe { K::run::<{ cfg!(target_arch = "aarch64") }>(operands, out, n) }
}

/// Results that are computed aside where they overwrite operands, and whole vectors of every width.
const PIECE: usize = 256;
const LANES: usize = 16;

/// A function at each place; the operands in `SINGLES` are single numbers.
pub(super) struct Map<F, const SINGLES: Singles>(PhantomData<F>);

impl<F, const SINGLES: Singles> Map<F, SINGLES> {
    const fn is_single(k: usize) -> bool {
        SINGLES >> k & 1 == 1
    }

    /// The loop itself, over memory that does not overlap.
    ///
    /// # Safety
    /// As for [`Code`], but `out` is no operand.
    #[inline(always)]
    unsafe fn apart<T: Element, const FMA: bool>(operands: [*const T; 3], out: *mut T, n: usize)
    where
        F: Function<T>,
    {
        // SAFETY: the caller's promise.
        unsafe {
            let first = |k: usize| match k < F::ARITY && Self::is_single(k) {
                true => *operands[k],
                false => T::default(),
            };
            let singles = [first(0), first(1), first(2)];
            let value = |k: usize, i: usize| match k < F::ARITY && !Self::is_single(k) {
                true => *operands[k].add(i),
                false => singles[k],
            };
            for i in 0..n {
                *out.add(i) = F::at::<FMA>([value(0, i), value(1, i), value(2, i)]);
            }
        }
    }
}

impl<T: Element, F: Function<T>, const SINGLES: Singles> Kernel<T> for Map<F, SINGLES> {
    #[inline(always)]
    unsafe fn run<const FMA: bool>(operands: [*const T; 3], out: *mut T, n: usize) {
        let each = |k: &usize| *k < F::ARITY && !Self::is_single(*k);
        let overwrites = (0..3).filter(each).any(|k| std::ptr::eq(operands[k], out));
        let mut aside = [const { MaybeUninit::<T>::uninit() }; PIECE];
        let mut padded = [[T::default(); LANES]; 3];
        let mut done = 0;
        // One pass, or two, or in place one for each piece: the loop is compiled once.
        while done < n {
            // SAFETY: all offsets are below `n`, or inside the local arrays.
            unsafe {
                let mut from = operands;
                (0..3).filter(each).for_each(|k| from[k] = from[k].add(done));
                let mut to = out.add(done);
                let mut len = n - done;
                if F::IS_LONG && len < LANES {
                    for k in (0..3).filter(each) {
                        from[k].copy_to_nonoverlapping(padded[k].as_mut_ptr(), len);
                        from[k] = padded[k].as_ptr();
                    }
                    (to, len) = (aside.as_mut_ptr().cast(), LANES);
                } else if F::IS_LONG {
                    len -= len % LANES;
                }
                if overwrites {
                    (to, len) = (aside.as_mut_ptr().cast(), len.min(PIECE));
                }
                Self::apart::<T, FMA>(from, to, len);
                let len = len.min(n - done);
                if std::ptr::eq(to, aside.as_ptr().cast()) {
                    to.copy_to_nonoverlapping(out.add(done), len);
                }
                done += len;
            }
        }
    }
}

/// The loop of a function for the operands that are single numbers.
macro_rules! map {
    ($f:ty, $singles:expr, [$($case:literal)*]) => {
        match $singles {
            $($case => compiled::<_, Map<$f, $case>>(),)*
            0 => compiled::<_, Map<$f, 0>>(),
            _ => unreachable!("an operand that the action does not take"),
        }
    };
}

/// A copy of the first operand.
struct Identity;

impl<T: Element> Function<T> for Identity {
    const ARITY: usize = 1;
    #[inline(always)]
    fn at<const FMA: bool>([x, ..]: [T; 3]) -> T {
        x
    }
}

/// The second operand where the first is not 0, else the third.
struct Select;

impl<T: Element> Function<T> for Select {
    const ARITY: usize = 3;
    #[inline(always)]
    fn at<const FMA: bool>([c, a, b]: [T; 3]) -> T {
        // Not `if`: a load that is done in one branch alone is no vector's load.
        std::hint::select_unpredictable(c != T::default(), a, b)
    }
}

/// Whether a function is a long vector computation; F64's are calls, one for each number.
const fn is_long(t: &str, op: Unary) -> bool {
    let is_short =
        matches!(op, Unary::Neg | Unary::Abs | Unary::Sqrt | Unary::Floor | Unary::Round);
    matches!(t.as_bytes(), b"f32") && !is_short
}

/// Names for functions, and the match from an operation to its loop.
macro_rules! unary {
    ($t:ty, $op:ident, $singles:ident; $($name:ident: |$v:ident| $value:expr;)*) => {
        match $op {
            $(Unary::$name => {
                struct F;
                impl Function<$t> for F {
                    const ARITY: usize = 1;
                    const IS_LONG: bool = is_long(stringify!($t), Unary::$name);
                    #[inline(always)]
                    fn at<const FMA: bool>([$v, ..]: [$t; 3]) -> $t {
                        $value
                    }
                }
                map!(F, $singles, [1])
            })*
            #[allow(unreachable_patterns)] // Integers lack some.
            _ => unreachable!("{:?} of {} is refused before", $op, <$t>::DTYPE),
        }
    };
}

macro_rules! binary {
    ($t:ty, $op:ident, $singles:ident; $($name:ident: |$a:ident, $b:ident| $value:expr;)*) => {
        match $op {
            $(Binary::$name => {
                struct F;
                impl Function<$t> for F {
                    const ARITY: usize = 2;
                    #[inline(always)]
                    fn at<const FMA: bool>([$a, $b, _]: [$t; 3]) -> $t {
                        $value
                    }
                }
                map!(F, $singles, [1 2 3])
            })*
        }
    };
}

macro_rules! replace {
    ($t:ty, $op:ident, $singles:ident; $($name:ident: $compare:tt;)*) => {
        match $op {
            $(Binary::$name => {
                struct F;
                impl Function<$t> for F {
                    const ARITY: usize = 3;
                    #[inline(always)]
                    fn at<const FMA: bool>([x, y, b]: [$t; 3]) -> $t {
                        std::hint::select_unpredictable(x $compare y, y, b)
                    }
                }
                // The schedule sees to it that what is compared with is a single number.
                map!(F, $singles, [2 3 6 7])
            })*
            _ => unreachable!("{:?} compares nothing", $op),
        }
    };
}

macro_rules! mul_add {
    ($t:ty, $signs:ident, $singles:ident; $($name:ident: |$a:ident, $b:ident, $c:ident| $value:expr;)*) => {
        match $signs {
            $(Signs::$name => {
                struct F;
                impl Function<$t> for F {
                    const ARITY: usize = 3;
                    #[inline(always)]
                    fn at<const FMA: bool>([$a, $b, $c]: [$t; 3]) -> $t {
                        $value
                    }
                }
                // A single factor comes first.
                map!(F, $singles, [1 3 4 5 7])
            })*
        }
    };
}

/// What both float types share. Where operands of min and max are equal their bits are joined, so
/// that -0 is below +0; where they are not ordered, the NaN is taken.
macro_rules! float_binary {
    ($t:ty, $op:ident, $singles:ident, |$base:ident, $exponent:ident| $pow:expr) => {
        binary! { $t, $op, $singles;
            Add: |a, b| a + b;
            Sub: |a, b| a - b;
            Mul: |a, b| a * b;
            Div: |a, b| a / b;
            Pow: |$base, $exponent| $pow;
            Min: |a, b| {
                let less = if a < b || a.is_nan() { a } else { b };
                if a == b { <$t>::from_bits(a.to_bits() | b.to_bits()) } else { less }
            };
            Max: |a, b| {
                let more = if a > b || a.is_nan() { a } else { b };
                if a == b { <$t>::from_bits(a.to_bits() & b.to_bits()) } else { more }
            };
            Lt: |a, b| if a < b { 1.0 } else { 0.0 };
            Le: |a, b| if a <= b { 1.0 } else { 0.0 };
            Eq: |a, b| if a == b { 1.0 } else { 0.0 };
        }
    };
}

impl Primitive for f32 {
    fn compiled(cell: &Formula) -> Option<Step<f32>> {
        super::cells::compiled(cell)
    }

    fn code(action: Action, singles: Singles) -> Code<f32> {
        match action {
            Action::Unary(Unary::Sin) => angles::code::<Sin>(singles),
            Action::Unary(Unary::Cos) => angles::code::<Cos>(singles),
            Action::Unary(op) => unary! { f32, op, singles;
                Neg: |x| -x;
                Abs: |x| x.abs();
                Sqrt: |x| x.sqrt();
                Exp: |x| math::exp::<FMA>(x);
                ExpM1: |x| math::exp_m1::<FMA>(x);
                Ln: |x| math::ln::<FMA>(x);
                Ln1p: |x| math::ln_1p::<FMA>(x);
                Tanh: |x| math::tanh::<FMA>(x);
                Sigmoid: |x| math::sigmoid::<FMA>(x);
                Erf: |x| math::erf::<FMA>(x);
                Floor: |x| floor_f32(x);
                Round: |x| round_f32(x);
            },
            Action::Binary(op) => {
                float_binary!(f32, op, singles, |a, b| math::pow::<FMA>(a, b))
            }
            Action::Replace(op) => replace! { f32, op, singles; Lt: <; Le: <=; Eq: ==; },
            Action::MulAdd(signs) => mul_add! { f32, signs, singles;
                Plus: |a, b, c| math::fma::<FMA>(a, b, c);
                Minus: |a, b, c| math::fma::<FMA>(a, b, -c);
                From: |a, b, c| math::fma::<FMA>(-a, b, c);
            },
            Action::Select => map!(Select, singles, [1 2 3 4 5 6 7]),
            Action::Copy => map!(Identity, singles, [1]),
            Action::Reduce(_) => unreachable!("a reduction joins elements"),
        }
    }
}

/// Adding and subtracting 2²³ rounds halves to even; larger numbers are integers already. The
/// library's function is a call where the instruction is missing.
#[inline(always)]
fn round_f32(x: f32) -> f32 {
    const SHIFT: f32 = 8_388_608.0;
    let rounded = ((x.abs() + SHIFT) - SHIFT).copysign(x);
    if x.abs() < SHIFT { rounded } else { x }
}

#[inline(always)]
fn floor_f32(x: f32) -> f32 {
    let rounded = round_f32(x);
    // copysign: the floor of -0 is -0.
    if rounded > x { rounded - 1.0 } else { rounded }
}

impl Primitive for f64 {
    fn code(action: Action, singles: Singles) -> Code<f64> {
        match action {
            Action::Unary(op) => unary! { f64, op, singles;
                Neg: |x| -x;
                Abs: |x| x.abs();
                Sqrt: |x| x.sqrt();
                Exp: |x| x.exp();
                ExpM1: |x| x.exp_m1();
                Ln: |x| x.ln();
                Ln1p: |x| x.ln_1p();
                Sin: |x| x.sin();
                Cos: |x| x.cos();
                Tanh: |x| x.tanh();
                Sigmoid: |x| {
                    let e = (-x.abs()).exp();
                    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
                };
                Erf: |x| libm::erf(x);
                Floor: |x| x.floor();
                Round: |x| x.round_ties_even();
            },
            Action::Binary(op) => float_binary!(f64, op, singles, |a, b| a.powf(b)),
            Action::Replace(op) => replace! { f64, op, singles; Lt: <; Le: <=; Eq: ==; },
            Action::MulAdd(signs) => mul_add! { f64, signs, singles;
                Plus: |a, b, c| if FMA { a.mul_add(b, c) } else { a * b + c };
                Minus: |a, b, c| if FMA { a.mul_add(b, -c) } else { a * b - c };
                From: |a, b, c| if FMA { (-a).mul_add(b, c) } else { c - a * b };
            },
            Action::Select => map!(Select, singles, [1 2 3 4 5 6 7]),
            Action::Copy => map!(Identity, singles, [1]),
            Action::Reduce(_) => unreachable!("a reduction joins elements"),
        }
    }
}

/// The quotient, truncated; 0 if the divisor is 0; wrapped around for `i32::MIN / -1`.
///
/// No instruction set divides vectors of integers. The quotient in F64 is never rounded across an
/// integer, since it is at least 2⁻³¹ away from the next one.
#[inline(always)]
fn divide(a: i32, b: i32) -> i32 {
    // Adding it rounds to an integer, which is left in the low bits of the sum.
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²
    let quotient = f64::from(a) / f64::from(b);
    let size = quotient.abs();
    let rounded = (size + ROUND) - ROUND;
    let truncated = if rounded > size { rounded - 1.0 } else { rounded };
    let bits = (truncated.copysign(quotient) + ROUND).to_bits();
    if b == 0 { 0 } else { bits as i32 }
}

impl Primitive for i32 {
    /// Arithmetic wraps around; division truncates towards 0, and by 0 gives 0; a power with a
    /// negative exponent is truncated towards 0, too.
    fn code(action: Action, singles: Singles) -> Code<i32> {
        match action {
            Action::Unary(op) => unary! { i32, op, singles;
                Neg: |x| x.wrapping_neg();
                Abs: |x| x.wrapping_abs();
                Floor: |x| x;
                Round: |x| x;
            },
            Action::Binary(op) => binary! { i32, op, singles;
                Add: |a, b| a.wrapping_add(b);
                Sub: |a, b| a.wrapping_sub(b);
                Mul: |a, b| a.wrapping_mul(b);
                Div: |a, b| divide(a, b);
                Pow: |a, b| match (a, u32::try_from(b)) {
                    (_, Ok(b)) => a.wrapping_pow(b),
                    (1, _) => 1,
                    (-1, _) => if b % 2 == 0 { 1 } else { -1 },
                    _ => 0,
                };
                Min: |a, b| a.min(b);
                Max: |a, b| a.max(b);
                Lt: |a, b| i32::from(a < b);
                Le: |a, b| i32::from(a <= b);
                Eq: |a, b| i32::from(a == b);
            },
            Action::Replace(op) => replace! { i32, op, singles; Lt: <; Le: <=; Eq: ==; },
            Action::MulAdd(signs) => mul_add! { i32, signs, singles;
                Plus: |a, b, c| a.wrapping_mul(b).wrapping_add(c);
                Minus: |a, b, c| a.wrapping_mul(b).wrapping_sub(c);
                From: |a, b, c| c.wrapping_sub(a.wrapping_mul(b));
            },
            Action::Select => map!(Select, singles, [1 2 3 4 5 6 7]),
            Action::Copy => map!(Identity, singles, [1]),
            Action::Reduce(_) => unreachable!("a reduction joins elements"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa::Isa;
    use super::*;
    use Operand::{Scalar, Slice};

    /// out[i] = action(operands[i])
    fn run<T: Primitive, const N: usize>(action: Action, x: [Operand<'_, T>; N], out: &mut [T]) {
        let mut singles = 0;
        let mut operands = [std::ptr::null(); 3];
        for (k, x) in x.iter().enumerate() {
            operands[k] = match x {
                Slice(x) => {
                    assert!(x.len() >= out.len());
                    x.as_ptr()
                }
                Scalar(x) => {
                    singles |= 1 << k;
                    x
                }
            };
        }
        // SAFETY: the operands are as long as `out`, or single numbers, and no part of it.
        unsafe { T::code(action, singles)(operands, out.as_mut_ptr(), out.len()) }
    }

    fn unary<T: Primitive>(op: Unary, x: &[T], out: &mut [T]) {
        run(Action::Unary(op), [Slice(x)], out);
    }

    fn binary<T: Primitive>(op: Binary, x: Operand<'_, T>, y: Operand<'_, T>, out: &mut [T]) {
        run(Action::Binary(op), [x, y], out);
    }

    /// Special numbers among ordinary ones, of a length that leaves a remainder in every vector.
    fn floats() -> Vec<f32> {
        let specials = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5, 1.5, 2.5, -2.5];
        let large = [1e-40, 8_388_609.0, -8_388_607.5, 1e5, 2e5, -3e7, 1e30, f32::MAX, -1.0, 1.0];
        let ordinary = (0..1000).map(|i| (i as f32 - 500.0) * 0.037);
        specials.into_iter().chain(large).chain(ordinary).collect()
    }

    fn integers() -> Vec<i32> {
        let specials = [0, 1, -1, 2, -2, 7, i32::MIN, i32::MAX, i32::MIN + 1, 46341, -46341];
        let ordinary = (0..1000i32).map(|i| i.wrapping_mul(858_993_459) >> (i % 31));
        specials.into_iter().chain(ordinary).collect()
    }

    /// Every pair of the numbers before `cut` among `values`, then each number with another.
    fn pairs<T: Copy>(values: &[T], cut: usize) -> (Vec<T>, Vec<T>) {
        let special = &values[..cut];
        let all = special.iter().flat_map(|&x| special.iter().map(move |&y| (x, y)));
        let rest = values.iter().copied().zip(values.iter().rev().copied());
        all.chain(rest).unzip()
    }

    fn same(x: f64, y: f64) -> bool {
        x.is_nan() && y.is_nan() || x.to_bits() == y.to_bits()
    }

    #[test]
    fn functions_of_f32_agree_with_f64_on_every_instruction_set() {
        let x = floats();
        let wide: Vec<f64> = x.iter().copied().map(f64::from).collect();
        let (mut y, mut exact) = (vec![0f32; x.len()], vec![0f64; x.len()]);
        for &op in Unary::ALL {
            unary(op, &wide, &mut exact);
            Isa::for_each(|isa| {
                unary(op, &x, &mut y);
                for ((&x, &y), &exact) in x.iter().zip(&y).zip(&exact) {
                    let expected = exact as f32;
                    // Two units in the last place, and exactly where the result is exact.
                    let near = expected.is_normal()
                        && (y.to_bits() as i32).abs_diff(expected.to_bits() as i32) <= 2
                        && !matches!(op, Unary::Neg | Unary::Abs | Unary::Floor | Unary::Round);
                    let right = near || same(y.into(), expected.into());
                    assert!(right, "{op:?}({x:?}) = {y:?}, not {expected:?}, with {isa:?}");
                }
            });
        }
    }

    #[test]
    fn a_vector_gives_the_bits_that_one_number_gives() {
        let x = floats();
        let mut y = vec![0f32; x.len()];
        Isa::for_each(|isa| {
            for &op in Unary::ALL {
                unary(op, &x, &mut y);
                for (&x, &y) in x.iter().zip(&y) {
                    let mut one = [0f32];
                    unary(op, &[x], &mut one);
                    assert!(same(one[0].into(), y.into()), "{op:?}({x:?}) with {isa:?}");
                }
            }
        });
    }

    #[test]
    fn functions_of_two_floats_are_those_of_ieee_754_on_every_instruction_set() {
        let (x, y) = pairs(&floats(), 19);
        let wide = |x: &[f32]| -> Vec<f64> { x.iter().copied().map(f64::from).collect() };
        let (x64, y64) = (wide(&x), wide(&y));
        let (mut out, mut out64) = (vec![0f32; x.len()], vec![0f64; x.len()]);
        Isa::for_each(|isa| {
            for &op in Binary::ALL {
                binary(op, Slice(&x), Slice(&y), &mut out);
                binary(op, Slice(&x64), Slice(&y64), &mut out64);
                for i in 0..x.len() {
                    let (a, b) = (x[i], y[i]);
                    let expected = match op {
                        Binary::Add => a + b,
                        Binary::Sub => a - b,
                        Binary::Mul => a * b,
                        Binary::Div => a / b,
                        Binary::Pow => continue, // Has tests of its own.
                        _ => op.at(a.into(), b.into()) as f32,
                    };
                    let right = same(out[i].into(), expected.into());
                    assert!(right, "{op:?}({a:?}, {b:?}) = {:?} with {isa:?}", out[i]);
                    let right = same(out64[i], op.at(a.into(), b.into()));
                    assert!(right, "{op:?}({a:?}, {b:?}) = {:?} in F64", out64[i]);
                }
            }
        });
    }

    #[test]
    fn integers_wrap_around_and_division_truncates() {
        let (x, y) = pairs(&integers(), 11);
        let mut out = vec![0i32; x.len()];
        Isa::for_each(|isa| {
            for &op in Binary::ALL {
                binary(op, Slice(&x), Slice(&y), &mut out);
                for ((&a, &b), &found) in x.iter().zip(&y).zip(&out) {
                    let expected = match op {
                        Binary::Add => a.wrapping_add(b),
                        Binary::Sub => a.wrapping_sub(b),
                        Binary::Mul => a.wrapping_mul(b),
                        Binary::Div if b == 0 => 0,
                        Binary::Div => a.wrapping_div(b),
                        Binary::Pow if b >= 0 => a.wrapping_pow(b as u32),
                        Binary::Pow if a.abs_diff(0) == 1 => a.wrapping_pow((b & 1) as u32),
                        Binary::Pow => 0,
                        Binary::Min => a.min(b),
                        Binary::Max => a.max(b),
                        Binary::Lt => i32::from(a < b),
                        Binary::Le => i32::from(a <= b),
                        Binary::Eq => i32::from(a == b),
                    };
                    assert_eq!(found, expected, "{op:?}({a}, {b}) with {isa:?}");
                }
            }
        });
    }

    #[test]
    fn one_number_stands_for_a_block_of_it() {
        let x = floats();
        let y = vec![0.75f32; x.len()];
        let (mut slices, mut scalar) = (vec![0f32; x.len()], vec![0f32; x.len()]);
        for &op in Binary::ALL {
            binary(op, Slice(&x), Slice(&y), &mut slices);
            binary(op, Slice(&x), Scalar(0.75), &mut scalar);
            assert!(slices.iter().zip(&scalar).all(|(&a, &b)| same(a.into(), b.into())), "{op:?}");
            binary(op, Slice(&y), Slice(&x), &mut slices);
            binary(op, Scalar(0.75), Slice(&x), &mut scalar);
            assert!(slices.iter().zip(&scalar).all(|(&a, &b)| same(a.into(), b.into())), "{op:?}");
        }
    }

    #[test]
    fn select_takes_one_or_the_other_for_every_kind_of_operand() {
        let c: Vec<i32> = (0..101).map(|i| i % 3 - 1).collect();
        let a: Vec<i32> = (0..101).collect();
        let b: Vec<i32> = (0..101).map(|i| -i).collect();
        let value = |x: Operand<'_, i32>, i: usize| match x {
            Slice(x) => x[i],
            Scalar(x) => x,
        };
        Isa::for_each(|isa| {
            for c in [Slice(&c), Scalar(0), Scalar(5)] {
                for a in [Slice(&a), Scalar(7)] {
                    for b in [Slice(&b), Scalar(9)] {
                        let mut out = vec![0; 101];
                        run(Action::Select, [c, a, b], &mut out);
                        for (i, &found) in out.iter().enumerate() {
                            let expected = value(if value(c, i) != 0 { a } else { b }, i);
                            assert_eq!(found, expected, "{isa:?}");
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn a_product_and_a_sum_are_rounded_once_where_the_processor_can() {
        let (a, b, c) = (floats(), floats(), floats().into_iter().rev().collect::<Vec<_>>());
        let mut out = vec![0f32; a.len()];
        Isa::for_each(|isa| {
            for (signs, of_product, of_c) in
                [(Signs::Plus, 1.0, 1.0), (Signs::Minus, 1.0, -1.0), (Signs::From, -1.0, 1.0)]
            {
                for (a_one, c_one) in [(false, false), (true, false), (false, true), (true, true)] {
                    let first = if a_one { Scalar(a[20]) } else { Slice(&a[..]) };
                    let third = if c_one { Scalar(c[20]) } else { Slice(&c[..]) };
                    run(Action::MulAdd(signs), [first, Slice(&b), third], &mut out);
                    for i in 0..out.len() {
                        let a = if a_one { a[20] } else { a[i] };
                        let c = if c_one { c[20] } else { c[i] };
                        let fused = (of_product * a).mul_add(b[i], of_c * c);
                        let twice = (of_product * a) * b[i] + of_c * c;
                        let right = same(out[i].into(), fused.into())
                            || isa == Isa::Portable && same(out[i].into(), twice.into());
                        assert!(right, "{signs:?} {a} {} {c}: {} with {isa:?}", b[i], out[i]);
                    }
                }
            }
        });
    }

    #[test]
    fn a_loop_may_write_what_it_reads() {
        for n in [1, 15, 16, 17, 100] {
            let x: Vec<f32> = floats()[..n].to_vec();
            let mut expected = vec![0f32; n];
            binary(Binary::Mul, Slice(&x), Slice(&x), &mut expected);
            let mut y = x.clone();
            let at = y.as_mut_ptr();
            // SAFETY: both operands and the result are the whole of `y`.
            unsafe { f32::code(Action::Binary(Binary::Mul), 0)([at, at, at], at, n) };
            assert!(y.iter().zip(&expected).all(|(&a, &b)| same(a.into(), b.into())));
        }
    }
}
