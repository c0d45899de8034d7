//! What recurrent layers share: batches of sequences of different lengths, layers on top of one
//! another, both directions, and single steps.

use std::ops::Range;

use plies_autograd::{Cell, Var};
use plies_tensor::{Device, Rng, Tensor};

use super::cell::{CellWeights, check_states, check_step, stack, zero_state};
use crate::lengths::Lengths;
use crate::onnx::{Graph, Value};
use crate::{Dropout, Module, Pass, RecurrentState, Visitor, VisitorMut, check};

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
/// are 0, and the last states are those after each sequence's own last step. A sequence of no steps keeps
/// its states (PyTorch refuses it). The work is that of the steps there are. States are [L·N, B, H]:
/// those of layer l number l·N, and of its backward direction l·N + 1.
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

/// Layers of cells.
#[derive(Debug)]
pub(crate) struct Recurrent {
    name: &'static str,
    hidden: usize,
    options: RecurrentOptions,
    /// Layer by layer, in each the forward direction first.
    directions: Vec<CellWeights>,
}

impl Recurrent {
    /// All weights and biases uniform in ±1/√H, as in PyTorch.
    #[track_caller]
    pub(crate) fn new(
        name: &'static str,
        cell: Cell,
        inputs: usize,
        hidden: usize,
        options: RecurrentOptions,
        rng: &mut Rng,
    ) -> Recurrent {
        let RecurrentOptions { layers, dropout, .. } = options;
        assert!(layers > 0, "{name}: layers is 0; there must be at least one");
        assert!(hidden > 0, "{name}: hidden is 0; a layer must have at least one unit");
        assert!((0.0..=1.0).contains(&dropout), "{name}: dropout {dropout} is not a probability");
        let n = options.directions.count();
        let widest = inputs.max(hidden.saturating_mul(n));
        check::size(name, &[layers, n, cell.gates(), hidden, widest]);
        let mut direction = |i: usize| {
            let inputs = if i < n { inputs } else { n * hidden };
            CellWeights::new(cell, inputs, hidden, options.bias, rng)
        };
        let directions = (0..layers * n).map(&mut direction).collect();
        Recurrent { name, hidden, options, directions }
    }

