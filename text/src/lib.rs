#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod bpe;
pub mod classify;
pub mod corpus;
pub mod embedded;
mod error;
pub mod evaluate;
pub mod hash;
pub mod labelled;
pub mod language;
pub mod map;
pub mod phrases;
mod random;
pub mod seq2seq;
pub mod similarity;
pub mod tokenize;
pub mod training;
pub mod vectors;
pub mod vocabulary;
pub mod word2vec;

pub use error::{Error, Result};
