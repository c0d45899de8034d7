//! Long short-term memory.
//!
//! ```text
//! i = σ(x W_iiᵀ + b_ii + h W_hiᵀ + b_hi)        what is let in
//! f = σ(x W_ifᵀ + b_if + h W_hfᵀ + b_hf)        what is kept
//! g = tanh(x W_igᵀ + b_ig + h W_hgᵀ + b_hg)     what there is to let in
//! o = σ(x W_ioᵀ + b_io + h W_hoᵀ + b_ho)        what is shown
//! c' = f c + i g
//! h' = o tanh(c')
//! ```

use plies_autograd::{Cell, Var};
use plies_tensor::Rng;

use super::cell::Single;
use super::recurrent::{Recurrent, RecurrentOptions};
use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, RecurrentState, Visitor, VisitorMut};

/// Long short-term memory over sequences, in layers and both directions if wanted.
///
/// # Shapes
/// x [B, T, I] -> [B, T, H], or [B, T, 2H] in both directions. Parameters as in PyTorch, gates in the
/// order i, f, g, o: `weight_ih_l0` [4H, I], `weight_hh_l0` [4H, H], `bias_ih_l0` `[4H]`, `bias_hh_l0`
/// `[4H]`.
///
/// # Gradient
/// Through time, from the last step to the first: d_c = d_c' f + d_h o (1 - tanh² c)
///
/// # Source
/// Hochreiter, Schmidhuber: Long short-term memory, Neural Computation 9 (1997); the forget gate is
/// Gers, Schmidhuber, Cummins: Learning to forget (2000).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Lstm, Pass};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let layer = Lstm::new(3, 5, &mut Rng::new(1));
/// let x = Var::constant(Tensor::ones([2, 4, 3], DType::F32, &Device::cpu()));
/// let (y, [h, c]) = layer.run(&x, Some(&[4, 2]), None, &mut Pass::eval());
/// assert_eq!((y.dims(), h.dims(), c.dims()), (&[2, 4, 5][..], &[1, 2, 5][..], &[1, 2, 5][..]));
/// // The second sequence ends after two steps.
/// let last = y.select(0, 1).select(0, 1);
/// assert_eq!(last.to_vec::<f32>().unwrap(), h.select(0, 0).select(0, 1).to_vec::<f32>().unwrap());
/// assert_eq!(y.select(0, 1).slice(0, 2..).abs().sum_all().item().unwrap(), 0.0);
/// # use plies_tensor::Elementwise;
/// ```
#[derive(Debug)]
pub struct Lstm {
    stack: Recurrent,
}

