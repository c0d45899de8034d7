//! The weights of a recurrent cell, and what is done with them: a walk along sequences, or one step.

use std::ops::Range;

use plies_autograd::{Cell, Var, linear, recurrent};
use plies_tensor::{Elementwise, Rng, Tensor, formula};

use crate::onnx::{Graph, Value};
use crate::{Visitor, VisitorMut, check, init};

/// Weights of the G gates of a cell: `w_ih` [G·H, I], `w_hh` [G·H, H], biases `[G·H]`.
#[derive(Debug)]
pub(crate) struct CellWeights {
    cell: Cell,
    w_ih: Var,
    w_hh: Var,
    biases: Option<[Var; 2]>,
}

impl CellWeights {
    /// All weights and biases uniform in ±1/√H, as in PyTorch.
    pub(crate) fn new(
        cell: Cell,
        inputs: usize,
        hidden: usize,
        bias: bool,
        rng: &mut Rng,
    ) -> CellWeights {
        let (bound, gates) = (1.0 / (hidden as f64).sqrt(), cell.gates() * hidden);
        let mut leaf = |dims: &[usize]| Var::leaf(init::uniform(dims, bound, rng));
        let (w_ih, w_hh) = (leaf(&[gates, inputs]), leaf(&[gates, hidden]));
        let biases = bias.then(|| [leaf(&[gates]), leaf(&[gates])]);
        CellWeights { cell, w_ih, w_hh, biases }
    }

    /// I
    pub(crate) fn inputs(&self) -> usize {
        self.w_ih.dim(1)
    }

    /// Adds to the biases of a gate's units.
    pub(crate) fn add_to_bias(&mut self, gate: usize, value: f64) {
        let hidden = self.w_hh.dim(1);
        let Some([bias, _]) = &mut self.biases else { return };
        let mut shift = vec![0f32; bias.elem_count()];
        shift[gate * hidden..(gate + 1) * hidden].fill(value as f32);
        let shift = Tensor::from(shift).to_dtype(bias.dtype());
        *bias.value_mut() = bias.value() + shift;
    }

    /// The states after one step. The products read the weights where they lie, so that a step costs
    /// little more than that; along whole sequences [`run`](CellWeights::run) is faster.
    #[track_caller]
    pub(crate) fn step(&self, x: &Var, states: &[&Var]) -> Vec<Var> {
        let [b_ih, b_hh] = match &self.biases {
            Some([b_ih, b_hh]) => [Some(b_ih), Some(b_hh)],
            None => [None, None],
        };
        let x = linear(x, &self.w_ih, b_ih).chunk(1, self.cell.gates()); // [B, H] for each gate
        let p = linear(states[0], &self.w_hh, b_hh).chunk(1, self.cell.gates());
        let [x, p] = [&x, &p].map(|parts| parts.iter().collect::<Vec<_>>());
        match self.cell {
            Cell::Tanh => vec![Var::map(formula!(|x, p| (x + p).tanh()), &[x[0], p[0]], &[])],
            Cell::Relu => vec![Var::map(formula!(|x, p| (x + p).max(0.0)), &[x[0], p[0]], &[])],
            Cell::Gru => {
                let f = formula!(|x_r, x_z, x_n, p_r, p_z, p_n, h| {
                    let (r, z) = ((x_r + p_r).sigmoid(), (x_z + p_z).sigmoid());
                    let n = (x_n + r * p_n).tanh();
                    (1.0 - z) * n + z * h
                });
                vec![Var::map(f, &[x[0], x[1], x[2], p[0], p[1], p[2], states[0]], &[])]
            }
            Cell::Lstm => {
                let f = formula!(|x_i, x_f, x_g, p_i, p_f, p_g, c| {
                    let (i, f) = ((x_i + p_i).sigmoid(), (x_f + p_f).sigmoid());
                    f * c + i * (x_g + p_g).tanh()
                });
                let c = Var::map(f, &[x[0], x[1], x[2], p[0], p[1], p[2], states[1]], &[]);
                let f = formula!(|x_o, p_o, c| (x_o + p_o).sigmoid() * c.tanh());
                vec![Var::map(f, &[x[3], p[3], &c], &[]), c]
            }
        }
    }

