//! The checked public operations of [`Tensor`](crate::Tensor), one file for each family. An
//! operation here checks shapes, names its rule when they are wrong, and is composed from
//! [`Backend`](crate::Backend) methods; it contains no loop over elements.

mod conv;
pub(crate) mod elementwise;
mod index;
mod matmul;
mod movement;
mod pool;
pub(crate) mod recur;
mod reduce;
mod rows;
