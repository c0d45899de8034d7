//! The tests of the crate in one program, so that it is compiled and linked once: a file is a module here.

#[cfg(feature = "cli")]
mod classify;
#[cfg(feature = "cli")]
mod commands;
mod vectors;
mod word2vec;
