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

/// Turns an axis that may count from the end into an index below `rank`.
#[track_caller]
fn resolve_axis(operation: &str, axis: isize, rank: usize) -> usize {
    let resolved = if axis < 0 { axis + rank as isize } else { axis };
    assert!(
        (0..rank as isize).contains(&resolved),
        "{operation}: axis {axis} does not exist in a tensor of rank {rank}"
    );
    resolved as usize
}
