//! The tests of the crate in one program, so that it is compiled and linked once: a file is a module here,
//! and `cargo test -p plies-autograd graph::` runs those of one. Apart is `memory.rs`, which counts what the
//! whole process allocates.

mod graph;
mod locations;
mod table;
