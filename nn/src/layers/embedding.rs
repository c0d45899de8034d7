//! A table of vectors.
//!
//! y = weight[index]

use plies_autograd::Var;
use plies_tensor::{DType, Rng, Shape, Tensor};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut, check, init};

/// A vector for each of V numbers, such as the tokens of a vocabulary.
///
/// # Shapes
/// index [...] (I32), weight [V, D] -> [..., D]
///
/// # Gradient
/// d_weight is d_y added up at the rows that were read, 0 elsewhere. It is held as the rows that were read
/// ([`Gradient`](plies_autograd::Gradient)), and an optimiser's step reads no others or writes no zeros;
/// see [`Lazy`](crate::optim::Lazy).
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
    padding: Option<i32>,
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

    /// A table of given vectors [V, D], such as pre-trained ones.
    ///
    /// # Panics
    /// When the shape is another.
    #[doc(alias = "from_pretrained")]
    #[track_caller]
    pub fn from_weights(weight: Tensor) -> Self {
        assert!(weight.rank() == 2, "embedding: weight must be [V, D], not {}", weight.shape());
        Embedding { weight: Var::leaf(weight), padding: None }
    }

    /// With vectors that are not trained: the table is a buffer, not a parameter.
    pub fn frozen(self) -> Self {
        Embedding { weight: self.weight.detach(), ..self }
    }

    /// With a number whose vector gets no gradient: what sequences are filled up with. Its vector becomes
    /// 0; PyTorch's `padding_idx`.
    ///
    /// # Panics
    /// When the number is outside 0..V.
    ///
    /// # Example
    /// ```
    /// use plies_nn::Embedding;
    /// use plies_tensor::{Rng, Tensor};
    /// let table = Embedding::new(3, 2, &mut Rng::new(1)).padding(0);
    /// table.of(&Tensor::from([[1, 2, 1], [2, 0, 0]])).sum_all().backward();
    /// let gradient = table.weight().grad().unwrap();
    /// assert_eq!(gradient.to_vec::<f32>().unwrap(), [0.0, 0.0, 2.0, 2.0, 2.0, 2.0]);
    /// ```
    #[doc(alias = "padding_idx")]
    #[track_caller]
    pub fn padding(mut self, number: usize) -> Self {
        let weight = self.weight.value_mut();
        let (v, d) = (weight.dim(0), weight.dim(1));
        assert!(number < v, "embedding: padding {number} is outside 0..{v}");
        let zeros = Tensor::zeros([1, d], weight.dtype(), weight.device());
        *weight =
            Tensor::cat(&[&weight.slice(0, ..number), &zeros, &weight.slice(0, number + 1..)], 0);
        self.padding = Some(number as i32);
        self
    }

    /// weight [V, D]
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The vectors of numbers in 0..V.
    ///
    /// # Panics
    /// When the index is not I32, or a number is outside 0..V; with [`padding`](Embedding::padding), when
    /// the device fails that the index is read from.
    #[track_caller]
    pub fn of(&self, index: &Tensor) -> Var {
        let count = self.weight.dim(0);
        assert!(index.dtype() == DType::I32, "embedding: index is {}, not i32", index.dtype());
        check::numbers("embedding", "number", index, count, None);
        let mut shape: Shape = index.shape();
        shape.push(self.weight.dim(1));
        let index = index.flatten();
        let rows = match self.padding {
            Some(padding) if self.weight.requires_grad() => self.apart(&index, padding),
            _ => self.weight.index_select(0, &index),
        };
        rows.reshape(shape)
    }

    /// The rows of `index` `[M]`; those of the padding are constants.
    #[track_caller]
    fn apart(&self, index: &Tensor, padding: i32) -> Var {
        let numbers = match index.to_vec::<i32>() {
            Ok(numbers) => numbers,
            Err(fault) => panic!("embedding: {fault}"),
        };
        let places = |is_padding: bool| {
            let places = (0..).zip(&numbers).filter(|&(_, &n)| (n == padding) == is_padding);
            let places: Vec<i32> = places.map(|(place, _)| place).collect();
            Tensor::from_slice_on(&places, [places.len()], index.device())
        };
        let (filled, others) = (places(true), places(false));
        if filled.elem_count() == 0 {
            return self.weight.index_select(0, index);
        }
        let [m, d] = [numbers.len(), self.weight.dim(1)];
        let vector = self.weight.value().narrow(0, padding as usize, 1);
        let zeros = Tensor::zeros([], vector.dtype(), vector.device()).broadcast_to([m, d]);
        let vectors = vector.broadcast_to([filled.elem_count(), d]);
        let constants = Var::constant(zeros.index_add(0, &filled, &vectors));
        let read = self.weight.index_select(0, &index.index_select(0, &others));
        constants.index_add(0, &others, &read)
    }
}

impl Module for Embedding {
    /// As [`of`](Embedding::of).
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        self.of(x.value())
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(graph.op("Gather", &[&graph.tensor("weight", self.weight.value()), x], []))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        match self.weight.requires_grad() {
            true => visitor.parameter("weight", &self.weight),
            false => visitor.buffer("weight", self.weight.value()),
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        match self.weight.requires_grad() {
            true => visitor.parameter("weight", &mut self.weight),
            false => visitor.buffer("weight", self.weight.value_mut()),
        }
    }
}
