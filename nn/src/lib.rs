#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod activation;
mod checkpoint;
mod conv;
pub mod data;
mod dropout;
mod flatten;
pub mod init;
mod linear;
pub mod loss;
pub mod metrics;
mod mlp;
mod module;
pub mod optim;
mod pool;
mod sequential;
mod stream;
pub mod train;
mod visitor;

pub use plies_autograd;
pub use plies_autograd::Var;
pub use plies_tensor;

pub use activation::Activation;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use conv::{Conv1d, Conv2d};
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use linear::Linear;
pub use mlp::Mlp;
pub use module::{Module, Pass};
pub use pool::{AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d};
pub use sequential::Sequential;
pub use visitor::{Visitor, VisitorMut};
