//! The graph behind values, and the walk back through it.
//!
//! A graph is its nodes: each holds the values it was computed from, and is freed with the last
//! handle to it. Nodes are numbered as they are made, so a node's inputs have smaller numbers than
//! itself, and walking back is taking the largest number that is left. Neither the walk nor the
//! freeing recurses: a chain of a hundred thousand steps is no deeper than one step.

use std::cell::Cell;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plies_tensor::Tensor;

use crate::Var;

/// A differentiable operation. An operation of your own is one struct that implements this trait,
/// applied with [`apply`].
///
/// # Example
/// ```
/// use plies_autograd::{Op, Var, apply};
/// use plies_tensor::Tensor;
///
/// /// y = 3x, but the gradient says 2: a straight-through trick.
/// struct Odd;
/// impl Op for Odd {
///     fn name(&self) -> &'static str {
///         "odd"
///     }
///     fn forward(&self, inputs: &[&Tensor]) -> Tensor {
///         inputs[0] * 3.0
///     }
///     fn vjp(&self, _inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
///         vec![Some(d_y * 2.0)]
///     }
/// }
/// let x = Var::leaf(Tensor::from([1f32, 5.0]));
/// apply(Odd, &[&x]).sum_all().backward();
/// assert_eq!(x.grad().unwrap().value().to_vec::<f32>().unwrap(), [2.0, 2.0]);
/// ```
pub trait Op: Send + Sync {
    /// The operation's name, for messages.
    fn name(&self) -> &'static str;

    /// The result.
    fn forward(&self, inputs: &[&Tensor]) -> Tensor;

    /// The vector-Jacobian product: for each input x the gradient d_x = d_yᵀ · ∂y/∂x, with the
    /// shape of x; `None` where it is zero or not wanted
    /// ([`requires_grad`](Var::requires_grad) of the input is false). Written on [`Var`]s, so that
    /// it can be differentiated again.
    fn vjp(&self, inputs: &[Var], output: &Var, d_y: &Var) -> Vec<Option<Var>>;
}

pub(crate) type Hook = Box<dyn Fn(&Var) -> Option<Var> + Send + Sync>;

pub(crate) struct Node {
    id: u64,
    step: Option<Step>,
    grad: Mutex<Option<Var>>,
    hooks: Mutex<Vec<Hook>>,
}

/// How a node's value was computed.
struct Step {
    op: Box<dyn Op>,
    inputs: Vec<Var>,
    /// The result, for vjps that use it. Its own node is this one, so it is kept without.
    output: Tensor,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    fn new(step: Option<Step>) -> Node {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Node { id, step, grad: Mutex::default(), hooks: Mutex::default() }
    }

    pub(crate) fn leaf() -> Node {
        Node::new(None)
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.step.is_none()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.step.as_ref().map_or("leaf", |step| step.op.name())
    }

    pub(crate) fn grad(&self) -> Option<Var> {
        lock(&self.grad).clone()
    }

    pub(crate) fn set_grad(&self, grad: Option<Var>) {
        *lock(&self.grad) = grad;
    }

    pub(crate) fn add_hook(&self, hook: Hook) {
        lock(&self.hooks).push(hook);
    }
}

impl Drop for Node {
    /// Frees a chain of nodes one after another instead of one inside the other.
    fn drop(&mut self) {
        let Some(step) = self.step.take() else { return };
        let mut left: Vec<Arc<Node>> = step.inputs.into_iter().filter_map(|v| v.node).collect();
        while let Some(node) = left.pop() {
            if let Some(mut node) = Arc::into_inner(node)
                && let Some(step) = node.step.take()
            {
                left.extend(step.inputs.into_iter().filter_map(|v| v.node));
            }
        }
    }
}

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
}

/// Whether operations on this thread record how their results came to be.
pub fn is_recording() -> bool {
    RECORDING.get()
}

/// Sets whether operations are recorded, until dropped.
struct Recording(bool);

impl Recording {
    fn set(recording: bool) -> Self {
        Recording(RECORDING.replace(recording))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDING.set(self.0);
    }
}

/// Runs `f` without recording: its results are constants, and intermediate values are freed at
/// once.
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    let _recording = Recording::set(false);
    f()
}

/// Runs `f` with recording, also inside [`no_grad`].
pub fn enable_grad<R>(f: impl FnOnce() -> R) -> R {
    let _recording = Recording::set(true);
    f()
}

