//! The cells of recurrent networks as formulas: a step forwards, and a step back.

use std::ops::Range;

use plies_tensor::{Formula, formula};

/// A recurrent cell: its equations stand at [`recurrent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// h' = tanh(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)
    Tanh,
    /// h' = max(0, x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)
    Relu,
    /// Long short-term memory, gates in the order i, f, g, o.
    Lstm,
    /// Gated recurrent unit, gates in the order r, z, n.
    Gru,
}

impl Cell {
    /// Blocks of H rows in its weights.
    pub fn gates(self) -> usize {
        match self {
            Cell::Tanh | Cell::Relu => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// Number of states: h, and c of the LSTM.
    pub fn states(self) -> usize {
        if self == Cell::Lstm { 2 } else { 1 }
    }

    /// The step forwards, and what is kept of it: of each matrix its outputs. The last but one
    /// matrix is h before the step, the last one h after it. Without `saves` that is all.
    pub(super) fn forward(self, saves: bool) -> (&'static Formula, &'static [Range<usize>]) {
        match (self, saves) {
            (Cell::Tanh, true) => (formula!(|p, h, x| [h, (x + p).tanh()]), &[0..1, 1..2]),
            (Cell::Relu, true) => (formula!(|p, h, x| [h, (x + p).max(0.0)]), &[0..1, 1..2]),
            (Cell::Lstm, true) => (
                formula!(|pi, pf, pg, po, h, c, xi, xf, xg, xo| {
                    let (i, f) = ((xi + pi).sigmoid(), (xf + pf).sigmoid());
                    let (g, o) = ((xg + pg).tanh(), (xo + po).sigmoid());
                    let next = f * c + i * g;
                    [i, f, g, o, c, h, o * next.tanh(), next]
                }),
                &[0..5, 5..6, 6..7],
            ),
            (Cell::Gru, true) => (
                formula!(|pr, pz, pn, h, xr, xz, xn, b_hn| {
                    let (r, z, q) = ((xr + pr).sigmoid(), (xz + pz).sigmoid(), pn + b_hn);
                    let n = (xn + r * q).tanh();
                    [r, z, n, q, h, n + z * (h - n)]
                }),
                &[0..4, 4..5, 5..6],
            ),
            (Cell::Tanh, false) => (formula!(|p, h, x| [(x + p).tanh()]), &[0..1]),
            (Cell::Relu, false) => (formula!(|p, h, x| [(x + p).max(0.0)]), &[0..1]),
            (Cell::Lstm, false) => (
                formula!(|pi, pf, pg, po, h, c, xi, xf, xg, xo| {
                    let (i, f) = ((xi + pi).sigmoid(), (xf + pf).sigmoid());
                    let (g, o) = ((xg + pg).tanh(), (xo + po).sigmoid());
                    let next = f * c + i * g;
                    [o * next.tanh(), next]
                }),
                &[0..1],
            ),
            (Cell::Gru, false) => (
                formula!(|pr, pz, pn, h, xr, xz, xn, b_hn| {
                    let (r, z, q) = ((xr + pr).sigmoid(), (xz + pz).sigmoid(), pn + b_hn);
                    let n = (xn + r * q).tanh();
                    [n + z * (h - n)]
                }),
                &[0..1],
            ),
        }
    }

    /// The step backwards: p is what the later step sends back through W_hh, d is d_y, and the first
    /// outputs are the gradients of the gates before their activations.
    ///
    /// The GRU's are n, r, z, q: those that x contributes to stand first, those that h contributes
    /// to last.
    pub(super) fn backward(self) -> &'static Formula {
        match self {
            Cell::Tanh => formula!(|p, state, y, d| [(p + d) * (1.0 - y * y)]),
            Cell::Relu => formula!(|p, state, y, d| [y.gt(0.0).select(p + d, 0.0)]),
            Cell::Lstm => {
                formula!(|p, s0, s1, s2, s3, d_next, i, f, g, o, c, d| {
                    let d_h = p + d;
                    let t = (f * c + i * g).tanh();
                    let d_next = d_next + d_h * o * (1.0 - t * t);
                    [
                        d_next * g * i * (1.0 - i),
                        d_next * c * f * (1.0 - f),
                        d_next * i * (1.0 - g * g),
                        d_h * t * o * (1.0 - o),
                        d_next * f,
                    ]
                })
            }
            Cell::Gru => formula!(|p, s0, s1, s2, through, r, z, n, q, h, d| {
                let d_h = p + through + d;
                let d_n = d_h * (1.0 - z) * (1.0 - n * n);
                [
                    d_n,
                    d_n * q * r * (1.0 - r),
                    d_h * (h - n) * z * (1.0 - z),
                    d_n * r,
                    d_h * z,
                ]
            }),
        }
    }
}
