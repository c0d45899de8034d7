//! A classifier's answers to a whole dataset.

use plies_autograd::{Var, no_grad};
use plies_tensor::{DType, Result, Tensor};

use crate::data::Loader;
use crate::metrics::ConfusionMatrix;
use crate::{Module, Pass};

/// The predictions of a classifier over a dataset.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Which class was taken for which.
    pub confusion: ConfusionMatrix,
    /// Mean loss.
    pub loss: f64,
    /// Predicted class of each example, in the loader's order.
    pub predicted: Vec<usize>,
    /// Probability that the model gave to it.
    pub probability: Vec<f32>,
}

/// Runs a classifier of `n_classes` over the batches of a loader, without anything random and
/// without recording gradients.
///
/// # Errors
/// A fault of the device.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::train::evaluate;
/// use plies_nn::{Linear, loss};
/// use plies_tensor::Tensor;
/// let x = Tensor::from([[1f32, 0.0], [0.0, 1.0], [2.0, 1.0]]);
/// let loader = Loader::new(Arc::new(TensorDataset::new(x, Tensor::from([0, 1, 1]))), 2);
/// let model = Linear::from_weights(Tensor::eye(2, plies_tensor::DType::F32), None);
/// let evaluation = evaluate(&model, &loader, 2, &loss::cross_entropy).unwrap();
/// assert_eq!(evaluation.predicted, [0, 1, 0]);
/// assert_eq!(evaluation.confusion.correct(), 2);
/// ```
///
/// # Panics
/// When a target or a prediction is not one of `n_classes`.
#[track_caller]
pub fn evaluate(
    model: &dyn Module,
    loader: &Loader,
    n_classes: usize,
    loss: &dyn Fn(&Var, &Tensor) -> Var,
) -> Result<Evaluation> {
    let mut evaluation = Evaluation {
        confusion: ConfusionMatrix::new(n_classes),
        loss: 0.0,
        predicted: Vec::new(),
        probability: Vec::new(),
    };
    let mut total = 0.0;
    let device = model.device();
    for batch in loader.epoch(0) {
        let batch = batch.to_device(&device)?;
        let n = batch.len();
        let mut pass = Pass::eval().with_lengths(batch.lengths);
        let logits = no_grad(|| model.forward(&Var::constant(batch.inputs), &mut pass));
        total += no_grad(|| loss(&logits, &batch.targets)).value().item()? * n as f64;
        evaluation.confusion.add_batch(logits.value(), &batch.targets)?;
        let probability = logits.value().softmax(-1).max(&[-1], false);
        let predicted = logits.value().argmax(-1, false).to_vec::<i32>()?;
        evaluation.predicted.extend(predicted.into_iter().map(|p| p as usize));
        evaluation.probability.extend(probability.to_dtype(DType::F32).to_vec::<f32>()?);
    }
    evaluation.loss = total / evaluation.confusion.total() as f64;
    Ok(evaluation)
}
