//! The primitives that formulas are made of.

use crate::Reduce;

/// An enum of functions, the list of all of them, and their values in F64, in one table.
macro_rules! primitives {
    (
        $(#[$about:meta])*
        $name:ident($($x:ident),*);
        $($(#[$doc:meta])* $op:ident = $value:expr;)*
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $op,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$op,)*];

            /// The value in F64: what constants are folded by, and what devices are compared with.
            pub fn at(self, $($x: f64),*) -> f64 {
                match self {
                    $($name::$op => $value,)*
                }
            }
        }
    };
}

primitives! {
    /// A function of one number.
    Unary(x);
    /// -x
    Neg = -x;
    /// |x|
    Abs = x.abs();
    /// √x, NaN below 0.
    Sqrt = x.sqrt();
    /// eˣ
    Exp = x.exp();
    /// eˣ - 1, accurate near 0.
    ExpM1 = x.exp_m1();
    /// Natural logarithm: -∞ at 0, NaN below.
    Ln = x.ln();
    /// ln(1 + x), accurate near 0.
    Ln1p = x.ln_1p();
    /// Sine of an angle in radians.
    Sin = x.sin();
    /// Cosine of an angle in radians.
    Cos = x.cos();
    /// Hyperbolic tangent.
    Tanh = x.tanh();
    /// The logistic function, 1 / (1 + e⁻ˣ), without overflow.
    Sigmoid = 1.0 / (1.0 + (-x).exp());
    /// Error function, 2/√π ∫₀ˣ exp(-t²) dt.
    Erf = libm::erf(x);
    /// Largest integer not above x.
    Floor = x.floor();
    /// Nearest integer, halves to the even one.
    Round = x.round_ties_even();
}

primitives! {
    /// A function of two numbers. Comparisons give 1 or 0 in the operands' own type.
    Binary(x, y);
    /// x + y
    Add = x + y;
    /// x - y
    Sub = x - y;
    /// x · y
    Mul = x * y;
    /// x / y
    Div = x / y;
    /// xʸ
    Pow = x.powf(y);
    /// The smaller; NaN when either is NaN; -0 is below +0.
    Min = extreme(x, y, x < y, x.is_sign_negative());
    /// The larger; NaN when either is NaN; +0 is above -0.
    Max = extreme(x, y, x > y, x.is_sign_positive());
    /// x < y
    Lt = f64::from(x < y);
    /// x ≤ y
    Le = f64::from(x <= y);
    /// x = y
    Eq = f64::from(x == y);
}

/// x when it is the extreme one, which its sign decides between equals.
fn extreme(x: f64, y: f64, is_x: bool, is_x_at_a_tie: bool) -> f64 {
    if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if is_x || (x == y && is_x_at_a_tie) {
        x
    } else {
        y
    }
}

impl Unary {
    /// Whether it is defined on integers, and gives one.
    pub fn is_on_integers(self) -> bool {
        matches!(self, Unary::Neg | Unary::Abs | Unary::Floor | Unary::Round)
    }
}

impl Binary {
    /// Whether it gives the same on integers as on the same numbers in F64, short of overflow.
    pub fn is_exact_on_integers(self) -> bool {
        !matches!(self, Binary::Div | Binary::Pow)
    }
}

/// One step of a [`Formula`](crate::Formula); operands are the indices of earlier nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Element of the n-th input tensor.
    Input(usize),
    /// The n-th scalar, a number given at each call.
    Scalar(usize),
    /// A number that belongs to the formula, as the bits of an `f64` so that nodes can be compared.
    Const(u64),
    /// A function of one earlier node.
    Unary(Unary, usize),
    /// A function of two earlier nodes.
    Binary(Binary, usize, usize),
    /// `Select(c, a, b)`: a where c ≠ 0 (NaN counts as ≠ 0), else b.
    Select(usize, usize, usize),
    /// The values of an earlier node joined over the row: over the last axis of the shape that the
    /// inputs are broadcast to. Every element of the row gets the result.
    Reduce(Reduce, usize),
}

impl Node {
    /// The nodes that this one reads.
    pub fn operands(&self) -> impl Iterator<Item = usize> {
        let operands = match *self {
            Node::Input(_) | Node::Scalar(_) | Node::Const(_) => [None; 3],
            Node::Unary(_, x) | Node::Reduce(_, x) => [Some(x), None, None],
            Node::Binary(_, x, y) => [Some(x), Some(y), None],
            Node::Select(c, a, b) => [Some(c), Some(a), Some(b)],
        };
        operands.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_zeros_are_told_apart_by_their_sign() {
        for (x, y) in [(0.0, -0.0), (-0.0, 0.0)] {
            assert!(Binary::Min.at(x, y).is_sign_negative());
            assert!(Binary::Max.at(x, y).is_sign_positive());
        }
        assert!(Binary::Min.at(f64::NAN, 1.0).is_nan() && Binary::Max.at(1.0, f64::NAN).is_nan());
    }
}
