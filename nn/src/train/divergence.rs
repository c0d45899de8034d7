//! The end of a training whose numbers are none any more.

use super::{BatchEvent, Callback, EpochEvent, Flow, TrainError, Training};
use crate::checkpoint::not_finite;

/// Ends a training with [`TrainError::Diverged`] when the loss of an epoch is infinite or no number, and
/// after an epoch when a parameter is, or what the optimiser remembers: the last step may have gone too far,
/// which no loss has shown yet.
///
/// In the list of callbacks it stands before those that keep the model, such as
/// [`KeepBest`](super::KeepBest). What that has kept by then is still there after the error.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Sgd;
/// use plies_nn::train::{Divergence, Fit, TrainError, fit};
/// use plies_nn::{Linear, loss};
/// use plies_tensor::{Rng, Tensor};
/// let data = TensorDataset::new(Tensor::from([[1f32], [-1.0]]), Tensor::from([[2f32], [3.0]]));
/// let loader = Loader::new(Arc::new(data), 2);
/// let mut model = Linear::new(1, 1, &mut Rng::new(1));
/// let settings = Fit::epochs(1000);
/// let ended = fit(&mut model, &mut Sgd::new(9.0), &loss::mse, &loader, &settings, &mut [&mut Divergence]);
/// assert!(matches!(ended, Err(TrainError::Diverged { .. })));
/// ```
#[doc(alias("TerminateOnNaN"))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Divergence;

impl Callback for Divergence {
    fn on_batch(&mut self, event: &BatchEvent, _: &mut Training<'_>) -> Result<Flow, TrainError> {
        match event.loss.is_finite() {
            true => Ok(Flow::Continue),
            false => Err(diverged(event.epoch, event.loss, event.lr)),
        }
    }

    fn on_epoch(
        &mut self,
        event: &EpochEvent,
        training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        // On a device the last losses come with the epoch.
        if !event.loss.is_finite() {
            return Err(diverged(event.epoch, event.loss, event.lr));
        }
        let mut tensors: Vec<_> = training.optimizer.state().into_values().collect();
        training.model.for_each_parameter(&mut |_, p| tensors.push(p.value().clone()));
        for tensor in tensors {
            if let Some((_, number)) = not_finite(&tensor)? {
                return Err(diverged(event.epoch, number, event.lr));
            }
        }
        Ok(Flow::Continue)
    }
}

fn diverged(epoch: usize, number: f64, lr: f64) -> TrainError {
    TrainError::Diverged { epoch: epoch + 1, number, lr }
}
