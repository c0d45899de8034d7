//! A tensor that remembers how it came to be.

use std::fmt;
use std::sync::Arc;

use plies_tensor::{DType, Device, Element, Result, Shape, Tensor, formula};

use crate::graph::{Node, is_recording};
use crate::{Gradient, backward};

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
    /// Set on the copies that a vjp is shown of inputs whose gradient nobody asked for.
    unwanted: bool,
}

impl Var {
    /// A value that no gradient flows to.
    pub fn constant(value: Tensor) -> Var {
        Var { value, node: None, unwanted: false }
    }

    /// A value whose gradient is wanted: a parameter or an input under study.
    ///
    /// # Panics
    /// On integers.
    #[track_caller]
    pub fn leaf(value: Tensor) -> Var {
        assert!(value.dtype().is_float(), "leaf: gradients of {} do not exist", value.dtype());
        Var::with_node(value, Arc::new(Node::leaf()))
    }

    pub(crate) fn with_node(value: Tensor, node: Arc<Node>) -> Var {
        Var { value, node: Some(node), unwanted: false }
    }

    pub(crate) fn into_wanted(self) -> Var {
        Var { unwanted: false, ..self }
    }

    /// The same variable, to an operation that asks whether it requires a gradient: it does not.
    pub(crate) fn as_unwanted(&self) -> Var {
        Var { unwanted: true, ..self.clone() }
    }

    pub(crate) fn is_unwanted(&self) -> bool {
        self.unwanted
    }

