//! The proofs this crate uses on itself, for other crates to use on theirs: a comparison that says
//! where tensors differ most, strategies for random shapes and views, naive F64 versions of every
//! operation, and [`conformance`], which runs them all on a device.

mod close;
mod conformance;
pub mod reference;
mod strategies;

pub use close::assert_close;
pub use conformance::conformance;
pub use strategies::{Viewed, broadcastable, dims, view};
