//! Which examples an epoch consists of, in which batches.

use plies_tensor::Rng;

use super::Dataset;
use crate::stream::{Purpose, stream};

/// Where the examples of an epoch come from.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Each once, by number.
    InTurn,
    /// Each once, in random order.
    Shuffled { seed: u64 },
    /// `draws` of them with replacement, each as likely as its weight is large.
    Sampled { seed: u64, running_sums: Vec<f64>, draws: usize },
}

impl Order {
    /// # Panics
    /// When a weight is negative or not finite, or all are 0.
    #[track_caller]
    pub(super) fn sampled(seed: u64, weights: &[f64], draws: usize) -> Self {
        let mut sum = 0.0;
        let mut running_sums = Vec::with_capacity(weights.len());
        for (i, &weight) in weights.iter().enumerate() {
            assert!(weight >= 0.0, "loader: weight {weight} of example {i} is not 0 or more");
            sum += weight;
            running_sums.push(sum);
        }
        assert!(f64::is_finite(sum), "loader: the weights add up to {sum}");
        assert!(sum > 0.0 || draws == 0, "loader: nothing can be drawn, all weights are 0");
        Order::Sampled { seed, running_sums, draws }
    }

    /// Number of examples in an epoch over a data set of `n`.
    pub(super) fn examples(&self, n: usize) -> usize {
        match self {
            Order::InTurn | Order::Shuffled { .. } => n,
            Order::Sampled { draws, .. } => *draws,
        }
    }

    /// Its name, and what it draws by.
    pub(super) fn describe(&self) -> String {
        match self {
            Order::InTurn => "in turn".to_owned(),
            Order::Shuffled { seed } => format!("shuffle={seed}"),
            Order::Sampled { seed, .. } => format!("sample={seed}"),
        }
    }

    /// The examples of an epoch. One that comes for the k-th time has the number index + k · n, counting
    /// k from 0: it is the example `number % n`, and draws random numbers of its own.
    pub(super) fn numbers(&self, n: usize, epoch: usize) -> Vec<usize> {
        match self {
            Order::InTurn => (0..n).collect(),
            Order::Shuffled { seed } => stream(*seed, Purpose::Order, epoch, 0).permutation_vec(n),
            Order::Sampled { seed, running_sums, draws } => {
                let mut rng = stream(*seed, Purpose::Order, epoch, 0);
                let mut times = vec![0; n];
                let number = |_| {
                    let index = draw(running_sums, &mut rng);
                    times[index] += 1;
                    index + (times[index] - 1) * n
                };
                (0..*draws).map(number).collect()
            }
        }
    }

    /// Puts batches in random order, unless the examples are in turn.
    pub(super) fn shuffle_batches(&self, batches: &mut [Vec<usize>], epoch: usize) {
        if let Order::Shuffled { seed } | Order::Sampled { seed, .. } = self {
            stream(*seed, Purpose::Order, epoch, 1).shuffle(batches);
        }
    }
}

/// The first index whose running sum exceeds a number uniform in [0, sum of all).
fn draw(running_sums: &[f64], rng: &mut Rng) -> usize {
    let total = running_sums.last().copied().unwrap_or(0.0);
    let at = rng.next_f64() * total;
    let found = running_sums.partition_point(|&sum| sum <= at);
    // The product may round up to the total; the last one that can be drawn is then meant.
    found.min(running_sums.partition_point(|&sum| sum < total))
}

/// Sorts the examples of each pool of `pool` by their number of steps, so that batches cut from them need
/// little padding. Equal lengths stay in the order in which they came.
pub(super) fn sort_by_steps(numbers: &mut [usize], pool: usize, dataset: &dyn Dataset) {
    let n = dataset.len();
    for pool in numbers.chunks_mut(pool.max(1)) {
        pool.sort_by_cached_key(|number| dataset.steps(number % n));
    }
}

/// Weights with which each class is drawn equally often: 1 / (number of examples of the class).
///
/// # Example
/// ```
/// use plies_nn::data::balanced_weights;
/// assert_eq!(balanced_weights(&[0, 1, 1, 1, 1]), [1.0, 0.25, 0.25, 0.25, 0.25]);
/// ```
pub fn balanced_weights(classes: &[i32]) -> Vec<f64> {
    let mut counts = std::collections::BTreeMap::new();
    for class in classes {
        *counts.entry(class).or_insert(0usize) += 1;
    }
    classes.iter().map(|class| 1.0 / counts[class] as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_drawn_as_often_as_its_weight_says_and_never_at_0() {
        let order = Order::sampled(3, &[0.0, 1.0, 0.0, 3.0, 0.0], 10_000);
        let numbers = order.numbers(5, 2);
        let count = |index: usize| numbers.iter().filter(|&&n| n % 5 == index).count();
        assert_eq!(count(0) + count(2) + count(4), 0);
        // Five standard deviations of a share of 1/4: 5 · √(10000 · 3/16) = 217.
        assert!(count(1).abs_diff(2_500) < 217, "{}", count(1));
        // The times an example comes are told apart.
        let mut distinct = numbers.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 10_000);
        assert_eq!(order.numbers(5, 2), numbers);
        assert_ne!(order.numbers(5, 3), numbers);
    }
}
