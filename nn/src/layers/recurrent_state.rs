//! What recurrent layers hand on: from one part of long sequences to the next, or from one step that is
//! written to the next.
//!
//! ```text
//! part      1          2          3
//! x      ┌──────┐   ┌──────┐   ┌──────┐
//!        │ k₂   │─h─▶ k₂   │─h─▶ k₂   │      forwards the state goes on,
//!        └──────┘ ✂ └──────┘ ✂ └──────┘      backwards gradients stop where it was detached
//! ```
//!
//! Backpropagation through time costs memory for every step. Truncated, it takes the states at the
//! beginning of a part as given, so that a text of any length is learnt from in parts of k₂ steps.

use plies_autograd::Var;
use plies_tensor::{Elementwise, Tensor, formula};

use crate::lengths;

/// The states of a recurrent layer between two parts of the sequences of a batch: h, and c of the LSTM.
/// A new one is that before the first step, of zeros.
///
/// [`resume`](crate::Lstm::resume) and [`step`](crate::Lstm::step) read it and leave the states after their
/// own last steps in it. The outputs of sequences that are read in parts are those of whole ones, bit for
/// bit, and so are the states. Gradients flow from part to part until [`detach`](RecurrentState::detach)
/// cuts them off. A sequence that has ended has length 0 in the parts that are left, and keeps its state;
/// where another one takes its place, [`reset`](RecurrentState::reset) makes it 0.
///
/// # Source
/// Williams, Peng: An efficient gradient-based algorithm for on-line training of recurrent network
/// trajectories, Neural Computation 2 (1990). Their algorithm goes back k₂ steps every k₁ steps. Here
/// k₁ = k₂ is a part after another; with k₁ < k₂, a part is read as two, and only the outputs of the
/// second have a loss:
///
/// ```
/// # use plies_autograd::Var;
/// # use plies_nn::{Gru, Module, Pass, RecurrentState};
/// # use plies_tensor::{DType, Device, Rng, Tensor};
/// # let gru = Gru::new(1, 4, &mut Rng::new(1));
/// # let x = Var::constant(Rng::new(2).normal([1, 12, 1], DType::F32, &Device::cpu()));
/// # let pass = &mut Pass::eval();
/// let (k_1, k_2) = (2, 5);
/// let mut state = RecurrentState::new();
/// for start in (0..=12 - k_2).step_by(k_1) {
///     gru.resume(&x.narrow(1, start, k_1), None, &mut state, pass);
///     let mut ahead = state.clone();
///     let y = gru.resume(&x.narrow(1, start + k_1, k_2 - k_1), None, &mut ahead, pass);
///     y.slice(1, k_2 - 2 * k_1..).sum_all().backward(); // some loss of the last k₁ steps
///     state.detach();
/// }
/// ```
///
/// # Example
/// A model learns which character comes next, two characters of each of two texts at a time, and
/// then writes.
///
/// ```
/// use plies_nn::optim::{Adam, Optimizer};
/// use plies_nn::{Embedding, Linear, Module, Pass, RecurrentState, Rnn, Sequential, loss};
/// use plies_tensor::{Rng, Tensor};
/// let mut rng = Rng::new(1);
/// let texts = Tensor::from([[0, 1, 2, 3, 0, 1, 2, 3, 0], [2, 3, 0, 1, 2, 3, 0, 1, 2]]);
/// let (mut rnn, embedding) = (Rnn::new(4, 8, &mut rng), Tensor::eye(4, plies_tensor::DType::F32));
/// let (embedding, mut linear) = (Embedding::from_weights(embedding), Linear::new(8, 4, &mut rng));
/// let (mut of_rnn, mut of_linear) = (Adam::new(0.05), Adam::new(0.05));
/// let pass = &mut Pass::eval();
/// for _ in 0..15 {
///     let mut state = RecurrentState::new();
///     for start in (0..8).step_by(2) {
///         let x = embedding.of(&texts.narrow(1, start, 2));
///         let y = linear.forward(&rnn.resume(&x, None, &mut state, pass), pass); // [2, 2, 4]
///         let next = texts.narrow(1, start + 1, 2).reshape([4]);
///         loss::cross_entropy(&y.reshape([4, 4]), &next).backward();
///         drop(y);
///         state.detach();
///         of_rnn.step(&mut rnn);
///         of_linear.step(&mut linear);
///         rnn.zero_grad();
///         linear.zero_grad();
///     }
/// }
/// let (mut state, mut token, mut written) = (RecurrentState::new(), Tensor::from([1]), vec![]);
/// for _ in 0..6 {
///     let h = rnn.step(&embedding.of(&token), &mut state, pass);
///     token = linear.forward(&h, pass).argmax(-1, false);
///     written.extend(token.to_vec::<i32>().unwrap());
/// }
/// assert_eq!(written, [2, 3, 0, 1, 2, 3]);
/// ```
#[doc(alias("truncated backpropagation through time", "TBPTT", "hidden state"))]
#[derive(Clone, Debug, Default)]
pub struct RecurrentState {
    /// [L, B, H] each; none before the first step.
    states: Vec<Var>,
}

