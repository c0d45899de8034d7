//! Gradients that are not let grow beyond a bound, between `backward` and the step.

use plies_tensor::{Device, Elementwise, Result, Tensor, formula};

use crate::Module;

/// How [`fit`](crate::train::fit) bounds gradients before each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// The gradient of the whole model to this length, by [`clip_grad_norm`].
    Norm(f64),
    /// Each number to this size, by [`clip_grad_value`].
    Value(f64),
}

impl Clip {
    /// Bounds the gradients of a model.
    ///
    /// Where they are on a device other than the CPU the norm stays there, in the gradients' dtype, and
    /// nobody waits for it; each gradient is multiplied by its factor, which is mostly 1.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When the bound is below 0 or NaN.
    #[track_caller]
    pub fn apply(self, model: &dyn Module) -> Result<()> {
        match self {
            Clip::Norm(max_norm) => {
                check_bound("clip_grad_norm", max_norm);
                let norms = norms(model);
                match device_of(&norms) {
                    Some(_) => {
                        let factor = factor(&norms, max_norm);
                        change_gradients(model, |gradient| gradient * &factor);
                        Ok(())
                    }
                    None => shorten(model, norms, max_norm).map(drop),
                }
            }
            Clip::Value(max) => {
                clip_grad_value(model, max);
                Ok(())
            }
        }
    }
}

/// Shortens the gradient of the whole model to `max_norm` where it is longer, and returns the norm
/// that it had. Its direction stays.
///
/// g ← g · min(1, max_norm / ‖g‖) with ‖g‖ = √(Σ g²) over all parameters
///
/// Each gradient is read once for the norm, and written only where there is something to shorten.
/// Where a gradient holds NaN or ∞ so does the norm; whoever would rather skip such a step looks at
/// what is returned. A `max_norm` of ∞ measures only.
///
/// # Errors
/// A fault of the device.
///
/// # Panics
/// When `max_norm` is below 0 or NaN.
///
/// # Source
/// Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks (2013),
/// algorithm 1.
///
/// # Example
/// ```
/// use plies_nn::optim::clip_grad_norm;
/// use plies_nn::{Linear, Var};
/// use plies_tensor::Tensor;
/// let layer = Linear::from_weights(Tensor::from([[1f32, 1.0]]), None);
/// (layer.weight() * Var::constant(Tensor::from([[3f32, 4.0]]))).sum_all().backward();
/// assert_eq!(clip_grad_norm(&layer, 0.5).unwrap(), 5.0);
/// let gradient = layer.weight().grad().unwrap();
/// assert_eq!(gradient.value().to_vec::<f32>().unwrap(), [0.3, 0.4]);
/// ```
#[doc(alias("clip_grad_norm_", "gradient clipping", "clip_by_global_norm"))]
#[track_caller]
pub fn clip_grad_norm(model: &dyn Module, max_norm: f64) -> Result<f64> {
    check_bound("clip_grad_norm", max_norm);
    shorten(model, norms(model), max_norm)
}

#[track_caller]
fn check_bound(name: &str, max: f64) {
    assert!(max >= 0.0, "{name}: {max} is no bound");
}

/// ‖g‖ of each parameter that has a gradient.
fn norms(model: &dyn Module) -> Vec<Tensor> {
    let mut norms = Vec::new();
    model.for_each_parameter(&mut |_, parameter| {
        norms.extend(parameter.gradient().map(|gradient| gradient.values().norm_all()));
    });
    norms
}

/// By a norm that is added up on the host, in F64.
fn shorten(model: &dyn Module, norms: Vec<Tensor>, max_norm: f64) -> Result<f64> {
    let mut squares = 0.0;
    for norm in norms {
        squares += norm.item()?.powi(2);
    }
    let norm = squares.sqrt();
    if norm > max_norm {
        change_gradients(model, |gradient| gradient * (max_norm / norm));
    }
    Ok(norm)
}

/// The device that works behind the host's back with all of these; `None` where the host reads without
/// waiting, or they are on several devices or of several dtypes, which only the host can add.
fn device_of(norms: &[Tensor]) -> Option<&Device> {
    let first = norms.first().filter(|norm| *norm.device() != Device::cpu())?;
    let is_alike = |x: &Tensor| (x.device(), x.dtype()) == (first.device(), first.dtype());
    norms.iter().all(is_alike).then(|| first.device())
}

/// min(1, max_norm / ‖g‖), a number on the device; 1 where the norm is NaN.
fn factor(norms: &[Tensor], max_norm: f64) -> Tensor {
    let norm = Tensor::stack(&norms.iter().collect::<Vec<_>>(), 0).norm_all();
    let factor = formula!(|norm; max| max.lt(norm).select(max / norm, 1.0));
    Tensor::map(factor, &[&norm], &[max_norm])
}

/// Moves each number of each gradient into ±`max`.
///
/// g ← max(-max, min(g, max))
///
/// # Panics
/// When `max` is below 0 or NaN.
///
/// # Example
/// ```
/// use plies_nn::optim::clip_grad_value;
/// use plies_nn::{Linear, Var};
/// use plies_tensor::Tensor;
/// let layer = Linear::from_weights(Tensor::from([[1f32, 1.0]]), None);
/// (layer.weight() * Var::constant(Tensor::from([[0.5f32, -4.0]]))).sum_all().backward();
/// clip_grad_value(&layer, 1.0);
/// let gradient = layer.weight().grad().unwrap();
/// assert_eq!(gradient.value().to_vec::<f32>().unwrap(), [0.5, -1.0]);
/// ```
#[doc(alias("clip_grad_value_", "gradient clipping", "clip_by_value"))]
#[track_caller]
pub fn clip_grad_value(model: &dyn Module, max: f64) {
    check_bound("clip_grad_value", max);
    change_gradients(model, |gradient| gradient.clamp(-max, max));
}

/// Puts another gradient in the place of each; `change` leaves 0 as it is.
pub(crate) fn change_gradients(model: &dyn Module, change: impl Fn(&Tensor) -> Tensor) {
    model.for_each_parameter(&mut |_, parameter| {
        if let Some(gradient) = parameter.gradient() {
            parameter.set_gradient(Some(gradient.map(&change)));
        }
    });
}
