//! The graph behind values: operations, nodes, and what is recorded.
//!
//! A graph is its nodes: each holds the values it was computed from, and is freed with the last
//! handle to it. Nodes are numbered as they are made, so a node's inputs have smaller numbers than
//! itself, which is all the order that walking back needs. Freeing does not recurse: a chain of a
//! hundred thousand steps is no deeper than one step.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ops::BitOr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use plies_tensor::{DType, Device, Tensor};

use crate::{Gradient, Var};

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
    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor;

    /// The vector-Jacobian product: for each input x the gradient d_x = d_yᵀ · ∂y/∂x, with the
    /// shape of x; `None` where it is zero or not wanted
    /// ([`requires_grad`](Var::requires_grad) of the input is false). Written on [`Var`]s, so that
    /// it can be differentiated again.
    fn vjp(&self, inputs: &[Var], output: &Var, d_y: &Var) -> Vec<Option<Var>>;

    /// Whose elements [`vjp`](Op::vjp) reads. The graph does not keep others: in their place stands
    /// a tensor of the same shape that is NaN everywhere, and their memory is free as soon as nobody
    /// else needs it. Which inputs require a gradient may decide, their elements may not.
    fn reads(&self, inputs: &[&Var]) -> Reads {
        let _ = inputs;
        Reads::ALL
    }
}

/// Whose elements an operation's [`vjp`](Op::vjp) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// A bit for each input; the last one for all inputs from there on.
    inputs: u64,
    output: bool,
}

impl Reads {
    /// Those of the inputs and of the output.
    pub const ALL: Reads = Reads { inputs: u64::MAX, output: true };
    /// Those of the output alone.
    pub const OUTPUT: Reads = Reads { inputs: 0, output: true };
    /// None: shapes are enough.
    pub const NOTHING: Reads = Reads { inputs: 0, output: false };

    /// Those of some inputs.
    pub fn inputs(which: impl IntoIterator<Item = usize>) -> Reads {
        let inputs = which.into_iter().fold(0, |bits, i| bits | Reads::bit(i));
        Reads { inputs, output: false }
    }

    fn includes(self, i: usize) -> bool {
        self.inputs & Reads::bit(i) != 0
    }

    fn bit(i: usize) -> u64 {
        1 << i.min(63)
    }
}

impl BitOr for Reads {
    type Output = Reads;

    /// What either reads.
    fn bitor(self, other: Reads) -> Reads {
        Reads { inputs: self.inputs | other.inputs, output: self.output || other.output }
    }
}

pub(crate) type Hook = Arc<dyn Fn(&Var) -> Option<Var> + Send + Sync>;

pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) step: Option<Step>,
    /// No [`Var`]: one that was computed from this node would keep it alive forever.
    grad: Mutex<Option<Gradient>>,
    /// Few values have some.
    hooks: OnceLock<Mutex<Vec<Hook>>>,
}

/// How a node's value was computed.
pub(crate) struct Step {
    pub(crate) op: Box<dyn Op>,
    pub(crate) inputs: Vec<Var>,
    /// The result, for vjps that read it. Its own node is this one, so it is kept without.
    pub(crate) output: Option<Tensor>,
    /// For a part of the input: which.
    pub(crate) part: Option<Part>,
}

/// What an operation took from its input as it was.
#[derive(Clone)]
pub(crate) enum Part {
    /// Consecutive elements of an axis.
    Run(Run),
    /// The rows of the first axis that an index names, of how many.
    Rows { index: Tensor, whole: usize },
}

/// Consecutive elements of an axis.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) axis: usize,
    pub(crate) start: usize,
    /// Size of the input's axis.
    pub(crate) whole: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A number above that of every node made so far, and not above that of any made from now on.
pub(crate) fn now() -> u64 {
    NEXT_ID.load(Ordering::Relaxed)
}

