//! Pooling over time: one row for a whole sequence, however long it is.
//!
//! y = x_n, or Σ_t x_t / n, or max_t x_t over the n steps of the sequence

use plies_autograd::Var;
use plies_tensor::{Elementwise, Tensor, formula};

use crate::lengths;
use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// One row for each sequence of a batch, from its own steps alone: what a classifier of texts reads of
/// the outputs of a recurrent layer or of attention.
///
/// With `lengths`, what x holds beyond `lengths[b]` steps is not read. A sequence of no steps gives 0.
///
/// # Shapes
/// x [B, T, N] -> [B, N]
///
/// # Gradient
/// Last: d_x is d_y at the last step. Mean: d_y / n at each step. Max: d_y at the largest of each
/// feature, shared equally among equal ones. 0 elsewhere.
///
/// # Panics
/// When the shape is another, there are not B lengths, or one is above T.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::SequencePool;
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[[1f32], [3.0], [9.0]], [[5.0], [0.0], [1.0]]]));
/// let y = |pool: SequencePool| pool.of(&x, Some(&[2, 3])).to_vec::<f32>().unwrap();
/// assert_eq!(y(SequencePool::Last), [3.0, 1.0]);
/// assert_eq!(y(SequencePool::Mean), [2.0, 2.0]);
/// assert_eq!(y(SequencePool::Max), [3.0, 5.0]);
/// ```
#[doc(alias("global pooling", "mean over time", "max over time"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequencePool {
    /// The last step. What the backward direction of a recurrent layer has seen of the whole sequence
    /// stands at the first step instead; both are in the last states, which `run` gives as well.
    Last,
    /// The mean of all steps.
    Mean,
    /// The largest of each feature.
    Max,
}

impl SequencePool {
    /// All of them.
    pub const ALL: &[SequencePool] = &[SequencePool::Last, SequencePool::Mean, SequencePool::Max];

    /// One row for each sequence, of which the lengths are given unless all are T.
    ///
    /// # Panics
    /// When x is not [B, T, N], or the lengths are not one of at most T for each sequence.
    #[track_caller]
    pub fn of(self, x: &Var, lengths: Option<&[usize]>) -> Var {
        let name = "sequence_pool";
        assert!(x.rank() == 3, "{name}: x {} where [B, T, N] is needed", x.shape());
        let [batch, time, width] = [0, 1, 2].map(|axis| x.dim(axis));
        if let Some(lengths) = lengths {
            lengths::check(name, lengths, [batch, time]);
        }
        if time == 0 {
            return Var::constant(Tensor::zeros([batch, width], x.dtype(), x.device()));
        }
        let length = |b: usize| lengths.map_or(time, |lengths| lengths[b]);
        let counts = |counts: Vec<usize>, dims: &[usize]| {
            Var::constant(lengths::counts(counts, dims, x.dtype(), x.device()))
        };
        let n = counts((0..batch).map(length).collect(), &[batch, 1, 1]);
        let position = counts((0..time).collect(), &[time, 1]);
        match self {
            SequencePool::Last => {
                let last = (0..batch).map(|b| (b * time + length(b).saturating_sub(1)) as i32);
                let last: Vec<i32> = last.collect();
                let last = Tensor::from_slice_on(&last, [batch], x.device());
                let y = x.reshape([batch * time, width]).index_select(0, &last);
                let f = formula!(|y, n| n.eq(0.0).select(0.0, y));
                Var::map(f, &[&y, &n.squeeze(-1)], &[])
            }
            SequencePool::Mean => {
                let f = formula!(|x, position, n| position.lt(n).select(x / n, 0.0));
                Var::map_sum(f, &[x, &position, &n], &[], &[1], false)
            }
            SequencePool::Max => {
                let f = formula!(|x, position, n| position.lt(n).select(x, f64::NEG_INFINITY));
                let y = Var::map(f, &[x, &position, &n], &[]).max(&[1], false);
                let f = formula!(|y, n| n.eq(0.0).select(0.0, y));
                Var::map(f, &[&y, &n.squeeze(-1)], &[])
            }
        }
    }
}

impl Module for SequencePool {
    /// As [`of`](SequencePool::of), with the lengths of the pass.
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.of(x, pass.lengths().as_deref())
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let axis = graph.ints(&[1]);
        let reduce = |op, x: &Value| graph.op(op, &[x, &axis], [("keepdims", 0.into())]);
        let Some(lengths) = graph.sequence_lengths() else {
            return Ok(match self {
                SequencePool::Mean => reduce("ReduceMean", x),
                SequencePool::Max => reduce("ReduceMax", x),
                SequencePool::Last => {
                    let last = graph.op("Gather", &[x, &graph.ints(&[-1])], [("axis", 1.into())]);
                    graph.op("Squeeze", &[&last, &axis], [])
                }
            });
        };
        let steps = x.positions(1).reshape(&[-1, 1]); // [T, 1]
        let n = lengths.reshape(&[-1, 1, 1]); // [B, 1, 1]
        let chosen = match self {
            SequencePool::Last => graph.op("Equal", &[&(steps + 1.0), &n], []),
            SequencePool::Mean | SequencePool::Max => graph.op("Less", &[&steps, &n], []),
        };
        if *self == SequencePool::Max {
            let y = reduce("ReduceMax", &x.only_where(&chosen, f64::NEG_INFINITY));
            let some =
                graph.op("Greater", &[&n.reshape(&[-1, 1]), &graph.number(0.0, n.dtype())], []);
            return Ok(y.only_where(&some, 0.0));
        }
        let sum = reduce("ReduceSum", &x.only_where(&chosen, 0.0));
        Ok(match self {
            SequencePool::Mean => {
                let n = lengths.reshape(&[-1, 1]).to_dtype(x.dtype());
                sum / n.maximum(&graph.number(1.0, x.dtype()))
            }
            SequencePool::Last | SequencePool::Max => sum,
        })
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