    /// ONNX's operator for the directions of one layer: what all steps give [T, N, B, H], and the states
    /// after the last ones [N, B, H]. It has the gates in another order, and the directions in one tensor.
    pub(crate) fn export(
        directions: &[CellWeights],
        suffix: &str,
        x: &Value, // [T, B, I]
        lengths: Option<&Value>,
        initial: &[Value],
        graph: &Graph,
    ) -> Vec<Value> {
        let CellWeights { cell, w_hh, biases, .. } = &directions[0];
        let (n, hidden) = (directions.len(), w_hh.dim(1));
        let (op, order): (_, &[usize]) = match cell {
            Cell::Tanh | Cell::Relu => ("RNN", &[0]),
            Cell::Lstm => ("LSTM", &[0, 3, 1, 2]), // i, o, f, g
            Cell::Gru => ("GRU", &[1, 0, 2]),      // z, r, n
        };
        let both = if n == 2 { "bidirectional" } else { "forward" };
        let mut attributes = vec![("hidden_size", hidden.into()), ("direction", both.into())];
        match cell {
            Cell::Gru => attributes.push(("linear_before_reset", 1.into())),
            Cell::Relu => attributes.push(("activations", vec!["Relu"; n].into())),
            Cell::Tanh | Cell::Lstm => {}
        }
        let gates = |weights: &[&Var]| {
            let of = |w: &&Var| {
                order.iter().map(|gate| w.value().narrow(0, gate * hidden, hidden)).collect()
            };
            let gates: Vec<Tensor> = weights.iter().flat_map::<Vec<Tensor>, _>(of).collect();
            Tensor::cat(&gates.iter().collect::<Vec<_>>(), 0)
        };
        let tensor = |name: &str, of: &dyn Fn(&CellWeights) -> Tensor| {
            let parts: Vec<Tensor> = directions.iter().map(of).collect();
            let parts = Tensor::stack(&parts.iter().collect::<Vec<_>>(), 0);
            graph.tensor(&format!("{name}{suffix}"), &parts)
        };
        let w = tensor("W", &|d| gates(&[&d.w_ih])); // [N, gates·H, I]
        let r = tensor("R", &|d| gates(&[&d.w_hh])); // [N, gates·H, H]
        let b = biases.is_some().then(|| {
            tensor("B", &|d| gates(&d.biases.iter().flatten().collect::<Vec<_>>())) // [N, 2·gates·H]
        });
        let mut inputs = vec![Some(x), Some(&w), Some(&r), b.as_ref(), lengths];
        inputs.extend(initial.iter().map(Some));
        graph.ops(op, &inputs, 1 + cell.states(), attributes)
    }

    /// Names end with `suffix`, the number of a layer.
    pub(crate) fn visit(&self, visitor: &mut Visitor<'_>, suffix: &str) {
        visitor.parameter(&format!("weight_ih{suffix}"), &self.w_ih);
        visitor.parameter(&format!("weight_hh{suffix}"), &self.w_hh);
        if let Some([b_ih, b_hh]) = &self.biases {
            visitor.parameter(&format!("bias_ih{suffix}"), b_ih);
            visitor.parameter(&format!("bias_hh{suffix}"), b_hh);
        }
    }

    pub(crate) fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>, suffix: &str) {
        visitor.parameter(&format!("weight_ih{suffix}"), &mut self.w_ih);
        visitor.parameter(&format!("weight_hh{suffix}"), &mut self.w_hh);
        if let Some([b_ih, b_hh]) = &mut self.biases {
            visitor.parameter(&format!("bias_ih{suffix}"), b_ih);
            visitor.parameter(&format!("bias_hh{suffix}"), b_hh);
        }
    }

    /// h after each step of sequences that are rows of one matrix, and the states after the last ones.
    #[track_caller]
    pub(crate) fn run(
        &self,
        rows: &Var,
        sequences: &[Range<usize>],
        backwards: bool,
        states: &[&Var],
    ) -> (Var, Vec<Var>) {
        let w = &self.w_hh;
        let none = || Var::constant(Tensor::zeros([w.dim(0)], w.dtype(), w.device()));
        let [b_ih, b_hh] = match &self.biases {
            Some([b_ih, b_hh]) => [b_ih.clone(), b_hh.clone()],
            None => [none(), none()],
        };
        let weights = [&self.w_ih, &self.w_hh, &b_ih, &b_hh];
        recurrent(self.cell, rows, sequences, backwards, states, weights)
    }
}

