//! The tests of the crate in one program, so that it is compiled and linked once: a file is a module here.

#[cfg(feature = "cli")]
mod classify;
#[cfg(feature = "cli")]
mod commands;
mod damaged;
mod language;
#[cfg(feature = "cli")]
mod language_commands;
mod seq2seq;
mod vectors;
mod word2vec;
