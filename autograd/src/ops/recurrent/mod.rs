//! Recurrent cells along whole sequences, each one operation.
//!
//! ```text
//! tanh, relu   h' = f(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)
//!
//! LSTM         i, f, o = σ(…)   g = tanh(…)          each … as above, with rows of its own
//!              c' = f c + i g
//!              h' = o tanh(c')
//!
//! GRU          r, z = σ(…)
//!              q = h W_hnᵀ + b_hn
//!              n = tanh(x W_inᵀ + b_in + r q)
//!              h' = (1 - z) n + z h
//! ```
//!
//! What x contributes to all steps is one product before the first step, and the gradients of the
//! weights are one product each after the last. In between, [`Tensor::recur`] walks from step to step,
//! once forwards, and for the gradient once in the other direction with a cell of its own.

mod cell;
mod gradient;
mod unrolled;

use std::ops::Range;
use std::sync::OnceLock;

use plies_tensor::{Steps, Tensor};

use crate::{Op, Reads, Var, apply, is_recording};

pub use cell::Cell;
use gradient::Saved;

/// One cell along sequences in one direction. Inputs: x, h₀, c₀ of the LSTM, W_ih, W_hh, b_ih, b_hh.
/// Output: h after each step, below it c after the last step of each sequence (LSTM). Its gradient is in
/// `gradient.rs`.
struct Recurrent {
    cell: Cell,
    sequences: Vec<Range<usize>>,
    backwards: bool,
    saves: bool,
    saved: OnceLock<Saved>,
}

impl Recurrent {
    /// What the forward pass keeps, the last of it h after each step; and the states after the last.
    #[track_caller]
    fn run(&self, inputs: &[&Tensor], saves: bool) -> (Vec<Tensor>, Vec<Tensor>) {
        let &[x, ref states @ .., w_ih, w_hh, b_ih, b_hh] = inputs else { unreachable!() };
        let hidden = states[0].dim(1);
        let (rows, from_n) = (x.dim(0), 2 * hidden);
        let bias = match self.cell {
            // That of q is inside the product with r.
            Cell::Gru => {
                let b_rz = b_ih.narrow(0, 0, from_n) + b_hh.narrow(0, 0, from_n);
                Tensor::cat(&[&b_rz, &b_ih.slice(0, from_n..), &b_hh.slice(0, from_n..)], 0)
            }
            _ => b_ih + b_hh,
        };
        // The cell adds the biases: a pass of its own would go through all of the gates.
        let bias = bias.broadcast_to([rows, bias.dim(0)]);
        // The product of a single row adds up in another order, and so does that of a few rows with
        // a transposed matrix; a step alone is to give the bits that it gives among others.
        let w = w_ih.t().contiguous();
        let gates = match rows {
            1 => Tensor::cat(&[x, x], 0).matmul(&w).narrow(0, 0, 1),
            _ => x.matmul(&w),
        };
        let inputs = [&gates, &bias];
        let (cell, kept) = self.cell.forward(saves);
        let h = kept[kept.len() - 1].clone();
        let next = [h.clone(), h.end..h.end + 1];
        w_hh.t().recur(&Steps {
            cell,
            inputs: &inputs,
            sequences: &self.sequences,
            backwards: self.backwards,
            states,
            next: &next[..states.len()],
            kept,
        })
    }
}

impl Op for Recurrent {
    fn name(&self) -> &'static str {
        "recurrent"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        let (kept, states) = self.run(inputs, self.saves);
        let y = &kept[kept.len() - 1];
        let packed = match &states[..] {
            [_, c] => Tensor::cat(&[y, c], 0),
            _ => y.clone(),
        };
        if self.saves {
            let _ = self.saved.set(Saved::of(self.cell, &kept));
        }
        packed
    }

    fn vjp(&self, inputs: &[Var], output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        match is_recording() {
            true => self.vjp_unrolled(inputs, output, d_y),
            false => self.vjp_walked(inputs, d_y.value()),
        }
    }

    fn reads(&self, inputs: &[&Var]) -> Reads {
        Reads::inputs(0..inputs.len())
    }
}

