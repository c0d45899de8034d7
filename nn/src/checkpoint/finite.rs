//! Numbers that are none: a file may hold them, and a training that diverges makes them.

use plies_tensor::{DType, Tensor};

use super::{Checkpoint, CheckpointError};

impl Checkpoint {
    /// Checks that all numbers here are finite, a model's and an optimiser's, before they are loaded.
    ///
    /// # Errors
    /// The first tensor, in the order of names, that holds something infinite or no number, and where; a
    /// fault of a device.
    ///
    /// # Example
    /// ```
    /// use plies_nn::Checkpoint;
    /// use plies_tensor::Tensor;
    /// let mut file = Checkpoint::new();
    /// file.insert("bias", Tensor::from([1f32, f32::NAN]));
    /// let error = file.check_finite().unwrap_err().to_string();
    /// assert_eq!(error, "checkpoint: bias[1] is NaN; is it damaged?");
    /// ```
    pub fn check_finite(&self) -> Result<(), CheckpointError> {
        for (name, tensor) in self.tensors() {
            if let Some((at, number)) = not_finite(tensor)? {
                let reason = format!("{name}[{at}] is {number}; is it damaged?");
                return Err(self.mismatch(reason));
            }
        }
        Ok(())
    }
}

/// The place, in the order of rows, and the value of the first number that is infinite or none.
pub(crate) fn not_finite(tensor: &Tensor) -> plies_tensor::Result<Option<(usize, f64)>> {
    let first = |numbers: &mut dyn Iterator<Item = f64>| {
        numbers.enumerate().find(|(_, number)| !number.is_finite())
    };
    Ok(match tensor.dtype() {
        DType::F32 => first(&mut tensor.to_vec::<f32>()?.into_iter().map(f64::from)),
        DType::F64 => first(&mut tensor.to_vec::<f64>()?.into_iter()),
        DType::I32 => None,
    })
}
