//! Examples that can be asked for by number.

use plies_tensor::Tensor;

/// Examples that are processed together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What the model sees, one example for each index of the first axis.
    pub inputs: Tensor,
    /// What it should answer.
    pub targets: Tensor,
}

impl Batch {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.inputs.dims().first().copied().unwrap_or(0)
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A collection of examples.
pub trait Dataset: Send + Sync {
    /// Number of examples.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The examples at `indices`, in that order.
    fn batch(&self, indices: &[usize]) -> Batch;
}

/// Examples held in two tensors whose first axes count the examples.
#[derive(Clone, Debug)]
pub struct TensorDataset {
    inputs: Tensor,
    targets: Tensor,
}

impl TensorDataset {
    /// A dataset of `inputs[i]` with `targets[i]`.
    ///
    /// # Panics
    /// When the first axes differ in size, or there are more examples than I32 counts.
    #[track_caller]
    pub fn new(inputs: Tensor, targets: Tensor) -> Self {
        assert!(
            inputs.rank() > 0 && targets.rank() > 0 && inputs.dim(0) == targets.dim(0),
            "dataset: inputs {} and targets {} differ in number",
            inputs.shape(),
            targets.shape()
        );
        assert!(
            i32::try_from(inputs.dim(0)).is_ok(),
            "dataset: {} examples are more than i32 counts",
            inputs.dim(0)
        );
        TensorDataset { inputs, targets }
    }
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.inputs.dim(0)
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        let index: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
        let index = Tensor::from_slice_on(&index, [index.len()], self.inputs.device());
        Batch {
            inputs: self.inputs.index_select(0, &index),
            targets: self.targets.index_select(0, &index),
        }
    }
}
