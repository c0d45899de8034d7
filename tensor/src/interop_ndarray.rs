//! Conversions from and to `ndarray` (feature `ndarray`). They copy: the two crates own memory in
//! different ways.

use ndarray::{Array, ArrayD, ArrayView, Dimension, IxDyn};

use crate::{Element, Error, Result, Tensor};

impl<T: Element, D: Dimension> From<ArrayView<'_, T, D>> for Tensor {
    /// Copies the elements, whatever their strides, to the CPU.
    ///
    /// # Panics
    /// When the array has more than [`MAX_RANK`](crate::MAX_RANK) axes.
    #[track_caller]
    fn from(array: ArrayView<'_, T, D>) -> Tensor {
        match array.as_slice() {
            Some(row_major) => Tensor::from_slice(row_major, array.shape()),
            None => Tensor::from_vec(array.iter().copied().collect(), array.shape()),
        }
    }
}

impl<T: Element, D: Dimension> From<&Array<T, D>> for Tensor {
    #[track_caller]
    fn from(array: &Array<T, D>) -> Tensor {
        array.view().into()
    }
}

impl<T: Element, D: Dimension> From<Array<T, D>> for Tensor {
    #[track_caller]
    fn from(array: Array<T, D>) -> Tensor {
        array.view().into()
    }
}

impl<T: Element> TryFrom<&Tensor> for ArrayD<T> {
    type Error = Error;

    /// As [`Tensor::to_ndarray`].
    #[track_caller]
    fn try_from(tensor: &Tensor) -> Result<ArrayD<T>> {
        tensor.to_ndarray()
    }
}

impl Tensor {
    /// The elements as an `ndarray` array in row-major order (feature `ndarray`).
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When `T` is not the tensor's dtype.
    ///
    /// # Example
    /// ```
    /// use ndarray::arr2;
    /// use plies_tensor::Tensor;
    /// let array = arr2(&[[1f32, 2.0], [3.0, 4.0]]);
    /// let tensor = Tensor::from(array.t());
    /// assert_eq!(tensor.to_ndarray::<f32>().unwrap(), array.t().into_dyn());
    /// ```
    #[track_caller]
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        // An empty tensor's other dimensions can be too large for ndarray.
        ArrayD::from_shape_vec(IxDyn(self.dims()), self.to_vec()?).map_err(|error| Error::Format {
            origin: format!("to_ndarray of shape {}", self.shape()),
            reason: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{arr0, s};

    use super::*;

    #[test]
    fn arrays_of_any_rank_and_strides_keep_their_elements() {
        let array = Array::from_shape_fn((2, 3, 4), |(i, j, k)| (100 * i + 10 * j + k) as i32);
        let whole = Tensor::from(&array);
        assert_eq!(whole.dims(), [2, 3, 4]);
        assert_eq!(whole.to_ndarray::<i32>().unwrap(), array.clone().into_dyn());
        let part = array.slice(s![.., ..;-1, 1..;2]);
        let tensor = Tensor::from(part);
        assert_eq!(tensor.to_ndarray::<i32>().unwrap(), part.into_dyn());
        assert_eq!(Tensor::from(arr0(2.5f64)).to_ndarray::<f64>().unwrap(), arr0(2.5).into_dyn());
        assert_eq!(Tensor::from(Array::<f32, _>::zeros((0, 3))).dims(), [0, 3]);
    }

    #[test]
    fn a_view_of_a_tensor_becomes_a_row_major_array() {
        let tensor = Tensor::from([[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let array = ArrayD::<f32>::try_from(&tensor.t().flip(0)).unwrap();
        assert_eq!(array, ndarray::arr2(&[[3f32, 6.0], [2.0, 5.0], [1.0, 4.0]]).into_dyn());
        assert!(array.is_standard_layout());
    }

    #[test]
    #[should_panic(expected = "to_vec: the tensor holds f32, not f64")]
    fn another_dtype_panics() {
        let _ = Tensor::from([1f32]).to_ndarray::<f64>();
    }

    #[test]
    #[should_panic(expected = "9 axes, at most 8 are supported")]
    fn too_many_axes_panic() {
        let _ = Tensor::from(ArrayD::<f32>::zeros(vec![1; 9]));
    }
}
