#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod corpus;
pub mod embedded;
mod error;
pub mod hash;
pub mod tokenize;
pub mod vocabulary;

pub use error::{Error, Result};
