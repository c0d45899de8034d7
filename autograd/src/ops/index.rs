//! Reading and adding at positions that an I32 tensor names. Indices are plain tensors: there is no
//! gradient with respect to a position.

use plies_tensor::{Shape, Tensor};

use crate::{Op, Reads, Var, apply};

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
        let zeros = Var::constant(inputs[0].value().zeros_like());
        vec![Some(zeros.scatter_add(self.axis, &self.index, d_y))]
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
        self.gather(axis, &self.spread(axis, index))
    }

    /// Adds whole parts at `index` `[M]` along an axis; see [`Tensor::index_add`].
    #[track_caller]
    pub fn index_add(&self, axis: isize, index: &Tensor, source: &Var) -> Var {
        self.scatter_add(axis, &self.spread(axis, index), source)
    }

    /// An index of whole parts as one of each element, by strides of 0.
    #[track_caller]
    fn spread(&self, axis: isize, index: &Tensor) -> Tensor {
        assert!(index.rank() == 1, "index_select: the index has shape {}", index.shape());
        let a = if axis < 0 { axis + self.rank() as isize } else { axis } as usize;
        let (mut one, mut shape) = (Shape::from(vec![1; self.rank()]), self.shape());
        one[a] = index.elem_count();
        shape[a] = index.elem_count();
        index.reshape(one).broadcast_to(shape)
    }
}