/// Applies an operation and records it when an input requires a gradient.
#[track_caller]
pub fn apply(op: impl Op + 'static, inputs: &[&Var]) -> Var {
    let output = match inputs {
        [x] => op.forward(&[x.value()]),
        [x, y] => op.forward(&[x.value(), y.value()]),
        _ => op.forward(&inputs.iter().map(|x| x.value()).collect::<Vec<_>>()),
    };
    if !is_recording() || !inputs.iter().any(|x| x.requires_grad()) {
        return Var::constant(output);
    }
    let inputs = inputs.iter().map(|&x| x.clone()).collect();
    let step = Step { op: Box::new(op), inputs, output: output.clone() };
    Var::from_node(output, Node::new(Some(step)))
}

/// Walks back from `y`, calling `arrived` with every leaf's complete gradient, and with that of any
/// node for which `wanted` says so.
fn walk(
    y: &Var,
    d_y: Var,
    create_graph: bool,
    wanted: impl Fn(u64) -> bool,
    mut arrived: impl FnMut(&Arc<Node>, Var),
) {
    let Some(root) = &y.node else { return };
    let mut heap = BinaryHeap::from([root.id]);
    let mut pending: HashMap<u64, (Arc<Node>, Var)> =
        HashMap::from([(root.id, (root.clone(), d_y))]);
    let _recording = Recording::set(create_graph);
    while let Some(id) = heap.pop() {
        let Some((node, mut d_node)) = pending.remove(&id) else { continue };
        for hook in lock(&node.hooks).iter() {
            if let Some(replaced) = hook(&d_node) {
                d_node = replaced;
            }
        }
        if let Some(step) = &node.step {
            // With its own node, so that a vjp written with the output is differentiable.
            let output = Var::with_node(step.output.clone(), node.clone());
            let gradients = step.op.vjp(&step.inputs, &output, &d_node);
            assert_eq!(
                gradients.len(),
                step.inputs.len(),
                "{}: vjp returned the wrong number of gradients",
                step.op.name()
            );
            for (input, d_input) in step.inputs.iter().zip(gradients) {
                let (Some(node), Some(d_input)) = (&input.node, d_input) else { continue };
                assert!(
                    d_input.shape() == input.shape(),
                    "{}: gradient of shape {} for an input of shape {}",
                    step.op.name(),
                    d_input.shape(),
                    input.shape()
                );
                match pending.get_mut(&node.id) {
                    Some((_, sum)) => *sum = &*sum + &d_input,
                    None => {
                        pending.insert(node.id, (node.clone(), d_input));
                        heap.push(node.id);
                    }
                }
            }
        }
        if node.step.is_none() || wanted(id) {
            arrived(&node, d_node);
        }
    }
}

/// [`Var::backward_with`].
pub(crate) fn backward(y: &Var, d_y: &Var) {
    walk(
        y,
        d_y.clone(),
        false,
        |_| false,
        |node, d_node| {
            let mut grad = lock(&node.grad);
            *grad = Some(match grad.take() {
                Some(sum) => no_grad(|| &sum + &d_node),
                None => d_node,
            });
        },
    );
}

/// The gradients of Σ y with respect to `wrt`, zeros where `y` does not depend on one.
///
/// With `create_graph` the gradients are themselves recorded, so that they can be differentiated
/// again. The accumulated gradients of leaves are left alone.
///
/// # Example
/// ```
/// use plies_autograd::{Var, grad};
/// use plies_tensor::Tensor;
/// let x = Var::leaf(Tensor::from(2f64));
/// let y = &x * &x * &x;
/// let d_x = grad(&y, &[&x], true).remove(0); // 3x²
/// let dd_x = grad(&d_x, &[&x], false).remove(0); // 6x
/// assert_eq!(d_x.value().item().unwrap(), 12.0);
/// assert_eq!(dd_x.value().item().unwrap(), 12.0);
/// ```
pub fn grad(y: &Var, wrt: &[&Var], create_graph: bool) -> Vec<Var> {
    let mut found: HashMap<u64, Var> = HashMap::new();
    let ids: Vec<Option<u64>> = wrt.iter().map(|x| x.node.as_ref().map(|node| node.id)).collect();
    let ones = Var::constant(y.value().ones_like());
    walk(
        y,
        ones,
        create_graph,
        |id| ids.contains(&Some(id)),
        |node, d_node| {
            if ids.contains(&Some(node.id)) {
                found.insert(node.id, d_node);
            }
        },
    );
    let zeros = |x: &Var| Var::constant(x.value().zeros_like());
    wrt.iter()
        .zip(ids)
        .map(|(x, id)| id.and_then(|id| found.get(&id).cloned()).unwrap_or_else(|| zeros(x)))
        .collect()
}
