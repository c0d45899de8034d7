//! Starting weights: small random numbers whose variance keeps signals, or gradients, about the
//! same size from layer to layer. All are F32 on the CPU; a weight [O, I, ...] has fan-in
//! I · (product of the rest) and fan-out O · (product of the rest).

use std::f64::consts::SQRT_2;

use plies_tensor::{DType, Device, Elementwise, Rng, Shape, Tensor, formula};

use crate::Activation;

/// Inputs and outputs that a unit of a weight [O, I, ...] is connected to.
#[track_caller]
fn fans(shape: Shape) -> (f64, f64) {
    assert!(shape.len() >= 2, "init: a weight [O, I, ...] is needed, not {shape}");
    let field: usize = shape[2..].iter().product();
    ((shape[1] * field) as f64, (shape[0] * field) as f64)
}

/// Which neighbours of a layer a weight's variance is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// Inputs of a unit: signals keep their size on the way forward.
    In,
    /// Outputs: gradients keep theirs on the way back.
    Out,
    /// The mean of both.
    Mean,
}

/// The shape of the density.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// The normal distribution.
    Normal,
    /// The same density between two bounds.
    Uniform,
}

/// What an activation's inputs are to be multiplied by to leave with the size they came with.
///
/// # Source
/// ReLU and leaky ReLU: He et al. (2015), equations 10 and 15. Tanh 5/3, SELU 3/4: as
/// `torch.nn.init.calculate_gain`. The smooth relatives of ReLU are treated like it; 1 for the rest.
///
/// # Example
/// ```
/// use plies_nn::{Activation, init};
/// assert_eq!(init::gain(Activation::Relu), 2f64.sqrt());
/// assert_eq!(init::gain(Activation::Identity), 1.0);
/// ```
pub fn gain(activation: Activation) -> f64 {
    activation.gain()
}

/// Mean 0 and variance gain² / fan: the rule that the others are cases of, named as in JAX and Keras.
///
/// # Panics
/// When the shape has fewer than two axes.
///
/// # Example
/// ```
/// use plies_nn::init::{self, Distribution, Fan};
/// use plies_tensor::Rng;
/// let (fan, rng) = (Fan::Out, &mut Rng::new(1));
/// let weight = init::variance_scaling([200, 100], 1.0, fan, Distribution::Uniform, rng);
/// let bound = (3.0f32 / 200.0).sqrt();
/// assert!(weight.to_vec::<f32>().unwrap().iter().all(|w| w.abs() <= bound));
/// ```
#[track_caller]
pub fn variance_scaling(
    dims: impl Into<Shape>,
    gain: f64,
    fan: Fan,
    distribution: Distribution,
    rng: &mut Rng,
) -> Tensor {
    let shape = dims.into();
    let (fan_in, fan_out) = fans(shape);
    let fan = match fan {
        Fan::In => fan_in,
        Fan::Out => fan_out,
        Fan::Mean => (fan_in + fan_out) / 2.0,
    };
    let std = gain / fan.sqrt();
    match distribution {
        Distribution::Normal => normal(shape, std, rng),
        // The variance of a uniform distribution in ±a is a² / 3.
        Distribution::Uniform => uniform(shape, 3f64.sqrt() * std, rng),
    }
}

/// Normal with mean 0 and standard deviation `std`.
pub fn normal(dims: impl Into<Shape>, std: f64, rng: &mut Rng) -> Tensor {
    rng.normal(dims, DType::F32, &Device::cpu()) * std
}

/// Uniform in ±`bound`.
pub fn uniform(dims: impl Into<Shape>, bound: f64, rng: &mut Rng) -> Tensor {
    let unit = rng.uniform(dims, DType::F32, &Device::cpu());
    Tensor::map(formula!(|u; bound| (2.0 * u - 1.0) * bound), &[&unit], &[bound])
}

/// All 0, the usual start of a bias.
pub fn zeros(dims: impl Into<Shape>) -> Tensor {
    Tensor::zeros(dims, DType::F32, &Device::cpu())
}

/// Normal with variance 2 / fan-in, for ReLU.
///
/// # Panics
/// When the shape has fewer than two axes.
///
/// # Source
/// He, Zhang, Ren, Sun: Delving deep into rectifiers (2015), equation 10.
#[track_caller]
pub fn kaiming_normal(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    variance_scaling(dims, SQRT_2, Fan::In, Distribution::Normal, rng)
}

/// Uniform in ±√(6 / fan-in), the same variance as [`kaiming_normal`].
///
/// # Panics
/// When the shape has fewer than two axes.
#[track_caller]
pub fn kaiming_uniform(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    variance_scaling(dims, SQRT_2, Fan::In, Distribution::Uniform, rng)
}

/// Normal with variance 2 / (fan-in + fan-out), for tanh.
///
/// # Panics
/// When the shape has fewer than two axes.
///
/// # Source
/// Glorot, Bengio: Understanding the difficulty of training deep feedforward networks (2010),
/// equation 12.
#[track_caller]
pub fn xavier_normal(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    variance_scaling(dims, 1.0, Fan::Mean, Distribution::Normal, rng)
}

/// Uniform in ±√(6 / (fan-in + fan-out)).
///
/// # Panics
/// When the shape has fewer than two axes.
///
/// # Source
/// Glorot, Bengio (2010), equation 16.
#[track_caller]
pub fn xavier_uniform(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    variance_scaling(dims, 1.0, Fan::Mean, Distribution::Uniform, rng)
}

/// Normal with variance 1 / fan-in, for linear units and SELU.
///
/// # Panics
/// When the shape has fewer than two axes.
///
/// # Source
/// LeCun, Bottou, Orr, Müller: Efficient backprop (1998), equation 16.
#[track_caller]
pub fn lecun_normal(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    variance_scaling(dims, 1.0, Fan::In, Distribution::Normal, rng)
}

/// Uniform in ±√(3 / fan-in).
///
/// # Panics
/// When the shape has fewer than two axes.
#[track_caller]
pub fn lecun_uniform(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    variance_scaling(dims, 1.0, Fan::In, Distribution::Uniform, rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Init = fn(Shape, &mut Rng) -> Tensor;

    #[test]
    fn variances_are_those_of_the_papers() {
        let (fan_in, fan_out) = (300.0, 200.0);
        let rows: [(&str, Init, f64); 6] = [
            ("kaiming_normal", |s, r| kaiming_normal(s, r), 2.0 / fan_in),
            ("kaiming_uniform", |s, r| kaiming_uniform(s, r), 2.0 / fan_in),
            ("xavier_normal", |s, r| xavier_normal(s, r), 2.0 / (fan_in + fan_out)),
            ("xavier_uniform", |s, r| xavier_uniform(s, r), 2.0 / (fan_in + fan_out)),
            ("lecun_normal", |s, r| lecun_normal(s, r), 1.0 / fan_in),
            ("lecun_uniform", |s, r| lecun_uniform(s, r), 1.0 / fan_in),
        ];
        for (name, init, variance) in rows {
            let w = init([200, 300].into(), &mut Rng::new(5));
            let found = w.flatten().var(&[0], 1, false).item().unwrap();
            assert!((found / variance - 1.0).abs() < 0.03, "{name}: {found} for {variance}");
        }
    }
}
