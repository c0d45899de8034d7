//! Pooling: each window of a sequence or an image becomes one element.

use plies_autograd::Var;
use plies_tensor::Pool;

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// The largest element of each window of a sequence; [`Pool`] has the options, padding among them.
///
/// # Shapes
/// x [N, C, L] -> [N, C, M]; M = (L + 2·padding - size) / stride + 1, rounded down, or up if
/// [`Pool::round_up`] says so
///
/// # Gradient
/// d_y at the first largest element of each window
///
/// # Panics
/// `forward`, as [`Tensor::max_pool`](plies_tensor::Tensor::max_pool), and when x has another rank
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{MaxPool1d, Module, Pass};
/// use plies_tensor::{Pool, Tensor};
/// let x = Var::constant(Tensor::from([[[1f32, 4.0, 3.0, 2.0]]]));
/// let y = MaxPool1d(Pool::new(2)).forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [4.0, 3.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MaxPool1d(pub Pool);

/// The largest element of each window of an image; [`Pool`] has the options, padding among them.
///
/// # Shapes
/// x [N, C, H, W] -> [N, C, OH, OW]; OH = (H + 2·padding - size) / stride + 1, rounded down, or up if
/// [`Pool::round_up`] says so, and OW alike
///
/// # Gradient
/// d_y at the first largest element of each window
///
/// # Panics
/// `forward`, as [`Tensor::max_pool`](plies_tensor::Tensor::max_pool), and when x has another rank
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{MaxPool2d, Module, Pass};
/// use plies_tensor::{Pool, Tensor};
/// let x = Var::constant(Tensor::from([[[[1f32, 4.0], [3.0, 2.0]]]]));
/// let y = MaxPool2d(Pool::new(2)).forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [4.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d(pub Pool);

impl Module for MaxPool1d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        assert!(x.rank() == 3, "max_pool1d: input {}; expected [N, C, L]", x.shape());
        x.max_pool(&self.0).0
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(export("MaxPool", &self.0, 1, x, graph))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

impl Module for MaxPool2d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        assert!(x.rank() == 4, "max_pool2d: input {}; expected [N, C, H, W]", x.shape());
        x.max_pool(&self.0).0
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(export("MaxPool", &self.0, 2, x, graph))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

/// The average of each window of a sequence; [`Pool`] has the options, padding among them.
///
/// # Shapes
/// x [N, C, L] -> [N, C, M]; M = (L + 2·padding - size) / stride + 1, rounded down, or up if
/// [`Pool::round_up`] says so
///
/// # Gradient
/// d_y shared out among each window
///
/// # Panics
/// `forward`, as [`Tensor::avg_pool`](plies_tensor::Tensor::avg_pool), and when x has another rank
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AvgPool1d, Module, Pass};
/// use plies_tensor::{Pool, Tensor};
/// let x = Var::constant(Tensor::from([[[1f32, 4.0, 3.0, 2.0]]]));
/// let y = AvgPool1d(Pool::new(2)).forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [2.5, 2.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AvgPool1d(pub Pool);

/// The average of each window of an image; [`Pool`] has the options, padding among them.
///
/// # Shapes
/// x [N, C, H, W] -> [N, C, OH, OW]; OH = (H + 2·padding - size) / stride + 1, rounded down, or up if
/// [`Pool::round_up`] says so, and OW alike
///
/// # Gradient
/// d_y shared out among each window
///
/// # Panics
/// `forward`, as [`Tensor::avg_pool`](plies_tensor::Tensor::avg_pool), and when x has another rank
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AvgPool2d, Module, Pass};
/// use plies_tensor::{Pool, Tensor};
/// let x = Var::constant(Tensor::from([[[[1f32, 4.0], [3.0, 2.0]]]]));
/// let y = AvgPool2d(Pool::new(2)).forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [2.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d(pub Pool);

impl Module for AvgPool1d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        assert!(x.rank() == 3, "avg_pool1d: input {}; expected [N, C, L]", x.shape());
        x.avg_pool(&self.0)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(export("AveragePool", &self.0, 1, x, graph))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

impl Module for AvgPool2d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        assert!(x.rank() == 4, "avg_pool2d: input {}; expected [N, C, H, W]", x.shape());
        x.avg_pool(&self.0)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(export("AveragePool", &self.0, 2, x, graph))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

/// A pooling as one operator.
fn export(op: &'static str, pool: &Pool, axes: usize, x: &Value, graph: &Graph) -> Value {
    let [size, strides, padding] = pool.of_axes(axes);
    let mut attributes = vec![
        ("kernel_shape", (&size[..]).into()),
        ("strides", (&strides[..]).into()),
        ("pads", (&[&padding[..], &padding].concat()[..]).into()),
    ];
    if pool.rounds_up() {
        attributes.push(("ceil_mode", 1.into()));
    }
    if op == "AveragePool" {
        attributes.push(("count_include_pad", usize::from(pool.counts_padding()).into()));
    }
    graph.op(op, &[x], attributes)
}
