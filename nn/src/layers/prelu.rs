//! ReLU with a slope below 0 that is learnt.
//!
//! y = x above 0, weight · x below

use plies_autograd::Var;
use plies_tensor::{DType, Device, Elementwise, Shape, Tensor, formula};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut, check};

/// y = x above 0, weight · x below, with one slope for all or one for each channel.
///
/// # Shapes
/// x [...], weight `[1]` -> [...]; x [B, C, ...], weight `[C]` -> [B, C, ...]
///
/// # Gradient
/// d_x = d_y above 0, weight · d_y below; d_weight = Σ d_y · x below 0
///
/// # Source
/// He, Zhang, Ren, Sun: Delving deep into rectifiers (2015), section 2.1; slopes begin at 0.25.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Module, Pass, Prelu};
/// use plies_tensor::Tensor;
/// let y = Prelu::new().forward(&Var::constant(Tensor::from([2f32, -2.0])), &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [2.0, -0.5]);
/// ```
#[derive(Debug)]
pub struct Prelu {
    weight: Var,
}

impl Prelu {
    /// One slope for all elements.
    pub fn new() -> Self {
        Self::of_channels(1)
    }

    /// A slope for each of C channels, axis 1.
    ///
    /// # Panics
    /// When memory cannot address so many.
    #[track_caller]
    pub fn of_channels(channels: usize) -> Self {
        check::size("prelu", &[channels]);
        Prelu { weight: Var::leaf(Tensor::full([channels], 0.25, DType::F32, &Device::cpu())) }
    }

    /// weight `[C]` or `[1]`
    pub fn weight(&self) -> &Var {
        &self.weight
    }
}

impl Default for Prelu {
    fn default() -> Self {
        Self::new()
    }
}

impl Module for Prelu {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let channels = self.weight.dim(0);
        let f = formula!(|x, slope| x.gt(0.0).select(x, slope * x));
        if channels == 1 {
            return Var::map(f, &[x, &self.weight.reshape(Shape::SCALAR)], &[]);
        }
        assert!(
            x.rank() >= 2 && x.dim(1) == channels,
            "prelu: input {}, expected [B, {channels}, ...]",
            x.shape()
        );
        let mut of_channels = Shape::from([1].repeat(x.rank())); // [1, C, 1, ...]
        of_channels[1] = channels;
        Var::map(f, &[x, &self.weight.reshape(of_channels)], &[])
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let slope = graph.tensor("weight", self.weight.value());
        if self.weight.dim(0) == 1 {
            return Ok(graph.op("PRelu", &[x, &slope], []));
        }
        // [B, C, places], so that slopes [C, 1] broadcast whatever the number of axes.
        let y = graph.op("PRelu", &[&x.reshape(&[0, 0, -1]), &slope.reshape(&[-1, 1])], []);
        Ok(graph.op("Reshape", &[&y, &graph.op("Shape", &[x], [])], []))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
    }
}
