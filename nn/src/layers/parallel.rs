//! Several layers on the same input.

use std::fmt;

use plies_autograd::Var;

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Sequential, Visitor, VisitorMut};

/// y = join(f₁(x), f₂(x), …), where join is the sum, the mean, or one behind the other along an axis.
/// Parameters are named by their branch's position, or its name, as in [`Sequential`].
///
/// # Shapes
/// the branches' results alike, except along the axis of `cat`
///
/// # Panics
/// `forward`, when there are no branches, or their results do not fit together
///
/// # Source
/// Szegedy et al.: Going deeper with convolutions (2015), whose inception module is `cat(1)`; the branches
/// of Xie et al. (2017), ResNeXt, are a `sum()`.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Activation, Module, Parallel, Pass};
/// use plies_tensor::Tensor;
/// // Concatenated ReLU, which loses nothing.
/// let both = Parallel::cat(-1).push(Activation::Relu).push(Activation::Identity);
/// let x = Var::constant(Tensor::from([[1f32, -2.0]]));
/// assert_eq!(both.forward(&x, &mut Pass::eval()).to_vec::<f32>().unwrap(), [1.0, 0.0, 1.0, -2.0]);
/// ```
pub struct Parallel {
    branches: Sequential,
    join: Join,
}

#[derive(Clone, Copy, Debug)]
enum Join {
    Sum,
    Mean,
    Cat(isize),
}

impl Parallel {
    fn new(join: Join) -> Self {
        Parallel { branches: Sequential::new(), join }
    }

    /// No branches yet; their results will be added.
    pub fn sum() -> Self {
        Self::new(Join::Sum)
    }

    /// No branches yet; their results will be averaged.
    pub fn mean() -> Self {
        Self::new(Join::Mean)
    }

    /// No branches yet; their results will be joined along an existing axis, `-1` being the last.
    pub fn cat(axis: isize) -> Self {
        Self::new(Join::Cat(axis))
    }

    /// Adds a branch.
    pub fn push(mut self, branch: impl Module + 'static) -> Self {
        self.branches = self.branches.push(branch);
        self
    }

    /// Adds a branch by the name that its parameters go by.
    ///
    /// # Panics
    /// As [`Sequential::push_named`]
    #[track_caller]
    pub fn push_named(mut self, name: &str, branch: impl Module + 'static) -> Self {
        self.branches = self.branches.push_named(name, branch);
        self
    }

    /// The branches, whose order is that of pushing them.
    pub fn branches(&self) -> &Sequential {
        &self.branches
    }

    /// The same, to be changed.
    pub fn branches_mut(&mut self) -> &mut Sequential {
        &mut self.branches
    }
}

/// How results are joined, and the branches' parameters.
impl fmt::Debug for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Parallel").field(&self.join).field(&self.branches).finish()
    }
}

impl Module for Parallel {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let results: Vec<Var> =
            self.branches.iter().map(|branch| branch.forward(x, pass)).collect();
        assert!(!results.is_empty(), "parallel: no branches");
        if let Join::Cat(axis) = self.join {
            return Var::cat(&results.iter().collect::<Vec<_>>(), axis);
        }
        for y in &results {
            // Broadcasting would hide that they differ.
            assert!(
                y.shape() == results[0].shape(),
                "parallel: results {} and {} of an input {} to be added",
                results[0].shape(),
                y.shape(),
                x.shape()
            );
        }
        let n = results.len() as f64;
        let sum = results.into_iter().reduce(|sum, y| sum + y);
        let sum = sum.unwrap_or_else(|| x.clone());
        if let Join::Mean = self.join { sum / n } else { sum }
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let branches = self.branches.names().zip(self.branches.iter());
        let results = branches.map(|(name, branch)| graph.child(&name, branch, x));
        let results: Vec<Value> = results.collect::<onnx::Result<_>>()?;
        if let Join::Cat(axis) = self.join {
            return Ok(Value::cat(&results.iter().collect::<Vec<_>>(), axis as i64));
        }
        let n = results.len() as f64;
        let sum = results.into_iter().reduce(|sum, y| sum + y);
        let sum = sum.ok_or_else(|| graph.error("parallel: no branches"))?;
        Ok(if let Join::Mean = self.join { sum / n } else { sum })
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.branches.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.branches.visit_mut(visitor);
    }
}
