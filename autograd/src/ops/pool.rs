//! Pooling: each window becomes one element.

use plies_tensor::{Pool, Shape, Tensor};

use crate::graph::record;
use crate::{Op, Reads, Var};

/// y is the largest element of each window of x, found at `positions` of its plane.
///
/// # Gradient
/// d_x is zero, plus d_y added at the positions
struct MaxPool {
    pool: Pool,
    positions: Tensor,
}

/// Rows and columns as one axis: [N, C, ...] -> [N, C, M]
fn planes(x: Shape) -> Shape {
    Shape::from([x[0], x[1], x[2..].iter().product()])
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].max_pool(&self.pool).0
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let x = inputs[0].value();
        let zero = Tensor::zeros([], x.dtype(), x.device());
        let zeros = Var::constant(zero.broadcast_to(planes(x.shape())));
        let positions = self.positions.reshape(planes(d_y.shape()));
        let d_x = zeros.scatter_add(-1, &positions, &d_y.reshape(planes(d_y.shape())));
        vec![Some(d_x.reshape(x.shape()))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

impl Var {
    /// The largest element of each window, and its position (I32); see [`Tensor::max_pool`].
    ///
    /// # Gradient
    /// d_x is zero, plus d_y added at the positions
    #[track_caller]
    pub fn max_pool(&self, pool: &Pool) -> (Var, Tensor) {
        let (y, positions) = self.value().max_pool(pool);
        let op = MaxPool { pool: *pool, positions: positions.clone() };
        (record(op, &[self], y, None), positions)
    }
}
