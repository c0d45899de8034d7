//! Batches, made ahead of time by other threads while the model works on the last one.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use plies_tensor::Rng;

use super::order::{Order, sort_by_steps};
use super::{Batch, Dataset, Draws};

/// Changes a batch with random numbers of its own.
pub type Transform = Arc<dyn Fn(Batch, &Draws<'_>) -> Batch + Send + Sync>;

/// Cuts a dataset into batches, in an order that depends on the seed and the epoch alone.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Loader, TensorDataset};
/// use plies_tensor::Tensor;
/// let data = TensorDataset::new(Tensor::arange(10), Tensor::arange(10));
/// let loader = Loader::new(Arc::new(data), 4).shuffle(7);
/// let sizes: Vec<usize> = loader.epoch(0).map(|batch| batch.len()).collect();
/// assert_eq!(sizes, [4, 4, 2]);
/// ```
#[derive(Clone)]
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    batch_size: usize,
    order: Order,
    /// Batches in a pool of examples that are sorted by length.
    pool: Option<usize>,
    drop_last: bool,
    prefetch: usize,
    workers: usize,
    transforms: Vec<(Transform, u64)>,
}

impl Loader {
    /// Batches of `batch_size` in the dataset's order, the last perhaps smaller, two of them made
    /// ahead of time by one thread.
    ///
    /// # Panics
    /// When `batch_size` is 0.
    #[track_caller]
    pub fn new(dataset: Arc<dyn Dataset>, batch_size: usize) -> Self {
        assert!(batch_size > 0, "loader: batches of 0 examples never end");
        Loader {
            dataset,
            batch_size,
            order: Order::InTurn,
            pool: None,
            drop_last: false,
            prefetch: 2,
            workers: 1,
            transforms: Vec::new(),
        }
    }

