#![doc = include_str!("../README.md")]

mod backend;
pub mod cells;
mod convert;
mod cpu;
mod device;
mod display;
mod dtype;
mod error;
mod expr;
mod fetch;
#[cfg(feature = "ndarray")]
mod interop_ndarray;
mod io;
mod layout;
mod ops;
mod random;
mod recurrence;
mod shape;
mod tensor;
#[cfg(feature = "testing")]
pub mod testing;
mod window;

pub use backend::{
    ArgReduce, Backend, Buffer, Contraction, Distribution, Epilogue, MemoryUse, OtherRows,
    OutOfRange, PendingRead, Reduce, Target, View, Windows,
};
pub use cpu::{Loop, instruction_set, set_threads, threads, vectorised};
pub use device::Device;
pub use dtype::{DType, Element};
pub use error::{Error, Result};
pub use expr::{Binary, Expr, Formula, Graph, IntoExpr, Node, Roots, Unary};
pub use fetch::Fetch;
pub use io::{lock_file, replace_file};
pub use layout::Layout;
pub use ops::elementwise::Elementwise;
pub use ops::recur::Steps;
pub use random::Rng;
pub use recurrence::Recurrence;
pub use shape::{MAX_RANK, Shape, resolve_axis, resolve_range};
pub use tensor::Tensor;
pub use window::{Conv, PerAxis, Pool};
