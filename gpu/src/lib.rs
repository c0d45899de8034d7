#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod adapter;
mod backend;
mod clock;
mod error;
mod fault;
mod gpu;
mod kernels;
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
