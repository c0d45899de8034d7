//! Maxout: each unit is the largest of k affine functions, so that it learns its own activation, convex and
//! piecewise linear.
//!
//! y_o = max_j (W_oj · x + b_oj), j = 1 … k

use plies_autograd::{Var, linear};
use plies_tensor::{Rng, Tensor};

use crate::init::{self, Distribution::Normal, Fan};
use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut, check};

/// y_o = max_j (W_oj · x + b_oj); the k pieces of a unit are consecutive rows of the weight.
///
/// # Shapes
/// x [..., I], weight [O·k, I], bias `[O·k]` -> [..., O]
///
/// # Gradient
/// that of the piece that is largest; equal ones share it
///
/// # Source
/// Goodfellow, Warde-Farley, Mirza, Courville, Bengio: Maxout networks (2013), section 3.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Maxout, Module, Pass};
/// use plies_tensor::Tensor;
/// let absolute = Maxout::from_weights(2, Tensor::from([[1f32], [-1.0]]), None);
/// let y = absolute.forward(&Var::constant(Tensor::from([[3f32], [-4.0]])), &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [3.0, 4.0]);
/// ```
#[derive(Debug)]
pub struct Maxout {
    weight: Var,
    bias: Option<Var>,
    pieces: usize,
}

impl Maxout {
    /// A layer from I inputs to O outputs of `pieces` pieces each in F32. Weights are normal with variance
    /// 1 / (I · e), where e = E max(z₁, …, z_k)² for standard normal z, so that outputs have the mean
    /// square of the inputs: e is 1 for one and two pieces, 1.28 for three. Biases are 0.
    ///
    /// # Panics
    /// When there are no pieces, or memory cannot address so many weights.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, pieces: usize, rng: &mut Rng) -> Self {
        check::size("maxout", &[outputs, pieces, inputs]);
        let (rows, gain) = (outputs * pieces, mean_square_of_largest(pieces).powf(-0.5));
        let weight = init::variance_scaling([rows, inputs], gain, Fan::In, Normal, rng);
        Self::from_weights(pieces, weight, Some(init::zeros([rows])))
    }

    /// A layer of given weights [O·k, I] and, unless it has none, bias `[O·k]`, with k pieces.
    ///
    /// # Panics
    /// When the shapes do not fit.
    #[track_caller]
    pub fn from_weights(pieces: usize, weight: Tensor, bias: Option<Tensor>) -> Self {
        assert!(
            weight.rank() == 2 && pieces > 0 && weight.dim(0).is_multiple_of(pieces),
            "maxout: weight must be [O · {pieces}, I], not {}",
            weight.shape()
        );
        if let Some(bias) = &bias {
            assert!(
                bias.dims() == [weight.dim(0)],
                "maxout: bias {} for weight {}",
                bias.shape(),
                weight.shape()
            );
        }
        Maxout { weight: Var::leaf(weight), bias: bias.map(Var::leaf), pieces }
    }

    /// The same layer without a bias.
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }

    /// weight [O·k, I]
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// bias `[O·k]`
    pub fn bias(&self) -> Option<&Var> {
        self.bias.as_ref()
    }
}

/// E max(z₁, …, z_k)² for independent standard normal numbers: ∫ z² d Φ(z)ᵏ.
fn mean_square_of_largest(k: usize) -> f64 {
    const STEP: f64 = 1e-3;
    let density = |z: f64| (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let (mut below, mut sum) = (0f64, 0.0);
    for i in -9000..9000 {
        let z = (f64::from(i) + 0.5) * STEP;
        let up_to = below + density(z) * STEP;
        sum += z * z * (up_to.powf(k as f64) - below.powf(k as f64));
        below = up_to;
    }
    sum
}

impl Module for Maxout {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let y = linear(x, &self.weight, self.bias.as_ref()); // [..., O·k]
        let mut shape = y.shape();
        let last = shape.len() - 1;
        shape[last] /= self.pieces;
        shape.push(self.pieces);
        y.reshape(shape).max(&[-1], false) // [..., O, k] -> [..., O]
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let mut y = x.matmul(&graph.tensor("weight", self.weight.value()).permute(&[1, 0]));
        if let Some(bias) = &self.bias {
            y = y + graph.tensor("bias", bias.value()); // [..., O·k]
        }
        let y = y.replace_axes(-1, -1, &[-1, self.pieces as i64]); // [..., O, k]
        let attributes = [("keepdims", 0.into())];
        Ok(graph.op("ReduceMax", &[&y, &graph.ints(&[-1])], attributes))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        if let Some(bias) = &self.bias {
            visitor.parameter("bias", bias);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        if let Some(bias) = &mut self.bias {
            visitor.parameter("bias", bias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mean_square_of_largest;

    #[test]
    fn the_largest_of_normal_numbers_has_the_mean_square_of_tables() {
        // One number, two (by symmetry the smaller one has the same), three: 1 + √3 / 2π.
        let three = 1.0 + 3f64.sqrt() / std::f64::consts::TAU;
        for (k, expected) in [(1, 1.0), (2, 1.0), (3, three)] {
            assert!((mean_square_of_largest(k) - expected).abs() < 1e-5, "{k}");
        }
    }
}
