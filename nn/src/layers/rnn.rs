//! The simple recurrent layer.
//!
//! ```text
//! h' = f(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)     f is tanh or relu
//! ```

use plies_autograd::{Cell, Var};
use plies_tensor::Rng;

use super::cell::Single;
use super::recurrent::{Recurrent, RecurrentOptions};
use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, RecurrentState, Visitor, VisitorMut};

/// The simple recurrent layer over sequences, in layers and both directions if wanted.
///
/// # Shapes
/// x [B, T, I] -> [B, T, H], or [B, T, 2H] in both directions. Parameters as in PyTorch:
/// `weight_ih_l0` [H, I], `weight_hh_l0` [H, H], `bias_ih_l0` `[H]`, `bias_hh_l0` `[H]`.
///
/// # Gradient
/// Through time, from the last step to the first: d_h = d_h' f' W_hh
///
/// # Source
/// Elman: Finding structure in time, Cognitive Science 14 (1990).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Pass, Rnn};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let layer = Rnn::new(3, 5, &mut Rng::new(1));
/// let x = Var::constant(Tensor::ones([2, 4, 3], DType::F32, &Device::cpu()));
/// let (y, h) = layer.run(&x, Some(&[4, 2]), None, &mut Pass::eval());
/// assert_eq!((y.dims(), h.dims()), (&[2, 4, 5][..], &[1, 2, 5][..]));
/// ```
#[derive(Debug)]
pub struct Rnn {
    stack: Recurrent,
}

impl Rnn {
    /// One layer from I inputs to H units in F32 with tanh, weights and biases uniform in ±1/√H.
    ///
    /// # Panics
    /// As [`with`](Rnn::with).
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize, rng: &mut Rng) -> Self {
        Self::with(inputs, hidden, RecurrentOptions::default(), rng)
    }

    /// Layers like `options` says, with tanh.
    ///
    /// # Panics
    /// When there is no layer or no unit, the dropout is not a probability, or memory cannot address
    /// so many weights.
    #[track_caller]
    pub fn with(inputs: usize, hidden: usize, options: RecurrentOptions, rng: &mut Rng) -> Self {
        Rnn { stack: Recurrent::new("rnn", Cell::Tanh, inputs, hidden, options, rng) }
    }

    /// The same with relu.
    ///
    /// # Panics
    /// As [`with`](Rnn::with).
    #[track_caller]
    pub fn relu(inputs: usize, hidden: usize, options: RecurrentOptions, rng: &mut Rng) -> Self {
        Rnn { stack: Recurrent::new("rnn", Cell::Relu, inputs, hidden, options, rng) }
    }

    /// The outputs, and the state h after the last steps, from an initial state or from zeros.
    ///
    /// Lengths and states are as at [`RecurrentOptions`].
    ///
    /// # Shapes
    /// x [B, T, I], initial h [L·N, B, H] -> y [B, T, N·H], h [L·N, B, H]
    ///
    /// # Panics
    /// When the shapes are others, there are not B lengths, or one is above T.
    #[track_caller]
    pub fn run(
        &self,
        x: &Var,
        lengths: Option<&[usize]>,
        initial: Option<&Var>,
        pass: &mut Pass,
    ) -> (Var, Var) {
        let (y, [h]) = self.stack.run(x, lengths, initial.map(|h| [h]), pass);
        (y, h)
    }

    /// The outputs of sequences that go on from `state`, which is then that after their last steps: a
    /// part of sequences that are too long to be read at once. See [`RecurrentState`].
    ///
    /// # Shapes
    /// x [B, T, I] -> [B, T, H]
    ///
    /// # Panics
    /// As [`run`](Rnn::run), and in both directions: backwards, a sequence begins at its end.
    #[track_caller]
    pub fn resume(
        &self,
        x: &Var,
        lengths: Option<&[usize]>,
        state: &mut RecurrentState,
        pass: &mut Pass,
    ) -> Var {
        self.stack.resume::<1>(x, lengths, state, pass)
    }

    /// The outputs of one step from `state`, which is then that after it: for text that is written a
    /// step at a time. It reads each weight once and prepares nothing; its sums are in another order than
    /// those of [`run`](Rnn::run).
    ///
    /// # Shapes
    /// x [B, I] -> [B, H]
    ///
    /// # Panics
    /// As [`resume`](Rnn::resume).
    #[track_caller]
    pub fn step(&self, x: &Var, state: &mut RecurrentState, pass: &mut Pass) -> Var {
        self.stack.step::<1>(x, state, pass)
    }

    /// [`run`](Self::run) in an ONNX graph: the outputs and the last states. Lengths are those of the graph,
    /// where [`Graph::lengths`] says that there are.
    pub fn export_run(&self, x: &Value, initial: Option<&Value>, graph: &Graph) -> (Value, Value) {
        let (y, [h]) = self.stack.export(x, initial.map(|h| [h]), graph);
        (y, h)
    }
}

impl Module for Rnn {
    /// The outputs for sequences of the pass's lengths, from zeros.
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let lengths = pass.lengths();
        self.run(x, lengths.as_deref(), None, pass).0
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(self.export_run(x, None, graph).0)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.stack.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.stack.visit_mut(visitor);
    }
}

/// One step of the simple recurrent layer with tanh, for a program that walks along the steps itself, such as a decoder that
/// attends between them. Along whole sequences [`Rnn`] is faster.
///
/// # Shapes
/// x [B, I], h [B, H] -> [B, H]. Parameters as in PyTorch: `weight_ih` [H, I], `weight_hh` [H, H], `bias_ih` `[H]`,
/// `bias_hh` `[H]`.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::RnnCell;
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let cell = RnnCell::new(3, 5, &mut Rng::new(1));
/// let x = Var::constant(Tensor::ones([2, 3], DType::F32, &Device::cpu()));
/// let h = cell.step(&x, None);
/// let h = cell.step(&x, Some(&h));
/// assert_eq!(h.dims(), [2, 5]);
/// ```
#[derive(Debug)]
pub struct RnnCell {
    single: Single,
}

impl RnnCell {
    /// From I inputs to H units in F32, weights and biases uniform in ±1/√H.
    ///
    /// # Panics
    /// When there is no unit, or memory cannot address so many weights.
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize, rng: &mut Rng) -> Self {
        RnnCell { single: Single::new("rnn_cell", Cell::Tanh, inputs, hidden, rng) }
    }

    /// The same with relu.
    ///
    /// # Panics
    /// As [`new`](RnnCell::new).
    #[track_caller]
    pub fn relu(inputs: usize, hidden: usize, rng: &mut Rng) -> Self {
        RnnCell { single: Single::new("rnn_cell", Cell::Relu, inputs, hidden, rng) }
    }

    /// The same cell without biases.
    pub fn without_bias(mut self) -> Self {
        self.single.without_bias();
        self
    }

    /// The state after one step, from a state or from zeros.
    ///
    /// # Panics
    /// When the shapes are others.
    #[track_caller]
    pub fn step(&self, x: &Var, h: Option<&Var>) -> Var {
        let [h] = self.single.step(x, h.map(|h| [h]));
        h
    }
}

impl Module for RnnCell {
    /// The state after one step from zeros.
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        self.step(x, None)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(self.single.export(x, graph))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.single.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.single.visit_mut(visitor);
    }
}