    /// Adds to the biases of a gate's units, in every layer.
    pub(crate) fn add_to_bias(&mut self, gate: usize, value: f64) {
        for direction in &mut self.directions {
            direction.add_to_bias(gate, value);
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
        let width = self.directions[0].inputs();
        assert!(
            x.rank() == 3 && x.dim(2) == width,
            "{name}: x {} where [B, T, {width}] is needed",
            x.shape()
        );
        let batch = x.dim(0);
        let dims = [self.options.layers * n, batch, hidden];
        check_states(name, initial, &dims);
        let lengths = Lengths::new(name, x, lengths);
        let mut rows = lengths.pack(x);
        let runs = Runs::new(&lengths.sequences, x.device());
        let zeros = zero_state(x, hidden);
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
                let given = runs.enter(&states);
                let (y, last) = direction.run(&rows, &runs.sequences, d == 1, &given.each_ref());
                outputs.push(y);
                for (all, state) in finals.iter_mut().zip(runs.leave(&states, last)) {
                    all.push(state);
                }
            }
            rows = match &outputs[..] {
                [y] => y.clone(),
                outputs => Var::cat(&outputs.iter().collect::<Vec<_>>(), 1),
            };
        }
        (lengths.spread(&rows), finals.map(stack))
    }

    /// The outputs of sequences that go on from `state`, which is then that after their last steps.
    #[track_caller]
    pub(crate) fn resume<const STATES: usize>(
        &self,
        x: &Var,
        lengths: Option<&[usize]>,
        state: &mut RecurrentState,
        pass: &mut Pass,
    ) -> Var {
        self.check_goes_on();
        let initial = state.initial(self.name);
        let (y, last) = self.run::<STATES>(x, lengths, initial, pass);
        *state = RecurrentState::from(last);
        y
    }

    /// The outputs and the states, as in [`run`](Recurrent::run), with ONNX's operator for each layer. That has
    /// time before the batch, and the directions in an axis of their own.
    pub(crate) fn export<const STATES: usize>(
        &self,
        x: &Value,
        initial: Option<[&Value; STATES]>,
        graph: &Graph,
    ) -> (Value, [Value; STATES]) {
        let n = self.options.directions.count();
        let lengths = graph.sequence_lengths();
        let mut x = x.permute(&[1, 0, 2]); // [T, B, I]
        let mut finals = [const { Vec::new() }; STATES];
        for (layer, directions) in self.directions.chunks_exact(n).enumerate() {
            let part = |state: &Value| {
                let [start, end, axis] =
                    [layer * n, (layer + 1) * n, 0].map(|i| graph.ints(&[i as i64]));
                graph.op("Slice", &[state, &start, &end, &axis], [])
            };
            let initial = initial.map_or(Vec::new(), |states| states.map(part).to_vec());
            let suffix = format!("_l{layer}");
            let outputs =
                CellWeights::export(directions, &suffix, &x, lengths.as_ref(), &initial, graph);
            // [T, N, B, H] -> [T, B, N·H]
            x = outputs[0].permute(&[0, 2, 1, 3]).reshape(&[0, 0, -1]);
            for (all, state) in finals.iter_mut().zip(&outputs[1..]) {
                all.push(state.clone());
            }
        }
        let stack = |states: Vec<Value>| match &states[..] {
            [state] => state.clone(),
            states => Value::cat(&states.iter().collect::<Vec<_>>(), 0),
        };
        (x.permute(&[1, 0, 2]), finals.map(stack))
    }

    /// The outputs [B, H] of one step x [B, I].
    #[track_caller]
    pub(crate) fn step<const STATES: usize>(
        &self,
        x: &Var,
        state: &mut RecurrentState,
        pass: &mut Pass,
    ) -> Var {
        self.check_goes_on();
        check_step(self.name, x, self.directions[0].inputs());
        let initial = state.initial::<STATES>(self.name);
        check_states(self.name, initial, &[self.directions.len(), x.dim(0), self.hidden]);
        let zeros = zero_state(x, self.hidden);
        let dropout = Dropout::new(self.options.dropout);
        let mut rows = x.clone();
        let mut finals = [const { Vec::new() }; STATES];
        for (layer, direction) in self.directions.iter().enumerate() {
            if layer > 0 {
                rows = dropout.forward(&rows, pass);
            }
            let states: [Var; STATES] = match initial {
                Some(initial) => initial.map(|state| state.select(0, layer)),
                None => std::array::from_fn(|_| zeros.clone()),
            };
            let states = direction.step(&rows, &states.each_ref());
            rows = states[0].clone();
            for (all, state) in finals.iter_mut().zip(states) {
                all.push(state);
            }
        }
        *state = RecurrentState::from(finals.map(stack));
        rows
    }

    /// A layer that reads backwards as well begins at the ends of the sequences.
    #[track_caller]
    fn check_goes_on(&self) {
        assert!(
            self.options.directions == Directions::Forward,
            "{}: in both directions a layer needs whole sequences, and cannot go on from a part",
            self.name
        );
    }

    /// What the names of the parameters of direction `i` end with.
    fn suffix(&self, i: usize) -> String {
        let n = self.options.directions.count();
        format!("_l{}{}", i / n, if i % n == 1 { "_reverse" } else { "" })
    }

    pub(crate) fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, direction) in self.directions.iter().enumerate() {
            direction.visit(visitor, &self.suffix(i));
        }
    }

    pub(crate) fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        let suffixes: Vec<String> = (0..self.directions.len()).map(|i| self.suffix(i)).collect();
        for (suffix, direction) in suffixes.iter().zip(&mut self.directions) {
            direction.visit_mut(visitor, suffix);
        }
    }
}

/// The sequences that have steps. The others have nothing to do but keep their states.
struct Runs {
    /// The rows of each.
    sequences: Vec<Range<usize>>,
    /// Unless all have steps: which do, and where the last state of each sequence of the batch stands,
    /// below them those of the others.
    some: Option<[Tensor; 2]>,
}

impl Runs {
    fn new(sequences: &[Range<usize>], device: &Device) -> Runs {
        let runs = |rows: &Range<usize>| !rows.is_empty();
        let with_steps: Vec<usize> =
            (0..sequences.len()).filter(|&b| runs(&sequences[b])).collect();
        let mut next = 0..;
        let found = sequences.iter().enumerate().map(|(b, rows)| match runs(rows) {
            true => next.next().unwrap_or_default(),
            false => with_steps.len() + b,
        });
        let found: Vec<usize> = found.collect();
        let index = |at: &[usize]| {
            let at: Vec<i32> = at.iter().map(|&at| at as i32).collect();
            Tensor::from_slice_on(&at, [at.len()], device)
        };
        let some =
            (with_steps.len() < sequences.len()).then(|| [index(&with_steps), index(&found)]);
        Runs { sequences: sequences.iter().filter(|rows| runs(rows)).cloned().collect(), some }
    }

    /// The states of the sequences that have steps.
    fn enter<const STATES: usize>(&self, states: &[Var; STATES]) -> [Var; STATES] {
        match &self.some {
            Some([with_steps, _]) => states.each_ref().map(|s| s.index_select(0, with_steps)),
            None => states.clone(),
        }
    }

    /// The last states of all sequences, from those of the ones that have steps.
    fn leave(&self, before: &[Var], after: Vec<Var>) -> Vec<Var> {
        let Some([_, found]) = &self.some else { return after };
        let all = before.iter().zip(&after).map(|(before, after)| Var::cat(&[after, before], 0));
        all.map(|all| all.index_select(0, found)).collect()
    }
}