/// A recurrent cell along each of B sequences, whose steps are the rows of one matrix. Returns h after
/// every step, and the states after the last step of each sequence: h, and c of the LSTM.
///
/// The work is that of the rows; sequences of different lengths need no padding. `backwards` walks
/// from the last step of each sequence to its first.
///
/// # Shapes
/// x [R, I], `sequences` the rows of each of B sequences, states h [B, H] (and c [B, H]), weights
/// `w_ih` [G·H, I], `w_hh` [G·H, H], `b_ih` [G·H], `b_hh` [G·H] -> y [R, H], states [B, H]
///
/// # Panics
/// When the shapes are others, a sequence is empty, or the sequences are not exactly the rows.
///
/// # Source
/// Hochreiter, Schmidhuber: Long short-term memory (1997), with the forget gates of Gers,
/// Schmidhuber, Cummins (2000); Cho et al.: Learning phrase representations using RNN
/// encoder-decoder (2014), with the reset gate after the product, as in cuDNN and PyTorch.
#[track_caller]
pub fn recurrent(
    cell: Cell,
    x: &Var,
    sequences: &[Range<usize>],
    backwards: bool,
    states: &[&Var],
    [w_ih, w_hh, b_ih, b_hh]: [&Var; 4],
) -> (Var, Vec<Var>) {
    assert!(
        x.rank() == 2
            && w_ih.rank() == 2
            && w_hh.rank() == 2
            && x.dim(1) == w_ih.dim(1)
            && w_hh.dim(0) == cell.gates() * w_hh.dim(1)
            && w_ih.dim(0) == w_hh.dim(0)
            && b_ih.dims() == [w_hh.dim(0)]
            && b_hh.dims() == [w_hh.dim(0)],
        "recurrent: x {}, w_ih {}, w_hh {}, b_ih {}, b_hh {}; expected [R, I], [G·H, I], [G·H, H], \
         [G·H] and [G·H], G = {}",
        x.shape(),
        w_ih.shape(),
        w_hh.shape(),
        b_ih.shape(),
        b_hh.shape(),
        cell.gates()
    );
    let (rows, n, hidden) = (x.dim(0), sequences.len(), w_hh.dim(1));
    assert!(states.len() == cell.states(), "recurrent: {} states are needed", cell.states());
    for state in states {
        assert!(
            state.dims() == [n, hidden],
            "recurrent: a state {} where [{n}, {hidden}] is needed",
            state.shape()
        );
    }
    let steps: usize = sequences.iter().map(|rows| rows.len()).sum();
    assert!(steps == rows, "recurrent: sequences of {steps} steps along {rows} rows");
    let mut last = Vec::with_capacity(n);
    for (s, rows) in sequences.iter().enumerate() {
        assert!(!rows.is_empty(), "recurrent: sequence {s} has no steps");
        last.push(if backwards { rows.start } else { rows.end - 1 } as i32);
    }
    let mut inputs = vec![x];
    inputs.extend(states);
    inputs.extend([w_ih, w_hh, b_ih, b_hh]);
    let saves = is_recording() && inputs.iter().any(|x| x.requires_grad());
    let (sequences, saved) = (sequences.to_vec(), OnceLock::new());
    let packed = apply(Recurrent { cell, sequences, backwards, saves, saved }, &inputs);
    let last = Tensor::from_slice_on(&last, [n], x.device());
    if cell == Cell::Lstm {
        let (y, c) = (packed.narrow(0, 0, rows), packed.narrow(0, rows, n));
        let h = y.index_select(0, &last);
        (y, vec![h, c])
    } else {
        let h = packed.index_select(0, &last);
        (packed, vec![h])
    }
}
