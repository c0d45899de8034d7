//! Memory for time: forget intermediate values, compute them again when they are needed.

use plies_tensor::Tensor;

use crate::{Op, Reads, Var, backward, enable_grad, graph, is_recording, no_grad};

/// A function whose intermediate values are not kept.
///
/// # Gradient
/// that of the function, computed a second time. The walk back stops at everything that is older
/// than this second time: at the inputs, and at what the function captured.
struct Checkpoint<F> {
    f: F,
    /// How many of the inputs are arguments; the others were captured.
    n_arguments: usize,
}

impl<F: Fn(&[Var]) -> Var + Send + Sync> Op for Checkpoint<F> {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        let arguments = inputs[..self.n_arguments].iter().map(|&x| Var::constant(x.clone()));
        no_grad(|| (self.f)(&arguments.collect::<Vec<_>>())).into_value()
    }

    fn vjp(&self, inputs: &[Var], output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let start = graph::now();
        let arguments: Vec<Var> =
            inputs[..self.n_arguments].iter().map(|x| x.clone().into_wanted()).collect();
        let y = enable_grad(|| (self.f)(&arguments));
        assert!(
            y.shape() == output.shape() && y.dtype() == output.dtype(),
            "checkpoint: the function gave {} {} first and {} {} the second time",
            output.shape(),
            output.dtype(),
            y.shape(),
            y.dtype()
        );
        let mut found = backward::grad_since(&y, d_y, start, is_recording());
        // Taken out, because an argument that was given twice has one gradient, not two.
        let mut of = |x: &Var| found.remove(&x.node.as_ref()?.id);
        inputs.iter().map(&mut of).collect()
    }

    /// What was captured is held by the function itself.
    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::inputs(0..self.n_arguments)
    }
}

/// `f(inputs)`, keeping only the inputs: the backward pass computes `f` a second time. Gradients of
/// any order are those of `f`, also with respect to variables that `f` captured, such as the
/// parameters of a layer.
///
/// `f` must give the same result each time. Random numbers come the same if `f` makes their
/// generator from a seed or clones one.
///
/// # Example
/// ```
/// use plies_autograd::{Var, checkpoint};
/// use plies_tensor::{Elementwise, Tensor};
/// let (w, x) = (Var::leaf(Tensor::from(0.5f64)), Var::leaf(Tensor::from(2f64)));
/// let captured = w.clone(); // shares the node
/// let y = checkpoint(move |x| (&x[0] * &captured).sin(), &[&x]);
/// y.backward();
/// assert_eq!(w.grad().unwrap().value().item().unwrap(), 2.0 * 1f64.cos());
/// ```
#[track_caller]
pub fn checkpoint(f: impl Fn(&[Var]) -> Var + Send + Sync + 'static, inputs: &[&Var]) -> Var {
    let mut all: Vec<Var> = inputs.iter().map(|&x| x.clone()).collect();
    let start = graph::now();
    let y = f(&all);
    // Nothing was recorded, or `f` handed on a value that is older than itself.
    if y.node.as_ref().is_none_or(|node| node.id < start) {
        return y;
    }
    let id = |x: &Var| x.node.as_ref().map(|node| node.id);
    for end in backward::ends_before(&y, start) {
        if !all.iter().any(|x| id(x) == id(&end)) {
            all.push(end);
        }
    }
    let op = Checkpoint { f, n_arguments: inputs.len() };
    graph::record(op, &all.iter().collect::<Vec<_>>(), y.into_value(), None)
}
