//! A learning rate to begin with, found by trying many.
//!
//! ηᵢ = from · (to / from)^(i / (n - 1)): a step at each, and the loss of its batch.

use plies_autograd::Var;
use plies_tensor::Tensor;

use super::TrainError;
use super::means::Size;
use super::run::descend;
use crate::data::Loader;
use crate::optim::Optimizer;
use crate::stream::{Purpose, stream};
use crate::{Checkpoint, Module};

/// Which learning rates [`find_lr`] tries.
#[derive(Clone, Copy, Debug)]
pub struct LrSweep {
    /// The first.
    pub from: f64,
    /// The last.
    pub to: f64,
    /// How many.
    pub steps: usize,
    /// β of the running average of the loss, sᵢ = β sᵢ₋₁ + (1 - β) lossᵢ, which is divided by 1 - βⁱ.
    pub smoothing: f64,
    /// Ends where the average is so many times the least one so far.
    pub diverged: f64,
    /// Seed of dropout.
    pub seed: u64,
}

impl Default for LrSweep {
    /// From 1e-7 to 10 in 100 steps, β = 0.98, ended at four times the least loss: as fastai's.
    fn default() -> Self {
        LrSweep { from: 1e-7, to: 10.0, steps: 100, smoothing: 0.98, diverged: 4.0, seed: 0 }
    }
}

/// A learning rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrPoint {
    /// The learning rate.
    pub lr: f64,
    /// The loss before the step at it.
    pub loss: f64,
    /// The running average.
    pub smoothed: f64,
}

/// The loss over the learning rates that were tried, from small to large.
#[derive(Clone, Debug, Default)]
pub struct LrCurve {
    /// To where the loss grew too large, or to the last.
    pub points: Vec<LrPoint>,
}

impl LrCurve {
    /// Where the averaged loss falls fastest with the logarithm of the learning rate; none when it does
    /// not fall.
    pub fn steepest(&self) -> Option<f64> {
        let slope = |i: usize| {
            // Central differences, one-sided at the ends.
            let (a, b) = (i.saturating_sub(1), (i + 1).min(self.points.len() - 1));
            let (a, b) = (self.points[a], self.points[b]);
            (b.smoothed - a.smoothed) / (b.lr / a.lr).ln()
        };
        let slopes = (0..self.points.len()).map(|i| (slope(i), self.points[i].lr));
        let least = slopes.filter(|(slope, _)| *slope < 0.0).min_by(|a, b| a.0.total_cmp(&b.0));
        least.map(|(_, lr)| lr)
    }

    /// Half of the way, by number of steps, down the longest valley, which is the longest sequence of
    /// ever smaller averages, not necessarily side by side; none when it does not fall. Steadier than
    /// [`steepest`](LrCurve::steepest), and fastai's default.
    pub fn valley(&self) -> Option<f64> {
        let smoothed: Vec<f64> = self.points.iter().map(|point| point.smoothed).collect();
        // length[i]: that of the longest sequence that ends at i.
        let mut length = vec![1usize; smoothed.len()];
        let mut end = 0;
        for i in 0..smoothed.len() {
            for j in 0..i {
                if smoothed[i] < smoothed[j] {
                    length[i] = length[i].max(length[j] + 1);
                }
            }
            if length[i] > length[end] {
                end = i;
            }
        }
        let longest = *length.get(end).filter(|length| **length > 1)?;
        let (start, third) = (end - longest.min(end), longest / 3);
        Some(self.points[start + third + third / 2].lr)
    }
}

/// Tries learning rates from small to large, a step each, and leaves model and optimiser as they were, to
/// the last bit. A good rate to train with is where the loss falls fast:
/// [`LrCurve::valley`], [`LrCurve::steepest`].
///
/// # Errors
/// A fault of the device.
///
/// # Panics
/// As [`fit`](super::fit), and when the rates are not above 0 and rising.
///
/// # Source
/// Smith: Cyclical learning rates for training neural networks (2017), section 3.3, with an exponential
/// sweep as Gugger's (2018); `valley` is that of fastai.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Adam;
/// use plies_nn::train::{LrSweep, find_lr};
/// use plies_nn::{Activation, Mlp, loss};
/// use plies_tensor::{DType, Device, Rng};
/// let x = Rng::new(1).uniform([64, 2], DType::F32, &Device::cpu()) * 2.0 - 1.0;
/// let products = x.slice(1, 0..1) * x.slice(1, 1..2);
/// let loader = Loader::new(Arc::new(TensorDataset::new(x, products)), 8).shuffle(2);
/// let mut model = Mlp::new(&[2, 16, 1], Activation::Tanh, &mut Rng::new(3));
/// let curve =
///     find_lr(&mut model, &mut Adam::new(0.1), &loss::mse, &loader, &LrSweep::default()).unwrap();
/// let lr = curve.valley().unwrap();
/// assert!((1e-5..1.0).contains(&lr), "{lr}");
/// ```
#[doc(alias("lr_find", "learning rate range test"))]
#[track_caller]
pub fn find_lr(
    model: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    loss: &dyn Fn(&Var, &Tensor) -> Var,
    loader: &Loader,
    sweep: &LrSweep,
) -> Result<LrCurve, TrainError> {
    let LrSweep { from, to, .. } = *sweep;
    assert!(0.0 < from && from < to && to.is_finite(), "find_lr: no rates from {from} to {to}");
    let before = Before::new(model, optimizer);
    let curve = try_rates(model, optimizer, loss, loader, sweep);
    before.restore(model, optimizer)?;
    curve
}

