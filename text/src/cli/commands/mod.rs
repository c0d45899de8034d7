//! One file for each command: its arguments, and `run`.

pub(crate) mod analogies;
pub(crate) mod evaluate;
pub(crate) mod info;
pub(crate) mod nn;
pub(crate) mod skipgram;
mod vectors_file;
