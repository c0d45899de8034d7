//! Nearest neighbours: an image is what most of the k training images nearest to it are.
//!
//! |q - x|² = |q|² + |x|² - 2 q · x
//!
//! so all distances are one matrix product, and |q|² is the same for all x. The product is computed in tiles
//! that stay in the cache, and of each row only what is near is kept.
//!
//! Other distances are no product. But who is near by one is near by the other, so the [`CANDIDATES`] nearest by
//! the distance above are put in the order of Σ |q - x|^p.
//!
//! # Source
//! Cover, Hart: Nearest neighbor pattern classification (1967).

use plies_tensor::{Elementwise, Tensor, formula};

/// For p other than 2: how many images are near enough to be looked at. One beyond these is missed; for p = 3 and
/// each of the first 200 test digits, the nearest three of MNIST's 60,000 were among the nearest nine by p = 2.
pub const CANDIDATES: usize = 100;

/// Queries and references of a tile: 1.5 MB of distances.
const TILE: [usize; 2] = [192, 2000];

/// A reference, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its number.
    pub index: usize,
    /// Its distance, up to what all distances of a query have in common.
    pub distance: f32,
}

/// Images to find the nearest of.
#[derive(Clone, Debug)]
pub struct References {
    /// [R, D]
    images: Tensor,
    /// |x|², `[R]`
    squares: Tensor,
}

impl References {
    /// These images [R, D].
    pub fn new(images: Tensor) -> References {
        References { squares: images.sqr().sum(&[-1], false), images }
    }

    /// The `k` nearest to each query by Σ (q - x)², nearest first; of equal ones the first.
    /// `go_on` is asked from time to time with the share of queries that are done; a no ends it with `None`.
    ///
    /// # Shapes
    /// queries [Q, D]
    ///
    /// # Example
    /// ```
    /// use plies_digits::knn::References;
    /// use plies_tensor::Tensor;
    /// let references = References::new(Tensor::from([[5f32], [2.0], [1.5]]));
    /// let found = references.nearest(&Tensor::from([[1f32]]), 2, |_share| true).unwrap();
    /// assert_eq!(found[0].iter().map(|near| near.index).collect::<Vec<_>>(), [2, 1]);
    /// ```
    pub fn nearest(
        &self,
        queries: &Tensor,
        k: usize,
        mut go_on: impl FnMut(f64) -> bool,
    ) -> Option<Vec<Vec<Neighbour>>> {
        let (n_queries, n_references) = (queries.dim(0), self.images.dim(0));
        let transposed = self.images.t(); // [D, R]
        let mut found = vec![Vec::with_capacity(k + 1); n_queries];
        for first_query in (0..n_queries).step_by(TILE[0]) {
            if !go_on(first_query as f64 / n_queries as f64) {
                return None;
            }
            let rows = TILE[0].min(n_queries - first_query);
            let q = queries.narrow(0, first_query, rows); // [rows, D]
            for first in (0..n_references).step_by(TILE[1]) {
                let columns = TILE[1].min(n_references - first);
                let products = q.matmul(&transposed.narrow(1, first, columns)); // [rows, columns]
                let distances = Tensor::map(
                    formula!(|product, square| square - 2.0 * product),
                    &[&products, &self.squares.narrow(0, first, columns)],
                    &[],
                );
                let distances = distances.to_vec::<f32>().expect("the CPU's memory can be read");
                for (row, found) in distances.chunks_exact(columns).zip(&mut found[first_query..]) {
                    keep_nearest(found, row, first, k);
                }
            }
        }
        Some(found)
    }
}

/// Puts those of a row into what is `found` that belong there.
fn keep_nearest(found: &mut Vec<Neighbour>, row: &[f32], first: usize, k: usize) {
    let farthest = |found: &[Neighbour]| match found.len() == k {
        true => found[k - 1].distance,
        false => f32::INFINITY,
    };
    let mut limit = farthest(found);
    for (i, &distance) in row.iter().enumerate() {
        if distance < limit {
            let place = found.partition_point(|near| near.distance <= distance);
            found.insert(place, Neighbour { index: first + i, distance });
            found.truncate(k);
            limit = farthest(found);
        }
    }
}

/// Puts neighbours in the order of Σ |q - x|^p and keeps the first `k`.
///
/// # Shapes
/// query `[D]`, references [R, D]
pub fn by_power(query: &[f32], references: &[f32], near: &mut Vec<Neighbour>, p: i32, k: usize) {
    for neighbour in near.iter_mut() {
        let x = &references[neighbour.index * query.len()..][..query.len()];
        neighbour.distance = query.iter().zip(x).map(|(q, x)| (q - x).abs().powi(p)).sum();
    }
    near.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    near.truncate(k);
}

/// The class that most neighbours have; of classes with as many, the one whose neighbour is nearest.
pub fn vote(near: &[Neighbour], labels: &[u8]) -> u8 {
    let class = |near: &Neighbour| labels[near.index];
    let votes = |wanted: u8| near.iter().filter(|near| class(near) == wanted).count();
    // `max_by_key` takes the last of equals.
    near.iter().rev().map(class).max_by_key(|&class| votes(class)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use plies_tensor::{DType, Device, Rng};

    use super::*;

    /// All distances, sorted.
    fn naive(query: &[f32], references: &[f32], p: i32) -> Vec<usize> {
        let distance =
            |x: &[f32]| query.iter().zip(x).map(|(q, x)| (q - x).abs().powi(p)).sum::<f32>();
        let distances: Vec<f32> = references.chunks(query.len()).map(distance).collect();
        let mut order: Vec<usize> = (0..distances.len()).collect();
        order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
        order
    }

    #[test]
    fn the_nearest_are_those_of_all_distances() {
        let mut rng = Rng::new(1);
        let mut draw = |n: usize| rng.uniform([n, 20], DType::F32, &Device::cpu());
        // More than a tile of both.
        let (queries, references) = (draw(TILE[0] + 3), draw(TILE[1] + 5));
        let found = References::new(references.clone()).nearest(&queries, 5, |_| true).unwrap();
        let [queries, references] = [queries, references].map(|x| x.to_vec::<f32>().unwrap());
        for (query, mut near) in queries.chunks(20).zip(found) {
            let indices = |near: &[Neighbour]| near.iter().map(|n| n.index).collect::<Vec<_>>();
            assert_eq!(indices(&near), naive(query, &references, 2)[..5]);
            by_power(query, &references, &mut near, 3, 1);
            let by_cube = naive(query, &references, 3);
            assert!(by_cube[..3].contains(&near[0].index));
        }
    }

    #[test]
    fn a_no_ends_it() {
        let x = Tensor::from([[1f32]]);
        assert_eq!(References::new(x.clone()).nearest(&x, 1, |_| false), None);
    }

    #[test]
    fn the_nearest_decides_between_as_many() {
        let near = |indices: &[usize]| {
            let near = indices.iter().map(|&index| Neighbour { index, distance: 0.0 });
            near.collect::<Vec<_>>()
        };
        let labels = [7, 7, 3, 3, 9];
        for (indices, expected) in
            [(&[0, 2, 3][..], 3), (&[2, 0], 3), (&[4, 2, 0, 3, 1], 3), (&[4], 9)]
        {
            assert_eq!(vote(&near(indices), &labels), expected);
        }
    }
}
