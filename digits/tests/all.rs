//! The tests of the crate in one program, so that it is compiled and linked once: a file is a module here,
//! and `cargo test -p plies-digits idx::` runs those of one.

mod commands;
#[cfg(feature = "gpu")]
mod gpu;
mod idx;
mod resume;
mod spell;
