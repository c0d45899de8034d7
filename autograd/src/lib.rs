#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod backward;
mod checkpoint;
mod derivative;
pub mod gradcheck;
mod gradient;
mod graph;
mod ops;
mod var;

pub use backward::grad;
pub use checkpoint::checkpoint;
pub use derivative::derivative;
pub use gradient::Gradient;
pub use graph::{Op, Reads, apply, enable_grad, is_recording, no_grad};

pub use ops::matmul::linear;
pub use ops::recurrent::{Cell, recurrent};
pub use var::Var;
