//! The differentiable operations of [`Var`](crate::Var), one file for each family, under the names
//! they have on tensors. Forward and vjp of an operation stand side by side.

mod conv;
pub(crate) mod elementwise;
mod index;
pub(crate) mod matmul;
mod movement;
mod pool;
pub(crate) mod recurrent;
mod reduce;
mod softmax;
mod transfer;
