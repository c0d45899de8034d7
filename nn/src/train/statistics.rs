//! Numbers about parameters, gradients and activations, by which one sees that a training is ill.

use plies_tensor::{Elementwise, Tensor};

use super::{BatchEvent, Callback, Flow, TrainError, Training};
use crate::Module;

/// Numbers about the elements of a tensor. Those other than `not_finite` are about its finite elements.
///
/// # Example
/// ```
/// use plies_nn::train::Summary;
/// use plies_tensor::Tensor;
/// let summary = Summary::of(&Tensor::from([3f32, 0.0, -4.0, 0.0, f32::NAN])).unwrap();
/// assert_eq!((summary.norm, summary.mean, summary.min, summary.max), (5.0, -0.25, -4.0, 3.0));
/// assert_eq!((summary.zeros, summary.not_finite), (0.5, 0.2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Number of elements.
    pub count: usize,
    /// √Σx²
    pub norm: f64,
    /// Their mean; NaN when there are none.
    pub mean: f64,
    /// √(Σ(x - mean)² / n)
    pub std: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Share that is 0.
    pub zeros: f64,
    /// Share that is infinite or NaN.
    pub not_finite: f64,
}

impl Summary {
    /// Reads a tensor of any dtype.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn of(tensor: &Tensor) -> plies_tensor::Result<Summary> {
        let mut numbers = tensor.to_f64_vec()?;
        let count = numbers.len();
        numbers.retain(|x| x.is_finite());
        let n = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / n;
        let squares = |centre: f64| numbers.iter().map(|x| (x - centre).powi(2)).sum::<f64>();
        Ok(Summary {
            count,
            norm: squares(0.0).sqrt(),
            mean,
            std: (squares(mean) / n).sqrt(),
            min: numbers.iter().copied().fold(f64::NAN, f64::min),
            max: numbers.iter().copied().fold(f64::NAN, f64::max),
            zeros: numbers.iter().filter(|x| **x == 0.0).count() as f64 / n,
            not_finite: (count as f64 - n) / count as f64,
        })
    }
}

/// The share of a layer's units that are 0 for every example: after a ReLU, those through which no
/// gradient comes. A unit is a place of the output [B, …] without the first axis.
///
/// # Errors
/// A fault of the device.
///
/// # Example
/// ```
/// use plies_nn::train::dead_units;
/// use plies_tensor::Tensor;
/// let output = Tensor::from([[0f32, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]]);
/// assert_eq!(dead_units(&output).unwrap(), 0.5);
/// ```
#[doc(alias("dying ReLU", "dead neurons"))]
pub fn dead_units(output: &Tensor) -> plies_tensor::Result<f64> {
    if output.rank() == 0 || output.elem_count() == 0 {
        return Ok(0.0);
    }
    let largest = output.abs().max(&[0], false).to_f64_vec()?;
    Ok(largest.iter().filter(|x| **x == 0.0).count() as f64 / largest.len() as f64)
}

/// What a [`Statistic`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A parameter, after the step.
    Parameter,
    /// Its gradient, as the step used it.
    Gradient,
    /// The output of a [`Probe`](crate::Probe).
    Activation,
}

/// What was noted of one tensor after one batch.
#[derive(Clone, Debug)]
pub struct Statistic {
    /// Batches since the training began.
    pub iteration: u64,
    /// What it is about.
    pub subject: Subject,
    /// Its name in the model.
    pub name: String,
    /// Numbers about its elements.
    pub summary: Summary,
    /// Of an activation, the share of [`dead_units`].
    pub dead: Option<f64>,
}

impl Statistic {
    fn of(
        subject: Subject,
        name: &str,
        tensor: &Tensor,
        iteration: u64,
    ) -> plies_tensor::Result<Self> {
        let dead = match subject {
            Subject::Activation => Some(dead_units(tensor)?),
            _ => None,
        };
        let (summary, name) = (Summary::of(tensor)?, name.to_owned());
        Ok(Statistic { iteration, subject, name, summary, dead })
    }
}

/// Notes numbers about every parameter, its gradient, and the output of every [`Probe`](crate::Probe).
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Sgd;
/// use plies_nn::train::{Fit, Statistics, Subject, fit};
/// use plies_nn::{Activation, Linear, Probe, Sequential, loss};
/// use plies_tensor::{Rng, Tensor};
/// let data = TensorDataset::new(Tensor::from([[1f32], [-1.0]]), Tensor::from([1, 0]));
/// let loader = Loader::new(Arc::new(data), 2);
/// let mut rng = Rng::new(1);
/// let mut model = Sequential::new()
///     .push(Linear::new(1, 8, &mut rng))
///     .push(Probe::new(Activation::Relu))
///     .push(Linear::new(8, 2, &mut rng));
/// let mut statistics = Statistics::every_batches(5);
/// let (settings, mut sgd) = (Fit::epochs(10), Sgd::new(0.1));
/// fit(&mut model, &mut sgd, &loss::cross_entropy, &loader, &settings, &mut [&mut statistics]).unwrap();
/// // After batch 5 and after batch 10: four parameters, their gradients, one activation.
/// assert_eq!(statistics.all().len(), 2 * (4 + 4 + 1));
/// assert!(statistics.all().iter().all(|s| s.summary.not_finite == 0.0));
/// let relu = statistics.all().iter().find(|s| s.subject == Subject::Activation).unwrap();
/// assert_eq!((relu.name.as_str(), relu.dead.is_some()), ("1.output", true));
/// ```
#[derive(Clone, Debug)]
pub struct Statistics {
    every: usize,
    all: Vec<Statistic>,
}

impl Statistics {
    /// After every `n` batches.
    ///
    /// # Panics
    /// When `n` is 0.
    #[track_caller]
    pub fn every_batches(n: usize) -> Self {
        assert!(n > 0, "statistics: after every 0 batches");
        Statistics { every: n, all: Vec::new() }
    }

    /// All that was noted in this run, in the order of batches.
    pub fn all(&self) -> &[Statistic] {
        &self.all
    }
}

/// Calls `f` with all tensors of a model that there is something to say about.
pub(super) fn for_each_tensor(model: &dyn Module, f: &mut dyn FnMut(Subject, &str, &Tensor)) {
    model.for_each_parameter(&mut |name, parameter| {
        f(Subject::Parameter, name, parameter.value());
        if let Some(gradient) = parameter.grad() {
            f(Subject::Gradient, name, gradient.value());
        }
    });
    model.for_each_activation(&mut |name, output| f(Subject::Activation, name, output));
}

impl Callback for Statistics {
    fn on_batch(
        &mut self,
        event: &BatchEvent,
        training: &mut Training<'_>,
    ) -> Result<Flow, TrainError> {
        if !event.iteration.is_multiple_of(self.every as u64) {
            return Ok(Flow::Continue);
        }
        let mut fault: plies_tensor::Result<()> = Ok(());
        for_each_tensor(training.model, &mut |subject, name, tensor| match Statistic::of(
            subject,
            name,
            tensor,
            event.iteration,
        ) {
            Ok(statistic) => self.all.push(statistic),
            Err(error) => fault = Err(error),
        });
        fault?;
        Ok(Flow::Continue)
    }
}
