//! Handwritten digits, from the files to the answer.
//!
//! - [`idx`]: reads IDX files, MNIST's format, and trusts none of them
//! - [`embedded`]: MNIST itself, inside the program
//! - [`dataset`]: images as the network sees them, shifted at random while training
//! - [`network`], [`settings`]: the network, and what it is built and trained from
//! - [`training`]: trains it, keeps the best epoch, measures it
//! - [`preprocess`]: makes of any picture what MNIST made of its scans
//! - [`normalise`]: what is done to all images alike, deskewing and blurring
//! - [`rules`], [`knn`]: reading without a network
//! - [`trial`], [`recipes`]: one method tried once; the methods that have been published, a few lines each
//! - [`results`]: what trials have measured, in a file and as a table
//! - [`effects`]: what is said about networks, tested
//! - [`words`], [`speller`]: digits and sums in words, and the network that spells them
//! - [`sequences`]: what that network learns from
//! - [`plot`]: figures as SVG and PNG
//! - [`reader`]: all that a network can show of how it reads a drawing
//! - [`terminal`]: draws digits and tables in text
//!
//! The program `plies-digits` is built on these; `README.md` is its manual.
#![forbid(unsafe_code)]

pub mod dataset;
pub mod effects;
pub mod embedded;
pub mod idx;
pub mod knn;
pub mod network;
pub mod normalise;
pub mod plot;
pub mod preprocess;
pub mod reader;
pub mod recipes;
pub mod results;
pub mod rules;
mod saved;
pub mod sequences;
pub mod settings;
pub mod speller;
pub mod terminal;
pub mod training;
pub mod trial;
pub mod words;
