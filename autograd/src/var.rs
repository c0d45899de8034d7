//! A tensor that remembers how it came to be.

use std::fmt;
use std::sync::Arc;

use plies_tensor::{DType, Shape, Tensor};

use crate::graph::{self, Hook, Node};

/// A value and how it came to be: a [`Tensor`], and for values that gradients flow to, a node of
/// the graph behind it.
///
/// The value belongs to the handle, not to the node. Operations keep handles of their own to the
/// values they will need, and tensors are copied before a shared buffer is overwritten; so an
/// optimiser may change a parameter in place ([`Var::value_mut`]) while a graph built from the old
/// value is still alive, and the gradients of that graph stay right.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_tensor::Tensor;
/// let x = Var::leaf(Tensor::from([1f32, 2.0, 3.0]));
/// let y = (&x * &x).sum_all();
/// y.backward();
/// let d_x = x.grad().unwrap();
/// assert_eq!(d_x.value().to_vec::<f32>().unwrap(), [2.0, 4.0, 6.0]);
/// ```
#[derive(Clone)]
pub struct Var {
    value: Tensor,
    pub(crate) node: Option<Arc<Node>>,
}

impl Var {
    /// A value that no gradient flows to.
    pub fn constant(value: Tensor) -> Var {
        Var { value, node: None }
    }

    /// A value whose gradient is wanted: a parameter or an input under study.
    ///
    /// # Panics
    /// On integers.
    #[track_caller]
    pub fn leaf(value: Tensor) -> Var {
        assert!(value.dtype().is_float(), "leaf: gradients of {} do not exist", value.dtype());
        Var { value, node: Some(Arc::new(Node::leaf())) }
    }

    pub(crate) fn from_node(value: Tensor, node: Node) -> Var {
        Var { value, node: Some(Arc::new(node)) }
    }

    pub(crate) fn with_node(value: Tensor, node: Arc<Node>) -> Var {
        Var { value, node: Some(node) }
    }

    /// The tensor.
    #[inline]
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The tensor, giving up the history.
    pub fn into_value(self) -> Tensor {
        self.value
    }

    /// The tensor of a leaf or constant, to be changed. Graphs that were built from the old value
    /// keep it.
    ///
    /// # Panics
    /// On the result of an operation.
    #[track_caller]
    pub fn value_mut(&mut self) -> &mut Tensor {
        let is_leaf = self.node.as_ref().is_none_or(|node| node.is_leaf());
        assert!(is_leaf, "value_mut: the result of an operation cannot be changed");
        &mut self.value
    }

    /// Whether gradients flow to this value.
    #[inline]
    pub fn requires_grad(&self) -> bool {
        self.node.is_some()
    }

    /// The same value without its history.
    pub fn detach(&self) -> Var {
        Var::constant(self.value.clone())
    }

    /// The gradient that [`backward`](Var::backward) has accumulated in this leaf.
    pub fn grad(&self) -> Option<Var> {
        self.node.as_ref().and_then(|node| node.grad())
    }

    /// Replaces the accumulated gradient.
    pub fn set_grad(&self, grad: Option<Var>) {
        if let Some(node) = &self.node {
            node.set_grad(grad);
        }
    }

    /// Forgets the accumulated gradient.
    pub fn zero_grad(&self) {
        self.set_grad(None);
    }

    /// Adds d self / d leaf to the gradient of every leaf this value was computed from.
    ///
    /// # Panics
    /// When the value does not have exactly one element.
    #[track_caller]
    pub fn backward(&self) {
        assert!(
            self.value.elem_count() == 1,
            "backward: a value of shape {} has no single gradient; use backward_with",
            self.shape()
        );
        self.backward_with(&Var::constant(self.value.ones_like()));
    }

    /// Adds the gradient of Σ d_self · self to every leaf.
    ///
    /// # Panics
    /// When `d_self` has another shape.
    #[track_caller]
    pub fn backward_with(&self, d_self: &Var) {
        assert!(
            d_self.shape() == self.shape(),
            "backward: gradient of shape {} for a value of shape {}",
            d_self.shape(),
            self.shape()
        );
        graph::backward(self, d_self);
    }

    /// Calls `hook` with the complete gradient of this value whenever one is computed; a value that
    /// it returns takes the gradient's place.
    pub fn register_hook(&self, hook: impl Fn(&Var) -> Option<Var> + Send + Sync + 'static) {
        if let Some(node) = &self.node {
            node.add_hook(Box::new(hook) as Hook);
        }
    }

    /// Dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        self.value.dims()
    }

    /// Dimensions as a [`Shape`].
    pub fn shape(&self) -> Shape {
        self.value.shape()
    }

    /// Size of one axis, which may count from the end.
    #[track_caller]
    pub fn dim(&self, axis: isize) -> usize {
        self.value.dim(axis)
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.value.rank()
    }

    /// Number of elements.
    pub fn elem_count(&self) -> usize {
        self.value.elem_count()
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.value.dtype()
    }
}

impl From<Tensor> for Var {
    fn from(value: Tensor) -> Var {
        Var::constant(value)
    }
}

impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let history = self.node.as_ref().map_or("constant", |node| node.name());
        write!(f, "Var({:?}, {history})", self.value)
    }
}