impl RecurrentState {
    /// That before the first step: zeros.
    pub fn new() -> Self {
        Self::default()
    }

    /// h, and c of the LSTM, [L, B, H] each as the layers' `run` takes and gives them; none before the
    /// first step.
    pub fn states(&self) -> &[Var] {
        &self.states
    }

    /// Cuts off the graph behind the states: no gradient goes back beyond this point.
    pub fn detach(&mut self) {
        for state in &mut self.states {
            *state = state.detach();
        }
    }

    /// Starts some sequences of the batch anew, from zeros.
    ///
    /// # Panics
    /// When a number is not that of a sequence.
    #[track_caller]
    pub fn reset(&mut self, sequences: &[usize]) {
        for state in &mut self.states {
            let batch = state.dim(1);
            let mut keeps = vec![1; batch];
            for &b in sequences {
                assert!(b < batch, "recurrent_state: sequence {b} of a batch of {batch}");
                keeps[b] = 0;
            }
            let keeps = lengths::counts(keeps, [batch, 1], state.dtype(), state.device());
            let f = formula!(|h, keeps| keeps.eq(0.0).select(0.0, h));
            *state = Var::map(f, &[state, &Var::constant(keeps)], &[]);
        }
    }

    /// The states of some sequences of the batch, in the order they are named in and as often: for the
    /// survivors of a beam search, or a batch that shrinks.
    ///
    /// # Panics
    /// When a number is not that of a sequence.
    #[track_caller]
    pub fn select(&self, sequences: &[usize]) -> Self {
        let mut states = Vec::with_capacity(self.states.len());
        for state in &self.states {
            for &b in sequences {
                let batch = state.dim(1);
                assert!(b < batch, "recurrent_state: sequence {b} of a batch of {batch}");
            }
            let index: Vec<i32> = sequences.iter().map(|&b| b as i32).collect();
            let index = Tensor::from_slice_on(&index, [index.len()], state.device());
            states.push(state.index_select(1, &index));
        }
        RecurrentState { states }
    }

    /// The states that a layer begins with.
    #[track_caller]
    pub(crate) fn initial<const STATES: usize>(&self, layer: &str) -> Option<[&Var; STATES]> {
        let n = self.states.len();
        assert!(n == 0 || n == STATES, "{layer}: the state is that of another layer");
        (n > 0).then(|| std::array::from_fn(|i| &self.states[i]))
    }
}

impl<const STATES: usize> From<[Var; STATES]> for RecurrentState {
    /// From what a layer's `run` gives.
    fn from(states: [Var; STATES]) -> Self {
        RecurrentState { states: states.into() }
    }
}
