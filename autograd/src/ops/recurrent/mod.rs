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

use std::ops::Range;
use std::sync::OnceLock;

use plies_tensor::{Elementwise, Steps, Tensor};

use super::cell::Cell;
use super::matmul::linear;
use crate::{Op, Reads, Var, apply, backward, enable_grad, graph, is_recording};

/// One cell along sequences in one direction. Inputs: x, h₀, c₀ of the LSTM, W_ih, W_hh, b_ih, b_hh.
/// Output: h after each step, below it c after the last step of each sequence (LSTM).
///
/// # Gradient
/// With D the gradients of the gates before their activations, a row for each step, and h₋ the
/// states before the steps: d_x = D · W_ih, d_W_ih = Dᵀ · x, d_W_hh = Dᵀ · h₋, d_b = Σ D.
struct Recurrent {
    cell: Cell,
    sequences: Vec<Range<usize>>,
    backwards: bool,
    saves: bool,
    /// The matrices that the forward pass keeps for the gradient.
    saved: OnceLock<Vec<Tensor>>,
}

impl Recurrent {
    /// What the forward pass keeps, the last of it h after each step; and the states after the last.
    #[track_caller]
    fn run(&self, inputs: &[&Tensor], saves: bool) -> (Vec<Tensor>, Vec<Tensor>) {
        let n_states = self.cell.states();
        let (x, states) = (inputs[0], &inputs[1..1 + n_states]);
        let &[w_ih, w_hh, b_ih, b_hh] = &inputs[1 + n_states..] else { unreachable!() };
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
            next: &next[..n_states],
            kept,
        })
    }

    /// The same from small operations, each of which can be differentiated as often as one likes.
    fn unrolled(&self, inputs: &[Var]) -> Var {
        let n_states = self.cell.states();
        let [w_ih, w_hh, b_ih, b_hh] = &inputs[1 + n_states..] else { unreachable!() };
        let gates = linear(&inputs[0], w_ih, Some(b_ih));
        let mut outputs: Vec<Option<Var>> = vec![None; inputs[0].dim(0)];
        let mut cells = Vec::new();
        for (s, sequence) in self.sequences.iter().enumerate() {
            let mut h = inputs[1].narrow(0, s, 1);
            let mut c = inputs[n_states].narrow(0, s, 1);
            let mut rows: Vec<usize> = sequence.clone().collect();
            if self.backwards {
                rows.reverse();
            }
            for row in rows {
                let x = gates.narrow(0, row, 1).chunk(1, self.cell.gates());
                let p = linear(&h, w_hh, Some(b_hh)).chunk(1, self.cell.gates());
                h = match self.cell {
                    Cell::Tanh => (&x[0] + &p[0]).tanh(),
                    Cell::Relu => (&x[0] + &p[0]).relu(),
                    Cell::Lstm => {
                        let (i, f) = ((&x[0] + &p[0]).sigmoid(), (&x[1] + &p[1]).sigmoid());
                        let (g, o) = ((&x[2] + &p[2]).tanh(), (&x[3] + &p[3]).sigmoid());
                        c = f * c + i * g;
                        o * c.tanh()
                    }
                    Cell::Gru => {
                        let (r, z) = ((&x[0] + &p[0]).sigmoid(), (&x[1] + &p[1]).sigmoid());
                        let n = (&x[2] + r * &p[2]).tanh();
                        (1.0 - &z) * n + z * h
                    }
                };
                outputs[row] = Some(h.clone());
            }
            cells.push(c);
        }
        let mut all: Vec<&Var> = outputs.iter().flatten().collect();
        if self.cell == Cell::Lstm {
            all.extend(&cells);
        }
        Var::cat(&all, 0)
    }
}

