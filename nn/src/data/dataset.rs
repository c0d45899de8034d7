//! Examples that can be asked for by number.

use plies_tensor::{Device, Tensor};

/// Examples that are processed together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What the model sees, one example for each index of the first axis.
    pub inputs: Tensor,
    /// What it should answer; in training the model can look, through [`Pass::targets`](crate::Pass::targets).
    pub targets: Tensor,
    /// How many steps of each example are its own, where inputs are sequences [B, T, ...] that are padded
    /// to the longest: what layers along time read, through [`Pass::with_lengths`](crate::Pass::with_lengths).
    pub lengths: Option<Vec<usize>>,
}

impl Batch {
    /// A batch of examples that are not sequences, or all of the same length.
    pub fn new(inputs: Tensor, targets: Tensor) -> Self {
        Batch { inputs, targets, lengths: None }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.inputs.dims().first().copied().unwrap_or(0)
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same on another device; itself when it is there already.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn to_device(self, device: &Device) -> plies_tensor::Result<Batch> {
        let (inputs, targets) = (self.inputs.to_device(device)?, self.targets.to_device(device)?);
        Ok(Batch { inputs, targets, ..self })
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

    /// How many steps the example at `index` has, where examples are sequences of different lengths:
    /// what [`Loader::bucket`](super::Loader::bucket) sorts them by.
    fn steps(&self, index: usize) -> usize {
        let _ = index;
        1
    }
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
        Batch::new(select(&self.inputs, indices), select(&self.targets, indices))
    }
}

/// The rows of `x` at `indices`.
pub(super) fn select(x: &Tensor, indices: &[usize]) -> Tensor {
    let index: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
    x.index_select(0, &Tensor::from_slice_on(&index, [index.len()], x.device()))
}
