//! The same numbers as another type or in another place. The gradient goes back where the value came
//! from.

use plies_tensor::{DType, Device, Result, Tensor};

use crate::graph::record;
use crate::{Op, Reads, Var, apply};

/// y is x with each element rounded to another dtype.
///
/// # Gradient
/// d_y in the dtype of x
struct ToDType {
    dtype: DType,
}

impl Op for ToDType {
    fn name(&self) -> &'static str {
        "to_dtype"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].to_dtype(self.dtype)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(d_y.to_dtype(inputs[0].dtype()))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y is x on another device.
///
/// # Gradient
/// d_y on the device of x
struct ToDevice {
    device: Device,
}

impl Op for ToDevice {
    fn name(&self) -> &'static str {
        "to_device"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        // In the walk back no fault can be returned.
        let moved = inputs[0].to_device(&self.device);
        moved.unwrap_or_else(|error| panic!("to_device: {error}"))
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let device = inputs[0].value().device().clone();
        vec![Some(apply(ToDevice { device }, &[d_y]))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

impl Var {
    /// The same numbers as another dtype; see [`Tensor::to_dtype`]. A gradient comes back from
    /// floating point only: integers are constants.
    #[track_caller]
    pub fn to_dtype(&self, dtype: DType) -> Var {
        if dtype == self.dtype() {
            return self.clone();
        }
        if !dtype.is_float() {
            return Var::constant(self.value().to_dtype(dtype));
        }
        apply(ToDType { dtype }, &[self])
    }

    /// The same numbers on another device; see [`Tensor::to_device`].
    ///
    /// # Errors
    /// When a device fails. A device that fails while a gradient is moved back is a panic there.
    pub fn to_device(&self, device: &Device) -> Result<Var> {
        if device == self.value().device() {
            return Ok(self.clone());
        }
        let moved = self.value().to_device(device)?;
        Ok(record(ToDevice { device: device.clone() }, &[self], moved, None))
    }
}