    /// In a new random order each epoch.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.order = Order::Shuffled { seed };
        self
    }

    /// With `n` examples in an epoch, drawn with replacement, each as often as its weight says.
    ///
    /// # Panics
    /// When there is not one weight for each example, one is negative or not finite, or all are 0.
    ///
    /// # Example
    /// ```
    /// use std::sync::Arc;
    /// use plies_nn::data::{Loader, TensorDataset, balanced_weights};
    /// use plies_tensor::Tensor;
    /// let classes = [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]; // nine of ten are of class 1
    /// let data = TensorDataset::new(Tensor::arange(10), Tensor::from(classes));
    /// let loader = Loader::new(Arc::new(data), 1000).sample(7, &balanced_weights(&classes), 1000);
    /// let drawn = loader.epoch(0).next().unwrap().targets.to_vec::<i32>().unwrap();
    /// assert!((400..600).contains(&drawn.iter().sum()));
    /// ```
    #[doc(alias = "WeightedRandomSampler")]
    #[track_caller]
    pub fn sample(mut self, seed: u64, weights: &[f64], n: usize) -> Self {
        let examples = self.dataset.len();
        assert!(
            weights.len() == examples,
            "loader: {} weights for {examples} examples",
            weights.len()
        );
        self.order = Order::sampled(seed, weights, n);
        self
    }

    /// With sequences of about the same length in a batch: examples are taken in pools of `batches`
    /// batches, in each of which they are sorted by [`Dataset::steps`] before batches are cut; then the
    /// batches come in random order. A large pool needs the least padding, and `usize::MAX`, all
    /// examples in one pool, the least that there can be; with a small one the batches of two epochs have
    /// less in common. Without [`shuffle`](Loader::shuffle) the batches are the same, shortest first.
    ///
    /// # Source
    /// Khomenko et al.: Accelerating recurrent neural network training using sequence bucketing and
    /// multi-GPU data parallelization (2016).
    ///
    /// # Panics
    /// When `batches` is 0.
    #[doc(alias = "BucketIterator")]
    #[track_caller]
    pub fn bucket(mut self, batches: usize) -> Self {
        assert!(batches > 0, "loader: a pool of 0 batches has no examples");
        self.pool = Some(batches);
        self
    }

    /// Without a last batch that is smaller than the others.
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// With `n` batches made ahead of time, or all of an epoch when it has fewer; 0 makes them on the
    /// calling thread.
    pub fn prefetch(mut self, n: usize) -> Self {
        self.prefetch = n;
        self
    }

    /// With `n` threads that make batches ahead of time, when one cannot keep up with the model, and at
    /// least one batch made ahead by each of them. Neither the batches nor their order depend on `n`.
    ///
    /// # Panics
    /// When `n` is 0; [`prefetch(0)`](Loader::prefetch) does without threads.
    #[doc(alias = "num_workers")]
    #[track_caller]
    pub fn workers(mut self, n: usize) -> Self {
        assert!(n > 0, "loader: 0 threads make no batches; prefetch(0) makes them on the caller's");
        self.workers = n;
        self
    }

    /// Changes each batch by `transform`, after those that were given before. What it draws depends on
    /// `seed`, on the epoch, and on the batch or the example.
    pub fn transform(
        mut self,
        seed: u64,
        transform: impl Fn(Batch, &Draws<'_>) -> Batch + Send + Sync + 'static,
    ) -> Self {
        // Two transforms that are given one seed do not draw the same numbers.
        let split = |seed: u64, _| Rng::new(seed).split().state().0;
        let seed = (0..self.transforms.len()).fold(seed, split);
        self.transforms.push((Arc::new(transform), seed));
        self
    }

    /// The dataset.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.dataset
    }

    /// Number of examples in an epoch.
    pub fn examples(&self) -> usize {
        let n = self.order.examples(self.dataset.len());
        if self.drop_last { n - n % self.batch_size } else { n }
    }

    /// Number of batches in an epoch.
    pub fn batches(&self) -> usize {
        self.examples().div_ceil(self.batch_size)
    }

    /// What the batches of an epoch follow from, the examples themselves and what the transforms do
    /// apart; in one line, to be compared when training is resumed.
    pub(crate) fn describe(&self) -> String {
        let Loader { batch_size, pool, drop_last, transforms, .. } = self;
        let seeds: Vec<u64> = transforms.iter().map(|(_, seed)| *seed).collect();
        format!(
            "examples={} batch_size={batch_size} {} bucket={} drop_last={drop_last} \
             transforms={seeds:?}",
            self.examples(),
            self.order.describe(),
            pool.unwrap_or(0)
        )
    }

    /// The numbers of the examples of each batch of an epoch.
    fn plan(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut numbers = self.order.numbers(self.dataset.len(), epoch);
        numbers.truncate(self.examples());
        if let Some(batches) = self.pool {
            sort_by_steps(&mut numbers, self.batch_size.saturating_mul(batches), &*self.dataset);
        }
        let mut plan: Vec<Vec<usize>> =
            numbers.chunks(self.batch_size).map(<[usize]>::to_vec).collect();
        if self.pool.is_some() {
            self.order.shuffle_batches(&mut plan, epoch);
        }
        plan
    }

    /// The batches of an epoch.
    pub fn epoch(&self, epoch: usize) -> Batches {
        self.epoch_from(epoch, 0)
    }

    /// The batches of an epoch from number `first` on, without making those before.
    pub fn epoch_from(&self, epoch: usize, first: usize) -> Batches {
        let (dataset, transforms) = (self.dataset.clone(), self.transforms.clone());
        let (plan, n) = (self.plan(epoch), self.dataset.len());
        let total = plan.len();
        let make = move |i: usize| {
            let numbers = &plan[i];
            let indices: Vec<usize> = numbers.iter().map(|number| number % n).collect();
            transforms.iter().fold(dataset.batch(&indices), |batch, (transform, seed)| {
                transform(batch, &Draws::new(*seed, epoch, i, numbers))
            })
        };
        if self.prefetch == 0 {
            return Batches { source: Source::Here(Box::new((first..total).map(make))) };
        }
        let make = Arc::new(make);
        let workers = self.workers.min(total.max(1));
        // Each thread makes every workers-th batch, so taking from one after another is their order.
        let start = |w: usize| {
            let (sender, receiver) = sync_channel(self.prefetch.min(total).div_ceil(workers));
            let make = make.clone();
            let thread = std::thread::spawn(move || {
                for batch in (first..total).skip(w).step_by(workers).map(|i| make(i)) {
                    // When the receiver is gone nobody wants the rest.
                    if sender.send(batch).is_err() {
                        break;
                    }
                }
            });
            Worker { batches: Some(receiver), thread: Some(thread) }
        };
        Batches { source: Source::Ahead { workers: (0..workers).map(start).collect(), next: 0 } }
    }
}

/// Its settings: `Loader { examples: 10, batch_size: 4, … }`.
impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("examples", &self.examples())
            .field("batch_size", &self.batch_size)
            .field("pool", &self.pool)
            .field("drop_last", &self.drop_last)
            .field("prefetch", &self.prefetch)
            .field("workers", &self.workers)
            .field("transforms", &self.transforms.len())
            .finish_non_exhaustive()
    }
}

/// The batches of one epoch. Dropping it stops the threads that make them.
pub struct Batches {
    source: Source,
}

enum Source {
    Here(Box<dyn Iterator<Item = Batch> + Send>),
    Ahead { workers: Vec<Worker>, next: usize },
}

/// A thread that makes some of the batches.
struct Worker {
    batches: Option<Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Iterator for Batches {
    type Item = Batch;

    /// # Panics
    /// With the dataset's or the transform's panic, if one happened.
    fn next(&mut self) -> Option<Batch> {
        match &mut self.source {
            Source::Here(batches) => batches.next(),
            Source::Ahead { workers, next } => {
                let n = workers.len();
                let worker = &mut workers[*next];
                *next = (*next + 1) % n;
                let batch = worker.batches.as_ref().and_then(|batches| batches.recv().ok());
                if batch.is_none()
                    && let Some(Err(panic)) = worker.thread.take().map(JoinHandle::join)
                {
                    std::panic::resume_unwind(panic);
                }
                batch
            }
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        if let Source::Ahead { workers, .. } = &mut self.source {
            // The next send of each fails, and it ends; all are told before one is waited for.
            workers.iter_mut().for_each(|worker| drop(worker.batches.take()));
            for thread in workers.iter_mut().filter_map(|worker| worker.thread.take()) {
                let _ = thread.join();
            }
        }
    }
}
