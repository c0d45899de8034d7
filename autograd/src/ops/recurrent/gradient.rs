//! The gradient of the recurrent operation.
//!
//! With D the gradients of the gates before their activations, a row for each step, and h₋ the states
//! before the steps:
//!
//! ```text
//! d_x = D · W_ih     d_W_ih = Dᵀ · x     d_W_hh = Dᵀ · h₋     d_b_ih = d_b_hh = Σ D
//! ```
//!
//! D comes from a walk over the steps in the other direction. The rest is a product each, with this
//! about the GRU: its D has four columns of gates, n, r, z and q, because what x contributes to n and
//! what h contributes to it, q, have gradients of their own. x has to do with the first three, h with the
//! last three, and the rows of W_ih are in the order r, z, n.

use std::cell::OnceCell;

use plies_tensor::{Steps, Tensor};

use super::{Cell, Recurrent};
use crate::Var;

/// What the forward pass keeps for the gradient, matrices of a row for each step.
pub(super) struct Saved {
    /// What the cell's step back reads.
    read: Vec<Tensor>,
    /// h₋
    h_before: Tensor,
}

impl Saved {
    /// Of what [`Cell::forward`] keeps.
    pub(super) fn of(cell: Cell, kept: &[Tensor]) -> Saved {
        let [first @ .., h_before, h] = kept else { unreachable!("every cell keeps both") };
        let read = match cell {
            Cell::Tanh | Cell::Relu => vec![h.clone()],
            Cell::Lstm => first.to_vec(),
            Cell::Gru => first.iter().chain([h_before]).cloned().collect(),
        };
        Saved { read, h_before: h_before.clone() }
    }
}

impl Recurrent {
    /// The gradients of the inputs that want one, of one pass each.
    pub(super) fn vjp_walked(&self, inputs: &[Var], d_y: &Tensor) -> Vec<Option<Var>> {
        let values: Vec<&Tensor> = inputs.iter().map(Var::value).collect();
        let &[x, h_0, .., w_ih, w_hh, _, _] = &values[..] else { unreachable!() };
        let saved = self.saved.get_or_init(|| Saved::of(self.cell, &self.run(&values, true).0));
        let (d, d_firsts) = self.walk_back(w_hh, saved, d_y, [x.dim(0), h_0.dim(1)]);
        let sums = OnceCell::new();
        let sums = || sums.get_or_init(|| d.sum());

        let d_x = || d.of_x().matmul(&d.like_columns(w_ih));
        let d_h_0 = || match self.cell {
            Cell::Gru => d_firsts[0].matmul(w_hh) + &d_firsts[1],
            _ => d_firsts[0].matmul(w_hh),
        };
        let d_c_0 = || d_firsts[1].clone();
        let d_w_ih = || d.like_weights(d.of_x().t().matmul(x));
        let d_w_hh = || d.of_h().t().matmul(&saved.h_before);
        let d_b_ih = || d.like_weights(sums().of_x().squeeze(0));
        let d_b_hh = || sums().of_h().squeeze(0);
        let all: [&dyn Fn() -> Tensor; 7] =
            [&d_x, &d_h_0, &d_c_0, &d_w_ih, &d_w_hh, &d_b_ih, &d_b_hh];
        let has = |i: &usize| *i != 2 || self.cell == Cell::Lstm;
        let gradients = (0..all.len()).filter(has).map(|i| all[i]);
        let wanted =
            |(x, d_x): (&Var, &dyn Fn() -> Tensor)| x.requires_grad().then(|| Var::constant(d_x()));
        inputs.iter().zip(gradients).map(wanted).collect()
    }

    /// D, and what goes back beyond the first steps: the gradients of the gates there, and of c (LSTM)
    /// or of h past the gates (GRU).
    fn walk_back(
        &self,
        w_hh: &Tensor,
        saved: &Saved,
        d_y: &Tensor,
        [rows, hidden]: [usize; 2],
    ) -> (GateGradients, Vec<Tensor>) {
        let sequences = self.sequences.len();
        let zero = Tensor::zeros([], d_y.dtype(), d_y.device());
        let zeros = |columns: usize| zero.broadcast_to([sequences, columns]);
        let d_h = d_y.narrow(0, 0, rows);
        let gates = self.cell.gates() * hidden;
        // What goes back from step to step: through W_hh, and beside it.
        let states = match self.cell {
            Cell::Tanh | Cell::Relu => vec![zeros(gates)],
            Cell::Lstm => vec![zeros(gates), d_y.narrow(0, rows, sequences)],
            Cell::Gru => vec![zeros(gates), zeros(hidden)],
        };
        let (next, kept) = match self.cell {
            Cell::Tanh | Cell::Relu => ([0..1, 1..1], 0..1),
            Cell::Lstm => ([0..4, 4..5], 0..4),
            Cell::Gru => ([1..4, 4..5], 0..4),
        };
        let (mut kept, firsts) = w_hh.recur(&Steps {
            cell: self.cell.backward(),
            inputs: &saved.read.iter().chain([&d_h]).collect::<Vec<_>>(),
            sequences: &self.sequences,
            backwards: !self.backwards,
            states: &states.iter().collect::<Vec<_>>(),
            next: &next[..states.len()],
            kept: &[kept],
        });
        let Some(d) = kept.pop() else { unreachable!("one matrix is kept") };
        (GateGradients { d, cell: self.cell, hidden }, firsts)
    }
}

/// D, or the sum of its rows.
struct GateGradients {
    d: Tensor,
    cell: Cell,
    hidden: usize,
}

impl GateGradients {
    /// Σ D, as a matrix of one row.
    fn sum(&self) -> GateGradients {
        GateGradients { d: self.d.sum(&[0], true), ..*self }
    }

    /// The columns that x contributed to.
    fn of_x(&self) -> Tensor {
        self.d.narrow(1, 0, self.cell.gates() * self.hidden)
    }

    /// The columns that h contributed to.
    fn of_h(&self) -> Tensor {
        let columns = self.cell.gates() * self.hidden;
        self.d.narrow(1, self.d.dim(1) - columns, columns)
    }

    /// Rows in the order of W_ih, in that of the columns here: r, z, n become n, r, z.
    fn like_columns(&self, weights: &Tensor) -> Tensor {
        self.turned(weights, 2 * self.hidden)
    }

    /// Rows in the order of the columns here, in that of W_ih: n, r, z become r, z, n.
    fn like_weights(&self, rows: Tensor) -> Tensor {
        self.turned(&rows, self.hidden)
    }

    /// The first rows behind the others, of the GRU.
    fn turned(&self, rows: &Tensor, first: usize) -> Tensor {
        match self.cell {
            Cell::Gru => Tensor::cat(&[&rows.slice(0, first..), &rows.narrow(0, 0, first)], 0),
            _ => rows.clone(),
        }
    }
}
