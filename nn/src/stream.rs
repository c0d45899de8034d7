//! The random numbers of one moment of training.
//!
//! The order of an epoch, the changes to a batch or to one example and the units that dropout drops are
//! each a function of (seed, purpose, epoch, number of the batch or example) and of nothing else. So nothing random has to be saved for a
//! training to be resumed, a second thread may prepare batches ahead of time, and a program that
//! gives one seed to the loader and to the training loop does not draw the same numbers twice.

use plies_tensor::Rng;

/// What random numbers are for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The order of the examples of an epoch.
    Order,
    /// Changes to a batch.
    Transform,
    /// Changes to one example.
    Example,
    /// Dropout and whatever else is random in a forward pass.
    Forward,
}

impl Purpose {
    /// A number that no counting from 0 reaches, so that seeds that a program itself splits from
    /// `seed` are others.
    fn tag(self) -> u64 {
        u64::from_be_bytes(match self {
            Purpose::Order => *b"order   ",
            Purpose::Transform => *b"transfor",
            Purpose::Example => *b"example ",
            Purpose::Forward => *b"forward ",
        })
    }
}

/// A stream of its own for each moment and purpose: the seed is hashed with the purpose, the result
/// with the epoch, that with the batch (or the example). The hash is Philox itself.
pub(crate) fn stream(seed: u64, purpose: Purpose, epoch: usize, number: usize) -> Rng {
    [purpose.tag(), epoch as u64, number as u64]
        .into_iter()
        .fold(Rng::new(seed), |rng, at| Rng::from_state(rng.state().0, at).split())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_purposes_have_streams_of_their_own() {
        let purposes = [Purpose::Order, Purpose::Transform, Purpose::Example, Purpose::Forward];
        let mut seeds = Vec::new();
        for seed in 0..3 {
            for purpose in purposes {
                for (epoch, batch) in [(0, 0), (0, 1), (1, 0), (1, 1), (1 << 20, 0)] {
                    seeds.push(stream(seed, purpose, epoch, batch).state());
                }
            }
        }
        let n = seeds.len();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), n);
        assert_eq!(stream(1, Purpose::Order, 2, 3), stream(1, Purpose::Order, 2, 3));
    }
}
