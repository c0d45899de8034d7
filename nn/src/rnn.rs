//! The simple recurrent layer.
//!
//! ```text
//! h' = f(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)     f is tanh or relu
//! ```

use plies_autograd::{Cell, Var};
use plies_tensor::Rng;

use crate::recurrent::{RecurrentOptions, Stack};
use crate::{Module, Pass, Visitor, VisitorMut};

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
    stack: Stack,
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
        Rnn { stack: Stack::new("rnn", Cell::Tanh, inputs, hidden, options, rng) }
    }

    /// The same with relu.
    ///
    /// # Panics
    /// As [`with`](Rnn::with).
    #[track_caller]
    pub fn relu(inputs: usize, hidden: usize, options: RecurrentOptions, rng: &mut Rng) -> Self {
        Rnn { stack: Stack::new("rnn", Cell::Relu, inputs, hidden, options, rng) }
    }

    /// The outputs, and the state h after the last steps, from an initial state or from zeros.
    ///
    /// Lengths and states are as at [`RecurrentOptions`].
    ///
    /// # Shapes
    /// x [B, T, I], initial h [L·N, B, H] -> y [B, T, N·H], h [L·N, B, H]
    ///
    /// # Panics
    /// When the shapes are others, or a length is not in 1..=T: a sequence of no steps has no output.
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
}

impl Module for Rnn {
    /// The outputs for whole sequences, from zeros.
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.run(x, None, None, pass).0
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.stack.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.stack.visit_mut(visitor);
    }
}
