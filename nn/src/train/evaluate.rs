//! A classifier's answers to a whole dataset.

use std::collections::VecDeque;

use plies_autograd::{Var, no_grad};
use plies_tensor::{DType, Fetch, Result, Tensor};

use super::means::is_due;
use crate::data::Loader;
use crate::metrics::{ConfusionMatrix, check_logits};
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
    let mut coming = VecDeque::new();
    let device = model.device();
    for batch in loader.epoch(0) {
        let (n, targets) = (batch.len(), batch.targets.clone());
        let batch = batch.to_device(&device)?;
        let mut pass = Pass::eval().with_lengths(batch.lengths);
        let logits = no_grad(|| model.forward(&Var::constant(batch.inputs), &mut pass));
        let loss = no_grad(|| loss(&logits, &batch.targets));
        let logits = logits.value();
        check_logits(logits, &batch.targets);
        coming.push_back(Answers {
            loss: loss.value().fetch(),
            examples: n,
            targets: targets.fetch(),
            predicted: logits.argmax(-1, false).fetch(),
            probability: logits.softmax(-1).max(&[-1], false).to_dtype(DType::F32).fetch(),
        });
        while is_due(&coming, |first| first.loss.is_here())
            && let Some(first) = coming.pop_front()
        {
            first.add_to(&mut evaluation)?;
        }
    }
    for answers in coming {
        answers.add_to(&mut evaluation)?;
    }
    evaluation.loss /= evaluation.confusion.total() as f64;
    Ok(evaluation)
}

/// What is told of a batch, on its way from the device, which has the next batches to do meanwhile.
struct Answers {
    loss: Fetch,
    examples: usize,
    targets: Fetch,
    predicted: Fetch,
    probability: Fetch,
}

impl Answers {
    /// Waits for them; the loss is added up.
    #[track_caller]
    fn add_to(self, evaluation: &mut Evaluation) -> Result<()> {
        evaluation.loss += self.loss.item()? * self.examples as f64;
        let (targets, predicted) = (self.targets.to_vec()?, self.predicted.to_vec()?);
        evaluation.confusion.add_all(&targets, &predicted);
        evaluation.predicted.extend(predicted.into_iter().map(|p| p as usize));
        evaluation.probability.extend(self.probability.to_vec::<f32>()?);
        Ok(())
    }
}
