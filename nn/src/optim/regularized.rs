//! Penalties and limits that keep weights small.
//!
//! Before a step g ← g + λ₁ sign(p) + λ₂p and p ← (1 - ηκ₂)p; after it p ← sign(p) max(0, |p| - ηκ₁), and each
//! unit's weights w ← w min(1, c / ‖w‖).

use std::collections::BTreeMap;

use plies_autograd::Var;
use plies_tensor::{Elementwise, Tensor, formula};

use super::groups::Takes;
use super::rule::gradients_fit;
use super::settings::not_negative;
use super::{Optimizer, State};
use crate::{CheckpointError, Module};

/// An optimiser that also keeps weights small: by a penalty on their size, as a part of the gradient or
/// decoupled from it, or by a limit on their length. By itself this is for weights, parameters of two and
/// more axes, and leaves biases and the scales of normalisations alone; [`only`](Regularized::only) says it
/// otherwise.
///
/// L1 and L2 together are the elastic net. A decoupled penalty takes its part of the learning rate η
/// whatever the optimiser makes of the gradient: L2 is then weight decay as in AdamW, and L1 sets weights to
/// exactly 0.
///
/// Around [`ParameterGroups`](super::ParameterGroups) it takes each parameter's own learning rate. It stands inside
/// an [`Ema`](super::Ema), never around one: weights would be shrunk and limited after they were averaged.
///
/// # Source
/// L2: Hoerl, Kennard: Ridge regression (1970); L1: Tibshirani: Regression shrinkage and selection via the
/// lasso (1996); both: Zou, Hastie: Regularization and variable selection via the elastic net (2005).
/// Decoupled L2: Loshchilov, Hutter (2019); decoupled L1 is the proximal step: Duchi, Singer: Efficient online
/// and batch learning using forward backward splitting (2009). The limit: Srebro, Shraibman: Rank,
/// trace-norm and max-norm (2005); Srivastava et al.: Dropout (2014), section 5.1.
///
/// # Example
/// ```
/// use plies_nn::optim::{Optimizer, Regularized, Sgd};
/// use plies_nn::{Linear, Module};
/// use plies_tensor::Tensor;
/// let mut layer = Linear::from_weights(Tensor::from([[0.3f64, 0.4], [3.0, 4.0]]), None);
/// layer.weight().sum_all().backward();
/// let mut optimizer = Regularized::new(Sgd::new(0.0)).max_norm(1.0);
/// optimizer.step(&mut layer);
/// let weight = layer.weight().value().to_vec::<f64>().unwrap();
/// assert!(weight.iter().zip([0.3, 0.4, 0.6, 0.8]).all(|(w, x)| (w - x).abs() < 1e-12));
/// ```
#[doc(alias("elastic net", "weight decay", "max-norm", "lasso", "regularisation"))]
pub struct Regularized {
    optimizer: Box<dyn Optimizer>,
    takes: Box<Takes>,
    l1: f64,
    l2: f64,
    decoupled_l1: f64,
    decoupled_l2: f64,
    max_norm: f64,
}

impl Regularized {
    /// An optimiser without penalties or limits so far.
    ///
    /// # Panics
    /// When the optimiser keeps running averages.
    #[track_caller]
    pub fn new(optimizer: impl Optimizer + 'static) -> Self {
        assert!(
            optimizer.shows_averages().is_none(),
            "regularized: around {}; put it inside the averages, for they are of what it has limited",
            optimizer.describe()
        );
        Regularized {
            optimizer: Box::new(optimizer),
            takes: Box::new(|_, parameter| parameter.rank() >= 2),
            l1: 0.0,
            l2: 0.0,
            decoupled_l1: 0.0,
            decoupled_l2: 0.0,
            max_norm: f64::INFINITY,
        }
    }

    /// For those parameters, by name and value, that `takes` says.
    pub fn only(mut self, takes: impl Fn(&str, &Tensor) -> bool + Send + Sync + 'static) -> Self {
        self.takes = Box::new(takes);
        self
    }

    /// With the penalty λ Σ|p|.
    ///
    /// # Panics
    /// As those of all numbers here, when λ is below 0 or NaN.
    #[track_caller]
    pub fn l1(mut self, lambda: f64) -> Self {
        self.l1 = not_negative("regularized", "l1", lambda);
        self
    }

    /// With the penalty λ/2 Σp².
    #[track_caller]
    pub fn l2(mut self, lambda: f64) -> Self {
        self.l2 = not_negative("regularized", "l2", lambda);
        self
    }

    /// With p ← sign(p) max(0, |p| - ηκ) after each step.
    #[track_caller]
    pub fn decoupled_l1(mut self, kappa: f64) -> Self {
        self.decoupled_l1 = not_negative("regularized", "decoupled_l1", kappa);
        self
    }

    /// With p ← (1 - ηκ)p before each step.
    #[track_caller]
    pub fn decoupled_l2(mut self, kappa: f64) -> Self {
        self.decoupled_l2 = not_negative("regularized", "decoupled_l2", kappa);
        self
    }

