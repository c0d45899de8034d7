//! Normalisation: mean 0 and variance 1, then a scale and a shift that are learnt.
//!
//! y = (x - μ) / √(σ² + ε) · weight + bias
//!
//! The layers differ in the elements that μ and σ² are taken over: the features of one example
//! ([`LayerNorm`]; [`RmsNorm`], without μ), a group of its channels ([`GroupNorm`]), one channel of all
//! examples ([`BatchNorm`]). The first three are rows of x, so that forward is one pass over memory, and
//! so is the gradient of x.

use std::sync::{Mutex, MutexGuard, PoisonError};

use plies_autograd::Var;
use plies_tensor::{DType, Device, Elementwise, Shape, Tensor, formula};

use crate::{Module, Pass, Visitor, VisitorMut, check};

const EPS: f64 = 1e-5;

#[track_caller]
fn ones(layer: &str, dims: Shape) -> Var {
    check::size(layer, &dims);
    Var::leaf(Tensor::ones(dims, DType::F32, &Device::cpu()))
}

fn zeros(dims: Shape) -> Var {
    Var::leaf(Tensor::zeros(dims, DType::F32, &Device::cpu()))
}

/// Each row of x with mean 0 and variance 1, then scaled and shifted.
///
/// # Shapes
/// x [..., N], weight and bias [..., N] broadcast -> [..., N]
fn normalise(x: &Var, weight: &Var, bias: &Var, eps: f64) -> Var {
    let f = formula!(|x, weight, bias; n, eps| {
        let d = x - x.row_sum() / n;
        d / ((d * d).row_sum() / n + eps).sqrt() * weight + bias
    });
    Var::map(f, &[x, weight, bias], &[x.dim(-1) as f64, eps])
}

/// x with its last axes, which are `dims`, as one.
#[track_caller]
fn rows(layer: &str, x: &Var, dims: &[usize]) -> Var {
    let lead = x.rank().saturating_sub(dims.len());
    assert!(
        x.dims()[lead..] == *dims,
        "{layer}: input {}, expected {dims:?} at its end",
        x.shape()
    );
    let mut shape = Shape::from(&x.dims()[..lead]);
    shape.push(dims.iter().product());
    x.reshape(shape)
}

/// Normalises the features of each example: μ and σ² over the last axes.
///
/// # Shapes
/// x [..., dims], weight and bias \[dims\] -> [..., dims]
///
/// # Source
/// Ba, Kiros, Hinton: Layer normalization (2016).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{LayerNorm, Module, Pass};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[1f32, 3.0], [10.0, 30.0]]));
/// let y = LayerNorm::new([2]).forward(&x, &mut Pass::eval());
/// for (y, expected) in y.to_vec::<f32>().unwrap().into_iter().zip([-1.0, 1.0, -1.0, 1.0]) {
///     assert!((y - expected).abs() < 1e-4f32);
/// }
/// ```
#[derive(Debug)]
pub struct LayerNorm {
    weight: Var,
    bias: Var,
    eps: f64,
}

impl LayerNorm {
    /// Over the last axes, which have the sizes `dims`; weight 1, bias 0, ε = 1e-5.
    #[track_caller]
    pub fn new(dims: impl Into<Shape>) -> Self {
        let dims = dims.into();
        LayerNorm { weight: ones("layer_norm", dims), bias: zeros(dims), eps: EPS }
    }

    /// Another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }
}

impl Module for LayerNorm {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let rows = rows("layer_norm", x, self.weight.dims()); // [..., N]
        let (weight, bias) = (self.weight.flatten(), self.bias.flatten()); // [N]
        normalise(&rows, &weight, &bias, self.eps).reshape(x.shape())
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        visitor.parameter("bias", &self.bias);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        visitor.parameter("bias", &mut self.bias);
    }
}

