//! Data sets made of data sets: some of the examples, those of several, and others in their place.

use std::sync::Arc;

use plies_tensor::Tensor;

use super::dataset::select;
use super::{Batch, Dataset};

/// Some examples of a data set, in an order of its own.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Dataset, Split, Subset, TensorDataset};
/// use plies_tensor::Tensor;
/// let data = Arc::new(TensorDataset::new(Tensor::arange(10), Tensor::arange(10)));
/// let [training, held_out] = Split::shuffled(10, 7).parts([0.8, 0.2]);
/// let (training, held_out) = (Subset::new(data.clone(), training), Subset::new(data, held_out));
/// assert_eq!((training.len(), held_out.len()), (8, 2));
/// ```
#[derive(Clone)]
pub struct Subset {
    dataset: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// The examples at `indices` of `dataset`, which may name one several times.
    ///
    /// # Panics
    /// When it has no such example.
    #[track_caller]
    pub fn new(dataset: Arc<dyn Dataset>, indices: Vec<usize>) -> Self {
        let n = dataset.len();
        if let Some(index) = indices.iter().find(|&&index| index >= n) {
            panic!("subset: example {index} of {n}");
        }
        Subset { dataset, indices }
    }

    /// The numbers that the examples have in the data set they are from.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        let indices: Vec<usize> = indices.iter().map(|&i| self.indices[i]).collect();
        self.dataset.batch(&indices)
    }

    fn steps(&self, index: usize) -> usize {
        self.dataset.steps(self.indices[index])
    }
}

/// The examples of several data sets, one after the other.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Concat, Dataset, TensorDataset};
/// use plies_tensor::Tensor;
/// let part = |x: [i32; 2]| Arc::new(TensorDataset::new(Tensor::from(x), Tensor::from(x)));
/// let all = Concat::new(vec![part([1, 2]), part([3, 4])]);
/// assert_eq!(all.batch(&[3, 0, 2]).targets.to_vec::<i32>().unwrap(), [4, 1, 3]);
/// ```
#[derive(Clone)]
pub struct Concat {
    parts: Vec<Arc<dyn Dataset>>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl Concat {
    /// The examples of `parts`, whose shapes must be the same but for the first axis. Sequences are
    /// padded as far as the longest that is in a batch, with 0; targets for each step are not, so such
    /// sequences are to be put into one data set first.
    ///
    /// # Panics
    /// When there are no parts.
    #[track_caller]
    pub fn new(parts: Vec<Arc<dyn Dataset>>) -> Self {
        assert!(!parts.is_empty(), "concat: no data sets, so examples have no shape");
        let mut end = 0;
        let add = |part: &Arc<dyn Dataset>| {
            end += part.len();
            end
        };
        let ends = parts.iter().map(add).collect();
        Concat { parts, ends }
    }

    /// The part that an example is in, and its number there.
    fn find(&self, index: usize) -> (usize, usize) {
        let part = self.ends.partition_point(|&end| end <= index);
        (part, if part == 0 { index } else { index - self.ends[part - 1] })
    }
}

impl Dataset for Concat {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        // Each part is asked once; then the rows are put in the order asked for.
        let mut asked: Vec<(Vec<usize>, Vec<usize>)> = vec![Default::default(); self.parts.len()];
        for (row, &index) in indices.iter().enumerate() {
            let (part, index) = self.find(index);
            asked[part].0.push(index);
            asked[part].1.push(row);
        }
        let used = |part: &usize| !asked[*part].0.is_empty();
        let mut used: Vec<usize> = (0..self.parts.len()).filter(used).collect();
        if let [] | [_] = used[..] {
            let part = used.pop().unwrap_or(0);
            return self.parts[part].batch(&asked[part].0);
        }
        let batches = used.iter().map(|&part| self.parts[part].batch(&asked[part].0));
        let mut batches: Vec<Batch> = batches.collect();
        if let Some(steps) = batches.iter().filter(|b| b.lengths.is_some()).map(steps).max() {
            batches.iter_mut().for_each(|batch| pad_to(batch, steps));
        }
        let came: Vec<usize> = used.iter().flat_map(|&part| asked[part].1.clone()).collect();
        let mut order = vec![0; came.len()];
        came.iter().enumerate().for_each(|(at, &row)| order[row] = at);
        let join = |of: fn(&Batch) -> &Tensor| {
            let parts: Vec<&Tensor> = batches.iter().map(of).collect();
            select(&Tensor::cat(&parts, 0), &order)
        };
        let lengths: Option<Vec<usize>> = batches
            .iter()
            .map(|batch| batch.lengths.clone())
            .collect::<Option<Vec<_>>>()
            .map(|lengths| lengths.concat());
        Batch {
            inputs: join(|batch| &batch.inputs),
            targets: join(|batch| &batch.targets),
            lengths: lengths.map(|lengths| order.iter().map(|&at| lengths[at]).collect()),
        }
    }

    fn steps(&self, index: usize) -> usize {
        let (part, index) = self.find(index);
        self.parts[part].steps(index)
    }
}

/// Steps that the sequences of a batch are padded to.
fn steps(batch: &Batch) -> usize {
    batch.inputs.dims().get(1).copied().unwrap_or(0)
}

/// Pads the sequences of a batch.
fn pad_to(batch: &mut Batch, to: usize) {
    let from = steps(batch);
    batch.inputs = batch.inputs.pad(1, 0, to - from, 0.0);
}

/// A data set whose batches are changed by a function: other numbers, other shapes, other targets.
///
/// What is random belongs into [`Loader::transform`](super::Loader::transform), which knows the epoch.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use plies_nn::data::{Batch, Dataset, Map, TensorDataset};
/// use plies_tensor::Tensor;
/// // An autoencoder's targets are its inputs.
/// let data = Arc::new(TensorDataset::new(Tensor::from([0.5f32, 2.0]), Tensor::from([0, 1])));
/// let data = Map::new(data, |batch| Batch { targets: batch.inputs.clone(), ..batch });
/// assert_eq!(data.batch(&[1]).targets.to_vec::<f32>().unwrap(), [2.0]);
/// ```
#[derive(Clone)]
pub struct Map {
    dataset: Arc<dyn Dataset>,
    function: Arc<dyn Fn(Batch) -> Batch + Send + Sync>,
}

impl Map {
    /// `dataset` with `function` applied to each batch. It must give as many examples as it gets.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        function: impl Fn(Batch) -> Batch + Send + Sync + 'static,
    ) -> Self {
        Map { dataset, function: Arc::new(function) }
    }
}

impl Dataset for Map {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        (self.function)(self.dataset.batch(indices))
    }

    fn steps(&self, index: usize) -> usize {
        self.dataset.steps(index)
    }
}
