//! Reading and adding at positions that an I32 tensor names. Indices are plain tensors: there is no
//! gradient with respect to a position.

use plies_tensor::Tensor;

use crate::graph::{Part, record};
use crate::{Op, Reads, Var, apply};

/// Zeros in the shape of `x`, one number that is repeated: what is added to them is the only pass
/// over that much memory, which for a table of embeddings is most of the work.
fn zeros_like(x: &Var) -> Var {
    let zero = Tensor::zeros([], x.dtype(), x.device());
    Var::constant(zero.broadcast_to(x.shape()))
}

/// y[…, j, …] = x[…, index[…, j, …], …]
///
/// # Gradient
/// d_x is zero, plus d_y added at the positions that were read
struct Gather {
    axis: isize,
    index: Tensor,
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].gather(self.axis, &self.index)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(zeros_like(&inputs[0]).scatter_add(self.axis, &self.index, d_y))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y = x, then y[…, index[…, j, …], …] += source[…, j, …]
///
/// # Gradient
/// d_x = d_y, d_source is d_y read at the positions
struct ScatterAdd {
    axis: isize,
    index: Tensor,
}

impl Op for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].scatter_add(self.axis, &self.index, inputs[1])
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let source = inputs[1].requires_grad().then(|| d_y.gather(self.axis, &self.index));
        vec![Some(d_y.clone()), source]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y[…, j, …] = x[…, index[j], …]
///
/// # Gradient
/// d_x is zero, plus d_y added at the parts that were read. Rows of the first axis wait at x as what
/// they are, a [`Part`], and are put together when all have come.
struct IndexSelect {
    axis: isize,
    index: Tensor,
}

impl Op for IndexSelect {
    fn name(&self) -> &'static str {
        "index_select"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].index_select(self.axis, &self.index)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        vec![Some(zeros_like(&inputs[0]).index_add(self.axis, &self.index, d_y))]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

/// y = x, then y[…, index[j], …] += source[…, j, …]
///
/// # Gradient
/// d_x = d_y, d_source is d_y read at the parts
struct IndexAdd {
    axis: isize,
    index: Tensor,
}

impl Op for IndexAdd {
    fn name(&self) -> &'static str {
        "index_add"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].index_add(self.axis, &self.index, inputs[1])
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let source = inputs[1].requires_grad().then(|| d_y.index_select(self.axis, &self.index));
        vec![Some(d_y.clone()), source]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::NOTHING
    }
}

impl Var {
    /// The elements at `index` along an axis; see [`Tensor::gather`].
    #[track_caller]
    pub fn gather(&self, axis: isize, index: &Tensor) -> Var {
        apply(Gather { axis, index: index.clone() }, &[self])
    }

    /// Adds `source` at `index` along an axis; see [`Tensor::scatter_add`].
    #[track_caller]
    pub fn scatter_add(&self, axis: isize, index: &Tensor, source: &Var) -> Var {
        apply(ScatterAdd { axis, index: index.clone() }, &[self, source])
    }

    /// The parts of an axis that `index` `[M]` names; see [`Tensor::index_select`].
    #[track_caller]
    pub fn index_select(&self, axis: isize, index: &Tensor) -> Var {
        let y = self.value().index_select(axis, index);
        let is_first = axis.rem_euclid(self.rank() as isize) == 0;
        let part = is_first.then(|| Part::Rows { index: index.clone(), whole: self.dim(0) });
        record(IndexSelect { axis, index: index.clone() }, &[self], y, part)
    }

    /// Adds whole parts at `index` `[M]` along an axis; see [`Tensor::index_add`].
    #[track_caller]
    pub fn index_add(&self, axis: isize, index: &Tensor, source: &Var) -> Var {
        apply(IndexAdd { axis, index: index.clone() }, &[self, source])
    }
}