/// Divides the features of each example by their root mean square: y = x / √(mean x² + ε) · weight.
///
/// # Shapes
/// x [..., dims], weight \[dims\] -> [..., dims]
///
/// # Source
/// Zhang, Sennrich: Root mean square layer normalization (2019).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Module, Pass, RmsNorm};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[3f64, 4.0, 0.0, 0.0]]));
/// let y = RmsNorm::new([4]).eps(0.0);
/// # let y = { let mut y = y; y.for_each_parameter_mut(&mut |_, p| *p = Var::leaf(p.value().to_dtype(plies_tensor::DType::F64))); y };
/// let y = y.forward(&x, &mut Pass::eval()).to_vec::<f64>().unwrap();
/// assert_eq!(y, [1.2, 1.6, 0.0, 0.0]);
/// ```
#[derive(Debug)]
pub struct RmsNorm {
    weight: Var,
    eps: f64,
}

impl RmsNorm {
    /// Over the last axes, which have the sizes `dims`; weight 1, ε = 1e-5.
    #[track_caller]
    pub fn new(dims: impl Into<Shape>) -> Self {
        RmsNorm { weight: ones("rms_norm", dims.into()), eps: EPS }
    }

    /// Another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }
}

impl Module for RmsNorm {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let rows = rows("rms_norm", x, self.weight.dims()); // [..., N]
        let f = formula!(|x, weight; n, eps| x / ((x * x).row_sum() / n + eps).sqrt() * weight);
        let scalars = [rows.dim(-1) as f64, self.eps];
        Var::map(f, &[&rows, &self.weight.flatten()], &scalars).reshape(x.shape())
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
    }
}

/// Normalises groups of channels of each example: μ and σ² over C / groups channels and all places.
/// With one group for each channel it is instance normalisation.
///
/// # Shapes
/// x [B, C, ...], weight and bias `[C]` -> [B, C, ...]
///
/// # Source
/// Wu, He: Group normalization (2018); with groups = C: Ulyanov, Vedaldi, Lempitsky: Instance
/// normalization (2016).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{GroupNorm, Module, Pass};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[[1f32, 3.0], [5.0, 5.0]]])); // two channels of two places
/// let y = GroupNorm::new(2, 2).forward(&x, &mut Pass::eval());
/// for (y, expected) in y.to_vec::<f32>().unwrap().into_iter().zip([-1.0, 1.0, 0.0, 0.0]) {
///     assert!((y - expected).abs() < 1e-4f32);
/// }
/// ```
#[derive(Debug)]
pub struct GroupNorm {
    groups: usize,
    weight: Var,
    bias: Var,
    eps: f64,
}

impl GroupNorm {
    /// For C channels in `groups` groups; weight 1, bias 0, ε = 1e-5.
    ///
    /// # Panics
    /// When the channels cannot be divided so.
    #[track_caller]
    pub fn new(groups: usize, channels: usize) -> Self {
        assert!(
            groups > 0 && channels.is_multiple_of(groups),
            "group_norm: {channels} channels in {groups} groups"
        );
        let (weight, bias) = (ones("group_norm", [channels].into()), zeros([channels].into()));
        GroupNorm { groups, weight, bias, eps: EPS }
    }

    /// Another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }
}

impl Module for GroupNorm {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let channels = self.weight.dim(0);
        check_channels("group_norm", x, channels);
        let places: usize = x.dims()[2..].iter().product();
        let n = channels / self.groups * places;
        // Each channel's number, at each of its places: [G, N].
        let spread =
            |v: &Var| v.unsqueeze(1).broadcast_to([channels, places]).reshape([self.groups, n]);
        let rows = x.reshape([x.dim(0), self.groups, n]);
        normalise(&rows, &spread(&self.weight), &spread(&self.bias), self.eps).reshape(x.shape())
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        visitor.parameter("bias", &self.bias);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        visitor.parameter("bias", &mut self.bias);
    }
}

