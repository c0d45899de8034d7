//! The restricted Boltzmann machine: which inputs are likely, said by hidden units.
//!
//! E(v, h) = -a·v - b·h - hᵀWv for binary v; ½|v - a|² - b·h - hᵀWv for Gaussian v
//!
//! p(v, h) = e^-E(v, h) / Z
//!
//! Units of one side do not depend on each other when the other side is known:
//!
//! p(hⱼ = 1 | v) = σ(b + Wv)ⱼ, p(vᵢ = 1 | h) = σ(a + Wᵀh)ᵢ, or v ~ N(a + Wᵀh, 1)
//!
//! The free energy F(v) = -ln Σ_h e^-E(v, h) is a sum over hidden units; Z is not.

use plies_autograd::{Var, linear};
use plies_tensor::{DType, Device, Elementwise, Formula, Reduce, Result, Rng, Tensor, formula};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut, check, init};

/// What visible units are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// 0 or 1. Inputs between are taken for probabilities.
    Binary,
    /// Numbers of variance 1 around their mean: inputs ought to be standardised.
    Gaussian,
}

/// A restricted Boltzmann machine of V visible and H binary hidden units.
///
/// It is trained by [`ContrastiveDivergence`](super::ContrastiveDivergence). As a module it computes the
/// hidden units' probabilities. Parameters are `weight` [H, V], `hidden_bias` `[H]` and `visible_bias`
/// `[V]`.
///
/// # Shapes
/// v [B, V] -> [B, H]
///
/// # Source
/// Smolensky (1986); Hinton: Training products of experts by minimizing contrastive divergence (2002);
/// Hinton: A practical guide to training restricted Boltzmann machines (2012).
///
/// # Example
/// ```
/// use plies_nn::pretrain::Rbm;
/// use plies_tensor::Tensor;
/// // One hidden unit that wants both visible ones on, or neither.
/// let rbm = Rbm::binary(2, 1, &mut plies_tensor::Rng::new(1))
///     .with_weights(Tensor::from([[8f32, 8.0]]), Tensor::from([-8f32]), Tensor::from([-4f32, -4.0]));
/// let v = Tensor::from([[0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]);
/// let p = (rbm.free_energy(&v) * -1.0).softmax(-1).to_vec::<f32>().unwrap();
/// assert!(p[0] > 0.45 && p[3] > 0.45);
/// ```
#[derive(Debug)]
pub struct Rbm {
    weight: Var,
    hidden_bias: Var,
    visible_bias: Var,
    visible: Visible,
}

impl Rbm {
    /// A machine of binary visible units; weights normal with standard deviation 0.01, biases 0.
    ///
    /// # Panics
    /// When memory cannot address so many weights.
    #[track_caller]
    pub fn binary(visible: usize, hidden: usize, rng: &mut Rng) -> Self {
        Rbm::new(visible, hidden, Visible::Binary, rng)
    }

    /// A machine of Gaussian visible units; weights normal with standard deviation 0.01, biases 0.
    ///
    /// # Panics
    /// When memory cannot address so many weights.
    #[track_caller]
    pub fn gaussian(visible: usize, hidden: usize, rng: &mut Rng) -> Self {
        Rbm::new(visible, hidden, Visible::Gaussian, rng)
    }

    #[track_caller]
    fn new(inputs: usize, hidden: usize, visible: Visible, rng: &mut Rng) -> Self {
        check::size("rbm", &[hidden, inputs]);
        Rbm {
            weight: Var::leaf(init::normal([hidden, inputs], 0.01, rng)),
            hidden_bias: Var::leaf(init::zeros([hidden])),
            visible_bias: Var::leaf(init::zeros([inputs])),
            visible,
        }
    }

    /// The machine with other weights: weight [H, V], hidden bias `[H]`, visible bias `[V]`.
    ///
    /// # Panics
    /// When the shapes do not fit each other.
    #[track_caller]
    pub fn with_weights(self, weight: Tensor, hidden_bias: Tensor, visible_bias: Tensor) -> Self {
        assert!(
            weight.rank() == 2
                && hidden_bias.dims() == [weight.dim(0)]
                && visible_bias.dims() == [weight.dim(1)],
            "rbm: weight {}, hidden bias {}, visible bias {}; expected [H, V], [H], [V]",
            weight.shape(),
            hidden_bias.shape(),
            visible_bias.shape()
        );
        let [weight, hidden_bias, visible_bias] =
            [weight, hidden_bias, visible_bias].map(Var::leaf);
        Rbm { weight, hidden_bias, visible_bias, ..self }
    }