impl Node {
    fn new(step: Option<Step>) -> Node {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Node { id, step, grad: Mutex::default(), hooks: OnceLock::new() }
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

    pub(crate) fn grad(&self) -> Option<Gradient> {
        lock(&self.grad).clone()
    }

    pub(crate) fn set_grad(&self, grad: Option<Gradient>) {
        *lock(&self.grad) = grad;
    }

    /// Adds to the accumulated gradient, as one step even among threads; in place where nobody else
    /// holds its elements.
    pub(crate) fn add_grad(&self, d_x: Gradient) {
        match &mut *lock(&self.grad) {
            Some(sum) => sum.add(d_x),
            none => *none = Some(d_x),
        }
    }

    pub(crate) fn has_hooks(&self) -> bool {
        self.hooks.get().is_some()
    }

    pub(crate) fn add_hook(&self, hook: Hook) {
        lock(self.hooks.get_or_init(Mutex::default)).push(hook);
    }

    /// The gradient as the hooks leave it. They run unlocked, so that they may add hooks.
    pub(crate) fn run_hooks(&self, mut d_y: Var) -> Var {
        let Some(hooks) = self.hooks.get() else { return d_y };
        let hooks = lock(hooks).clone();
        for hook in hooks {
            let Some(replaced) = hook(&d_y) else { continue };
            assert!(
                replaced.shape() == d_y.shape() && replaced.dtype() == d_y.dtype(),
                "hook: a gradient {} {} was replaced by one of {} {}",
                d_y.shape(),
                d_y.dtype(),
                replaced.shape(),
                replaced.dtype()
            );
            d_y = replaced;
        }
        d_y
    }
}

/// What a node holds that may hold other nodes.
enum Held {
    Step(#[expect(dead_code, reason = "is only dropped")] Step),
    Hooks(#[expect(dead_code, reason = "is only dropped")] Mutex<Vec<Hook>>),
}

thread_local! {
    /// What is left to free, while this thread is freeing a graph. Between times there is no list,
    /// so that nothing is lost by never dropping it; and what is never dropped is still there when
    /// other thread locals, dropped at a thread's end, free their graphs.
    static LEFT: RefCell<ManuallyDrop<Option<Vec<Held>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Takes the list of what is left away, also when freeing panics; what is still on it is freed by
/// the list's own drop.
struct Freeing;

impl Drop for Freeing {
    fn drop(&mut self) {
        let left = LEFT.try_with(|left| left.borrow_mut().take());
        drop(left);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.step.take().map(Held::Step).into_iter().for_each(free);
        self.hooks.take().map(Held::Hooks).into_iter().for_each(free);
    }
}

/// Frees a chain of nodes one after another instead of one inside the other: what nodes hold that
/// are dropped while another is being freed is only put on a list.
fn free(held: Held) {
    let mut next = Some(held);
    let is_first = LEFT.try_with(|left| match &mut **left.borrow_mut() {
        Some(left) => {
            left.extend(next.take());
            false
        }
        none => {
            *none = Some(Vec::new());
            true
        }
    });
    // Platforms whose thread locals are not their own may have no list any more.
    if is_first != Ok(true) {
        return;
    }
    let _freeing = Freeing;
    while let Some(held) = next {
        drop(held);
        next = LEFT.with(|left| left.borrow_mut().as_mut().and_then(Vec::pop));
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
pub(crate) struct Recording(bool);

impl Recording {
    pub(crate) fn set(recording: bool) -> Self {
        Recording(RECORDING.replace(recording))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDING.set(self.0);
    }
}

/// Runs `f` without recording: its results are constants, and intermediate values are freed at
/// once. This holds for the thread that calls it, and ends with `f` even when `f` panics.
///
/// # Example
/// ```
/// use plies_autograd::{Var, no_grad};
/// use plies_tensor::Tensor;
/// let x = Var::leaf(Tensor::from(2f32));
/// assert!((&x * 3.0).requires_grad());
/// assert!(!no_grad(|| &x * 3.0).requires_grad());
/// ```
#[track_caller]
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    let _recording = Recording::set(false);
    f()
}

/// Runs `f` with recording, also inside [`no_grad`].
#[track_caller]
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
    record(op, inputs, output, None)
}

/// The result of an operation that has been computed.
pub(crate) fn record(
    op: impl Op + 'static,
    inputs: &[&Var],
    output: Tensor,
    part: Option<Part>,
) -> Var {
    if !is_recording() || inputs.iter().all(|x| x.node.is_none()) {
        return Var::constant(output);
    }
    if inputs.iter().any(|x| x.is_unwanted()) {
        // Nobody asked for their gradient now, but somebody may ask for that of the result.
        let wanted: Vec<Var> = inputs.iter().map(|&x| x.clone().into_wanted()).collect();
        return record(op, &wanted.iter().collect::<Vec<_>>(), output, part);
    }
    let reads = op.reads(inputs);
    let keep = |(i, x): (usize, &&Var)| match reads.includes(i) {
        true => Var::clone(x),
        false => x.with_value(stand_in(x.value())),
    };
    let inputs = inputs.iter().enumerate().map(keep).collect();
    let kept = reads.output.then(|| output.clone());
    let step = Step { op: Box::new(op), inputs, output: kept, part };
    Var::with_node(output, Arc::new(Node::new(Some(step))))
}

/// A tensor of the same shape, dtype and device that takes no memory. It is NaN everywhere, so that
/// an operation that reads what it said it would not read is found out by its first test.
pub(crate) fn stand_in(value: &Tensor) -> Tensor {
    thread_local! {
        /// The last one: the values of a program often have one shape.
        static LAST: RefCell<Option<Tensor>> = const { RefCell::new(None) };
    }
    let is_like = |last: &Tensor| {
        last.layout().dims() == value.dims()
            && last.dtype() == value.dtype()
            && last.device() == value.device()
    };
    let last = LAST.try_with(|last| last.borrow().as_ref().filter(|last| is_like(last)).cloned());
    if let Ok(Some(last)) = last {
        return last;
    }
    let made = nan_like(value);
    let _ = LAST.try_with(|last| last.replace(Some(made.clone())));
    made
}

fn nan_like(value: &Tensor) -> Tensor {
    static F32: LazyLock<Tensor> = LazyLock::new(|| Tensor::scalar(f32::NAN));
    static F64: LazyLock<Tensor> = LazyLock::new(|| Tensor::scalar(f64::NAN));
    let one = match value.dtype() {
        DType::F32 => &F32,
        DType::F64 => &F64,
        _ => return value.clone(),
    };
    if *value.device() == Device::cpu() {
        return one.broadcast_to(value.shape());
    }
    Tensor::full([], f64::NAN, value.dtype(), value.device()).broadcast_to(value.shape())
}
