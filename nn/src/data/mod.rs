//! Examples and the order in which they are seen.

mod augment;
mod dataset;
mod derived;
mod draws;
mod loader;
mod order;
mod sequences;
mod split;

pub use augment::{Affine, Augment, Erase};
pub use dataset::{Batch, Dataset, TensorDataset};
pub use derived::{Concat, Map, Subset};
pub use draws::Draws;
pub use loader::{Batches, Loader, Transform};
pub use order::balanced_weights;
pub use sequences::SequenceDataset;
pub use split::Split;
