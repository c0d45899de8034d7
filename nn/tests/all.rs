//! The tests of the crate in one program, so that it is compiled and linked once: a file is a module here,
//! and `cargo test -p plies-nn layers::` runs those of one. Apart is what needs a process of its own:
//! `steady_state.rs` counts what the whole process allocates, `killed.rs` ends one in the middle.

mod attention;
mod augment;
mod callbacks;
mod checkpoint;
mod complete;
mod decode;
mod embedding;
mod golden;
mod interop;
mod layers;
mod loader;
mod losses;
mod mistakes;
mod onnx;
mod optimisers;
mod perceptron;
mod pretrain;
mod recurrent;
mod regularized;
mod schedules;
mod sequences;
mod threads;
mod training;