impl Lstm {
    /// One layer from I inputs to H units in F32, weights and biases uniform in ±1/√H.
    ///
    /// # Panics
    /// As [`with`](Lstm::with).
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize, rng: &mut Rng) -> Self {
        Self::with(inputs, hidden, RecurrentOptions::default(), rng)
    }

    /// Layers like `options` says.
    ///
    /// # Panics
    /// When there is no layer or no unit, the dropout is not a probability, or memory cannot address
    /// so many weights.
    #[track_caller]
    pub fn with(inputs: usize, hidden: usize, options: RecurrentOptions, rng: &mut Rng) -> Self {
        Lstm { stack: Recurrent::new("lstm", Cell::Lstm, inputs, hidden, options, rng) }
    }

    /// Adds to the biases of the forget gates. With 1 a new layer keeps most of what it has seen,
    /// which helps with long sequences; PyTorch, and [`new`](Lstm::new), add nothing.
    ///
    /// # Source
    /// Jozefowicz, Zaremba, Sutskever: An empirical exploration of recurrent network architectures
    /// (2015), section 2.2.
    pub fn forget_bias(mut self, value: f64) -> Self {
        self.stack.add_to_bias(1, value);
        self
    }

    /// The outputs, and the states h and c after the last steps, from initial states or from zeros.
    ///
    /// Lengths and states are as at [`RecurrentOptions`].
    ///
    /// # Shapes
    /// x [B, T, I], initial h and c [L·N, B, H] -> y [B, T, N·H], h and c [L·N, B, H]
    ///
    /// # Panics
    /// When the shapes are others, there are not B lengths, or one is above T.
    #[track_caller]
    pub fn run(
        &self,
        x: &Var,
        lengths: Option<&[usize]>,
        initial: Option<[&Var; 2]>,
        pass: &mut Pass,
    ) -> (Var, [Var; 2]) {
        self.stack.run(x, lengths, initial, pass)
    }

    /// The outputs of sequences that go on from `state`, which is then that after their last steps: a
    /// part of sequences that are too long to be read at once. See [`RecurrentState`].
    ///
    /// # Shapes
    /// x [B, T, I] -> [B, T, H]
    ///
    /// # Panics
    /// As [`run`](Lstm::run), and in both directions: backwards, a sequence begins at its end.
    #[track_caller]
    pub fn resume(
        &self,
        x: &Var,
        lengths: Option<&[usize]>,
        state: &mut RecurrentState,
        pass: &mut Pass,
    ) -> Var {
        self.stack.resume::<2>(x, lengths, state, pass)
    }

    /// The outputs of one step from `state`, which is then that after it: for text that is written a
    /// step at a time. It reads each weight once and prepares nothing; its sums are in another order than
    /// those of [`run`](Lstm::run).
    ///
    /// # Shapes
    /// x [B, I] -> [B, H]
    ///
    /// # Panics
    /// As [`resume`](Lstm::resume).
    #[track_caller]
    pub fn step(&self, x: &Var, state: &mut RecurrentState, pass: &mut Pass) -> Var {
        self.stack.step::<2>(x, state, pass)
    }

    /// [`run`](Self::run) in an ONNX graph: the outputs and the last states. Lengths are those of the graph,
    /// where [`Graph::lengths`] says that there are.
    pub fn export_run(
        &self,
        x: &Value,
        initial: Option<[&Value; 2]>,
        graph: &Graph,
    ) -> (Value, [Value; 2]) {
        self.stack.export(x, initial, graph)
    }
}

impl Module for Lstm {
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

/// One step of long short-term memory, for a program that walks along the steps itself, such as a decoder that
/// attends between them. Along whole sequences [`Lstm`] is faster.
///
/// # Shapes
/// x [B, I], h and c [B, H] -> h and c [B, H]. Parameters as in PyTorch: `weight_ih` [4H, I], `weight_hh` [4H, H], `bias_ih` `[4H]`,
/// `bias_hh` `[4H]`.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::LstmCell;
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let cell = LstmCell::new(3, 5, &mut Rng::new(1));
/// let x = Var::constant(Tensor::ones([2, 3], DType::F32, &Device::cpu()));
/// let [h, c] = cell.step(&x, None);
/// let [h, _] = cell.step(&x, Some([&h, &c]));
/// assert_eq!(h.dims(), [2, 5]);
/// ```
#[derive(Debug)]
pub struct LstmCell {
    single: Single,
}

impl LstmCell {
    /// From I inputs to H units in F32, weights and biases uniform in ±1/√H.
    ///
    /// # Panics
    /// When there is no unit, or memory cannot address so many weights.
    #[track_caller]
    pub fn new(inputs: usize, hidden: usize, rng: &mut Rng) -> Self {
        LstmCell { single: Single::new("lstm_cell", Cell::Lstm, inputs, hidden, rng) }
    }

    /// The same cell without biases.
    pub fn without_bias(mut self) -> Self {
        self.single.without_bias();
        self
    }

    /// As [`Lstm::forget_bias`].
    pub fn forget_bias(mut self, value: f64) -> Self {
        self.single.add_to_bias(1, value);
        self
    }

    /// The states h and c after one step, from states or from zeros.
    ///
    /// # Panics
    /// When the shapes are others.
    #[track_caller]
    pub fn step(&self, x: &Var, states: Option<[&Var; 2]>) -> [Var; 2] {
        self.single.step(x, states)
    }
}

impl Module for LstmCell {
    /// The state h after one step from zeros.
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let [h, _] = self.step(x, None);
        h
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
