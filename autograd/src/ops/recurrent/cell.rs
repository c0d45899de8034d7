//! The cells of recurrent networks: which formula is a step forwards, and which a step back.

use std::ops::Range;

use plies_tensor::{Formula, cells, formula};

/// A recurrent cell: its equations stand at [`recurrent`](crate::recurrent).
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
    #[expect(clippy::single_range_in_vec_init, reason = "one matrix is kept")]
    pub(super) fn forward(self, saves: bool) -> (&'static Formula, &'static [Range<usize>]) {
        match (self, saves) {
            (Cell::Tanh, _) => (cells::tanh(), &[0..1, 1..2]),
            (Cell::Relu, _) => (formula!(|p, h, x, b| [h, (x + b + p).max(0.0)]), &[0..1, 1..2]),
            (Cell::Lstm, true) => (cells::lstm(), &[0..5, 5..6, 6..7]),
            (Cell::Gru, true) => (cells::gru(), &[0..4, 4..5, 5..6]),
            (Cell::Lstm, false) => (cells::lstm_alone(), &[0..1]),
            (Cell::Gru, false) => (cells::gru_alone(), &[0..1]),
        }
    }

    /// The step backwards: p is what the later step sends back through W_hh, d is d_y, and the first
    /// outputs are the gradients of the gates before their activations.
    ///
    /// The GRU's are n, r, z, q: those that x contributes to stand first, those that h contributes
    /// to last.
    pub(super) fn backward(self) -> &'static Formula {
        match self {
            Cell::Tanh => cells::tanh_back(),
            Cell::Relu => formula!(|p, _state, y, d| [y.gt(0.0).select(p + d, 0.0)]),
            Cell::Lstm => cells::lstm_back(),
            Cell::Gru => cells::gru_back(),
        }
    }
}
