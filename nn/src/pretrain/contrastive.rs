//! How a restricted Boltzmann machine learns: make what is seen likelier, and what is imagined less likely.
//!
//! ∂(-ln p(v))/∂θ = ∂F(v)/∂θ - E_ṽ[∂F(ṽ)/∂θ], ṽ ~ p
//!
//! -∂F/∂W = p vᵀ, -∂F/∂b = p, -∂F/∂a = v (v - a for Gaussian units), with p = σ(b + Wv)
//!
//! The expectation over all inputs is replaced by samples: k steps of Gibbs sampling from the examples
//! (contrastive divergence, biased towards the data, the less the larger k is), or from where the last
//! batch's chains ended (persistent chains).

use std::sync::{Mutex, MutexGuard, PoisonError};

use plies_autograd::{Op, Reads, Var, apply, is_recording, linear};
use plies_tensor::{Elementwise, Rng, Tensor, formula};

use super::Rbm;
use crate::{Module, Pass, Visitor, VisitorMut};

/// An [`Rbm`] that is being trained: a module for [`fit`](crate::train::fit), whose output is the gap between
/// the mean free energies of the examples and of what the machine imagines, and whose loss is that output
/// ([`contrast`]). The gap's gradient is the learning rule. Targets are not read.
///
/// Momentum, learning rate and weight decay are the optimiser's. Everything random is drawn from the pass,
/// so a training can be resumed bit by bit; persistent chains are buffers, which a checkpoint holds.
///
/// In evaluation the output is the mean free energy of the examples alone. That of the training examples,
/// compared with that of others, shows overfitting.
///
/// # Source
/// Hinton (2002), equation 3; Tieleman: Training restricted Boltzmann machines using approximations to the
/// likelihood gradient (2008); sparsity: Hinton (2012), section 11.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_nn::optim::Sgd;
/// use plies_nn::pretrain::{ContrastiveDivergence, Rbm, contrast};
/// use plies_nn::train::{Fit, fit};
/// use plies_tensor::{Rng, Tensor};
/// let x = Tensor::from([[1f32, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]);
/// let loader = Loader::new(Arc::new(TensorDataset::new(x.clone(), Tensor::from([0, 1]))), 2);
/// let mut rng = Rng::new(1);
/// let mut machine = ContrastiveDivergence::new(Rbm::binary(4, 3, &mut rng)).persistent(50, &mut rng);
/// let mut optimizer = Sgd::new(0.1).momentum(0.5);
/// let before = machine.rbm().log_likelihood(&x).unwrap();
/// fit(&mut machine, &mut optimizer, &contrast, &loader, &Fit::epochs(300), &mut []).unwrap();
/// assert!(machine.into_rbm().log_likelihood(&x).unwrap() > before + 1.0);
/// ```
#[derive(Debug)]
pub struct ContrastiveDivergence {
    rbm: Rbm,
    steps: usize,
    sparsity: Option<Sparsity>,
    /// Forward changes it, and takes the module by shared reference.
    memory: Mutex<Memory>,
}

/// How often hidden units shall be on.
#[derive(Clone, Copy, Debug)]
struct Sparsity {
    target: f64,
    cost: f64,
    /// The weight of what was in the running mean.
    decay: f64,
}

/// What goes from batch to batch.
#[derive(Debug, Default)]
struct Memory {
    /// Where persistent chains are, [M, V].
    chains: Option<Tensor>,
    /// The running mean of the hidden units, `[H]`.
    activity: Option<Tensor>,
}

/// The loss of [`ContrastiveDivergence`]: its output.
pub fn contrast(gap: &Var, _targets: &Tensor) -> Var {
    gap.clone()
}

impl ContrastiveDivergence {
    /// One step of Gibbs sampling from the examples (CD-1).
    pub fn new(rbm: Rbm) -> Self {
        ContrastiveDivergence { rbm, steps: 1, sparsity: None, memory: Mutex::default() }
    }

    /// `k` steps for each batch.
    ///
    /// # Panics
    /// When `k` is 0.
    #[track_caller]
    pub fn steps(mut self, k: usize) -> Self {
        assert!(k > 0, "contrastive divergence: 0 steps imagine nothing else than the examples");
        self.steps = k;
        self
    }

    /// `n` chains that go on from batch to batch, from random states (PCD).
    ///
    /// # Panics
    /// When `n` is 0.
    #[track_caller]
    pub fn persistent(self, n: usize, rng: &mut Rng) -> Self {
        assert!(n > 0, "contrastive divergence: 0 chains imagine nothing");
        let weight = self.rbm.weight();
        let h = rng.bernoulli(0.5, [n, weight.dim(0)], weight.dtype(), weight.device());
        let chains = self.rbm.sample_visible(&h, rng);
        self.memory().chains = Some(chains);
        self
    }

