//! The gradient of a leaf as it is held: whole, or as the rows that were read.
//!
//! What reads rows of a table (an embedding) has a gradient that is 0 in all other rows. They are not
//! written down until somebody asks for the whole: of a vocabulary of 20 000 a batch reads a few hundred.

use plies_tensor::{Shape, Tensor, formula};

/// The gradient of a leaf: a tensor of its shape, or some of the rows of its first axis while all others
/// are 0.
///
/// Which of the two it is never changes what it means: [`Var::grad`](crate::Var::grad) is
/// [`to_dense`](Gradient::to_dense) of either.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_tensor::Tensor;
/// let table = Var::leaf(Tensor::from([[1f32, 1.0], [2.0, 2.0], [3.0, 3.0]]));
/// table.index_select(0, &Tensor::from([2, 0, 2])).sum_all().backward();
/// let gradient = table.gradient().unwrap();
/// assert_eq!(gradient.rows().unwrap().to_vec::<i32>().unwrap(), [0, 2]);
/// assert_eq!(gradient.values().to_vec::<f32>().unwrap(), [1.0, 1.0, 2.0, 2.0]);
/// assert_eq!(gradient.to_dense().to_vec::<f32>().unwrap(), [1.0, 1.0, 0.0, 0.0, 2.0, 2.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Gradient {
    values: Tensor,
    /// The numbers of the rows, which ascend, and how many rows the leaf has.
    rows: Option<(Tensor, usize)>,
}

impl Gradient {
    /// One that is whole.
    pub fn dense(values: Tensor) -> Gradient {
        Gradient { values, rows: None }
    }

    /// `count` rows that are 0, plus row i of `values` added to row `index[i]`, for all i in order.
    ///
    /// # Panics
    /// When the device fails that the numbers are read from.
    #[track_caller]
    pub fn of_rows(index: &Tensor, values: &Tensor, count: usize) -> Gradient {
        let (distinct, places) = match index.unique() {
            Ok(unique) => unique,
            Err(fault) => panic!("gradient of rows: {fault}"),
        };
        let mut shape = values.shape();
        shape[0] = distinct.elem_count();
        let values = zeros(values, shape).index_add(0, &places, values);
        Gradient { values, rows: Some((distinct, count)) }
    }

    /// All of its numbers that may be other than 0: the whole, or the rows one after another. Their norm
    /// is the gradient's.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// Which rows the values are, ascending (I32); `None` when they are all.
    pub fn rows(&self) -> Option<&Tensor> {
        self.rows.as_ref().map(|(rows, _)| rows)
    }

    /// A function of each number, which is 0 at 0, such as a factor.
    ///
    /// # Panics
    /// When the result has another shape or dtype.
    #[track_caller]
    pub fn map(&self, f: impl FnOnce(&Tensor) -> Tensor) -> Gradient {
        let values = f(&self.values);
        assert!(
            values.shape() == self.values.shape() && values.dtype() == self.values.dtype(),
            "gradient: {} {} in the place of {} {}",
            values.shape(),
            values.dtype(),
            self.values.shape(),
            self.values.dtype()
        );
        Gradient { values, rows: self.rows.clone() }
    }

    /// The shape of the leaf.
    pub fn shape(&self) -> Shape {
        let mut shape = self.values.shape();
        if let Some((_, count)) = self.rows {
            shape[0] = count;
        }
        shape
    }

    /// The whole.
    pub fn to_dense(&self) -> Tensor {
        match self.rows() {
            Some(rows) => zeros(&self.values, self.shape()).index_add(0, rows, &self.values),
            None => self.values.clone(),
        }
    }

    /// Adds another; in place where nobody else holds the elements.
    pub(crate) fn add(&mut self, other: Gradient) {
        let sum = formula!(|x, y| x + y);
        match (&self.rows, &other.rows) {
            (None, None) => Tensor::update(&mut [&mut self.values], sum, &[&other.values], &[]),
            (None, Some((rows, _))) => {
                Tensor::update_rows(&mut [&mut self.values], rows, sum, &[&other.values], &[]);
            }
            (Some(_), None) => {
                let own = std::mem::replace(self, other);
                self.add(own);
            }
            (Some((own, count)), Some((rows, _))) => {
                let index = Tensor::cat(&[own, rows], 0);
                let values = Tensor::cat(&[&self.values, &other.values], 0);
                *self = Gradient::of_rows(&index, &values, *count);
            }
        }
    }
}

/// One number, repeated.
fn zeros(like: &Tensor, shape: Shape) -> Tensor {
    Tensor::zeros([], like.dtype(), like.device()).broadcast_to(shape)
}
