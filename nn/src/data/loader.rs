//! Batches, made ahead of time by a second thread while the model works on the last one.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use plies_tensor::Rng;

use super::{Batch, Dataset};
use crate::stream::{Purpose, stream};

/// Changes a batch with random numbers of its own: augmentation.
pub type Transform = Arc<dyn Fn(Batch, &mut Rng) -> Batch + Send + Sync>;

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
    seed: Option<u64>,
    drop_last: bool,
    prefetch: usize,
    transform: Option<(Transform, u64)>,
}

impl Loader {
    /// Batches of `batch_size` in the dataset's order, the last perhaps smaller, two of them made
    /// ahead of time.
    ///
    /// # Panics
    /// When `batch_size` is 0.
    #[track_caller]
    pub fn new(dataset: Arc<dyn Dataset>, batch_size: usize) -> Self {
        assert!(batch_size > 0, "loader: batches of 0 examples never end");
        Loader { dataset, batch_size, seed: None, drop_last: false, prefetch: 2, transform: None }
    }

    /// In a new random order each epoch.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
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

    /// Changes each batch by `transform`, whose random numbers depend on `seed`, epoch and batch.
    pub fn transform(
        mut self,
        seed: u64,
        transform: impl Fn(Batch, &mut Rng) -> Batch + Send + Sync + 'static,
    ) -> Self {
        self.transform = Some((Arc::new(transform), seed));
        self
    }

    /// The dataset.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.dataset
    }

    /// Number of examples in an epoch.
    pub fn examples(&self) -> usize {
        let n = self.dataset.len();
        if self.drop_last { n - n % self.batch_size } else { n }
    }

    /// Number of batches in an epoch.
    pub fn batches(&self) -> usize {
        self.examples().div_ceil(self.batch_size)
    }

    /// The batches of an epoch.
    pub fn epoch(&self, epoch: usize) -> Batches {
        let n = self.dataset.len();
        let order = match self.seed {
            Some(seed) => stream(seed, Purpose::Order, epoch, 0).permutation_vec(n),
            None => (0..n).collect(),
        };
        let (loader, total) = (self.clone(), self.batches());
        let make = move |i: usize| {
            let (start, end) = (i * loader.batch_size, (i + 1) * loader.batch_size);
            let batch = loader.dataset.batch(&order[start..end.min(n)]);
            let Some((transform, seed)) = &loader.transform else { return batch };
            transform(batch, &mut stream(*seed, Purpose::Transform, epoch, i))
        };
        if self.prefetch == 0 {
            return Batches { source: Source::Here(Box::new((0..total).map(make))) };
        }
        let (sender, receiver) = sync_channel(self.prefetch.min(total));
        let worker = std::thread::spawn(move || {
            for batch in (0..total).map(make) {
                // When the receiver is gone nobody wants the rest.
                if sender.send(batch).is_err() {
                    break;
                }
            }
        });
        Batches { source: Source::Ahead(Some(receiver), Some(worker)) }
    }
}

/// The batches of one epoch. Dropping it stops the thread that makes them.
pub struct Batches {
    source: Source,
}

enum Source {
    Here(Box<dyn Iterator<Item = Batch> + Send>),
    Ahead(Option<Receiver<Batch>>, Option<JoinHandle<()>>),
}

impl Iterator for Batches {
    type Item = Batch;

    /// # Panics
    /// With the dataset's or the transform's panic, if one happened.
    fn next(&mut self) -> Option<Batch> {
        match &mut self.source {
            Source::Here(batches) => batches.next(),
            Source::Ahead(receiver, worker) => {
                let batch = receiver.as_ref().and_then(|receiver| receiver.recv().ok());
                if batch.is_none()
                    && let Some(Err(panic)) = worker.take().map(JoinHandle::join)
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
        if let Source::Ahead(receiver, worker) = &mut self.source {
            // The worker's next send fails, and it ends.
            drop(receiver.take());
            if let Some(worker) = worker.take() {
                let _ = worker.join();
            }
        }
    }
}
