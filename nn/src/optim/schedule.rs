//! Learning rates that change during training.

/// A factor of the base learning rate as a function of the share of training that is done, after a
/// linear warm-up from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// 1
    Constant,
    /// 1 - x
    Linear,
    /// (1 + cos πx) / 2 (Loshchilov & Hutter, SGDR, 2017).
    Cosine,
}

impl Schedule {
    /// The factor at `step` of `total`, of which the first `warm_up` rise linearly.
    ///
    /// # Example
    /// ```
    /// use plies_nn::optim::Schedule;
    /// assert_eq!(Schedule::Linear.factor(0, 100, 10), 0.1);
    /// assert_eq!(Schedule::Linear.factor(55, 100, 10), 0.5);
    /// assert_eq!(Schedule::Cosine.factor(50, 100, 0), 0.5);
    /// ```
    pub fn factor(self, step: u64, total: u64, warm_up: u64) -> f64 {
        if step < warm_up {
            return (step + 1) as f64 / warm_up as f64;
        }
        let x = (step - warm_up) as f64 / total.saturating_sub(warm_up).max(1) as f64;
        let x = x.min(1.0);
        match self {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - x,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * x).cos()),
        }
    }
}
