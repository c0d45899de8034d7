//! Gradients that wait for a step, in a checkpoint: as they are held, whole or as rows of a table.

use plies_autograd::Gradient;
use plies_tensor::{DType, Tensor};

use super::{Checkpoint, CheckpointError};
use crate::Module;

/// A gradient, where there is one, for each parameter.
pub(crate) struct Gradients(Vec<Option<Gradient>>);

impl Gradients {
    /// Gives them to the parameters.
    pub(crate) fn put(self, model: &dyn Module) {
        let mut gradients = self.0.into_iter();
        model.for_each_parameter(&mut |_, p| p.set_gradient(gradients.next().flatten()));
    }
}

impl Checkpoint {
    /// Stores the gradients that a model's parameters have.
    pub(crate) fn put_gradients(&mut self, model: &dyn Module) {
        model.for_each_parameter(&mut |name, parameter| {
            let Some(gradient) = parameter.gradient() else { return };
            self.insert(format!("gradient.{name}"), gradient.values().clone());
            if let Some(rows) = gradient.rows() {
                self.insert(format!("rows.{name}"), rows.clone());
            }
        });
    }

    /// Gives a model's parameters the gradients that are stored here, and takes away others.
    ///
    /// # Errors
    /// One that does not fit its parameter; a fault of a device.
    pub(crate) fn load_gradients(&self, model: &dyn Module) -> Result<(), CheckpointError> {
        self.gradients(model)?.put(model);
        Ok(())
    }

    /// What [`load_gradients`](Checkpoint::load_gradients) gives, if all of it fits.
    pub(crate) fn gradients(&self, model: &dyn Module) -> Result<Gradients, CheckpointError> {
        let mut gradients = Vec::new();
        model.for_each_parameter(&mut |name, p| gradients.push(self.gradient(name, p.value())));
        Ok(Gradients(gradients.into_iter().collect::<Result<_, _>>()?))
    }

    fn gradient(
        &self,
        name: &str,
        parameter: &Tensor,
    ) -> Result<Option<Gradient>, CheckpointError> {
        let Some(values) = self.tensors().get(&format!("gradient.{name}")) else { return Ok(None) };
        let Some(rows) = self.tensors().get(&format!("rows.{name}")) else {
            return Ok(Some(Gradient::dense(self.like("gradient", name, values, parameter)?)));
        };
        let wrong = || self.mismatch(format!("gradient {name} is not of rows of its parameter"));
        if rows.dtype() != DType::I32 || rows.rank() != 1 || parameter.rank() == 0 {
            return Err(wrong());
        }
        let (numbers, count) = (rows.to_vec::<i32>()?, parameter.dim(0));
        let is_row = |&row: &i32| usize::try_from(row).is_ok_and(|row| row < count);
        let mut shape = parameter.shape();
        shape[0] = numbers.len();
        let fits = (values.shape(), values.dtype()) == (shape, parameter.dtype());
        if !fits || !numbers.iter().all(is_row) {
            return Err(wrong());
        }
        let (rows, values) =
            (rows.to_device(parameter.device())?, values.to_device(parameter.device())?);
        Ok(Some(Gradient::of_rows(&rows, &values, count)))
    }
}
