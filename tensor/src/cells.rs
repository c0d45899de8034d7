//! The steps of recurrent networks, each written once and used twice: on symbols it is a
//! [`Formula`], which every backend can evaluate; on numbers it is a loop that the CPU has compiled,
//! because a row of a hundred elements is too short to be interpreted.
//!
//! Each function takes what [`Recurrence`](crate::Recurrence) says a cell takes: the blocks of the
//! product of the state and the weight (`p…`), the states, and the inputs (`x…`, and biases `b…`). A step forwards
//! returns what the step back will read, with the states before the step, and the states after it. A
//! step back is one of the chain rule: its product is what the later step sends back through the
//! weight, `d` is the gradient of this step's own output, and what it returns first are the gradients
//! of the gates before their activations.

use std::ops::{Add, Mul, Sub};
use std::sync::LazyLock;

use crate::{Expr, Formula};

/// What cells are written on.
pub(crate) trait Number:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self>
{
    fn tanh(self) -> Self;
    fn sigmoid(self) -> Self;
    /// 1 - x
    fn complement(self) -> Self;
}

impl Number for Expr<'_> {
    fn tanh(self) -> Self {
        Expr::tanh(self)
    }
    fn sigmoid(self) -> Self {
        Expr::sigmoid(self)
    }
    fn complement(self) -> Self {
        1.0 - self
    }
}

/// A function of I numbers with O results.
pub(crate) trait Cell<const I: usize, const O: usize> {
    fn at<N: Number>(inputs: [N; I]) -> [N; O];

    fn formula() -> Formula {
        Formula::build(I, 0, |graph| {
            Self::at::<Expr<'_>>(std::array::from_fn(|i| graph.input(i))).to_vec()
        })
    }
}

/// For each cell a type, and a function that returns its formula.
macro_rules! cells {
    ($($(#[$doc:meta])* $name:ident = $cell:ident[$i:literal, $o:literal] |$($x:ident),*| $body:block)*) => {
        $(
            pub(crate) struct $cell;

            impl Cell<$i, $o> for $cell {
                #[inline(always)]
                fn at<N: Number>([$($x),*]: [N; $i]) -> [N; $o] $body
            }

            $(#[$doc])*
            pub fn $name() -> &'static Formula {
                static FORMULA: LazyLock<Formula> = LazyLock::new(<$cell as Cell<$i, $o>>::formula);
                &FORMULA
            }
        )*
    };
}

cells! {
    /// h' = tanh(x + p + b); returns h, h'
    tanh = Tanh[4, 2] |p, h, x, b| { [h, (x + b + p).tanh()] }

    /// The step back of [`tanh`]: reads h'.
    tanh_back = TanhBack[4, 1] |p, _state, y, d| { [(p + d) * (y * y).complement()] }

    /// c' = f c + i g and h' = o tanh(c') with i, f, o = σ(x + b + p), g = tanh(x + b + p); returns
    /// i, f, g, o, c, h, h', c'
    lstm = Lstm[14, 8] |pi, pf, pg, po, h, c, xi, xf, xg, xo, bi, bf, bg, bo| {
        let (i, f) = ((xi + bi + pi).sigmoid(), (xf + bf + pf).sigmoid());
        let (g, o) = ((xg + bg + pg).tanh(), (xo + bo + po).sigmoid());
        let next = f * c + i * g;
        [i, f, g, o, c, h, o * next.tanh(), next]
    }

    /// [`lstm`] without what the step back reads: h', c'
    lstm_alone = LstmAlone[14, 2] |pi, pf, pg, po, h, c, xi, xf, xg, xo, bi, bf, bg, bo| {
        let [.., h, c] = Lstm::at([pi, pf, pg, po, h, c, xi, xf, xg, xo, bi, bf, bg, bo]);
        [h, c]
    }

    /// The step back of [`lstm`]: reads i, f, g, o, c; returns their gradients and that of c.
    lstm_back = LstmBack[12, 5] |p, _s0, _s1, _s2, _s3, d_next, i, f, g, o, c, d| {
        let d_h = p + d;
        let t = (f * c + i * g).tanh();
        let d_next = d_next + d_h * o * (t * t).complement();
        [
            d_next * g * i * i.complement(),
            d_next * c * f * f.complement(),
            d_next * i * (g * g).complement(),
            d_h * t * o * o.complement(),
            d_next * f,
        ]
    }

    /// h' = n + z (h - n) with r, z = σ(x + b + p), q = p + b_q, n = tanh(x + b + r q); returns
    /// r, z, n, q, h, h'
    gru = Gru[11, 6] |pr, pz, pn, h, xr, xz, xn, br, bz, bn, bq| {
        let (r, z, q) = ((xr + br + pr).sigmoid(), (xz + bz + pz).sigmoid(), pn + bq);
        let n = (xn + bn + r * q).tanh();
        [r, z, n, q, h, n + z * (h - n)]
    }

    /// [`gru`] without what the step back reads: h'
    gru_alone = GruAlone[11, 1] |pr, pz, pn, h, xr, xz, xn, br, bz, bn, bq| {
        let [.., h] = Gru::at([pr, pz, pn, h, xr, xz, xn, br, bz, bn, bq]);
        [h]
    }

    /// The step back of [`gru`]: reads r, z, n, q, h; returns the gradients of n, r, z, q, and what
    /// goes on to h beside the product.
    gru_back = GruBack[11, 5] |p, _s0, _s1, _s2, through, r, z, n, q, h, d| {
        let d_h = p + through + d;
        let d_n = d_h * z.complement() * (n * n).complement();
        [
            d_n,
            d_n * q * r * r.complement(),
            d_h * (h - n) * z * z.complement(),
            d_n * r,
            d_h * z,
        ]
    }
}