    /// With the weights that come in at a unit, which are what stands under one number of the first axis,
    /// shortened to the norm `c` after each step where they are longer.
    ///
    /// # Panics
    /// When `c` is not above 0.
    #[track_caller]
    pub fn max_norm(mut self, c: f64) -> Self {
        assert!(c > 0.0, "regularized: max_norm {c} is not above 0");
        self.max_norm = c;
        self
    }

    /// λ₁ Σ|p| + λ₂/2 Σp² as a function of the parameters. [`step`](Optimizer::step) adds its gradient by itself;
    /// this is for whoever would look at it, or differentiate it.
    pub fn penalty(&self, model: &dyn Module) -> Var {
        let mut total: Option<Var> = None;
        model.for_each_parameter(&mut |name, p| {
            if (self.takes)(name, p.value()) {
                let f = formula!(|p; l1, half_l2| l1 * p.abs() + half_l2 * p * p);
                let axes: Vec<isize> = (0..p.rank() as isize).collect();
                let part = Var::map_sum(f, &[p], &[self.l1, 0.5 * self.l2], &axes, false);
                total = Some(match total.take() {
                    Some(total) => total + part,
                    None => part,
                });
            }
        });
        total.unwrap_or_else(|| Var::constant(Tensor::scalar(0f32)))
    }
}

impl Optimizer for Regularized {
    #[track_caller]
    fn step(&mut self, model: &mut dyn Module) {
        if let Err(mistake) = gradients_fit(model) {
            panic!("regularized: {mistake}");
        }
        let Regularized { l1, l2, decoupled_l1, decoupled_l2, max_norm, .. } = *self;
        let takes = &self.takes;
        let each = |optimizer: &dyn Optimizer,
                    model: &mut dyn Module,
                    f: &mut dyn FnMut(&mut Var, f64)| {
            model.for_each_parameter_mut(&mut |name, p| {
                if p.gradient().is_some() && takes(name, p.value()) {
                    let lr = optimizer.lr_of(name, p.value());
                    f(p, lr);
                }
            });
        };
        if (l1, l2) != (0.0, 0.0) {
            let add = formula!(|g, p; l1, l2| g + l1 * p.sign() + l2 * p);
            each(&*self.optimizer, model, &mut |p, _| {
                let sum = p.grad().map(|g| Tensor::map(add, &[g.value(), p.value()], &[l1, l2]));
                p.set_grad(sum.map(Var::constant));
            });
        }
        if decoupled_l2 != 0.0 {
            each(&*self.optimizer, model, &mut |p, lr| {
                let keep = [1.0 - lr * decoupled_l2];
                Tensor::update(&mut [p.value_mut()], formula!(|p; keep| keep * p), &[], &keep);
            });
        }
        self.optimizer.step(model);
        if decoupled_l1 != 0.0 {
            let shrink = formula!(|p; by| p.sign() * (p.abs() - by).max(0.0));
            each(&*self.optimizer, model, &mut |p, lr| {
                Tensor::update(&mut [p.value_mut()], shrink, &[], &[lr * decoupled_l1]);
            });
        }
        if max_norm < f64::INFINITY {
            let limit = formula!(|p, norm; most| norm.gt(most).select(p * (most / norm), p));
            each(&*self.optimizer, model, &mut |p, _| {
                let p = p.value_mut();
                let inputs: Vec<isize> = (1..p.rank() as isize).collect();
                let norms = if inputs.is_empty() { p.abs() } else { p.norm(&inputs, true) };
                Tensor::update(&mut [p], limit, &[&norms], &[max_norm]);
            });
        }
    }

    fn lr(&self) -> f64 {
        self.optimizer.lr()
    }

    fn lr_of(&self, name: &str, parameter: &Tensor) -> f64 {
        self.optimizer.lr_of(name, parameter)
    }

    fn set_lr(&mut self, lr: f64) {
        self.optimizer.set_lr(lr);
    }

    fn describe(&self) -> String {
        let all = [
            ("l1", self.l1, 0.0),
            ("l2", self.l2, 0.0),
            ("decoupled_l1", self.decoupled_l1, 0.0),
            ("decoupled_l2", self.decoupled_l2, 0.0),
            ("max_norm", self.max_norm, f64::INFINITY),
        ];
        // Without any it is the optimiser inside, and goes on where that one stopped.
        let some = all.into_iter().filter(|(_, value, none)| value != none);
        let some: Vec<String> = some.map(|(name, value, _)| format!("{name}={value}")).collect();
        match some[..] {
            [] => self.optimizer.describe(),
            _ => format!("{} with {}", self.optimizer.describe(), some.join(" ")),
        }
    }

    fn state(&self) -> State {
        self.optimizer.state()
    }

    fn load_state(
        &mut self,
        state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), CheckpointError> {
        self.optimizer.load_state(state, parameters)
    }
}
