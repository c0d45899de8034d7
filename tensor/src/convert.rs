//! Conversions between tensors and plain Rust values.

use crate::{Element, Tensor};

impl<T: Element> From<T> for Tensor {
    fn from(value: T) -> Tensor {
        Tensor::scalar(value)
    }
}

impl<T: Element> From<Vec<T>> for Tensor {
    fn from(values: Vec<T>) -> Tensor {
        let n = values.len();
        Tensor::from_vec(values, [n])
    }
}

impl<T: Element> From<&[T]> for Tensor {
    fn from(values: &[T]) -> Tensor {
        Tensor::from_slice(values, [values.len()])
    }
}

impl<T: Element, const A: usize> From<[T; A]> for Tensor {
    fn from(values: [T; A]) -> Tensor {
        Tensor::from_slice(&values, [A])
    }
}

impl<T: Element, const A: usize, const B: usize> From<[[T; B]; A]> for Tensor {
    fn from(values: [[T; B]; A]) -> Tensor {
        Tensor::from_slice(values.as_flattened(), [A, B])
    }
}

impl<T: Element, const A: usize, const B: usize, const C: usize> From<[[[T; C]; B]; A]> for Tensor {
    fn from(values: [[[T; C]; B]; A]) -> Tensor {
        Tensor::from_slice(values.as_flattened().as_flattened(), [A, B, C])
    }
}

impl<T: Element, const A: usize, const B: usize, const C: usize, const D: usize>
    From<[[[[T; D]; C]; B]; A]> for Tensor
{
    fn from(values: [[[[T; D]; C]; B]; A]) -> Tensor {
        let flat = values.as_flattened().as_flattened().as_flattened();
        Tensor::from_slice(flat, [A, B, C, D])
    }
}
