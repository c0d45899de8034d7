//! Starting weights: small random numbers whose variance keeps signals, or gradients, about the
//! same size from layer to layer. All are F32 on the CPU; a weight [O, I, ...] has fan-in
//! I · (product of the rest) and fan-out O · (product of the rest).

use plies_tensor::{DType, Device, Rng, Shape, Tensor};

/// Inputs and outputs that a unit of a weight [O, I, ...] is connected to.
#[track_caller]
fn fans(shape: Shape) -> (f64, f64) {
    assert!(shape.len() >= 2, "init: a weight [O, I, ...] is needed, not {shape}");
    let field: usize = shape[2..].iter().product();
    ((shape[1] * field) as f64, (shape[0] * field) as f64)
}

fn scaled_normal(shape: Shape, std: f64, rng: &mut Rng) -> Tensor {
    rng.normal(shape, DType::F32, &Device::cpu()) * std
}

fn scaled_uniform(shape: Shape, limit: f64, rng: &mut Rng) -> Tensor {
    (rng.uniform(shape, DType::F32, &Device::cpu()) - 0.5) * (2.0 * limit)
}

/// All 0, the usual start of a bias.
pub fn zeros(dims: impl Into<Shape>) -> Tensor {
    Tensor::zeros(dims, DType::F32, &Device::cpu())
}

/// Normal with variance 2 / fan-in, for ReLU.
///
/// # Source
/// He, Zhang, Ren, Sun: Delving deep into rectifiers (2015), equation 10.
#[track_caller]
pub fn kaiming_normal(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    let shape = dims.into();
    scaled_normal(shape, (2.0 / fans(shape).0).sqrt(), rng)
}

/// Uniform in ±√(6 / fan-in), the same variance as [`kaiming_normal`].
#[track_caller]
pub fn kaiming_uniform(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    let shape = dims.into();
    scaled_uniform(shape, (6.0 / fans(shape).0).sqrt(), rng)
}

/// Normal with variance 2 / (fan-in + fan-out), for tanh.
///
/// # Source
/// Glorot, Bengio: Understanding the difficulty of training deep feedforward networks (2010),
/// equation 12.
#[track_caller]
pub fn xavier_normal(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    let shape = dims.into();
    let (fan_in, fan_out) = fans(shape);
    scaled_normal(shape, (2.0 / (fan_in + fan_out)).sqrt(), rng)
}

/// Uniform in ±√(6 / (fan-in + fan-out)).
///
/// # Source
/// Glorot, Bengio (2010), equation 16.
#[track_caller]
pub fn xavier_uniform(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    let shape = dims.into();
    let (fan_in, fan_out) = fans(shape);
    scaled_uniform(shape, (6.0 / (fan_in + fan_out)).sqrt(), rng)
}

/// Normal with variance 1 / fan-in, for linear units and SELU.
///
/// # Source
/// LeCun, Bottou, Orr, Müller: Efficient backprop (1998), equation 16.
#[track_caller]
pub fn lecun_normal(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    let shape = dims.into();
    scaled_normal(shape, (1.0 / fans(shape).0).sqrt(), rng)
}

/// Uniform in ±√(3 / fan-in).
#[track_caller]
pub fn lecun_uniform(dims: impl Into<Shape>, rng: &mut Rng) -> Tensor {
    let shape = dims.into();
    scaled_uniform(shape, (3.0 / fans(shape).0).sqrt(), rng)
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