#[track_caller]
fn check_channels(layer: &str, x: &Var, channels: usize) {
    assert!(
        x.rank() >= 2 && x.dim(1) == channels,
        "{layer}: input {}, expected [B, {channels}, ...]",
        x.shape()
    );
}

/// Normalises each channel over all examples and places of a batch, and in evaluation by running
/// averages of what was seen in training: μ ← (1 - m) μ + m μ_batch, and so σ² (unbiased). Those are
/// buffers, saved with the model.
///
/// # Shapes
/// x [B, C, ...], weight and bias `[C]` -> [B, C, ...]
///
/// # Panics
/// Forward in training, with fewer than two numbers for each channel.
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
    weight: Var,
    bias: Var,
    /// Forward changes them, and takes the layer by shared reference.
    running: Mutex<Running>,
    momentum: f64,
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
    #[track_caller]
    pub fn new(channels: usize) -> Self {
        let (weight, bias) = (ones("batch_norm", [channels].into()), zeros([channels].into()));
        let (mean, var) = (bias.value().clone(), weight.value().clone());
        let running = Mutex::new(Running { mean, var, batches: Tensor::scalar(0i32) });
        BatchNorm { weight, bias, running, momentum: 0.1, eps: EPS }
    }

    /// The weight m of a new batch in the running averages.
    pub fn momentum(mut self, m: f64) -> Self {
        self.momentum = m;
        self
    }

    /// Another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// μ and σ² of the batch, as [1, C, 1, ...]; they enter the running averages.
    #[track_caller]
    fn of_batch(&self, x: &Var) -> (Var, Var) {
        let n = x.elem_count() / x.dim(1).max(1);
        assert!(n > 1, "batch_norm: {n} numbers for each channel of {} in training", x.shape());
        let axes: Vec<isize> = (0..x.rank() as isize).filter(|&axis| axis != 1).collect();
        let (mean, var) = (x.mean(&axes, true), x.var(&axes, 0, true));
        let mut running = self.running();
        let unbiased = n as f64 / (n as f64 - 1.0);
        let join = |running: &mut Tensor, batch: &Var, scale: f64| {
            *running = running.to_dtype(x.dtype());
            let f = formula!(|old, new; m, scale| old + m * (scale * new - old));
            let batch = batch.value().flatten();
            Tensor::update(&mut [running], f, &[&batch], &[self.momentum, scale]);
        };
        join(&mut running.mean, &mean, 1.0);
        join(&mut running.var, &var, unbiased);
        Tensor::update(&mut [&mut running.batches], formula!(|n| n + 1.0), &[], &[]);
        (mean, var)
    }
}

impl Module for BatchNorm {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        check_channels("batch_norm", x, self.weight.dim(0));
        let mut channels = Shape::from([1].repeat(x.rank())); // [1, C, 1, ...]
        channels[1] = x.dim(1);
        let (mean, var) = if pass.training() {
            self.of_batch(x)
        } else {
            let running = self.running();
            let kept = |t: &Tensor| Var::constant(t.to_dtype(x.dtype()).reshape(channels));
            (kept(&running.mean), kept(&running.var))
        };
        let (weight, bias) = (self.weight.reshape(channels), self.bias.reshape(channels));
        let f = formula!(|x, mean, var, weight, bias; eps| {
            (x - mean) / (var + eps).sqrt() * weight + bias
        });
        Var::map(f, &[x, &mean, &var, &weight, &bias], &[self.eps])
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        visitor.parameter("bias", &self.bias);
        let running = self.running();
        visitor.buffer("running_mean", &running.mean);
        visitor.buffer("running_var", &running.var);
        visitor.buffer("num_batches_tracked", &running.batches);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        visitor.parameter("bias", &mut self.bias);
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        visitor.buffer("running_mean", &mut running.mean);
        visitor.buffer("running_var", &mut running.var);
        visitor.buffer("num_batches_tracked", &mut running.batches);
    }
}
