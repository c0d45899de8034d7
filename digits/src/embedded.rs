//! MNIST itself, inside the program: nothing is read or fetched at run time.
//!
//! A program built from a clone holds all 60,000 training examples, one built from the published
//! package the first 30,000 (`data/README.md` says why); the 10,000 test examples are in both.

use std::path::Path;

use crate::idx::{self, Examples};

#[cfg(full_training_set)]
const TRAIN: [&[u8]; 2] = [
    include_bytes!("../data/train-images-idx3-ubyte.gz"),
    include_bytes!("../data/train-labels-idx1-ubyte.gz"),
];
#[cfg(not(full_training_set))]
const TRAIN: [&[u8]; 2] = [
    include_bytes!("../data/subset/train-images-idx3-ubyte.gz"),
    include_bytes!("../data/subset/train-labels-idx1-ubyte.gz"),
];
const TEST: [&[u8]; 2] = [
    include_bytes!("../data/t10k-images-idx3-ubyte.gz"),
    include_bytes!("../data/t10k-labels-idx1-ubyte.gz"),
];

/// Whether the whole training set is embedded, rather than its first half.
pub const FULL: bool = cfg!(full_training_set);

/// Compressed bytes that the program carries.
pub const BYTES: usize = TRAIN[0].len() + TRAIN[1].len() + TEST[0].len() + TEST[1].len();

/// The embedded training set.
///
/// # Example
/// ```
/// let train = plies_digits::embedded::train();
/// assert!(train.len() == 60_000 || train.len() == 30_000);
/// assert_eq!(train.labels[..5], [5, 0, 4, 1, 9]);
/// ```
pub fn train() -> Examples {
    read(TRAIN)
}

/// The embedded test set: 10,000 examples.
pub fn test() -> Examples {
    read(TEST)
}

fn read([images, labels]: [&[u8]; 2]) -> Examples {
    idx::read_examples(
        (Path::new("embedded images"), images),
        (Path::new("embedded labels"), labels),
    )
    .expect("the embedded files were whole when the program was built")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_sets_are_mnist() {
        let (train, test) = (train(), test());
        assert_eq!(train.len(), if FULL { 60_000 } else { 30_000 });
        assert_eq!(test.len(), 10_000);
        assert_eq!(test.labels[..8], [7, 2, 1, 0, 4, 1, 4, 9]);
        let sum = |examples: &Examples| examples.pixels.iter().map(|&p| u64::from(p)).sum::<u64>();
        assert_eq!(sum(&test), 264_923_200);
        assert_eq!(sum(&train), if FULL { 1_567_298_545 } else { 789_927_782 });
    }
}
