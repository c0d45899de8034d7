//! Dropout: in training each unit is absent with probability p.
//!
//! y = a · (x where kept, v where dropped) + b, kept with probability 1 - p; in evaluation y = x
//!
//! The layers differ in what is dropped together, and in the v that stands for a dropped unit; a and b then
//! keep the mean of y, which is why evaluation needs no change ("inverted" dropout).

use plies_autograd::Var;
use plies_tensor::{Elementwise, Shape, formula};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

#[track_caller]
fn check(layer: &str, p: f64) {
    assert!((0.0..=1.0).contains(&p), "{layer}: p = {p} is not a probability");
}

/// y = a · (x or v) + b, with one draw for all units that `draws` [1 or N, ...] repeats.
fn drop_units(x: &Var, draws: Shape, p: f64, [v, a, b]: [f64; 3], pass: &mut Pass) -> Var {
    let Some(rng) = pass.rng().filter(|_| p > 0.0) else { return x.clone() };
    let u = Var::constant(rng.uniform(draws, x.dtype(), x.device()));
    let f = formula!(|x, u; p, v, a, b| u.lt(p).select(v, x) * a + b);
    Var::map(f, &[x, &u], &[p, v, a, b])
}

/// Sets units to 0 with probability `p` while training and scales the others by 1 / (1 - p).
///
/// # Shapes
/// x [...] -> [...]
///
/// # Gradient
/// d_x = d_y · keep / (1 - p)
///
/// # Source
/// Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout, JMLR 15 (2014).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Dropout, Module, Pass};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let x = Var::constant(Tensor::ones([1000], DType::F32, &Device::cpu()));
/// let layer = Dropout::new(0.25);
/// let y = layer.forward(&x, &mut Pass::train(Rng::new(1)));
/// assert!((y.mean_all().value().item().unwrap() - 1.0).abs() < 0.1);
/// assert_eq!(layer.forward(&x, &mut Pass::eval()).sum_all().value().item().unwrap(), 1000.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    p: f64,
}

impl Dropout {
    /// Drops units with probability `p`.
    ///
    /// # Panics
    /// When `p` is not in 0..=1.
    #[track_caller]
    pub fn new(p: f64) -> Self {
        check("dropout", p);
        Dropout { p }
    }

    /// The probability that a unit is dropped.
    pub fn p(&self) -> f64 {
        self.p
    }
}

/// [v, a, b] for units that become 0.
fn inverted(p: f64) -> [f64; 3] {
    // With none left there is nothing to scale.
    [0.0, if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 }, 0.0]
}

impl Module for Dropout {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        drop_units(x, x.shape(), self.p, inverted(self.p), pass)
    }

    fn export(&self, x: &Value, _graph: &Graph) -> onnx::Result<Value> {
        Ok(x.clone())
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

/// Drops whole channels: neighbours in an image or a sequence are so much alike that single ones, dropped,
/// are not missed.
///
/// # Shapes
/// x [N, C, ...] -> [N, C, ...]
///
/// # Gradient
/// d_x = d_y · keep / (1 - p)
///
/// # Panics
/// `forward`, when x has no channels
///
/// # Source
/// Tompson, Goroshin, Jain, LeCun, Bregler: Efficient object localization using convolutional networks
/// (2015).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Module, Pass, SpatialDropout};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let x = Var::constant(Tensor::ones([1, 8, 2], DType::F32, &Device::cpu()));
/// let y = SpatialDropout::new(0.5).forward(&x, &mut Pass::train(Rng::new(1)));
/// for channel in y.value().to_vec::<f32>().unwrap().chunks(2) {
///     assert!(channel == [0.0, 0.0] || channel == [2.0, 2.0]);
/// }
/// ```
#[doc(alias("Dropout1d", "Dropout2d", "Dropout3d"))]
#[derive(Clone, Copy, Debug)]
pub struct SpatialDropout {
    p: f64,
}

impl SpatialDropout {
    /// Drops channels with probability `p`.
    ///
    /// # Panics
    /// When `p` is not in 0..=1.
    #[track_caller]
    pub fn new(p: f64) -> Self {
        check("spatial_dropout", p);
        SpatialDropout { p }
    }
}

impl Module for SpatialDropout {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        assert!(x.rank() >= 2, "spatial_dropout: input {}; expected [N, C, ...]", x.shape());
        let mut channels = x.shape(); // [N, C, 1, ...]
        channels[2..].fill(1);
        drop_units(x, channels, self.p, inverted(self.p), pass)
    }

    fn export(&self, x: &Value, _graph: &Graph) -> onnx::Result<Value> {
        Ok(x.clone())
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

/// Dropout between SELUs: a dropped unit takes the value v = -λα that SELU has at -∞, and a and b restore
/// mean 0 and variance 1.
///
/// y = a · (x or v) + b, a = 1 / √((1 - p) (1 + p v²)), b = -a p v
///
/// # Shapes
/// x [...] -> [...]
///
/// # Gradient
/// d_x = a · d_y · keep
///
/// # Source
/// Klambauer, Unterthiner, Mayr, Hochreiter: Self-normalizing neural networks (2017), section 3. With p = 1
/// y is 0, as in PyTorch.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AlphaDropout, Module, Pass};
/// use plies_tensor::{DType, Device, Rng};
/// let x = Var::constant(Rng::new(1).normal([10000], DType::F32, &Device::cpu()));
/// let y = AlphaDropout::new(0.3).forward(&x, &mut Pass::train(Rng::new(2)));
/// assert!(y.value().mean_all().item().unwrap().abs() < 0.05);
/// assert!((y.value().var(&[0], 0, false).item().unwrap() - 1.0).abs() < 0.05);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AlphaDropout {
    p: f64,
}

impl AlphaDropout {
    /// Drops units with probability `p`.
    ///
    /// # Panics
    /// When `p` is not in 0..=1.
    #[track_caller]
    pub fn new(p: f64) -> Self {
        check("alpha_dropout", p);
        AlphaDropout { p }
    }
}

impl Module for AlphaDropout {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        const V: f64 = -1.758_099_340_847_376_6; // -λα
        let a = ((1.0 - self.p) * (1.0 + self.p * V * V)).powf(-0.5);
        let [a, b] = if self.p < 1.0 { [a, -a * self.p * V] } else { [0.0, 0.0] };
        drop_units(x, x.shape(), self.p, [V, a, b], pass)
    }

    fn export(&self, x: &Value, _graph: &Graph) -> onnx::Result<Value> {
        Ok(x.clone())
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
