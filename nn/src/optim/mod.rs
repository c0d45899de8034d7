//! Optimisers: rules that change parameters by their gradients. Those that treat each number by itself
//! are a formula each ([`Rule`]), and a step is one pass over the parameter, its gradient and what the
//! rule remembers, in place. [`Muon`] looks at a matrix as a whole, [`Lbfgs`] at all parameters together.
//!
//! Drop the loss before the step: while its graph is alive it holds the parameters' old values, and
//! the step has to copy instead of overwriting.

mod adadelta;
mod adagrad;
mod adam;
mod clip;
mod ema;
mod groups;
pub use lbfgs::Lbfgs;
