//! The recurrent operation from small ones, each of which can be differentiated as often as one likes:
//! what stands behind gradients that are themselves recorded.

use plies_tensor::Elementwise;

use super::{Cell, Recurrent};
use crate::ops::matmul::linear;
use crate::{Var, backward, enable_grad, graph};

impl Recurrent {
    /// The gradients of all inputs, recorded.
    pub(super) fn vjp_unrolled(&self, inputs: &[Var], output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let start = graph::now();
        let wanted: Vec<Var> = inputs.iter().map(|x| x.clone().into_wanted()).collect();
        let y = enable_grad(|| self.unrolled(&wanted));
        debug_assert!(y.shape() == output.shape());
        let mut found = backward::grad_since(&y, d_y, start, true);
        // Taken out, because an input that was given twice has one gradient, not two.
        inputs.iter().map(|x| found.remove(&x.node.as_ref()?.id)).collect()
    }

    /// The outputs of [`forward`](crate::Op::forward).
    fn unrolled(&self, inputs: &[Var]) -> Var {
        let [x, states @ .., w_ih, w_hh, b_ih, b_hh] = inputs else { unreachable!() };
        let gates = linear(x, w_ih, Some(b_ih));
        let mut outputs: Vec<Option<Var>> = vec![None; x.dim(0)];
        let mut cells = Vec::new();
        for (s, sequence) in self.sequences.iter().enumerate() {
            let mut h = states[0].narrow(0, s, 1);
            let mut c = states[states.len() - 1].narrow(0, s, 1);
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
