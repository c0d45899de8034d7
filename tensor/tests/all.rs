//! The tests of the crate in one program, so that it is compiled and linked once: a file is a module here,
//! and `cargo test -p plies-tensor numpy::` runs those of one. Apart is `memory.rs`, which counts what the
//! whole process allocates.

mod backend;
mod conformance;
mod display;
mod functions;
#[cfg(unix)] // Elsewhere a name is always text.
mod isa;
mod locations;
mod numpy;
mod properties;
mod recur;
mod small;
mod threads;
