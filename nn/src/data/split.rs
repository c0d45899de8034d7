//! Parts of a data set: for training, validation and test, or for cross-validation.
//!
//! Whatever the parts, they are pieces of one order. If every piece of the order holds the classes in
//! proportion, every part does.

use std::collections::BTreeMap;

use plies_tensor::Rng;

/// A random order of examples, to be cut into parts.
///
/// # Example
/// ```
/// use plies_nn::data::Split;
/// let classes = [0, 0, 0, 0, 0, 0, 1, 1, 1]; // two thirds, one third
/// for (training, held_out) in Split::stratified(&classes, 7).folds(3) {
///     assert_eq!((training.len(), held_out.len()), (6, 3));
///     assert_eq!(held_out.iter().filter(|&&i| classes[i] == 1).count(), 1);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    order: Vec<usize>,
}

impl Split {
    /// `n` examples in random order.
    pub fn shuffled(n: usize, seed: u64) -> Self {
        Split { order: Rng::new(seed).permutation_vec(n) }
    }

    /// One example for each of `classes` in an order of which every piece holds the classes in about
    /// the proportion in which all do: the j-th of the n examples of a class, in random order, stands
    /// where (j + ½) / n of the way is gone.
    pub fn stratified(classes: &[i32], seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut members: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for i in rng.permutation_vec(classes.len()) {
            members.entry(classes[i]).or_default().push(i);
        }
        let place = |members: &Vec<usize>, j: usize| (j as f64 + 0.5) / members.len() as f64;
        let mut order: Vec<(f64, u32, usize)> = Vec::with_capacity(classes.len());
        for members in members.values() {
            // Which of several classes comes first where they have one place is left to chance.
            let places = members.iter().enumerate();
            order.extend(places.map(|(j, &i)| (place(members, j), rng.next_u32(), i)));
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Split { order: order.into_iter().map(|(_, _, i)| i).collect() }
    }

    /// The order.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// N parts, each with about its share of the examples; what the shares leave of 1 is in none.
    ///
    /// # Panics
    /// When a share is negative, or they add up to more than 1.
    #[track_caller]
    pub fn parts<const N: usize>(&self, shares: [f64; N]) -> [Vec<usize>; N] {
        let sum: f64 = shares.iter().sum();
        assert!(
            shares.iter().all(|share| *share >= 0.0) && sum <= 1.0 + 1e-9,
            "split: shares {shares:?} are not parts of one whole"
        );
        let n = self.order.len();
        let (mut share, mut start) = (0.0, 0);
        shares.map(|part| {
            share += part;
            let end = ((share * n as f64).round() as usize).clamp(start, n);
            let piece = self.order[start..end].to_vec();
            start = end;
            piece
        })
    }

    /// For each of `k` parts, whose sizes differ by at most one: the examples outside, for training, and
    /// those in it, for validation.
    ///
    /// # Panics
    /// When `k` is less than 2.
    #[doc(alias("KFold", "cross_validation"))]
    #[track_caller]
    pub fn folds(&self, k: usize) -> Vec<(Vec<usize>, Vec<usize>)> {
        assert!(k >= 2, "split: {k} folds; with less than 2 nothing is left for training");
        let n = self.order.len();
        let fold = |i: usize| {
            let [start, end] = [i, i + 1].map(|i| i * (n / k) + i.min(n % k));
            let outside = [&self.order[..start], &self.order[end..]].concat();
            (outside, self.order[start..end].to_vec())
        };
        (0..k).map(fold).collect()
    }
}
