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

use crate::onnx::{self, Graph, Value};
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

/// A scale and a shift that are learnt; a layer may do without either.
#[derive(Debug)]
struct Affine {
    weight: Option<Var>,
    bias: Option<Var>,
}

impl Affine {
    /// weight 1, bias 0
    #[track_caller]
    fn new(layer: &str, dims: Shape) -> Self {
        Affine { weight: Some(ones(layer, dims)), bias: Some(zeros(dims)) }
    }

    /// Weight and bias as `f` spreads them out over elements; where there is none, 1 and 0, which change
    /// no number.
    fn spread(&self, x: &Var, f: impl Fn(&Var) -> Var) -> [Var; 2] {
        let or = |v: &Option<Var>, value: f64| match v {
            Some(v) => f(v),
            None => Var::constant(Tensor::full([], value, x.dtype(), x.device())),
        };
        [or(&self.weight, 1.0), or(&self.bias, 0.0)]
    }

    /// Weight and bias of `dims`, which operators of ONNX ask for.
    fn export(&self, x: &Value, dims: Shape, graph: &Graph) -> [Value; 2] {
        let or = |name, v: &Option<Var>, value: f64| match v {
            Some(v) => graph.tensor(name, v.value()),
            None => graph.tensor(name, &Tensor::full(dims, value, x.dtype(), &Device::cpu())),
        };
        [or("weight", &self.weight, 1.0), or("bias", &self.bias, 0.0)]
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        if let Some(weight) = &self.weight {
            visitor.parameter("weight", weight);
        }
        if let Some(bias) = &self.bias {
            visitor.parameter("bias", bias);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        if let Some(weight) = &mut self.weight {
            visitor.parameter("weight", weight);
        }
        if let Some(bias) = &mut self.bias {
            visitor.parameter("bias", bias);
        }
    }
}

/// Each row of x with mean 0 and variance 1, then scaled and shifted.
///
/// # Shapes
/// x [..., N], weight and bias [..., N] broadcast -> [..., N]
fn normalise(x: &Var, [weight, bias]: [Var; 2], eps: f64) -> Var {
    let f = formula!(|x, weight, bias; n, eps| {
        let d = x - x.row_sum() / n;
        d / ((d * d).row_sum() / n + eps).sqrt() * weight + bias
    });
    Var::map(f, &[x, &weight, &bias], &[x.dim(-1) as f64, eps])
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
    dims: Shape,
    affine: Affine,
    eps: f64,
}

impl LayerNorm {
    /// Over the last axes, which have the sizes `dims`; weight 1, bias 0, ε = 1e-5.
    #[track_caller]
    pub fn new(dims: impl Into<Shape>) -> Self {
        let dims = dims.into();
        LayerNorm { dims, affine: Affine::new("layer_norm", dims), eps: EPS }
    }

    /// The same layer without a bias.
    pub fn without_bias(mut self) -> Self {
        self.affine.bias = None;
        self
    }

    /// The same layer without weight and bias.
    pub fn without_affine(mut self) -> Self {
        self.affine = Affine { weight: None, bias: None };
        self
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
        let rows = rows("layer_norm", x, &self.dims); // [..., N]
        let affine = self.affine.spread(x, Var::flatten); // [N]
        normalise(&rows, affine, self.eps).reshape(x.shape())
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let [weight, bias] = self.affine.export(x, self.dims, graph);
        let axis = -(self.dims.len() as i64);
        let attributes = [("axis", axis.into()), ("epsilon", self.eps.into())];
        Ok(graph.op("LayerNormalization", &[x, &weight, &bias], attributes))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.affine.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.affine.visit_mut(visitor);
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
    dims: Shape,
    affine: Affine,
    eps: f64,
}

impl RmsNorm {
    /// Over the last axes, which have the sizes `dims`; weight 1, ε = 1e-5, where PyTorch's is the dtype's
    /// epsilon.
    #[track_caller]
    pub fn new(dims: impl Into<Shape>) -> Self {
        let dims = dims.into();
        let affine = Affine { weight: Some(ones("rms_norm", dims)), bias: None };
        RmsNorm { dims, affine, eps: EPS }
    }

    /// The same layer without a weight.
    pub fn without_affine(mut self) -> Self {
        self.affine.weight = None;
        self
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
        let rows = rows("rms_norm", x, &self.dims); // [..., N]
        let [weight, _] = self.affine.spread(x, Var::flatten); // [N]
        let f = formula!(|x, weight; n, eps| x / ((x * x).row_sum() / n + eps).sqrt() * weight);
        let scalars = [rows.dim(-1) as f64, self.eps];
        Var::map(f, &[&rows, &weight], &scalars).reshape(x.shape())
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let axes: Vec<i64> = (-(self.dims.len() as i64)..0).collect();
        let mean = graph.op("ReduceMean", &[&x.sqr(), &graph.ints(&axes)], []);
        let y = x / (mean + self.eps).sqrt();
        Ok(match &self.affine.weight {
            Some(weight) => y * graph.tensor("weight", weight.value()),
            None => y,
        })
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.affine.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.affine.visit_mut(visitor);
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
    channels: usize,
    affine: Affine,
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
        let affine = Affine::new("group_norm", [channels].into());
        GroupNorm { groups, channels, affine, eps: EPS }
    }

    /// The same layer without weight and bias.
    pub fn without_affine(mut self) -> Self {
        self.affine = Affine { weight: None, bias: None };
        self
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
        let (groups, channels) = (self.groups, self.channels);
        check_channels("group_norm", x, channels);
        let places: usize = x.dims()[2..].iter().product();
        let n = channels / groups * places;
        // Each channel's number, at each of its places: [G, N].
        let at_places =
            |v: &Var| v.unsqueeze(1).broadcast_to([channels, places]).reshape([groups, n]);
        let rows = x.reshape([x.dim(0), groups, n]);
        normalise(&rows, self.affine.spread(x, at_places), self.eps).reshape(x.shape())
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let [weight, bias] = self.affine.export(x, [self.channels].into(), graph);
        let attributes = [("num_groups", self.groups.into()), ("epsilon", self.eps.into())];
        Ok(graph.op("GroupNormalization", &[x, &weight, &bias], attributes))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.affine.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.affine.visit_mut(visitor);
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

impl Running {
    /// Lets μ and σ² of a batch of n numbers for each channel into the averages, with weight m, or as much as
    /// every batch before.
    fn join(&mut self, mean: &Var, var: &Var, n: usize, m: Option<f64>) {
        let m = m.unwrap_or_else(|| {
            // A device that fails here fails the read of the result, too.
            let before = self.batches.item().unwrap_or(0.0);
            1.0 / (before + 1.0)
        });
        let unbiased = n as f64 / (n as f64 - 1.0);
        for (running, batch, scale) in [(&mut self.mean, mean, 1.0), (&mut self.var, var, unbiased)]
        {
            *running = running.to_dtype(batch.dtype());
            let f = formula!(|old, new; m, scale| old + m * (scale * new - old));
            Tensor::update(&mut [running], f, &[&batch.value().flatten()], &[m, scale]);
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
        let Some(running) = self.running() else {
            return Err(
                graph.error("a batch norm without running statistics has no operator in ONNX")
            );
        };
        let [weight, bias] = self.affine.export(x, [self.channels].into(), graph);
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