    /// Visible biases that make inputs as frequent as `data` [N, V] are without any hidden unit: ln(p / (1
    /// - p)) for binary units, the mean for Gaussian ones. Hidden units then need not learn that.
    ///
    /// # Source
    /// Hinton (2012), section 8. Shares are kept away from 0 and 1 by one in N examples.
    pub fn centred_on(mut self, data: &Tensor) -> Self {
        let n = data.dim(0).max(1) as f64;
        let mean = data.mean(&[0], false);
        let bias = match self.visible {
            Visible::Gaussian => mean,
            Visible::Binary => {
                let f = formula!(|p; least| {
                    let p = p.max(least).min(1.0 - least);
                    (p / (1.0 - p)).ln()
                });
                Tensor::map(f, &[&mean], &[0.5f64.min(1.0 / n)])
            }
        };
        self.visible_bias = Var::leaf(bias);
        self
    }

    /// weight [H, V]
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// b, `[H]`
    pub fn hidden_bias(&self) -> &Var {
        &self.hidden_bias
    }

    /// a, `[V]`
    pub fn visible_bias(&self) -> &Var {
        &self.visible_bias
    }

    /// What visible units are.
    pub fn visible(&self) -> Visible {
        self.visible
    }

    /// p(h = 1 | v): v [B, V] -> [B, H]
    ///
    /// # Panics
    /// When v has another width.
    #[track_caller]
    pub fn hidden_means(&self, v: &Tensor) -> Tensor {
        self.hidden_inputs(v).sigmoid()
    }

    /// p(v = 1 | h), or the mean of v: h [B, H] -> [B, V]
    ///
    /// # Panics
    /// When h has another width.
    #[track_caller]
    pub fn visible_means(&self, h: &Tensor) -> Tensor {
        let inputs = self.visible_inputs(h);
        match self.visible {
            Visible::Binary => inputs.sigmoid(),
            Visible::Gaussian => inputs,
        }
    }

    /// h drawn from p(h | v): v [B, V] -> [B, H], 0 or 1
    ///
    /// # Panics
    /// When v has another width.
    #[track_caller]
    pub fn sample_hidden(&self, v: &Tensor, rng: &mut Rng) -> Tensor {
        bernoulli(&self.hidden_inputs(v), rng)
    }

    /// v drawn from p(v | h): h [B, H] -> [B, V]
    ///
    /// # Panics
    /// When h has another width.
    #[track_caller]
    pub fn sample_visible(&self, h: &Tensor, rng: &mut Rng) -> Tensor {
        let inputs = self.visible_inputs(h);
        match self.visible {
            Visible::Binary => bernoulli(&inputs, rng),
            Visible::Gaussian => {
                &inputs + rng.normal(inputs.shape(), inputs.dtype(), inputs.device())
            }
        }
    }

    /// Visible units after `steps` steps of Gibbs sampling, hidden units and then visible ones, in a
    /// chain from each row of v [B, V].
    ///
    /// # Panics
    /// When v has another width.
    ///
    /// # Example
    /// ```
    /// use plies_nn::pretrain::Rbm;
    /// use plies_tensor::{DType, Device, Rng, Tensor};
    /// let mut rng = Rng::new(1);
    /// let rbm = Rbm::binary(6, 3, &mut rng);
    /// let start = Tensor::zeros([5, 6], DType::F32, &Device::cpu());
    /// let samples = rbm.gibbs(&start, 100, &mut rng); // five pictures as the machine imagines them
    /// assert_eq!(samples.dims(), [5, 6]);
    /// ```
    #[track_caller]
    pub fn gibbs(&self, v: &Tensor, steps: usize, rng: &mut Rng) -> Tensor {
        (0..steps).fold(v.clone(), |v, _| {
            let h = self.sample_hidden(&v, rng);
            self.sample_visible(&h, rng)
        })
    }

    /// F(v) of each row: v [B, V] -> `[B]`
    ///
    /// # Panics
    /// When v has another width.
    #[track_caller]
    pub fn free_energy(&self, v: &Tensor) -> Tensor {
        self.free_energy_with(v, &self.hidden_inputs(v))
    }

    /// F(v), when b + Wv is known.
    pub(super) fn free_energy_with(&self, v: &Tensor, hidden_inputs: &Tensor) -> Tensor {
        let a = self.visible_bias.value();
        let own = match self.visible {
            Visible::Binary => formula!(|v, a| -v * a),
            Visible::Gaussian => formula!(|v, a| 0.5 * (v - a).sqr()),
        };
        sum_rows(own, &[v, a]) - sum_rows(softplus(), &[hidden_inputs])
    }

    /// The mean over all numbers of (v - v')², with v' the means of what comes back from the hidden units'
    /// means. It is easily computed, and no measure of how good the machine is: it falls as well when
    /// chains stop to move.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When v has another width.
    #[track_caller]
    pub fn reconstruction_error(&self, v: &Tensor) -> Result<f64> {
        let back = self.visible_means(&self.hidden_means(v));
        Tensor::map(formula!(|v, back| (v - back).sqr()), &[v, &back], &[]).mean_all().item()
    }

