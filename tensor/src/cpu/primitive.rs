//! One loop for each primitive and element type, compiled for each instruction set.

use super::cells::Step;
use super::isa::{Loop, vectorised};
use super::math;
use crate::expr::{Binary, Unary};
use crate::{Element, Formula};

/// A block of values, or one value for the whole block.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a, T> {
    Slice(&'a [T]),
    Scalar(T),
}

/// Element types that primitives are defined on.
pub(crate) trait Primitive: Element {
    /// out[i] = op(x[i])
    fn unary(op: Unary, x: &[Self], out: &mut [Self]);

    /// out[i] = op(x[i], y[i])
    fn binary(op: Binary, x: Operand<'_, Self>, y: Operand<'_, Self>, out: &mut [Self]);

    /// The loop of a cell that has been compiled for rows of these elements.
    fn compiled(_cell: &Formula) -> Option<Step<Self>> {
        None
    }

    /// out[i] = a[i] where c[i] ≠ 0, else b[i]
    fn select(c: Operand<'_, Self>, a: Operand<'_, Self>, b: Operand<'_, Self>, out: &mut [Self]) {
        use Operand::{Scalar, Slice};
        let n = out.len();
        match (c, a, b) {
            (Slice(c), Slice(a), Slice(b)) => choose(&c[..n], &a[..n], &b[..n], out),
            (Slice(c), Slice(a), Scalar(b)) => choose(&c[..n], &a[..n], b, out),
            (Slice(c), Scalar(a), Slice(b)) => choose(&c[..n], a, &b[..n], out),
            (Slice(c), Scalar(a), Scalar(b)) => choose(&c[..n], a, b, out),
            (Scalar(c), a, b) => match if c != Self::default() { a } else { b } {
                Slice(x) => out.copy_from_slice(&x[..n]),
                Scalar(x) => out.fill(x),
            },
        }
    }
}

/// Values in order: a slice, or one value again and again.
trait Values<T> {
    fn values(self) -> impl Iterator<Item = T>;
}

impl<T: Element> Values<T> for &[T] {
    #[inline(always)]
    fn values(self) -> impl Iterator<Item = T> {
        self.iter().copied()
    }
}

impl<T: Element> Values<T> for T {
    #[inline(always)]
    fn values(self) -> impl Iterator<Item = T> {
        std::iter::repeat(self)
    }
}

struct Select<'a, T, A, B> {
    c: &'a [T],
    a: A,
    b: B,
    out: &'a mut [T],
}

fn choose<T: Element>(c: &[T], a: impl Values<T>, b: impl Values<T>, out: &mut [T]) {
    vectorised(Select { c, a, b, out });
}

impl<T: Element, A: Values<T>, B: Values<T>> Loop for Select<'_, T, A, B> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let branches = self.a.values().zip(self.b.values());
        for ((out, &c), (a, b)) in self.out.iter_mut().zip(self.c).zip(branches) {
            *out = if c != T::default() { a } else { b };
        }
    }
}

/// A function of one number; `FMA` says whether the instruction set has a fused multiply-add.
trait Function1<T> {
    fn at<const FMA: bool>(x: T) -> T;
}

/// A function of two numbers.
trait Function2<T> {
    fn at<const FMA: bool>(x: T, y: T) -> T;
}

struct Map1<'a, T, F> {
    x: &'a [T],
    out: &'a mut [T],
    function: std::marker::PhantomData<F>,
}

impl<T: Copy, F: Function1<T>> Loop for Map1<'_, T, F> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = F::at::<FMA>(x);
        }
    }
}

struct Map2<'a, T, F> {
    x: Operand<'a, T>,
    y: Operand<'a, T>,
    out: &'a mut [T],
    function: std::marker::PhantomData<F>,
}

impl<T: Copy, F: Function2<T>> Loop for Map2<'_, T, F> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        match (self.x, self.y) {
            (Operand::Slice(x), Operand::Slice(y)) => {
                for ((out, &x), &y) in self.out.iter_mut().zip(x).zip(y) {
                    *out = F::at::<FMA>(x, y);
                }
            }
            (Operand::Slice(x), Operand::Scalar(y)) => {
                for (out, &x) in self.out.iter_mut().zip(x) {
                    *out = F::at::<FMA>(x, y);
                }
            }
            (Operand::Scalar(x), Operand::Slice(y)) => {
                for (out, &y) in self.out.iter_mut().zip(y) {
                    *out = F::at::<FMA>(x, y);
                }
            }
            (Operand::Scalar(x), Operand::Scalar(y)) => self.out.fill(F::at::<FMA>(x, y)),
        }
    }
}

fn map1<T: Copy, F: Function1<T>>(x: &[T], out: &mut [T]) {
    vectorised(Map1::<T, F> { x, out, function: std::marker::PhantomData });
}

fn map2<T: Copy, F: Function2<T>>(x: Operand<'_, T>, y: Operand<'_, T>, out: &mut [T]) {
    vectorised(Map2::<T, F> { x, y, out, function: std::marker::PhantomData });
}

/// Names for functions, and the match from an operation to its loop.
macro_rules! unary {
    ($t:ty, $op:ident, $x:ident, $out:ident; $($name:ident: |$v:ident| $value:expr;)*) => {
        match $op {
            $(Unary::$name => {
                struct F;
                impl Function1<$t> for F {
                    #[inline(always)]
                    fn at<const FMA: bool>($v: $t) -> $t {
                        $value
                    }
                }
                map1::<$t, F>($x, $out);
            })*
            #[allow(unreachable_patterns)] // Integers lack some.
            _ => unreachable!("{:?} of {} is refused before", $op, <$t>::DTYPE),
        }
    };
}

