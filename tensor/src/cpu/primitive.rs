//! One loop for each primitive and element type, compiled for each instruction set.

use super::isa::{Loop, vectorised};
use super::math;
use crate::Element;
use crate::expr::{Binary, Unary};

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
    fn at(x: T, y: T) -> T;
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
                    *out = F::at(x, y);
                }
            }
            (Operand::Slice(x), Operand::Scalar(y)) => {
                for (out, &x) in self.out.iter_mut().zip(x) {
                    *out = F::at(x, y);
                }
            }
            (Operand::Scalar(x), Operand::Slice(y)) => {
                for (out, &y) in self.out.iter_mut().zip(y) {
                    *out = F::at(x, y);
                }
            }
            (Operand::Scalar(x), Operand::Scalar(y)) => self.out.fill(F::at(x, y)),
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
                    fn at($a: $t, $b: $t) -> $t {
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
    ($t:ty, $op:ident, $x:ident, $y:ident, $out:ident) => {
        binary! { $t, $op, $x, $y, $out;
            Add: |a, b| a + b;
            Sub: |a, b| a - b;
            Mul: |a, b| a * b;
            Div: |a, b| a / b;
            Pow: |a, b| a.powf(b);
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
            Erf: |x| math::erf::<FMA>(x);
            Floor: |x| floor_f32(x);
            Round: |x| round_f32(x);
        }
        if matches!(op, Unary::Sin | Unary::Cos) {
            for (out, &x) in out.iter_mut().zip(x) {
                if x.abs() > math::LARGEST_ANGLE {
                    *out = if op == Unary::Sin { x.sin() } else { x.cos() };
                }
            }
        }
    }

    fn binary(op: Binary, x: Operand<'_, f32>, y: Operand<'_, f32>, out: &mut [f32]) {
        float_binary!(f32, op, x, y, out);
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
            Erf: |x| libm::erf(x);
            Floor: |x| x.floor();
            Round: |x| x.round_ties_even();
        }
    }

    fn binary(op: Binary, x: Operand<'_, f64>, y: Operand<'_, f64>, out: &mut [f64]) {
        float_binary!(f64, op, x, y, out);
    }
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
            Div: |a, b| if b == 0 { 0 } else { a.wrapping_div(b) };
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
