//! One loop for each primitive.

use crate::Element;
use crate::expr::{Binary, Unary};

/// A block of values, or one value for the whole block.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a, T> {
    Slice(&'a [T]),
    Scalar(T),
}

impl<T: Copy> Operand<'_, T> {
    fn at(&self, i: usize) -> T {
        match self {
            Operand::Slice(s) => s[i],
            Operand::Scalar(x) => *x,
        }
    }
}

/// Element types that primitives are defined on.
pub(crate) trait Primitive: Element {
    fn unary(op: Unary, x: &[Self], out: &mut [Self]);
    fn binary(op: Binary, x: Operand<'_, Self>, y: Operand<'_, Self>, out: &mut [Self]) {
        for (i, out) in out.iter_mut().enumerate() {
            let (x, y) = (x.at(i).to_f64(), y.at(i).to_f64());
            let truth = |b: bool| if b { 1.0 } else { 0.0 };
            *out = Self::from_f64(match op {
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                Binary::Div => x / y,
                Binary::Pow => x.powf(y),
                Binary::Min if x.is_nan() || y.is_nan() => f64::NAN,
                Binary::Max if x.is_nan() || y.is_nan() => f64::NAN,
                Binary::Min => x.min(y),
                Binary::Max => x.max(y),
                Binary::Lt => truth(x < y),
                Binary::Le => truth(x <= y),
                Binary::Eq => truth(x == y),
            });
        }
    }
    fn select(c: Operand<'_, Self>, a: Operand<'_, Self>, b: Operand<'_, Self>, out: &mut [Self]) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = if c.at(i) != Self::default() { a.at(i) } else { b.at(i) };
        }
    }
}

macro_rules! naive {
    ($($t:ident)*) => {$(
        impl Primitive for $t {
            fn unary(op: Unary, x: &[Self], out: &mut [Self]) {
                for (out, x) in out.iter_mut().zip(x) {
                    let x = x.to_f64();
                    *out = Self::from_f64(match op {
                        Unary::Neg => -x,
                        Unary::Abs => x.abs(),
                        Unary::Sqrt => x.sqrt(),
                        Unary::Exp => x.exp(),
                        Unary::ExpM1 => x.exp_m1(),
                        Unary::Ln => x.ln(),
                        Unary::Ln1p => x.ln_1p(),
                        Unary::Sin => x.sin(),
                        Unary::Cos => x.cos(),
                        Unary::Tanh => x.tanh(),
                        Unary::Erf => libm::erf(x),
                        Unary::Floor => x.floor(),
                        Unary::Round => x.round_ties_even(),
                    });
                }
            }
        }
    )*};
}
naive!(f32 f64 i32);
