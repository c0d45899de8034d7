//! A table of vectors.
//!
//! y = weight[index]

use plies_autograd::Var;
use plies_tensor::{DType, Rng, Shape, Tensor};

use crate::{Module, Pass, Visitor, VisitorMut, check, init};

/// A vector for each of V numbers, such as the tokens of a vocabulary.
///
/// # Shapes
/// index [...] (I32), weight [V, D] -> [..., D]
///
/// # Gradient
/// d_weight is d_y added up at the rows that were read, 0 elsewhere
///
/// # Example
/// ```
/// use plies_nn::{Embedding, Module};
/// use plies_tensor::Tensor;
/// let table = Embedding::from_weights(Tensor::from([[0f32, 1.0], [2.0, 3.0]]));
/// let y = table.of(&Tensor::from([[1, 1, 0]]));
/// assert_eq!(y.dims(), [1, 3, 2]);
/// assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 3.0, 2.0, 3.0, 0.0, 1.0]);
/// ```
#[derive(Debug)]
pub struct Embedding {
    weight: Var,
}

impl Embedding {
    /// V vectors of D numbers in F32, drawn from the standard normal distribution.
    ///
    /// # Panics
    /// When memory cannot address so many.
    #[track_caller]
    pub fn new(count: usize, size: usize, rng: &mut Rng) -> Self {
        check::size("embedding", &[count, size]);
        Self::from_weights(init::normal([count, size], 1.0, rng))
    }

    /// A table of given vectors [V, D].
    ///
    /// # Panics
    /// When the shape is another.
    #[track_caller]
    pub fn from_weights(weight: Tensor) -> Self {
        assert!(weight.rank() == 2, "embedding: weight must be [V, D], not {}", weight.shape());
        Embedding { weight: Var::leaf(weight) }
    }

    /// weight [V, D]
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The vectors of numbers in 0..V.
    ///
    /// # Panics
    /// When the index is not I32, or a number is outside 0..V.
    #[track_caller]
    pub fn of(&self, index: &Tensor) -> Var {
        let count = self.weight.dim(0);
        assert!(index.dtype() == DType::I32, "embedding: index is {}, not i32", index.dtype());
        check::numbers("embedding", "number", index, count, None);
        let mut shape: Shape = index.shape();
        shape.push(self.weight.dim(1));
        self.weight.index_select(0, &index.flatten()).reshape(shape)
    }
}

impl Module for Embedding {
    /// As [`of`](Embedding::of).
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        self.of(x.value())
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
    }
}
