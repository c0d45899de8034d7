#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod check;
mod checkpoint;
pub mod data;
mod decode;
pub mod init;
mod layers;
mod lengths;
pub mod loss;
pub mod metrics;
mod module;
pub mod onnx;
pub mod optim;
pub mod pretrain;
mod stream;
pub mod train;
mod visitor;

pub use plies_autograd;
pub use plies_autograd::Var;
pub use plies_tensor;

pub use checkpoint::{Checkpoint, CheckpointError, Differences};
pub use decode::{BeamSearch, Written};
pub use layers::*;
pub use module::{Module, Pass};
pub use visitor::{Visitor, VisitorMut};
