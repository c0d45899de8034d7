#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod adapter;
mod backend;
mod clock;
mod error;
mod fault;
mod gpu;
mod kernels;
mod matrix_units;
mod pipeline;
mod pool;
mod queue;
mod shader;
mod strided;
mod subgroup;
mod tuning;

pub use adapter::{AdapterSummary, adapters};
pub use error::{Error, Result};
pub use gpu::{Counters, Gpu, Options};
pub use matrix_units::MatrixUnits;