    /// With hidden units on in about a share `target` of the cases: `cost` times the cross-entropy between
    /// that and their running mean q, in which the last batch has the weight 0.1, is added to what is made
    /// small. With q taken for the input's doing, its gradient is q - target for each unit's input.
    ///
    /// # Panics
    /// When `target` is not between 0 and 1, or `cost` is negative or not finite.
    #[track_caller]
    pub fn sparse(mut self, target: f64, cost: f64) -> Self {
        assert!(
            0.0 < target && target < 1.0,
            "contrastive divergence: target {target} is no share"
        );
        assert!(
            cost >= 0.0 && cost.is_finite(),
            "contrastive divergence: cost {cost} of sparsity is not 0 or more"
        );
        self.sparsity = Some(Sparsity { target, cost, decay: 0.9 });
        let weight = self.rbm.weight();
        let activity = Tensor::full([weight.dim(0)], target, weight.dtype(), weight.device());
        self.memory().activity = Some(activity);
        self
    }

    /// The machine.
    pub fn rbm(&self) -> &Rbm {
        &self.rbm
    }

    /// The machine, trained.
    pub fn into_rbm(self) -> Rbm {
        self.rbm
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gap between the free energies of `seen` [B, V] and `imagined` [M, V].
    fn gap(&self, seen: &Tensor, imagined: &Tensor) -> Var {
        let phase = |v: &Tensor| {
            let inputs = self.rbm.hidden_inputs(v);
            let energy = self.rbm.free_energy_with(v, &inputs).mean_all();
            (Phase { v: v.clone(), hidden: inputs.sigmoid() }, energy)
        };
        let ((seen, low), (imagined, high)) = (phase(seen), phase(imagined));
        let push = self.sparsity.map(|Sparsity { target, cost, decay }| {
            let mut memory = self.memory();
            let now = seen.hidden.mean(&[0], false);
            let f = formula!(|q, now; decay| decay * q + (1.0 - decay) * now);
            let q = match &memory.activity {
                Some(q) => Tensor::map(f, &[q, &now], &[decay]),
                None => now,
            };
            memory.activity = Some(q.clone());
            Tensor::map(formula!(|q; target, cost| cost * (q - target)), &[&q], &[target, cost])
        });
        let op = Gap { seen, imagined, value: low - high, push };
        apply(op, &[self.rbm.weight(), self.rbm.hidden_bias(), self.rbm.visible_bias()])
    }
}

/// mean F(v) - mean F(ṽ), as a function of W, b and a; v and ṽ are given.
///
/// # Gradient
/// d_W = d · (p̃ᵀṽ / M - pᵀv / B), d_b = d · (mean p̃ - mean p), d_a = d · (mean ṽ - mean v)
///
/// For Gaussian units as well, because their a goes out. A unit that is on too often is pushed by g:
/// d_b + g, d_W + g (mean v)ᵀ.
struct Gap {
    seen: Phase,
    imagined: Phase,
    value: Tensor,
    push: Option<Tensor>,
}

struct Phase {
    /// [B, V]
    v: Tensor,
    /// p, [B, H]
    hidden: Tensor,
}

impl Phase {
    /// pᵀv / B [H, V], mean p `[H]`, mean v `[V]`
    fn statistics(&self, weight: &Var, hidden_bias: &Var) -> [Var; 3] {
        let v = Var::constant(self.v.clone());
        // For a gradient of the gradient it must be known what p is a function of.
        let p = if is_recording() {
            linear(&v, weight, Some(hidden_bias)).sigmoid()
        } else {
            Var::constant(self.hidden.clone())
        };
        let n = self.v.dim(0) as f64;
        [p.t().matmul(&v) / n, p.mean(&[0], false), v.mean(&[0], false)]
    }
}

impl Op for Gap {
    fn name(&self) -> &'static str {
        "contrastive_divergence"
    }

    fn forward(&self, _inputs: &[&Tensor]) -> Tensor {
        self.value.clone()
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d: &Var) -> Vec<Option<Var>> {
        let [weight, hidden_bias] = [&inputs[0], &inputs[1]];
        let [pv, p, v] = self.seen.statistics(weight, hidden_bias);
        let [pv_imagined, p_imagined, v_imagined] = self.imagined.statistics(weight, hidden_bias);
        let (mut d_weight, mut d_hidden) = (pv_imagined - pv, p_imagined - p);
        if let Some(push) = &self.push {
            let push = Var::constant(push.clone());
            d_weight = d_weight + push.unsqueeze(1) * v.unsqueeze(0);
            d_hidden = d_hidden + push;
        }
        vec![Some(d_weight * d), Some(d_hidden * d), Some((v_imagined - v) * d)]
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::inputs([0, 1])
    }
}

