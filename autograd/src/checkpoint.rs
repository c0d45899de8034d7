//! Memory for time: forget intermediate values, compute them again when they are needed.

use plies_tensor::Tensor;

use crate::{Op, Var, apply, enable_grad, grad};

/// A function whose intermediate values are not kept.
struct Checkpoint<F> {
    f: F,
}

impl<F: Fn(&[Var]) -> Var + Send + Sync> Op for Checkpoint<F> {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        let inputs: Vec<Var> = inputs.iter().map(|&x| Var::constant(x.clone())).collect();
        crate::no_grad(|| (self.f)(&inputs)).into_value()
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let create_graph = crate::is_recording();
        // For a first-order gradient the recomputation ends at copies of the inputs.
        let again: Vec<Var> = if create_graph {
            inputs.to_vec()
        } else {
            let copy =
                |x: &Var| if x.requires_grad() { Var::leaf(x.value().clone()) } else { x.clone() };
            inputs.iter().map(copy).collect()
        };
        let weighted = enable_grad(|| ((self.f)(&again) * d_y).sum_all());
        let wanted: Vec<&Var> = again.iter().filter(|x| x.requires_grad()).collect();
        let mut gradients = grad(&weighted, &wanted, create_graph).into_iter();
        again.iter().map(|x| x.requires_grad().then(|| gradients.next()).flatten()).collect()
    }
}

/// `f(inputs)`, keeping only the inputs: the backward pass computes `f` a second time. Gradients of
/// any order are those of `f`.
///
/// `f` must depend on `inputs` alone and give the same result each time; values it captures count
/// as constants.
#[track_caller]
pub fn checkpoint(f: impl Fn(&[Var]) -> Var + Send + Sync + 'static, inputs: &[&Var]) -> Var {
    apply(Checkpoint { f }, inputs)
}
