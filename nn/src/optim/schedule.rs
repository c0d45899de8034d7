//! Learning rates that change during training.
//!
//! A schedule is a function of the step and remembers nothing, so a training that is resumed goes on at
//! the rate it would have had. What depends on how training goes is
//! [`Plateau`](crate::train::Plateau).

use std::f64::consts::PI;

/// A factor of the base learning rate at each step, after a linear warm-up from 0.
///
/// t counts steps from the end of the warm-up and x is the share of the steps after it that are done,
/// 0 to 1. `last` is the factor at x = 1. Steps are those of the optimiser: n epochs are n times
/// [`Loader::batches`](crate::data::Loader::batches), divided by how many batches go into a step.
///
/// # Example
/// ```
/// use plies_nn::optim::Schedule;
/// assert_eq!(Schedule::Linear { last: 0.0 }.factor(0, 100, 10), 0.1);
/// assert_eq!(Schedule::Linear { last: 0.0 }.factor(55, 100, 10), 0.5);
/// assert!((Schedule::Cosine { last: 0.2 }.factor(50, 100, 0) - 0.6).abs() < 1e-15);
/// assert_eq!(Schedule::Step { every: 30, gamma: 0.1 }.factor(59, 100, 0), 0.1);
/// // Up, level, down.
/// let trapezoid = Schedule::Piecewise { points: vec![(0, 0.0), (10, 1.0), (80, 1.0), (100, 0.0)] };
/// assert_eq!([5, 50, 90].map(|step| trapezoid.factor(step, 100, 0)), [0.5, 1.0, 0.5]);
/// ```
#[doc(alias("lr_scheduler", "learning rate schedule", "warmup"))]
#[derive(Clone, Debug)]
pub enum Schedule {
    /// 1
    Constant,
    /// 1 - (1 - last) x
    Linear {
        /// The factor at the end.
        last: f64,
    },
    /// last + (1 - last) (1 - x)^power
    Polynomial {
        /// The exponent.
        power: f64,
        /// The factor at the end.
        last: f64,
    },
    /// last + (1 - last) (1 + cos πx) / 2 (Loshchilov, Hutter: SGDR, 2017).
    Cosine {
        /// The factor at the end.
        last: f64,
    },
    /// The same again and again, equation 5 of that paper: x is the share of a cycle of `period` steps,
    /// of which each is `growth` times as long as the one before.
    CosineRestarts {
        /// Steps of the first cycle.
        period: u64,
        /// How many times longer each cycle is than the one before; 1 for equal ones.
        growth: u64,
        /// The factor at the end of each cycle.
        last: f64,
    },
    /// γᵗ
    Exponential {
        /// γ
        gamma: f64,
    },
    /// γ^⌊t / every⌋
    Step {
        /// Steps between two changes.
        every: u64,
        /// γ
        gamma: f64,
    },
    /// γ to the number of milestones that t has reached.
    MultiStep {
        /// The milestones.
        at: Vec<u64>,
        /// γ
        gamma: f64,
    },
    /// From `first` to 1 and down to `last`, each along half a cosine; as PyTorch's `OneCycleLR`, whose
    /// defaults are 0.3, 1/25 and 1/250000 (Smith: A disciplined approach to neural network
    /// hyper-parameters, 2018, who goes along straight lines: [`Schedule::Piecewise`]).
    OneCycle {
        /// The share of steps that rise.
        rise: f64,
        /// The factor of the first step.
        first: f64,
        /// The factor of the last step.
        last: f64,
    },
    /// Straight lines between points (t, factor), which are in the order of t; level before the first
    /// and after the last.
    Piecewise {
        /// The points.
        points: Vec<(u64, f64)>,
    },
    /// Whatever is made of t and the number of all steps after the warm-up.
    Custom(fn(u64, u64) -> f64),
}

impl Schedule {
    /// The factor at `step`, from 0, of `total`, of which the first `warm_up` rise linearly.
    pub fn factor(&self, step: u64, total: u64, warm_up: u64) -> f64 {
        if step < warm_up {
            return (step + 1) as f64 / warm_up as f64;
        }
        let (t, total) = (step - warm_up, total.saturating_sub(warm_up));
        let x = (t as f64 / total.max(1) as f64).min(1.0);
        match self {
            Schedule::Constant => 1.0,
            Schedule::Linear { last } => between(1.0, *last, x),
            Schedule::Polynomial { power, last } => between(*last, 1.0, (1.0 - x).powf(*power)),
            Schedule::Cosine { last } => between(1.0, *last, half_cosine(x)),
            Schedule::CosineRestarts { period, growth, last } => {
                between(1.0, *last, half_cosine(share_of_cycle(t, *period, *growth)))
            }
            Schedule::Exponential { gamma } => gamma.powf(t as f64),
            Schedule::Step { every, gamma } => gamma.powf((t / (*every).max(1)) as f64),
            Schedule::MultiStep { at, gamma } => {
                gamma.powf(at.iter().filter(|&&milestone| milestone <= t).count() as f64)
            }
            Schedule::OneCycle { rise, first, last } => {
                // The first step and the last are at the ends.
                let (t, end) = (t as f64, total as f64 - 1.0);
                let top = rise * total as f64 - 1.0;
                if t <= top {
                    between(*first, 1.0, half_cosine(t / top.max(1.0)))
                } else {
                    between(1.0, *last, half_cosine(((t - top) / (end - top)).min(1.0)))
                }
            }
            Schedule::Piecewise { points } => {
                let next = points.partition_point(|&(at, _)| at <= t);
                match (next.checked_sub(1).map(|i| points[i]), points.get(next)) {
                    (None, None) => 1.0,
                    (Some((_, level)), None) | (None, Some(&(_, level))) => level,
                    (Some((t0, from)), Some(&(t1, to))) => {
                        between(from, to, (t - t0) as f64 / (t1 - t0) as f64)
                    }
                }
            }
            Schedule::Custom(factor) => factor(t, total),
        }
    }
}

fn between(from: f64, to: f64, share: f64) -> f64 {
    from + (to - from) * share
}

/// From 0 to 1, level at both ends.
fn half_cosine(x: f64) -> f64 {
    0.5 * (1.0 - (PI * x).cos())
}

/// How much of its cycle is done at step t.
fn share_of_cycle(mut t: u64, period: u64, growth: u64) -> f64 {
    let mut length = period.max(1);
    if growth <= 1 {
        t %= length;
    }
    while t >= length {
        t -= length;
        length = length.saturating_mul(growth);
    }
    t as f64 / length as f64
}