#[track_caller]
fn try_rates(
    model: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    loss: &dyn Fn(&Var, &Tensor) -> Var,
    loader: &Loader,
    sweep: &LrSweep,
) -> Result<LrCurve, TrainError> {
    let mut curve = LrCurve::default();
    let (mut average, mut least) = (0.0, f64::INFINITY);
    let epochs = if loader.batches() == 0 { 0 } else { sweep.steps.div_ceil(loader.batches()) };
    let batches = (0..epochs).flat_map(|epoch| loader.epoch(epoch).enumerate());
    for (i, (batch_of_epoch, batch)) in batches.take(sweep.steps).enumerate() {
        let epoch = i / loader.batches();
        let lr = sweep.lr(i);
        let rng = stream(sweep.seed, Purpose::Forward, epoch, batch_of_epoch);
        model.zero_grad();
        let size = Size::of(&batch, None);
        let (loss, _) = descend(model, loss, batch, size, rng, 1.0)?.read()?;
        average = sweep.smoothing * average + (1.0 - sweep.smoothing) * loss;
        let smoothed = average / (1.0 - sweep.smoothing.powi(i as i32 + 1));
        least = least.min(smoothed);
        if !loss.is_finite() || smoothed > sweep.diverged * least {
            break;
        }
        curve.points.push(LrPoint { lr, loss, smoothed });
        optimizer.set_lr(lr);
        optimizer.step(model);
    }
    Ok(curve)
}

impl LrSweep {
    fn lr(&self, i: usize) -> f64 {
        let share = i as f64 / (self.steps.max(2) - 1) as f64;
        self.from * (self.to / self.from).powf(share)
    }
}

/// What has to be as it was.
struct Before {
    model_and_optimizer: Checkpoint,
    gradients: Checkpoint,
    lr: f64,
}

impl Before {
    fn new(model: &dyn Module, optimizer: &dyn Optimizer) -> Self {
        let mut model_and_optimizer = Checkpoint::new();
        model_and_optimizer.put_model(model);
        model_and_optimizer.put_optimizer(optimizer);
        let mut gradients = Checkpoint::new();
        gradients.put_gradients(model);
        Before { model_and_optimizer, gradients, lr: optimizer.lr() }
    }

    fn restore(
        self,
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
    ) -> Result<(), TrainError> {
        self.model_and_optimizer.load_model(model)?;
        self.model_and_optimizer.load_optimizer(optimizer)?;
        optimizer.set_lr(self.lr);
        self.gradients.load_gradients(model)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(smoothed: &[f64]) -> LrCurve {
        let sweep = LrSweep { steps: smoothed.len(), ..LrSweep::default() };
        let point =
            |(i, &smoothed): (usize, &f64)| LrPoint { lr: sweep.lr(i), loss: 0.0, smoothed };
        LrCurve { points: smoothed.iter().enumerate().map(point).collect() }
    }

    #[test]
    fn the_sweep_goes_from_end_to_end_in_equal_factors() {
        let sweep = LrSweep { from: 1e-3, to: 10.0, steps: 5, ..LrSweep::default() };
        for (i, expected) in [1e-3, 1e-2, 0.1, 1.0, 10.0].into_iter().enumerate() {
            assert!((sweep.lr(i) / expected - 1.0).abs() < 1e-12);
        }
        assert_eq!(LrSweep { steps: 1, ..sweep }.lr(0), 1e-3);
    }

    #[test]
    fn the_steepest_place_is_in_the_middle_of_the_fall() {
        let falls = curve(&[5.0, 5.0, 4.9, 3.0, 1.0, 0.9, 0.9, 2.0]);
        assert_eq!(falls.steepest(), Some(falls.points[3].lr));
        for flat in [&[][..], &[1.0], &[1.0, 1.0], &[1.0, 2.0, 3.0]] {
            assert_eq!((curve(flat).steepest(), curve(flat).valley()), (None, None));
        }
    }

    #[test]
    fn the_valley_passes_over_bumps_and_ends_at_the_bottom() {
        // The longest falling sequence is 9 8 7 6 5 4 3 2 1, from the second on.
        let bumps = curve(&[8.5, 9.0, 8.0, 8.8, 7.0, 6.0, 6.5, 5.0, 4.0, 3.0, 2.0, 1.0, 20.0]);
        assert_eq!(bumps.valley(), Some(bumps.points[11 - 9 + 3 + 1].lr));
        let falls = curve(&[3.0, 2.0, 1.0]);
        assert_eq!(falls.valley(), Some(falls.points[1].lr));
    }
}