impl Op for Recurrent {
    fn name(&self) -> &'static str {
        "recurrent"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        let (mut kept, states) = self.run(inputs, self.saves);
        let Some(y) = kept.pop() else { unreachable!("every cell keeps h") };
        let packed = match &states[..] {
            [_, c] => Tensor::cat(&[&y, c], 0),
            _ => y.clone(),
        };
        if self.saves {
            if matches!(self.cell, Cell::Tanh | Cell::Relu) {
                kept.push(y);
            }
            let _ = self.saved.set(kept);
        }
        packed
    }

    fn vjp(&self, inputs: &[Var], output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        if is_recording() {
            let start = graph::now();
            let wanted: Vec<Var> = inputs.iter().map(|x| x.clone().into_wanted()).collect();
            let y = enable_grad(|| self.unrolled(&wanted));
            debug_assert!(y.shape() == output.shape());
            let mut found = backward::grad_since(&y, d_y, start, true);
            // Taken out, because an input that was given twice has one gradient, not two.
            return inputs.iter().map(|x| found.remove(&x.node.as_ref()?.id)).collect();
        }
        let n_states = self.cell.states();
        let values: Vec<&Tensor> = inputs.iter().map(Var::value).collect();
        let (x, h_0) = (values[0], values[1]);
        let &[w_ih, w_hh, ..] = &values[1 + n_states..] else { unreachable!() };
        let saved = self.saved.get_or_init(|| {
            let mut kept = self.run(&values, true).0;
            if !matches!(self.cell, Cell::Tanh | Cell::Relu) {
                kept.pop();
            }
            kept
        });
        let (rows, hidden) = (x.dim(0), h_0.dim(1));
        let gates = self.cell.gates();
        let d_h = d_y.value().narrow(0, 0, rows);
        let zeros = Tensor::zeros([], x.dtype(), x.device());
        let zeros = |columns: usize| zeros.broadcast_to([self.sequences.len(), columns]);
        let d_gates = zeros(gates * hidden);
        // What goes back from step to step besides the gates' gradients.
        let d_state = match self.cell {
            Cell::Lstm => Some(d_y.value().narrow(0, rows, self.sequences.len())),
            Cell::Gru => Some(zeros(hidden)),
            _ => None,
        };
        let states: Vec<&Tensor> = [&d_gates].into_iter().chain(d_state.as_ref()).collect();
        let h_before = &saved[saved.len() - 1];
        let (given, next, kept, h_before): (Vec<&Tensor>, _, _, _) = match self.cell {
            Cell::Tanh | Cell::Relu => (vec![&saved[1], &d_h], [0..1, 1..1], 0..1, &saved[0]),
            Cell::Lstm => (vec![&saved[0], &d_h], [0..4, 4..5], 0..4, h_before),
            Cell::Gru => (vec![&saved[0], &saved[1], &d_h], [1..4, 4..5], 0..4, h_before),
        };
        let (kept, firsts) = w_hh.recur(&Steps {
            cell: self.cell.backward(),
            inputs: &given,
            sequences: &self.sequences,
            backwards: !self.backwards,
            states: &states,
            next: &next[..states.len()],
            kept: &[kept],
        });
        let d_all = &kept[0];
        // Those of the GRU are n, r, z, q.
        let [of_x, of_h] = match self.cell {
            Cell::Gru => [d_all.narrow(1, 0, 3 * hidden), d_all.narrow(1, hidden, 3 * hidden)],
            _ => [d_all.clone(), d_all.clone()],
        };
        let in_order = |of_x: Tensor| match self.cell {
            Cell::Gru => {
                let (n, rz) = (of_x.narrow(0, 0, hidden), of_x.slice(0, hidden..));
                Tensor::cat(&[&rz, &n], 0)
            }
            _ => of_x,
        };
        let d_x = || match self.cell {
            Cell::Gru => {
                let (rz, n) = (w_ih.narrow(0, 0, 2 * hidden), w_ih.slice(0, 2 * hidden..));
                of_x.matmul(&Tensor::cat(&[&n, &rz], 0))
            }
            _ => of_x.matmul(w_ih),
        };
        let d_h_0 = || match self.cell {
            Cell::Gru => firsts[0].matmul(w_hh) + &firsts[1],
            _ => firsts[0].matmul(w_hh),
        };
        let wants = |i: usize| inputs[i].requires_grad();
        let weights = 1 + n_states;
        let sums = (wants(weights + 2) || wants(weights + 3)).then(|| d_all.sum(&[0], false));
        let mut gradients = vec![None; inputs.len()];
        let mut give = |i: usize, gradient: &dyn Fn() -> Tensor| {
            gradients[i] = wants(i).then(|| Var::constant(gradient()));
        };
        give(0, &d_x);
        give(1, &d_h_0);
        if n_states == 2 {
            give(2, &|| firsts[1].clone());
        }
        give(weights, &|| in_order(of_x.t().matmul(x)));
        give(weights + 1, &|| of_h.t().matmul(h_before));
        if let Some(sums) = &sums {
            let last = sums.dim(0) - gates * hidden;
            give(weights + 2, &|| in_order(sums.narrow(0, 0, gates * hidden)));
            give(weights + 3, &|| sums.narrow(0, last, gates * hidden));
        }
        gradients
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
