//! Values on their way from a device to the host.

use crate::backend::PendingRead;
use crate::{DType, Element, Result, Tensor};

/// The elements of a tensor as they were when [`Tensor::fetch`] was called, read when they are needed.
///
/// A device works behind the host, and whoever reads a value waits for all that was asked of it before.
/// A value that was fetched early and is read late has come meanwhile.
///
/// # Example
/// ```
/// use plies_tensor::Tensor;
/// let x = Tensor::from([1.5f32]);
/// let loss = x.fetch();
/// // … more work for the device …
/// assert_eq!(loss.item()?, 1.5);
/// # plies_tensor::Result::Ok(())
/// ```
#[must_use = "what is fetched is for being read"]
pub struct Fetch {
    source: Source,
    dtype: DType,
    len: usize,
}

enum Source {
    Here(Tensor),
    Coming(PendingRead),
}

impl Tensor {
    /// Begins to bring the elements to the host, in row-major order, and returns at once.
    #[track_caller]
    pub fn fetch(&self) -> Fetch {
        let packed = self.contiguous();
        let (dtype, len, view) = (self.dtype(), self.elem_count(), packed.view());
        let pending = match len {
            0 => None,
            _ => self.device().backend().begin_read(view.buffer, view.layout.offset(), len),
        };
        let source = pending.map_or(Source::Here(packed), Source::Coming);
        Fetch { source, dtype, len }
    }
}

impl Fetch {
    /// Whether no device has to be waited for, as with tensors of the CPU.
    pub fn is_here(&self) -> bool {
        matches!(self.source, Source::Here(_))
    }

    /// The elements, waiting for them.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When `T` is not the tensor's dtype.
    #[track_caller]
    pub fn to_vec<T: Element>(self) -> Result<Vec<T>> {
        match self.source {
            Source::Here(tensor) => tensor.to_vec(),
            Source::Coming(read) => {
                let dtype = self.dtype;
                assert!(
                    T::DTYPE == dtype,
                    "to_vec: the tensor that was fetched holds {dtype}, not {}",
                    T::DTYPE
                );
                let mut out = vec![T::default(); self.len];
                read(bytemuck::cast_slice_mut(&mut out))?;
                Ok(out)
            }
        }
    }

    /// The value of a tensor with one element, of any dtype, waiting for it.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When there is not exactly one element.
    #[track_caller]
    pub fn item(self) -> Result<f64> {
        assert!(self.len == 1, "item: {} elements were fetched, not 1", self.len);
        // On the host: not every device has F64.
        Ok(match self.dtype {
            DType::F32 => self.to_vec::<f32>()?[0].to_f64(),
            DType::F64 => self.to_vec::<f64>()?[0],
            DType::I32 => self.to_vec::<i32>()?[0].to_f64(),
        })
    }
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetch({} x {})", self.len, self.dtype)
    }
}