/// One cell, for those who walk along the steps themselves.
#[derive(Debug)]
pub(crate) struct Single {
    name: &'static str,
    weights: CellWeights,
}

impl Single {
    /// All weights and biases uniform in ±1/√H, as in PyTorch.
    #[track_caller]
    pub(crate) fn new(
        name: &'static str,
        cell: Cell,
        inputs: usize,
        hidden: usize,
        rng: &mut Rng,
    ) -> Single {
        assert!(hidden > 0, "{name}: hidden is 0; a cell must have at least one unit");
        check::size(name, &[cell.gates(), hidden, inputs.max(hidden)]);
        Single { name, weights: CellWeights::new(cell, inputs, hidden, true, rng) }
    }

    pub(crate) fn without_bias(&mut self) {
        self.weights.biases = None;
    }

    pub(crate) fn add_to_bias(&mut self, gate: usize, value: f64) {
        self.weights.add_to_bias(gate, value);
    }

    /// The state h [B, H] after one step x [B, I] from zeros.
    pub(crate) fn export(&self, x: &Value, graph: &Graph) -> Value {
        let step = graph.op("Unsqueeze", &[x, &graph.ints(&[0])], []); // [1, B, I]
        let cell = std::slice::from_ref(&self.weights);
        let outputs = CellWeights::export(cell, "", &step, None, &[], graph);
        graph.op("Squeeze", &[&outputs[1], &graph.ints(&[0])], [])
    }

    /// The states after one step x [B, I], from states [B, H] or from zeros.
    #[track_caller]
    pub(crate) fn step<const STATES: usize>(
        &self,
        x: &Var,
        states: Option<[&Var; STATES]>,
    ) -> [Var; STATES] {
        check_step(self.name, x, self.weights.inputs());
        let hidden = self.weights.w_hh.dim(1);
        check_states(self.name, states, &[x.dim(0), hidden]);
        let zeros = zero_state(x, hidden);
        let after = self.weights.step(x, &states.unwrap_or([&zeros; STATES]));
        std::array::from_fn(|i| after[i].clone())
    }

    pub(crate) fn visit(&self, visitor: &mut Visitor<'_>) {
        self.weights.visit(visitor, "");
    }

    pub(crate) fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.weights.visit_mut(visitor, "");
    }
}

/// Checks the input of one step, [B, I].
#[track_caller]
pub(crate) fn check_step(name: &str, x: &Var, width: usize) {
    assert!(
        x.rank() == 2 && x.dim(1) == width,
        "{name}: x {} where [B, {width}] is needed",
        x.shape()
    );
}

/// Checks the states before a step.
#[track_caller]
pub(crate) fn check_states<const STATES: usize>(
    name: &str,
    states: Option<[&Var; STATES]>,
    dims: &[usize],
) {
    for state in states.iter().flatten() {
        assert!(state.dims() == dims, "{name}: a state {} where {dims:?} is needed", state.shape());
    }
}

/// The state before the first step of any sequence, [B, H].
pub(crate) fn zero_state(x: &Var, hidden: usize) -> Var {
    let zero = Tensor::zeros([], x.dtype(), x.device());
    Var::constant(zero.broadcast_to([x.dim(0), hidden]))
}

/// States of layers [B, H] as one, [L, B, H].
pub(crate) fn stack(states: Vec<Var>) -> Var {
    Var::stack(&states.iter().collect::<Vec<_>>(), 0)
}
