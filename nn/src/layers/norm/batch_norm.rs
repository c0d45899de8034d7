//! The channels of a whole batch: y = (x - μ) / √(σ² + ε) · weight + bias, μ and σ² over all examples and places;
//! in evaluation by running averages of both.

use std::sync::{Mutex, MutexGuard, PoisonError};

use plies_autograd::Var;
use plies_tensor::{Elementwise, Shape, Tensor, formula};

use super::{Affine, EPS, check_channels, ones, zeros};
use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// Normalises each channel over all examples and places of a batch, and in evaluation by running
/// averages of what was seen in training: μ ← (1 - m) μ + m μ_batch, and so σ² (unbiased). Those are
/// buffers, saved with the model. [`cumulative`](BatchNorm::cumulative) averages weigh all batches alike; a
/// layer [`without_running_statistics`](BatchNorm::without_running_statistics) normalises by the batch in
/// evaluation, too.
///
/// # Shapes
/// x [B, C, ...], weight and bias `[C]` -> [B, C, ...]
///
/// # Panics
/// Forward by the batch's own mean and variance, with fewer than two numbers for each channel.
///
/// # Source
/// Ioffe, Szegedy: Batch normalization (2015).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{BatchNorm, Module, Pass};
/// use plies_tensor::{Rng, Tensor};
/// let layer = BatchNorm::new(1).momentum(0.5);
/// let x = Var::constant(Tensor::from([[1f32], [3.0]]));
/// layer.forward(&x, &mut Pass::train(Rng::new(1)));
/// let buffers = layer.named_buffers();
/// assert_eq!((&*buffers[0].0, buffers[0].1.item().unwrap()), ("running_mean", 1.0)); // (0 + 2) / 2
/// assert_eq!((&*buffers[1].0, buffers[1].1.item().unwrap()), ("running_var", 1.5)); // (1 + 2) / 2
/// ```
#[doc(alias("BatchNorm1d", "BatchNorm2d"))]
#[derive(Debug)]
pub struct BatchNorm {
    channels: usize,
    affine: Affine,
    /// Forward changes them, and takes the layer by shared reference.
    running: Option<Mutex<Running>>,
    /// None: every batch as much as any other.
    momentum: Option<f64>,
    eps: f64,
}

#[derive(Debug)]
struct Running {
    mean: Tensor,
    var: Tensor,
    /// How many batches these have seen.
    batches: Tensor,
}

impl BatchNorm {
    /// For C channels; weight 1, bias 0, momentum m = 0.1, ε = 1e-5.
    ///
    /// # Panics
    /// When memory cannot address so many channels.
    #[track_caller]
    pub fn new(channels: usize) -> Self {
        let affine = Affine::new("batch_norm", [channels].into());
        let [mean, var] = [zeros([channels].into()), ones("batch_norm", [channels].into())];
        let [mean, var] = [mean, var].map(Var::into_value);
        let running = Some(Mutex::new(Running { mean, var, batches: Tensor::scalar(0i32) }));
        BatchNorm { channels, affine, running, momentum: Some(0.1), eps: EPS }
    }

    /// The same layer without weight and bias.
    pub fn without_affine(mut self) -> Self {
        self.affine = Affine { weight: None, bias: None };
        self
    }

    /// The same layer, which keeps nothing of a batch and normalises each by itself, in evaluation, too.
    pub fn without_running_statistics(mut self) -> Self {
        self.running = None;
        self
    }

    /// The weight m of a new batch in the running averages.
    pub fn momentum(mut self, m: f64) -> Self {
        self.momentum = Some(m);
        self
    }

    /// Running averages that are those of all batches so far: m = 1 / n for the n-th.
    pub fn cumulative(mut self) -> Self {
        self.momentum = None;
        self
    }