    /// ln Z, by going through all states of the hidden units: for small machines, to see what learning
    /// does.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When there are more than 20 hidden units, and so more than a million states.
    #[track_caller]
    pub fn log_partition(&self) -> Result<f64> {
        let n = self.weight.dim(0);
        assert!(
            n <= 20,
            "log_partition: 2^{n} states of {n} hidden units are too many to go through"
        );
        let (a, b) = (self.visible_bias.value(), self.hidden_bias.value());
        let (dtype, mut parts) = (self.weight.dtype(), Vec::new());
        for first in (0..1usize << n).step_by(1 << 12) {
            let states = (first..(1usize << n).min(first + (1 << 12))).collect::<Vec<_>>();
            let bits = states.iter().flat_map(|state| (0..n).map(move |j| (state >> j & 1) as f64));
            let h = Tensor::from_vec(bits.collect::<Vec<f64>>(), [states.len(), n]);
            let h = h.to_dtype(dtype).to_device(self.weight.device())?;
            let inputs = self.visible_inputs(&h); // a + Wᵀh
            // ln Σ_v e^-E(v, h), and for Gaussian units the integral.
            let of_state = match self.visible {
                Visible::Binary => sum_rows(softplus(), &[&inputs]),
                Visible::Gaussian => {
                    let f = formula!(|x, a; ln_2_pi| 0.5 * (x.sqr() - a.sqr() + ln_2_pi));
                    let scalars = [std::f64::consts::TAU.ln()];
                    Tensor::map_reduce(Reduce::Sum, f, &[&inputs, a], &scalars, &[-1], false)
                }
            };
            let of_state = of_state + sum_rows(formula!(|h, b| h * b), &[&h, b]);
            let of_state = of_state.to_device(&Device::cpu())?.to_dtype(DType::F64);
            parts.push(of_state.logsumexp(&[0], false).item()?);
        }
        let largest = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Ok(largest + parts.iter().map(|part| (part - largest).exp()).sum::<f64>().ln())
    }

    /// The mean of ln p(v) over the rows of v [B, V]; for small machines, as
    /// [`log_partition`](Rbm::log_partition).
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When there are more than 20 hidden units.
    #[track_caller]
    pub fn log_likelihood(&self, v: &Tensor) -> Result<f64> {
        let energy = self.free_energy(v).to_device(&Device::cpu())?;
        let energy = energy.to_dtype(DType::F64).mean_all().item()?;
        Ok(-energy - self.log_partition()?)
    }

    /// b + Wv
    #[track_caller]
    pub(super) fn hidden_inputs(&self, v: &Tensor) -> Tensor {
        let v = Var::constant(v.clone());
        plies_autograd::no_grad(|| linear(&v, &self.weight, Some(&self.hidden_bias))).into_value()
    }

    /// a + Wᵀh
    #[track_caller]
    fn visible_inputs(&self, h: &Tensor) -> Tensor {
        let h = Var::constant(h.clone());
        plies_autograd::no_grad(|| linear(&h, &self.weight.t(), Some(&self.visible_bias)))
            .into_value()
    }
}

/// 1 with probability σ(x), else 0.
fn bernoulli(x: &Tensor, rng: &mut Rng) -> Tensor {
    let u = rng.uniform(x.shape(), x.dtype(), x.device());
    Tensor::map(formula!(|x, u| u.lt(x.sigmoid())), &[x, &u], &[])
}

fn softplus() -> &'static Formula {
    formula!(|x| x.softplus())
}

/// Σ over the last axis of a formula.
fn sum_rows(f: &Formula, inputs: &[&Tensor]) -> Tensor {
    Tensor::map_reduce(Reduce::Sum, f, inputs, &[], &[-1], false)
}

impl Module for Rbm {
    #[track_caller]
    fn forward(&self, v: &Var, _pass: &mut Pass) -> Var {
        linear(v, &self.weight, Some(&self.hidden_bias)).sigmoid()
    }

    fn export(&self, v: &Value, graph: &Graph) -> onnx::Result<Value> {
        let weight = graph.tensor("weight", self.weight.value()).permute(&[1, 0]);
        Ok((v.matmul(&weight) + graph.tensor("hidden_bias", self.hidden_bias.value())).sigmoid())
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        visitor.parameter("hidden_bias", &self.hidden_bias);
        visitor.parameter("visible_bias", &self.visible_bias);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        visitor.parameter("hidden_bias", &mut self.hidden_bias);
        visitor.parameter("visible_bias", &mut self.visible_bias);
    }
}