impl Module for ContrastiveDivergence {
    #[track_caller]
    fn forward(&self, v: &Var, pass: &mut Pass) -> Var {
        let seen = v.value();
        let visible = self.rbm.weight().dim(1);
        assert!(
            seen.rank() == 2 && seen.dim(1) == visible && seen.dim(0) > 0,
            "contrastive divergence: examples {}; expected [B, {visible}] with B > 0",
            seen.shape()
        );
        let Some(rng) = pass.rng() else {
            return Var::constant(self.rbm.free_energy(seen).mean_all());
        };
        let start = self.memory().chains.take();
        let imagined = self.rbm.gibbs(start.as_ref().unwrap_or(seen), self.steps, rng);
        self.memory().chains = start.map(|_| imagined.clone());
        self.gap(seen, &imagined)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.rbm.visit(visitor);
        let memory = self.memory();
        let kept = [("chains", &memory.chains), ("activity", &memory.activity)];
        for (name, kept) in kept.iter().filter_map(|(name, kept)| Some((name, kept.as_ref()?))) {
            visitor.buffer(name, kept);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.rbm.visit_mut(visitor);
        let memory = self.memory.get_mut().unwrap_or_else(PoisonError::into_inner);
        let kept = [("chains", &mut memory.chains), ("activity", &mut memory.activity)];
        for (name, kept) in kept.into_iter().filter_map(|(name, kept)| Some((name, kept.as_mut()?)))
        {
            visitor.buffer(name, kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
    use plies_tensor::{DType, Device};

    const VISIBLE: usize = 3;
    const HIDDEN: usize = 2;

    fn normal(dims: &[usize], seed: u64) -> Tensor {
        Rng::new(seed).normal(dims, DType::F64, &Device::cpu())
    }

    fn machine(gaussian: bool, parameters: [Tensor; 3]) -> ContrastiveDivergence {
        let make = if gaussian { Rbm::gaussian } else { Rbm::binary };
        let [weight, hidden_bias, visible_bias] = parameters;
        let rbm = make(VISIBLE, HIDDEN, &mut Rng::new(1));
        ContrastiveDivergence::new(rbm.with_weights(weight, hidden_bias, visible_bias))
    }

    fn parameters() -> [Tensor; 3] {
        [normal(&[HIDDEN, VISIBLE], 2) * 1.5, normal(&[HIDDEN], 3), normal(&[VISIBLE], 4)]
    }

    /// All inputs, [8, 3].
    fn states(n: usize) -> Vec<Vec<f64>> {
        (0..1usize << n).map(|s| (0..n).map(|i| (s >> i & 1) as f64).collect()).collect()
    }

    fn rows(rows: &[Vec<f64>]) -> Tensor {
        Tensor::from_vec(rows.concat(), [rows.len(), rows[0].len()])
    }

    fn examples() -> Tensor {
        Tensor::from([[1f64, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    }

    /// d_W, d_b and d_a of the gap, in one row.
    fn gradient(machine: &ContrastiveDivergence, seen: &Tensor, imagined: &Tensor) -> Vec<f64> {
        machine.zero_grad();
        machine.gap(seen, imagined).backward();
        let mut gradient = Vec::new();
        machine.for_each_parameter(&mut |_, p| {
            gradient.extend(p.grad().unwrap().value().to_vec::<f64>().unwrap());
        });
        gradient
    }

    /// The gradient of the gap to inputs with these probabilities.
    fn expected(machine: &ContrastiveDivergence, probabilities: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; HIDDEN * VISIBLE + HIDDEN + VISIBLE];
        for (v, p) in states(VISIBLE).into_iter().zip(probabilities) {
            let of_one = gradient(machine, &examples(), &rows(&[v]));
            sum.iter_mut().zip(of_one).for_each(|(sum, g)| *sum += p * g);
        }
        sum
    }

    fn probabilities(machine: &ContrastiveDivergence) -> Vec<f64> {
        let energies = machine.rbm().free_energy(&rows(&states(VISIBLE)));
        (energies * -1.0).softmax(0).to_vec().unwrap()
    }

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn the_rule_is_the_gradient_of_the_gap() {
        for gaussian in [false, true] {
            let f = |inputs: &[Var]| {
                let mut machine = machine(gaussian, parameters());
                let mut inputs = inputs.iter();
                machine.for_each_parameter_mut(&mut |_, p| *p = inputs.next().unwrap().clone());
                machine.gap(&examples(), &normal(&[5, VISIBLE], 7))
            };
            gradcheck(f, &parameters()).unwrap();
            gradgradcheck(f, &parameters()).unwrap();
        }
    }

    /// By finite differences of the mean of ln p(v), whose Z is a sum over all states.
    #[test]
    fn with_the_machines_own_probabilities_the_rule_is_the_gradient_of_the_likelihood() {
        let rule = machine(false, parameters());
        let found = expected(&rule, &probabilities(&rule));
        let step = 1e-5;
        let mut at = 0;
        for (which, parameter) in parameters().iter().enumerate() {
            for i in 0..parameter.elem_count() {
                let likelihood = |by: f64| {
                    let mut moved = parameters();
                    let mut values = parameter.to_vec::<f64>().unwrap();
                    values[i] += by;
                    moved[which] = Tensor::from_vec(values, parameter.shape());
                    machine(false, moved).rbm().log_likelihood(&examples()).unwrap()
                };
                let slope = (likelihood(step) - likelihood(-step)) / (2.0 * step);
                assert!((found[at] + slope).abs() < 1e-8, "{} for {}", found[at], -slope);
                at += 1;
            }
        }
    }

    /// Where k steps lead is known exactly: the probabilities of the examples times a matrix, k times.
    #[test]
    fn the_bias_of_k_steps_is_that_of_the_chain_and_shrinks_with_k() {
        let machine = machine(false, parameters());
        let exact = expected(&machine, &probabilities(&machine));
        let (inputs, hiddens) = (states(VISIBLE), states(HIDDEN));
        let likely = |means: &Tensor, states: &[Vec<f64>]| -> Vec<Vec<f64>> {
            let means = means.to_vec::<f64>().unwrap();
            let of_row = |means: &[f64]| {
                let p = |state: &Vec<f64>| {
                    let units = state.iter().zip(means);
                    units.map(|(s, m)| if *s == 1.0 { *m } else { 1.0 - m }).product()
                };
                states.iter().map(p).collect()
            };
            means.chunks(states[0].len()).map(of_row).collect()
        };
        let up = likely(&machine.rbm().hidden_means(&rows(&inputs)), &hiddens);
        let down = likely(&machine.rbm().visible_means(&rows(&hiddens)), &inputs);
        let mut p = vec![0.0; inputs.len()];
        for row in examples().to_vec::<f64>().unwrap().chunks(VISIBLE) {
            p[inputs.iter().position(|v| v == row).unwrap()] += 0.25;
        }
        let mut last = f64::INFINITY;
        for k in 1..=12usize {
            let h: Vec<f64> = (0..hiddens.len())
                .map(|h| p.iter().zip(&up).map(|(p, up)| p * up[h]).sum())
                .collect();
            p = (0..inputs.len())
                .map(|v| h.iter().zip(&down).map(|(p, down)| p * down[v]).sum())
                .collect();
            let of_chain = expected(&machine, &p);
            let bias = distance(&of_chain, &exact);
            assert!(bias < last, "{bias} after {k} steps, {last} before");
            last = bias;
            if k.is_power_of_two() {
                let many = examples().unsqueeze(0).broadcast_to([10_000, 4, VISIBLE]);
                let many = many.reshape([40_000, VISIBLE]);
                let imagined = machine.rbm().gibbs(&many, k, &mut Rng::new(k as u64));
                let sampled = gradient(&machine, &examples(), &imagined);
                // Eleven means of 40 000 numbers that vary by at most 1/4: five standard errors.
                let error = 5.0 * (11.0 * 0.25 / 40_000f64).sqrt();
                let off = distance(&sampled, &of_chain);
                assert!(off < error, "{k} steps: {off}");
            }
        }
        assert!(last < 0.05, "{last}");
    }

    #[test]
    fn persistent_chains_go_on_where_they_were() {
        let mut rng = Rng::new(5);
        let machine = machine(false, parameters()).steps(3).persistent(4, &mut rng);
        let chains = || machine.named_buffers()[0].1.clone();
        let before = chains();
        machine.forward(&Var::constant(examples()), &mut Pass::train(Rng::new(6)));
        let expected = machine.rbm().gibbs(&before, 3, &mut Rng::new(6));
        assert_eq!(chains().to_vec::<f64>().unwrap(), expected.to_vec::<f64>().unwrap());
    }
}
