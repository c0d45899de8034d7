//! From images to rows.

use plies_autograd::Var;

use crate::{Module, Pass, Visitor, VisitorMut};

/// All axes but the first as one.
///
/// # Shapes
/// x [B, ...] -> [B, N]
///
/// # Gradient
/// d_x = d_y in the shape of x
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Flatten, Module, Pass};
/// use plies_tensor::{DType, Device, Tensor};
/// let images = Var::constant(Tensor::zeros([2, 28, 28], DType::F32, &Device::cpu()));
/// assert_eq!(Flatten.forward(&images, &mut Pass::eval()).dims(), [2, 784]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

impl Module for Flatten {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        assert!(x.rank() >= 1, "flatten: a scalar has no batch axis");
        let rest = x.dims()[1..].iter().product();
        x.reshape([x.dims()[0], rest])
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
