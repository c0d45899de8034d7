//! What recurrent layers share: batches of sequences of different lengths, layers on top of one
//! another, and both directions.

use std::ops::Range;

use plies_autograd::{Cell, Var, recurrent};
use plies_tensor::{DType, Device, Rng, Tensor};

use crate::{Dropout, Module, Pass, Visitor, VisitorMut, check, init};

/// Whether a recurrent layer reads sequences from their beginning, or from both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directions {
    /// From the first step to the last.
    #[default]
    Forward,
    /// Two cells, one in each direction; their outputs side by side.
    Both,
}

impl Directions {
    fn count(self) -> usize {
        match self {
            Directions::Forward => 1,
            Directions::Both => 2,
        }
    }
}

/// What a recurrent layer is made like, and how it runs.
///
/// L layers of cells stand on top of one another, in N directions each. With `lengths`, sequence b of a
/// batch has `lengths[b]` steps, in any order of lengths; what x holds beyond is not read, outputs there
/// are 0, and the last states are those after each sequence's own last step. The work is that of the
/// steps there are. States are [L·N, B, H]: those of layer l number l·N, and of its backward direction
/// l·N + 1.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Directions, Gru, Pass, RecurrentOptions};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let directions = Directions::Both;
/// let options = RecurrentOptions { layers: 2, directions, ..RecurrentOptions::default() };
/// let layer = Gru::with(3, 5, options, &mut Rng::new(1));
/// let x = Var::constant(Tensor::ones([2, 4, 3], DType::F32, &Device::cpu()));
/// let (y, h) = layer.run(&x, Some(&[4, 2]), None, &mut Pass::eval());
/// assert_eq!((y.dims(), h.dims()), (&[2, 4, 10][..], &[4, 2, 5][..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentOptions {
    /// Layers on top of one another, each reading the outputs of the one below.
    pub layers: usize,
    /// Whether there are cells that read backwards.
    pub directions: Directions,
    /// Whether the gates have biases.
    pub bias: bool,
    /// The probability of dropout between two layers.
    pub dropout: f64,
}

impl Default for RecurrentOptions {
    fn default() -> Self {
        let directions = Directions::Forward;
        RecurrentOptions { layers: 1, directions, bias: true, dropout: 0.0 }
    }
}

/// The weights of one direction of one layer.
#[derive(Debug)]
struct Direction {
    w_ih: Var,
    w_hh: Var,
    biases: Option<[Var; 2]>,
}

/// Layers of cells.
#[derive(Debug)]
pub(crate) struct Stack {
    name: &'static str,
    cell: Cell,
    hidden: usize,
    options: RecurrentOptions,
    /// Layer by layer, in each the forward direction first.
    directions: Vec<Direction>,
}

impl Stack {
    /// All weights and biases uniform in ±1/√H, as in PyTorch.
    #[track_caller]
    pub(crate) fn new(
        name: &'static str,
        cell: Cell,
        inputs: usize,
        hidden: usize,
        options: RecurrentOptions,
        rng: &mut Rng,
    ) -> Stack {
        let RecurrentOptions { layers, dropout, .. } = options;
        assert!(layers > 0, "{name}: layers is 0; there must be at least one");
        assert!(hidden > 0, "{name}: hidden is 0; a layer must have at least one unit");
        assert!((0.0..=1.0).contains(&dropout), "{name}: dropout {dropout} is not a probability");
        let n = options.directions.count();
        let widest = inputs.max(hidden.saturating_mul(n));
        check::size(name, &[layers, n, cell.gates(), hidden, widest]);
        let bound = 1.0 / (hidden as f64).sqrt();
        let gates = cell.gates() * hidden;
        let mut leaf = |dims: &[usize]| Var::leaf(init::uniform(dims, bound, rng));
        let direction = |i: usize| {
            let inputs = if i < n { inputs } else { n * hidden };
            let (w_ih, w_hh) = (leaf(&[gates, inputs]), leaf(&[gates, hidden]));
            let biases = options.bias.then(|| [leaf(&[gates]), leaf(&[gates])]);
            Direction { w_ih, w_hh, biases }
        };
        let directions = (0..options.layers * n).map(direction).collect();
        Stack { name, cell, hidden, options, directions }
    }

    /// Adds to the biases of a gate's units, in every layer.
    pub(crate) fn add_to_bias(&mut self, gate: usize, value: f64) {
        for direction in &mut self.directions {
            let Some([bias, _]) = &mut direction.biases else { continue };
            let mut shift = vec![0f32; bias.elem_count()];
            shift[gate * self.hidden..(gate + 1) * self.hidden].fill(value as f32);
            let shift = Tensor::from(shift).to_dtype(bias.dtype());
            *bias.value_mut() = bias.value() + shift;
        }
    }

