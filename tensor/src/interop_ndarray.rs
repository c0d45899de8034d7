//! Conversions from and to `ndarray` (feature `ndarray`).

use ndarray::{ArrayD, ArrayView, Dimension};

use crate::{Element, Result, Tensor};

impl<T: Element, D: Dimension> From<ArrayView<'_, T, D>> for Tensor {
    /// Copies the elements; any strides, at most [`MAX_RANK`](crate::MAX_RANK) axes.
    #[track_caller]
    fn from(array: ArrayView<'_, T, D>) -> Tensor {
        let dims = array.shape().to_vec();
        Tensor::from_vec(array.iter().copied().collect::<Vec<T>>(), dims)
    }
}

impl Tensor {
    /// The elements as an `ndarray` array.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When `T` is not the tensor's dtype.
    #[track_caller]
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        let mut elements = self.to_vec::<T>()?.into_iter();
        Ok(ArrayD::from_shape_simple_fn(self.dims(), || elements.next().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_array_keeps_its_elements() {
        let array = ndarray::arr2(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let tensor = Tensor::from(array.t());
        assert_eq!(tensor.dims(), [3, 2]);
        assert_eq!(tensor.t().to_ndarray::<f32>().unwrap(), array.into_dyn());
    }
}
