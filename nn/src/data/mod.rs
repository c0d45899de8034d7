//! Examples and the order in which they are seen.

mod dataset;
mod loader;

pub use dataset::{Batch, Dataset, TensorDataset};
pub use loader::{Batches, Loader, Transform};