    /// Another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    fn running(&self) -> Option<MutexGuard<'_, Running>> {
        let running = self.running.as_ref()?;
        Some(running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// μ and σ² of the batch, as [1, C, 1, ...].
    #[track_caller]
    fn of_batch(&self, x: &Var) -> (Var, Var) {
        let n = x.elem_count() / x.dim(1).max(1);
        assert!(
            n > 1,
            "batch_norm: {n} numbers for each channel of {} have no variance",
            x.shape()
        );
        let axes: Vec<isize> = (0..x.rank() as isize).filter(|&axis| axis != 1).collect();
        (x.mean(&axes, true), x.var(&axes, 0, true))
    }
}

impl BatchNorm {
    /// By the mean and variance of the batch, which no operator of ONNX takes in evaluation.
    fn export_of_batch(&self, x: &Value, affine: [Value; 2], graph: &Graph) -> Value {
        let channels = self.channels as i64;
        let of_shape = |x: &Value, shape: &Value| graph.op("Reshape", &[x, shape], []);
        let flat = of_shape(x, &graph.ints(&[0, channels, -1])); // [B, C, P]
        let mean = |x: &Value| graph.op("ReduceMean", &[x, &graph.ints(&[0, 2])], []); // [1, C, 1]
        let d = &flat - mean(&flat);
        let var = mean(&d.sqr());
        let [weight, bias] = affine.map(|v| of_shape(&v, &graph.ints(&[channels, 1])));
        of_shape(&(d / (var + self.eps).sqrt() * weight + bias), &graph.op("Shape", &[x], []))
    }
}

impl Running {
    /// Lets μ and σ² of a batch of n numbers for each channel into the averages, with weight m, or as much as
    /// every batch before.
    fn join(&mut self, mean: &Var, var: &Var, n: usize, m: Option<f64>) {
        let unbiased = n as f64 / (n as f64 - 1.0);
        for (running, batch, scale) in [(&mut self.mean, mean, 1.0), (&mut self.var, var, unbiased)]
        {
            *running = running.to_dtype(batch.dtype());
            let new = batch.value().flatten();
            if let Some(m) = m {
                let f = formula!(|old, new; m, scale| old + m * (scale * new - old));
                Tensor::update(&mut [running], f, &[&new], &[m, scale]);
            } else {
                // How many there were is a number on the device, which nobody waits for.
                let before = self.batches.to_dtype(batch.dtype()).broadcast_to(new.shape());
                let f = formula!(|old, new, before; scale| {
                    old + 1.0 / (before + 1.0) * (scale * new - old)
                });
                Tensor::update(&mut [running], f, &[&new, &before], &[scale]);
            }
        }
        Tensor::update(&mut [&mut self.batches], formula!(|n| n + 1.0), &[], &[]);
    }
}

impl Module for BatchNorm {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        check_channels("batch_norm", x, self.channels);
        let mut channels = Shape::from([1].repeat(x.rank())); // [1, C, 1, ...]
        channels[1] = x.dim(1);
        let (mean, var) = match self.running() {
            Some(running) if !pass.training() => {
                let kept = |t: &Tensor| Var::constant(t.to_dtype(x.dtype()).reshape(channels));
                (kept(&running.mean), kept(&running.var))
            }
            running => {
                // Not before the batch is known to be one.
                let (mean, var) = self.of_batch(x);
                if let Some(mut running) = running {
                    running.join(&mean, &var, x.elem_count() / x.dim(1), self.momentum);
                }
                (mean, var)
            }
        };
        let [weight, bias] = self.affine.spread(x, |v| v.reshape(channels));
        let f = formula!(|x, mean, var, weight, bias; eps| {
            (x - mean) / (var + eps).sqrt() * weight + bias
        });
        Var::map(f, &[x, &mean, &var, &weight, &bias], &[self.eps])
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let [weight, bias] = self.affine.export(x, [self.channels].into(), graph);
        let Some(running) = self.running() else {
            return Ok(self.export_of_batch(x, [weight, bias], graph));
        };
        let kept = |name, t: &Tensor| graph.tensor(name, &t.to_dtype(x.dtype()));
        let (mean, var) = (kept("running_mean", &running.mean), kept("running_var", &running.var));
        let attributes = [("epsilon", self.eps.into())];
        Ok(graph.op("BatchNormalization", &[x, &weight, &bias, &mean, &var], attributes))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.affine.visit(visitor);
        if let Some(running) = self.running() {
            visitor.buffer("running_mean", &running.mean);
            visitor.buffer("running_var", &running.var);
            visitor.buffer("num_batches_tracked", &running.batches);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.affine.visit_mut(visitor);
        if let Some(running) = &mut self.running {
            let running = running.get_mut().unwrap_or_else(PoisonError::into_inner);
            visitor.buffer("running_mean", &mut running.mean);
            visitor.buffer("running_var", &mut running.var);
            visitor.buffer("num_batches_tracked", &mut running.batches);
        }
    }
}
