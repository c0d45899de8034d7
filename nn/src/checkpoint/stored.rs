//! Tensors as bytes, and the dtypes of other libraries.
//!
//! Ours are F32, F64 and I32. Half precision is read as F32, which holds all of it; every other integer, and
//! whether something is true, as I32 where the values fit.

use std::borrow::Cow;

use plies_tensor::{DType, Element, Tensor};
use safetensors::tensor::{Dtype, TensorView, View};

use super::CheckpointError;

/// A tensor's bytes on the host, little endian.
#[derive(PartialEq)]
pub(super) struct Stored {
    dtype: Dtype,
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    pub(super) fn new(tensor: &Tensor) -> Result<Self, CheckpointError> {
        fn encode<T: Element, const N: usize>(
            tensor: &Tensor,
            to_bytes: impl Fn(T) -> [u8; N],
        ) -> Result<Vec<u8>, CheckpointError> {
            let mut bytes = Vec::with_capacity(tensor.elem_count() * N);
            tensor.to_vec::<T>()?.into_iter().for_each(|x| bytes.extend_from_slice(&to_bytes(x)));
            Ok(bytes)
        }
        let (dtype, bytes) = match tensor.dtype() {
            DType::F32 => (Dtype::F32, encode(tensor, f32::to_le_bytes)?),
            DType::F64 => (Dtype::F64, encode(tensor, f64::to_le_bytes)?),
            DType::I32 => (Dtype::I32, encode(tensor, i32::to_le_bytes)?),
        };
        Ok(Stored { dtype, dims: tensor.dims().to_vec(), bytes })
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.dims
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Little-endian elements of `N` bytes.
fn decode<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| element(chunk)).collect()
}

/// A tensor of a file, whose bytes fit its shape.
pub(super) fn read_tensor(view: &TensorView<'_>) -> Result<Tensor, String> {
    let (dims, bytes) = (view.shape(), view.data());
    if dims.len() > plies_tensor::MAX_RANK {
        let most = plies_tensor::MAX_RANK;
        return Err(format!("{} axes, at most {most} are supported", dims.len()));
    }
    // An empty tensor may claim any size along its other axes.
    if strides_overflow(dims) {
        return Err(format!("shape {dims:?} is too large"));
    }
    Ok(match view.dtype() {
        Dtype::F32 => Tensor::from_vec(decode(bytes, f32::from_le_bytes), dims),
        Dtype::F64 => Tensor::from_vec(decode(bytes, f64::from_le_bytes), dims),
        Dtype::I32 => Tensor::from_vec(decode(bytes, i32::from_le_bytes), dims),
        Dtype::BF16 => {
            let widen = |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16);
            Tensor::from_vec(decode(bytes, widen), dims)
        }
        Dtype::F16 => {
            Tensor::from_vec(decode(bytes, |b| f32_from_f16(u16::from_le_bytes(b))), dims)
        }
        Dtype::BOOL | Dtype::U8 => integers(view, u8::from_le_bytes)?,
        Dtype::I8 => integers(view, i8::from_le_bytes)?,
        Dtype::I16 => integers(view, i16::from_le_bytes)?,
        Dtype::U16 => integers(view, u16::from_le_bytes)?,
        Dtype::U32 => integers(view, u32::from_le_bytes)?,
        Dtype::I64 => integers(view, i64::from_le_bytes)?,
        Dtype::U64 => integers(view, u64::from_le_bytes)?,
        other => return Err(format!("dtype {other:?} is not supported")),
    })
}

/// Elements of another integer type.
fn integers<const N: usize, T>(
    view: &TensorView<'_>,
    element: impl Fn([u8; N]) -> T,
) -> Result<Tensor, String>
where
    i32: TryFrom<T>,
{
    let values = decode(view.data(), element).into_iter().map(i32::try_from);
    let values: Result<Vec<i32>, _> = values.collect();
    let values =
        values.map_err(|_| format!("a value of dtype {:?} does not fit into i32", view.dtype()))?;
    Ok(Tensor::from_vec(values, view.shape()))
}

/// Whether the product of the axes other than 0 overflows.
fn strides_overflow(dims: &[usize]) -> bool {
    let product = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    product.is_none_or(|n| n > isize::MAX as usize)
}

/// IEEE 754 half precision: 1 sign, 5 exponent and 10 fraction bits.
fn f32_from_f16(half: u16) -> f32 {
    let (sign, exponent, fraction) = (half >> 15, (half >> 10) & 31, half & 1023);
    let magnitude = match exponent {
        0 => f32::from(fraction) * 2f32.powi(-24),
        31 if fraction == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + f32::from(fraction) / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_widened_exactly() {
        let rows = [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2f32.powi(-24))];
        for (half, single) in rows {
            assert_eq!(f32_from_f16(half), single);
        }
        assert_eq!(f32_from_f16(0xfc00), f32::NEG_INFINITY);
        assert_eq!(f32_from_f16(0x8000).to_bits(), (-0f32).to_bits());
        assert!(f32_from_f16(0x7e00).is_nan());
    }
}
