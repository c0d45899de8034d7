//! Pooling: each window becomes one element.

use plies_tensor::{Pool, Shape, Tensor};

use crate::graph::record;
use crate::{Op, Reads, Var, apply};

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

/// y is the average of each window of x.
///
/// # Gradient
/// d_x shares each element of d_y out among its window
struct AvgPool {
    pool: Pool,
}

impl Op for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].avg_pool(&self.pool)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(d_y.avg_pool_gradient(inputs[0].shape(), &self.pool))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// d_x shares each element of d_y out among its window.
///
/// # Gradient
/// That of d_y is the average of each window
struct AvgPoolGradient {
    pool: Pool,
    dims: Shape,
}

impl Op for AvgPoolGradient {
    fn name(&self) -> &'static str {
        "avg_pool_gradient"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].avg_pool_gradient(self.dims, &self.pool)
    }

    fn vjp(&self, _inputs: &[Var], _output: &Var, d_x: &Var) -> Vec<Option<Var>> {
        vec![Some(d_x.avg_pool(&self.pool))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

impl Var {
    /// The average of each window; see [`Tensor::avg_pool`].
    ///
    /// # Gradient
    /// d_x = [`avg_pool_gradient`](Var::avg_pool_gradient)(d_y)
    ///
    /// # Panics
    /// As [`Tensor::avg_pool`]
    #[track_caller]
    pub fn avg_pool(&self, pool: &Pool) -> Var {
        apply(AvgPool { pool: *pool }, &[self])
    }

    /// The gradient of an average with respect to its input, which has the shape `dims`; see
    /// [`Tensor::avg_pool_gradient`].
    ///
    /// # Gradient
    /// [`avg_pool`](Var::avg_pool) of the gradient that arrives
    ///
    /// # Panics
    /// As [`Tensor::avg_pool_gradient`]
    #[track_caller]
    pub fn avg_pool_gradient(&self, dims: impl Into<Shape>, pool: &Pool) -> Var {
        apply(AvgPoolGradient { pool: *pool, dims: dims.into() }, &[self])
    }

    /// The largest element of each window, and its position (I32); see [`Tensor::max_pool`].
    ///
    /// # Gradient
    /// d_x is zero, plus d_y added at the positions
    ///
    /// # Panics
    /// As [`Tensor::max_pool`]
    #[track_caller]
    pub fn max_pool(&self, pool: &Pool) -> (Var, Tensor) {
        let (y, positions) = self.value().max_pool(pool);
        let op = MaxPool { pool: *pool, positions: positions.clone() };
        (record(op, &[self], y, None), positions)
    }
}
