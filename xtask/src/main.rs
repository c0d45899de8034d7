//! digits
fn main() {}