    /// The outputs [B, T, N·H], and the states after the last steps, [L·N, B, H] each. Only the steps
    /// that there are are computed: with lengths, their rows are taken together first, and spread out
    /// again at the end.
    #[track_caller]
    pub(crate) fn run<const STATES: usize>(
        &self,
        x: &Var,
        lengths: Option<&[usize]>,
        initial: Option<[&Var; STATES]>,
        pass: &mut Pass,
    ) -> (Var, [Var; STATES]) {
        let (name, hidden, n) = (self.name, self.hidden, self.options.directions.count());
        let width = self.directions[0].w_ih.dim(1);
        assert!(
            x.rank() == 3 && x.dim(2) == width,
            "{name}: x {} where [B, T, {width}] is needed",
            x.shape()
        );
        let (batch, time) = (x.dim(0), x.dim(1));
        let dims = [self.options.layers * n, batch, hidden];
        for state in initial.iter().flatten() {
            assert!(
                state.dims() == dims,
                "{name}: an initial state {} where {dims:?} is needed",
                state.shape()
            );
        }
        let padding = self.padding(batch, time, lengths);
        let mut rows = x.reshape([batch * time, width]);
        if let Some(kept) = &padding.kept {
            rows = rows.index_select(0, kept);
        }

        let zeros = Tensor::zeros([], x.dtype(), x.device()).broadcast_to([batch, hidden]);
        let zeros = Var::constant(zeros);
        let dropout = Dropout::new(self.options.dropout);
        let mut finals = [const { Vec::new() }; STATES];
        for (layer, directions) in self.directions.chunks_exact(n).enumerate() {
            if layer > 0 {
                rows = dropout.forward(&rows, pass);
            }
            let mut outputs = Vec::with_capacity(n);
            for (d, direction) in directions.iter().enumerate() {
                let states: [Var; STATES] = match initial {
                    Some(initial) => initial.map(|state| state.select(0, layer * n + d)),
                    None => std::array::from_fn(|_| zeros.clone()),
                };
                let sequences = &padding.sequences;
                let (y, states) =
                    direction.run(self.cell, &rows, sequences, d == 1, &states.each_ref());
                outputs.push(y);
                for (all, state) in finals.iter_mut().zip(states) {
                    all.push(state);
                }
            }
            rows = match &outputs[..] {
                [y] => y.clone(),
                outputs => Var::cat(&outputs.iter().collect::<Vec<_>>(), 1),
            };
        }

        if let Some(kept) = &padding.kept {
            let zeros = Tensor::zeros([], x.dtype(), x.device());
            let zeros = Var::constant(zeros.broadcast_to([batch * time, n * hidden]));
            rows = zeros.index_add(0, kept, &rows);
        }
        let stack = |states: Vec<Var>| Var::stack(&states.iter().collect::<Vec<_>>(), 0);
        (rows.reshape([batch, time, n * hidden]), finals.map(stack))
    }

    #[track_caller]
    fn padding(&self, batch: usize, time: usize, lengths: Option<&[usize]>) -> Padding {
        let name = self.name;
        let Some(lengths) = lengths else {
            assert!(time > 0 || batch == 0, "{name}: sequences of no steps have no outputs");
            let sequences = (0..batch).map(|b| b * time..(b + 1) * time).collect();
            return Padding { sequences, kept: None };
        };
        assert!(
            lengths.len() == batch,
            "{name}: {} lengths for a batch of {batch} sequences",
            lengths.len()
        );
        let (mut sequences, mut kept) = (Vec::with_capacity(batch), Vec::new());
        for (b, &length) in lengths.iter().enumerate() {
            assert!(
                (1..=time).contains(&length),
                "{name}: sequence {b} has a length of {length}, not one of 1..={time}"
            );
            sequences.push(kept.len()..kept.len() + length);
            kept.extend((b * time..b * time + length).map(|row| row as i32));
        }
        let is_full = kept.len() == batch * time;
        Padding { sequences, kept: (!is_full).then(|| Tensor::from(kept)) }
    }

    /// What a parameter of direction `i` is called after.
    fn suffix(&self, i: usize) -> String {
        let n = self.options.directions.count();
        format!("l{}{}", i / n, if i % n == 1 { "_reverse" } else { "" })
    }

    pub(crate) fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, direction) in self.directions.iter().enumerate() {
            let suffix = self.suffix(i);
            visitor.parameter(&format!("weight_ih_{suffix}"), &direction.w_ih);
            visitor.parameter(&format!("weight_hh_{suffix}"), &direction.w_hh);
            if let Some([b_ih, b_hh]) = &direction.biases {
                visitor.parameter(&format!("bias_ih_{suffix}"), b_ih);
                visitor.parameter(&format!("bias_hh_{suffix}"), b_hh);
            }
        }
    }

    pub(crate) fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        let suffixes: Vec<String> = (0..self.directions.len()).map(|i| self.suffix(i)).collect();
        for (suffix, direction) in suffixes.iter().zip(&mut self.directions) {
            visitor.parameter(&format!("weight_ih_{suffix}"), &mut direction.w_ih);
            visitor.parameter(&format!("weight_hh_{suffix}"), &mut direction.w_hh);
            if let Some([b_ih, b_hh]) = &mut direction.biases {
                visitor.parameter(&format!("bias_ih_{suffix}"), b_ih);
                visitor.parameter(&format!("bias_hh_{suffix}"), b_hh);
            }
        }
    }
}

/// Which rows of a batch are steps of a sequence.
struct Padding {
    /// The rows of each sequence, once those that are not steps are left out.
    sequences: Vec<Range<usize>>,
    /// The rows of the batch that are steps, unless all are.
    kept: Option<Tensor>,
}

impl Direction {
    #[track_caller]
    fn run(
        &self,
        cell: Cell,
        rows: &Var,
        sequences: &[Range<usize>],
        backwards: bool,
        states: &[&Var],
    ) -> (Var, Vec<Var>) {
        let none = || Var::constant(zeros(self.w_hh.dim(0), self.w_hh.dtype(), rows.device()));
        let [b_ih, b_hh] = match &self.biases {
            Some([b_ih, b_hh]) => [b_ih.clone(), b_hh.clone()],
            None => [none(), none()],
        };
        let weights = [&self.w_ih, &self.w_hh, &b_ih, &b_hh];
        recurrent(cell, rows, sequences, backwards, states, weights)
    }
}

fn zeros(n: usize, dtype: DType, device: &Device) -> Tensor {
    Tensor::zeros([n], dtype, device)
}
