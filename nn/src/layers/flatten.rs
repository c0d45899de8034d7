//! Several axes as one, and one as several: from images to rows and back.

use plies_autograd::Var;
use plies_tensor::{Shape, resolve_axis};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// A range of axes as one; all but the first unless [`axes`](Flatten::axes) says others.
///
/// # Shapes
/// x [B, ...] -> [B, N]
///
/// # Gradient
/// d_x = d_y in the shape of x
///
/// # Panics
/// `forward`, when x does not have the axes
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Flatten, Module, Pass};
/// use plies_tensor::{DType, Device, Tensor};
/// let images = Var::constant(Tensor::zeros([2, 3, 28, 28], DType::F32, &Device::cpu()));
/// assert_eq!(Flatten::default().forward(&images, &mut Pass::eval()).dims(), [2, 2352]);
/// assert_eq!(Flatten::axes(-2, -1).forward(&images, &mut Pass::eval()).dims(), [2, 3, 784]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Flatten {
    first: isize,
    last: isize,
}

impl Default for Flatten {
    fn default() -> Self {
        Flatten { first: 1, last: -1 }
    }
}

impl Flatten {
    /// The axes from `first` to `last`, both included, `-1` being the last of all.
    pub fn axes(first: isize, last: isize) -> Self {
        Flatten { first, last }
    }
}

impl Module for Flatten {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let first = resolve_axis("flatten", self.first, x.rank());
        let last = resolve_axis("flatten", self.last, x.rank());
        assert!(first <= last, "flatten: axes {} to {} of {}", self.first, self.last, x.shape());
        let mut dims = x.dims().to_vec();
        let n = dims[first..=last].iter().product();
        dims.splice(first..=last, [n]);
        x.reshape(dims)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(match (self.first, self.last) {
            (1, -1) => graph.op("Flatten", &[x], [("axis", 1.into())]),
            (first, last) => x.replace_axes(first as i64, last as i64, &[-1]),
        })
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

/// One axis as several.
///
/// # Shapes
/// x [.., N, ..], sizes whose product is N -> [.., sizes, ..]
///
/// # Gradient
/// d_x = d_y in the shape of x
///
/// # Panics
/// `forward`, when x does not have the axis, or it has another size
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Module, Pass, Unflatten};
/// use plies_tensor::{DType, Device, Tensor};
/// let rows = Var::constant(Tensor::zeros([2, 784], DType::F32, &Device::cpu()));
/// let images = Unflatten::new(1, [1, 28, 28]).forward(&rows, &mut Pass::eval());
/// assert_eq!(images.dims(), [2, 1, 28, 28]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Unflatten {
    axis: isize,
    sizes: Shape,
}

impl Unflatten {
    /// The axis `axis` as axes of these sizes.
    pub fn new(axis: isize, sizes: impl Into<Shape>) -> Self {
        Unflatten { axis, sizes: sizes.into() }
    }
}

impl Module for Unflatten {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let axis = resolve_axis("unflatten", self.axis, x.rank());
        assert!(
            self.sizes.checked_elem_count() == Some(x.dims()[axis]),
            "unflatten: axis {} of {} as {}",
            self.axis,
            x.shape(),
            self.sizes
        );
        let mut dims = x.dims().to_vec();
        dims.splice(axis..=axis, self.sizes.iter().copied());
        x.reshape(dims)
    }

    fn export(&self, x: &Value, _graph: &Graph) -> onnx::Result<Value> {
        let (axis, sizes) = (self.axis as i64, self.sizes.iter().map(|&n| n as i64));
        Ok(x.replace_axes(axis, axis, &sizes.collect::<Vec<_>>()))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
