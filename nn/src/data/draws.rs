//! The random numbers of a batch on its way to the model.

use plies_tensor::Rng;

use crate::stream::{Purpose, stream};

/// Where a [`Transform`](super::Transform) draws its random numbers from: a stream for the batch, and one
/// for each of its examples.
///
/// An example's stream is a function of seed, epoch and the example's number in the data set. So the
/// thread that makes a batch does not matter, nor what else is in the batch. An example that is drawn
/// several times in an epoch has other numbers each time.
///
/// # Example
/// ```
/// use plies_nn::data::Draws;
/// let [first, later] = [Draws::new(7, 0, 0, &[5, 3]), Draws::new(7, 0, 9, &[3])];
/// assert_eq!(first.example(1), later.example(0));
/// assert_ne!(first.example(0), first.example(1));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Draws<'a> {
    seed: u64,
    epoch: usize,
    batch: usize,
    examples: &'a [usize],
}

impl<'a> Draws<'a> {
    /// Those of a batch of an epoch, which consists of these examples.
    pub fn new(seed: u64, epoch: usize, batch: usize, examples: &'a [usize]) -> Self {
        Draws { seed, epoch, batch, examples }
    }

    /// Numbers for what concerns the whole batch.
    pub fn batch(&self) -> Rng {
        stream(self.seed, Purpose::Transform, self.epoch, self.batch)
    }

    /// Numbers for the example at `position` of the batch.
    ///
    /// # Panics
    /// When the batch has no such position.
    #[track_caller]
    pub fn example(&self, position: usize) -> Rng {
        stream(self.seed, Purpose::Example, self.epoch, self.examples[position])
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }
}
