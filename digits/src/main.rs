//! The program `plies-digits`.
#![forbid(unsafe_code)]

fn main() {}