    pub(crate) fn with_value(&self, value: Tensor) -> Var {
        Var { value, node: self.node.clone(), unwanted: false }
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

    /// The tensor of a leaf or constant, to be changed: the step of an optimiser.
    ///
    /// Graphs that were built from the old value keep it, and their gradients stay right. What makes
    /// this safe is copy on write: an operation that will need the value holds a handle to it, and
    /// [`Tensor::update`] writes to a new buffer where somebody else holds the old one; in place once
    /// the graph is dropped.
    ///
    /// Other handles of this leaf (its clones) share its gradient, but keep the old value.
    ///
    /// # Panics
    /// On the result of an operation.
    ///
    /// # Example
    /// ```
    /// use plies_autograd::Var;
    /// use plies_tensor::{Tensor, formula};
    /// let mut w = Var::leaf(Tensor::from(3f32));
    /// let y = &w * &w;
    /// Tensor::update(&mut [w.value_mut()], formula!(|w| w * 0.0), &[], &[]);
    /// y.backward();
    /// assert_eq!(w.grad().unwrap().value().item().unwrap(), 6.0); // 2w at the old w
    /// ```
    #[track_caller]
    pub fn value_mut(&mut self) -> &mut Tensor {
        let is_leaf = self.node.as_ref().is_none_or(|node| node.is_leaf());
        assert!(is_leaf, "value_mut: the result of an operation cannot be changed");
        &mut self.value
    }

    /// A number that handles of one leaf have in common, and no other; none for a constant or the result
    /// of an operation. By it a walk over parameters finds those that stand in several places.
    ///
    /// # Example
    /// ```
    /// use plies_autograd::Var;
    /// use plies_tensor::Tensor;
    /// let (a, b) = (Var::leaf(Tensor::from(1f32)), Var::leaf(Tensor::from(1f32)));
    /// assert_eq!(a.leaf_id(), a.clone().leaf_id());
    /// assert_ne!(a.leaf_id(), b.leaf_id());
    /// assert_eq!((&a + &b).leaf_id(), None);
    /// ```
    pub fn leaf_id(&self) -> Option<u64> {
        self.node.as_ref().filter(|node| node.is_leaf()).map(|node| node.id)
    }

    /// Whether gradients flow to this value.
    #[inline]
    pub fn requires_grad(&self) -> bool {
        self.node.is_some() && !self.unwanted
    }

    /// self + other, in place where nothing is recorded and nobody else holds the elements.
    #[track_caller]
    pub(crate) fn plus(mut self, other: &Var) -> Var {
        if is_recording() || self.node.is_some() {
            return &self + other;
        }
        Tensor::update(&mut [&mut self.value], formula!(|x, y| x + y), &[&other.value], &[]);
        self
    }

    /// The same value without its history.
    pub fn detach(&self) -> Var {
        Var::constant(self.value.clone())
    }

    /// The gradient that [`backward`](Var::backward) has accumulated in this leaf, a constant.
    ///
    /// One that is held as rows is written out for each call; [`gradient`](Var::gradient) gives the rows.
    pub fn grad(&self) -> Option<Var> {
        self.gradient().map(|gradient| Var::constant(gradient.to_dense()))
    }

    /// The accumulated gradient as it is held: whole, or as the rows of a table that were read.
    pub fn gradient(&self) -> Option<Gradient> {
        self.node.as_ref().and_then(|node| node.grad())
    }

    /// Replaces the accumulated gradient. Does nothing on a constant.
    ///
    /// Only the value is kept, as of those that [`backward`](Var::backward) accumulates: a recorded
    /// gradient leads back to its leaf, and would be a cycle that is never freed. Hold it in a
    /// variable of your own instead.
    ///
    /// # Panics
    /// When the gradient has another shape or dtype.
    #[track_caller]
    pub fn set_grad(&self, grad: Option<Var>) {
        self.set_gradient(grad.map(|grad| Gradient::dense(grad.into_value())));
    }

    /// Replaces the accumulated gradient, which may be held as rows. Does nothing on a constant.
    ///
    /// # Panics
    /// When the gradient has another shape or dtype.
    #[track_caller]
    pub fn set_gradient(&self, gradient: Option<Gradient>) {
        if let Some(gradient) = &gradient {
            assert!(
                gradient.shape() == self.shape() && gradient.values().dtype() == self.dtype(),
                "set_grad: gradient {} {} for a value {} {}",
                gradient.shape(),
                gradient.values().dtype(),
                self.shape(),
                self.dtype()
            );
        }
        if let Some(node) = &self.node {
            node.set_grad(gradient);
        }
    }

    /// Forgets the accumulated gradient.
    pub fn zero_grad(&self) {
        self.set_grad(None);
    }

    /// Adds d self / d leaf to the gradient of every leaf this value was computed from.
    ///
    /// The gradients are constants; for gradients that can be differentiated again there is
    /// [`grad`](crate::grad). The graph stays and can be walked again.
    ///
    /// # Panics
    /// When the value does not have exactly one element, or depends on no leaf.
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
    /// When `d_self` has another shape or dtype, or the value depends on no leaf.
    #[track_caller]
    pub fn backward_with(&self, d_self: &Var) {
        assert!(
            d_self.shape() == self.shape() && d_self.dtype() == self.dtype(),
            "backward: gradient {} {} for a value {} {}",
            d_self.shape(),
            d_self.dtype(),
            self.shape(),
            self.dtype()
        );
        assert!(
            self.node.is_some(),
            "backward: this value depends on no leaf; it was computed from constants alone, or \
             inside no_grad"
        );
        backward::backward(self, d_self);
    }

    /// Calls `hook` with the complete gradient of this value whenever one is computed; a value that
    /// it returns takes the gradient's place. This is also how to keep the gradient of a value on the
    /// way, which [`backward`](Var::backward) does not.
    ///
    /// A hook lives as long as the value's node. One that holds the value itself, or something
    /// computed from it, is a cycle that is never freed: hold a [`detach`](Var::detach)ed copy.
    ///
    /// # Panics
    /// On a value that requires no gradient. The walk back panics when the hook returns another
    /// shape or dtype.
    ///
    /// # Example
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use plies_autograd::Var;
    /// use plies_tensor::{Elementwise, Tensor};
    /// let x = Var::leaf(Tensor::from(2f32));
    /// let h = &x * 3.0;
    /// let d_h = Arc::new(Mutex::new(None));
    /// let seen = d_h.clone();
    /// h.register_hook(move |d| {
    ///     *seen.lock().unwrap() = Some(d.clone());
    ///     Some(d.clamp(-1.0, 1.0))
    /// });
    /// h.sqr().backward();
    /// assert_eq!(d_h.lock().unwrap().as_ref().unwrap().value().item().unwrap(), 12.0); // 2h
    /// assert_eq!(x.grad().unwrap().value().item().unwrap(), 3.0); // 3 · 1, not 3 · 12
    /// ```
    #[track_caller]
    pub fn register_hook(&self, hook: impl Fn(&Var) -> Option<Var> + Send + Sync + 'static) {
        let Some(node) = &self.node else {
            panic!("register_hook: no gradient flows to a constant")
        };
        node.add_hook(Arc::new(hook));
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

    /// Where the elements are.
    pub fn device(&self) -> &Device {
        self.value.device()
    }

    /// The value when it is one number; see [`Tensor::item`].
    ///
    /// # Errors
    /// A fault of the device.
    #[track_caller]
    pub fn item(&self) -> Result<f64> {
        self.value.item()
    }

    /// The elements in row-major order; see [`Tensor::to_vec`].
    ///
    /// # Errors
    /// A fault of the device.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.value.to_vec()
    }
}

impl From<Tensor> for Var {
    fn from(value: Tensor) -> Var {
        Var::constant(value)
    }
}

/// The tensor.
impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)
    }
}

/// The tensor and the operation that it comes from.
impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let history = self.node.as_ref().map_or("constant", |node| node.name());
        write!(f, "Var({history}) ")?;
        fmt::Debug::fmt(&self.value, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_shows_its_numbers_and_where_it_comes_from() {
        let x = Var::leaf(Tensor::from([1f32, 2.0]));
        assert_eq!(format!("{x:?}"), "Var(leaf) Tensor(f32 [2] on cpu) [1. 2.]");
        assert_eq!(format!("{:?}", (&x + &x)), "Var(map) Tensor(f32 [2] on cpu) [2. 4.]");
        assert_eq!(format!("{x}"), "[1. 2.]");
        assert_eq!(x.sum_all().item().unwrap(), 3.0);
    }

    #[test]
    #[should_panic(expected = "backward: this value depends on no leaf")]
    fn a_walk_back_from_a_constant_is_a_mistake() {
        Var::constant(Tensor::from(1f32)).backward();
    }
}
