//! Handwritten digits, from the files to the answer.
//!
//! - [`idx`]: reads IDX files, MNIST's format, and trusts none of them
//! - [`embedded`]: MNIST itself, inside the program
//! - [`dataset`]: images as the network sees them, shifted at random while training
//! - [`network`]: the network, its settings, and both in a file
//! - [`training`]: trains it, keeps the best epoch, measures it
//! - [`preprocess`]: makes of any picture what MNIST made of its scans
//! - [`terminal`]: draws digits and tables in text
//!
//! The program `plies-digits` is built on these; `README.md` is its manual.
#![forbid(unsafe_code)]

pub mod dataset;
pub mod embedded;
pub mod idx;
pub mod network;
pub mod preprocess;
pub mod terminal;
pub mod training;