macro_rules! binary {
    ($t:ty, $op:ident, $x:ident, $y:ident, $out:ident; $($name:ident: |$a:ident, $b:ident| $value:expr;)*) => {
        match $op {
            $(Binary::$name => {
                struct F;
                impl Function2<$t> for F {
                    #[inline(always)]
                    fn at<const FMA: bool>($a: $t, $b: $t) -> $t {
                        $value
                    }
                }
                map2::<$t, F>($x, $y, $out);
            })*
        }
    };
}

/// What both float types share. Where operands of min and max are equal their bits are joined, so
/// that -0 is below +0; where they are not ordered, the NaN is taken.
macro_rules! float_binary {
    ($t:ty, $op:ident, $x:ident, $y:ident, $out:ident, |$base:ident, $exponent:ident| $pow:expr) => {
        binary! { $t, $op, $x, $y, $out;
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

    fn unary(op: Unary, x: &[f32], out: &mut [f32]) {
        unary! { f32, op, x, out;
            Neg: |x| -x;
            Abs: |x| x.abs();
            Sqrt: |x| x.sqrt();
            Exp: |x| math::exp::<FMA>(x);
            ExpM1: |x| math::exp_m1::<FMA>(x);
            Ln: |x| math::ln::<FMA>(x);
            Ln1p: |x| math::ln_1p::<FMA>(x);
            Sin: |x| math::sin::<FMA>(x);
            Cos: |x| math::cos::<FMA>(x);
            Tanh: |x| math::tanh::<FMA>(x);
            Sigmoid: |x| math::sigmoid::<FMA>(x);
            Erf: |x| math::erf::<FMA>(x);
            Floor: |x| floor_f32(x);
            Round: |x| round_f32(x);
        }
        if matches!(op, Unary::Sin | Unary::Cos) && any_beyond(math::LARGEST_ANGLE, x) {
            for (out, &x) in out.iter_mut().zip(x) {
                if x.abs() > math::LARGEST_ANGLE {
                    let x = f64::from(x);
                    *out = if op == Unary::Sin { x.sin() } else { x.cos() } as f32;
                }
            }
        }
    }

    fn binary(op: Binary, x: Operand<'_, f32>, y: Operand<'_, f32>, out: &mut [f32]) {
        float_binary!(f32, op, x, y, out, |a, b| math::pow::<FMA>(a, b));
    }
}

/// Whether a number's size exceeds the bound (or a number is NaN).
fn any_beyond(bound: f32, x: &[f32]) -> bool {
    struct Largest<'a>(&'a [f32], &'a mut u32);
    impl Loop for Largest<'_> {
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            // Bits order as sizes do, NaN above all, and a maximum of integers vectorises.
            *self.1 = self.0.iter().fold(0, |bits, x| bits.max(x.to_bits() & 0x7fff_ffff));
        }
    }
    let mut bits = 0;
    vectorised(Largest(x, &mut bits));
    bits > bound.to_bits()
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
    fn unary(op: Unary, x: &[f64], out: &mut [f64]) {
        unary! { f64, op, x, out;
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
        }
    }

    fn binary(op: Binary, x: Operand<'_, f64>, y: Operand<'_, f64>, out: &mut [f64]) {
        float_binary!(f64, op, x, y, out, |a, b| a.powf(b));
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
    fn unary(op: Unary, x: &[i32], out: &mut [i32]) {
        unary! { i32, op, x, out;
            Neg: |x| x.wrapping_neg();
            Abs: |x| x.wrapping_abs();
            Floor: |x| x;
            Round: |x| x;
        }
    }

    /// Arithmetic wraps around; division truncates towards 0, and by 0 gives 0; a power with a
    /// negative exponent is truncated towards 0, too.
    fn binary(op: Binary, x: Operand<'_, i32>, y: Operand<'_, i32>, out: &mut [i32]) {
        binary! { i32, op, x, y, out;
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa::Isa;
    use super::*;
    use Operand::{Scalar, Slice};

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
            f64::unary(op, &wide, &mut exact);
            Isa::for_each(|isa| {
                f32::unary(op, &x, &mut y);
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
                f32::unary(op, &x, &mut y);
                for (&x, &y) in x.iter().zip(&y) {
                    let mut one = [0f32];
                    f32::unary(op, &[x], &mut one);
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
                f32::binary(op, Slice(&x), Slice(&y), &mut out);
                f64::binary(op, Slice(&x64), Slice(&y64), &mut out64);
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
                i32::binary(op, Slice(&x), Slice(&y), &mut out);
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
            f32::binary(op, Slice(&x), Slice(&y), &mut slices);
            f32::binary(op, Slice(&x), Scalar(0.75), &mut scalar);
            assert!(slices.iter().zip(&scalar).all(|(&a, &b)| same(a.into(), b.into())), "{op:?}");
            f32::binary(op, Slice(&y), Slice(&x), &mut slices);
            f32::binary(op, Scalar(0.75), Slice(&x), &mut scalar);
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
                        i32::select(c, a, b, &mut out);
                        for (i, &found) in out.iter().enumerate() {
                            let expected = value(if value(c, i) != 0 { a } else { b }, i);
                            assert_eq!(found, expected, "{isa:?}");
                        }
                    }
                }
            }
        });
    }
}
