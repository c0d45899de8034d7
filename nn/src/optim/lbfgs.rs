//! L-BFGS.
//!
//! d = -H g, where H is the inverse of the Hessian as far as the last steps s and changes of the gradient y
//! = g' - g tell: the matrix nearest to γI, γ = s·y / y·y of the newest, with H y = s for each pair.

use std::collections::{BTreeMap, VecDeque};

use plies_autograd::Var;
use plies_tensor::{Result, Tensor};

use super::point::Point;
use super::rule::{distinct_names, gradients_fit, sorted, take_step};
use super::settings::not_negative;
use super::strong_wolfe::{Trial, strong_wolfe};
use super::{Optimizer, State};
use crate::{CheckpointError, Module};

/// The quasi-Newton method for functions that can be computed exactly and again, of few or many
/// parameters: the loss over all examples rather than over a batch.
///
/// [`minimize`](Lbfgs::minimize) is the method proper; it computes the loss as often as its line search asks
/// for. As an [`Optimizer`] it takes a step of the learning rate along d by the gradients that are there, without
/// a search: PyTorch's `LBFGS` with `max_iter=1` and no `line_search_fn`.
///
/// # Source
/// Nocedal, Wright: Numerical optimization (2006), algorithms 7.4 and 7.5. When to stop, and pairs with s·y ≤ 1e-10
/// left out, as in PyTorch.
///
/// # Example
/// ```
/// use plies_nn::optim::Lbfgs;
/// use plies_nn::{Linear, Module, Pass, Var, loss};
/// use plies_tensor::{Rng, Tensor};
/// let x = Var::constant(Tensor::from([[0f32], [1.0], [2.0]]));
/// let y = Tensor::from([[1f32], [3.0], [5.0]]); // 2x + 1
/// let mut line = Linear::new(1, 1, &mut Rng::new(1));
/// let mse = |line: &dyn Module| loss::mse(&line.forward(&x, &mut Pass::eval()), &y);
/// let least = Lbfgs::new().minimize(&mut line, &mse).unwrap();
/// assert!(least < 1e-9);
/// assert!((line.weight().value().item().unwrap() - 2.0).abs() < 1e-4);
/// ```
#[doc(alias("LBFGS", "quasi-Newton", "strong_wolfe"))]
#[derive(Debug)]
pub struct Lbfgs {
    lr: f64,
    history: usize,
    max_iter: usize,
    max_eval: Option<usize>,
    tolerance_grad: f64,
    tolerance_change: f64,
    /// Steps so far.
    step: u64,
    /// s and y, the newest last.
    pairs: VecDeque<[Point; 2]>,
    /// The last s, and the gradient before it.
    last: Option<[Point; 2]>,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Lbfgs::new()
    }
}

impl Lbfgs {
    /// L-BFGS that remembers 10 pairs and tries steps of 1 first.
    pub fn new() -> Self {
        Lbfgs {
            lr: 1.0,
            history: 10,
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            step: 0,
            pairs: VecDeque::new(),
            last: None,
        }
    }

    /// Remembers another number of pairs.
    pub fn history(mut self, pairs: usize) -> Self {
        self.history = pairs;
        self
    }

    /// Another first try of the line search, or length of a step without one.
    ///
    /// # Panics
    /// When it is below 0 or NaN.
    #[track_caller]
    pub fn learning_rate(mut self, lr: f64) -> Self {
        self.lr = not_negative("lbfgs", "lr", lr);
        self
    }

    /// At most so many iterations in one [`minimize`](Lbfgs::minimize), 20 by itself.
    pub fn max_iter(mut self, iterations: usize) -> Self {
        self.max_iter = iterations;
        self
    }

    /// At most so many evaluations of the loss, 5/4 of the iterations by itself.
    pub fn max_eval(mut self, evaluations: usize) -> Self {
        self.max_eval = Some(evaluations);
        self
    }

    /// Stops where no number of the gradient is larger than `grad`, 1e-7 by itself, or where neither a
    /// parameter nor the loss changes by more than `change`, 1e-9.
    pub fn tolerance(mut self, grad: f64, change: f64) -> Self {
        (self.tolerance_grad, self.tolerance_change) = (grad, change);
        self
    }

    /// Makes `loss`, a single number, small; returns what it is in the end. Called again it goes on with what
    /// it remembers.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When the loss is not a single number, or depends on none of the model's parameters.
    #[track_caller]
    #[doc(alias = "closure")]
    pub fn minimize(
        &mut self,
        model: &mut dyn Module,
        loss: &dyn Fn(&dyn Module) -> Var,
    ) -> Result<f64> {
        let max_eval = self.max_eval.unwrap_or(self.max_iter * 5 / 4);
        let (mut found, mut gradient) = evaluate(model, loss)?;
        let mut evaluations = 1;
        for iteration in 0..self.max_iter {
            let flat = gradient.largest()? <= self.tolerance_grad;
            if flat || (iteration > 0 && evaluations >= max_eval) {
                break;
            }
            let (d, t) = self.direction(&gradient)?;
            let slope = gradient.dot(&d)?;
            if slope > -self.tolerance_change {
                break;
            }
            let start = Point::of_values(model);
            let length = d.largest()?;
            let origin = Trial { t: 0.0, loss: found, slope, gradient: gradient.clone() };
            let trials = max_eval.saturating_sub(evaluations);
            let best = strong_wolfe(origin, t, length, trials, |t| {
                start.put_moved(t, &d, model);
                evaluations += 1;
                let (loss, gradient) = evaluate(model, loss)?;
                Ok(Trial { t, loss, slope: gradient.dot(&d)?, gradient })
            })?;
            start.put_moved(best.t, &d, model);
            self.last = Some([d.times(best.t), gradient]);
            let change = found - best.loss;
            (found, gradient) = (best.loss, best.gradient);
            let still = length * best.t <= self.tolerance_change;
            if still || change.abs() < self.tolerance_change {
                break;
            }
        }
        Ok(found)
    }

