//! The gated recurrent unit.
//!
//! ```text
//! r = σ(x W_irᵀ + b_ir + h W_hrᵀ + b_hr)            what is asked of the state
//! z = σ(x W_izᵀ + b_iz + h W_hzᵀ + b_hz)            what is kept of it
//! n = tanh(x W_inᵀ + b_in + r (h W_hnᵀ + b_hn))     what could take its place
//! h' = (1 - z) n + z h
//! ```

use plies_autograd::{Cell, Var};
use plies_tensor::Rng;

use crate::recurrent::{RecurrentOptions, Stack};
use crate::{Module, Pass, Visitor, VisitorMut};

/// Gated recurrent units over sequences, in layers and both directions if wanted.
///
/// # Shapes
/// x [B, T, I] -> [B, T, H], or [B, T, 2H] in both directions. Parameters as in PyTorch, gates in the
/// order r, z, n: `weight_ih_l0` [3H, I], `weight_hh_l0` [3H, H], `bias_ih_l0` `[3H]`, `bias_hh_l0`
/// `[3H]`.
///
/// # Gradient
/// Through time, from the last step to the first: d_h = d_h' z + what comes back through the gates
///
/// # Source
/// Cho et al.: Learning phrase representations using RNN encoder-decoder (2014). As in cuDNN and
/// PyTorch, r multiplies the product with W_hn, not h before it.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Gru, Pass};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let layer = Gru::new(3, 5, &mut Rng::new(1));
/// let x = Var::constant(Tensor::ones([2, 4, 3], DType::F32, &Device::cpu()));
/// let (y, h) = layer.run(&x, Some(&[4, 2]), None, &mut Pass::eval());
/// assert_eq!((y.dims(), h.dims()), (&[2, 4, 5][..], &[1, 2, 5][..]));
/// ```
#[derive(Debug)]
pub struct Gru {
    stack: Stack,
}

impl Gru {
    /// One layer from I inputs to H units in F32, weights and biases uniform in ±1/√H.
    ///
    /// # Panics
    /// As [`with`](Gru::with).
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
        Gru { stack: Stack::new("gru", Cell::Gru, inputs, hidden, options, rng) }
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

impl Module for Gru {
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