    /// d and the length of the first try along it.
    fn direction(&mut self, gradient: &Point) -> Result<(Point, f64)> {
        self.step += 1;
        for point in self.pairs.iter_mut().flatten().chain(self.last.iter_mut().flatten()) {
            point.follow(gradient)?;
        }
        if let Some([s, before]) = self.last.take() {
            let mut y = gradient.clone();
            y.add(-1.0, &before);
            // Only then is H positive definite.
            if s.dot(&y)? > 1e-10 && self.history > 0 {
                if self.pairs.len() == self.history {
                    self.pairs.pop_front();
                }
                self.pairs.push_back([s, y]);
            }
        }
        // Algorithm 7.4.
        let mut d = gradient.times(-1.0);
        let mut weights = Vec::with_capacity(self.pairs.len());
        for [s, y] in self.pairs.iter().rev() {
            let curvature = y.dot(s)?;
            let alpha = s.dot(&d)? / curvature;
            d.add(-alpha, y);
            weights.push((alpha, curvature));
        }
        if let (Some([_, y]), Some((_, curvature))) = (self.pairs.back(), weights.first()) {
            d = d.times(curvature / y.dot(y)?);
        }
        for ([s, y], (alpha, curvature)) in self.pairs.iter().zip(weights.into_iter().rev()) {
            d.add(alpha - y.dot(&d)? / curvature, s);
        }
        // The first step knows no curvature.
        let t = if self.step == 1 { self.lr * gradient.l1()?.recip().min(1.0) } else { self.lr };
        Ok((d, t))
    }

    /// What is remembered, with a name for each vector.
    fn points(&self) -> impl Iterator<Item = (String, &Point)> {
        let pairs =
            self.pairs.iter().enumerate().flat_map(|(i, [s, y])| {
                [(format!("old_stps.{i}"), s), (format!("old_dirs.{i}"), y)]
            });
        let last = self.last.iter().flat_map(|[s, gradient]| {
            [("last_step".to_owned(), s), ("prev_flat_grad".to_owned(), gradient)]
        });
        pairs.chain(last)
    }
}

/// The loss and its gradient.
#[track_caller]
fn evaluate(model: &dyn Module, loss: &dyn Fn(&dyn Module) -> Var) -> Result<(f64, Point)> {
    model.zero_grad();
    let loss = loss(model);
    loss.backward();
    let found = loss.item()?;
    let gradient = Point::of_gradients(model);
    model.zero_grad();
    Ok((found, gradient))
}

impl Optimizer for Lbfgs {
    /// # Panics
    /// When a device fails: how far to go follows from sums over all parameters.
    #[track_caller]
    fn step(&mut self, model: &mut dyn Module) {
        if let Err(mistake) = distinct_names(model).and_then(|()| gradients_fit(model)) {
            panic!("lbfgs: {mistake}");
        }
        let gradient = Point::of_gradients(model);
        match self.direction(&gradient) {
            Ok((d, t)) => {
                Point::of_values(model).put_moved(t, &d, model);
                self.last = Some([d.times(t), gradient]);
            }
            Err(fault) => panic!("lbfgs: {fault}"),
        }
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn describe(&self) -> String {
        let Lbfgs { history, tolerance_grad, tolerance_change, .. } = self;
        format!(
            "lbfgs history={history} tolerance_grad={tolerance_grad} \
             tolerance_change={tolerance_change}"
        )
    }

    fn state(&self) -> State {
        let mut state = State::from([("step".to_owned(), Tensor::scalar(self.step as f64))]);
        for (label, Point(tensors)) in self.points() {
            let named = tensors.iter().map(|(name, t)| (format!("{label}.{name}"), t.clone()));
            state.extend(named);
        }
        state
    }

    fn load_state(
        &mut self,
        mut state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> std::result::Result<(), CheckpointError> {
        let step = take_step(&mut state)?;
        let has = |label: &str| state.keys().any(|key| key.starts_with(&format!("{label}.")));
        let n_pairs = (0..self.history).take_while(|i| has(&format!("old_stps.{i}"))).count();
        let pairs = (0..n_pairs).flat_map(|i| [format!("old_stps.{i}"), format!("old_dirs.{i}")]);
        let last = ["last_step", "prev_flat_grad"].map(str::to_owned);
        let labels: Vec<String> =
            pairs.chain(last.into_iter().filter(|_| has("last_step"))).collect();
        let names: Vec<&str> = labels.iter().map(String::as_str).collect();
        let mut points = vec![Point::default(); labels.len()];
        for (name, tensors) in sorted(&names, state, parameters)? {
            for (point, tensor) in points.iter_mut().zip(tensors) {
                point.0.insert(name.clone(), tensor);
            }
        }
        let mut twos = Vec::new();
        let mut points = points.into_iter();
        while let (Some(s), Some(y)) = (points.next(), points.next()) {
            twos.push([s, y]);
        }
        self.last = (twos.len() > n_pairs).then(|| twos.pop()).flatten();
        (self.step, self.pairs) = (step, twos.into());
        Ok(())
    }
}
