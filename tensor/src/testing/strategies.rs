//! Random shapes and views.

use proptest::prelude::*;

use crate::{Rng, Tensor};

/// Dimensions of rank 0 to `max_rank`, each 0 to `max_dim`, small ones and ones preferred.
pub fn dims(max_rank: usize, max_dim: usize) -> impl Strategy<Value = Vec<usize>> {
    let dim = prop_oneof![1 => Just(0usize), 3 => Just(1usize), 12 => 1..=max_dim.max(1)];
    prop::collection::vec(dim, 0..=max_rank)
}

/// Two dimension lists that broadcast against each other: axes of either are replaced by 1, and
/// leading ones are left out.
pub fn broadcastable(
    max_rank: usize,
    max_dim: usize,
) -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    let choices = prop::collection::vec(0u8..4, max_rank);
    (dims(max_rank, max_dim), choices, 0..=max_rank, any::<bool>()).prop_map(
        |(full, choices, cut, swap)| {
            let ones = |keep: u8| -> Vec<usize> {
                full.iter().zip(&choices).map(|(&d, &c)| if c == keep { 1 } else { d }).collect()
            };
            let (a, b) = (ones(0), ones(1));
            let b = b[cut.min(b.len())..].to_vec();
            if swap { (b, a) } else { (a, b) }
        },
    )
}

/// A view of a larger buffer, and the same elements in a buffer of their own.
#[derive(Clone, Debug)]
pub struct Viewed {
    /// Strided: transposed, sliced with steps, flipped, or repeated by strides of 0.
    pub view: Tensor,
    /// Row-major.
    pub dense: Tensor,
}

/// Random integers of -8..8 as F64 under random strides.
pub fn view(max_rank: usize, max_dim: usize) -> impl Strategy<Value = Viewed> {
    (dims(max_rank, max_dim), any::<u64>()).prop_map(|(dims, seed)| random_view(&dims, seed))
}

/// A view of the given dimensions whose strides depend on `seed`.
pub(crate) fn random_view(dims: &[usize], seed: u64) -> Viewed {
    let mut rng = Rng::new(seed);
    let rank = dims.len();
    // The buffer's axes are a permutation of the view's; each is longer, or shorter for repeats.
    let order = rng.permutation_vec(rank);
    let repeated: Vec<bool> = (0..rank).map(|axis| dims[axis] > 0 && rng.below(8) == 0).collect();
    let steps: Vec<usize> = (0..rank).map(|_| 1 + rng.below(3) / 2).collect();
    let base: Vec<usize> = order
        .iter()
        .map(|&axis| if repeated[axis] { 1 } else { dims[axis] * steps[axis] + rng.below(2) })
        .collect();
    let n: usize = base.iter().product();
    let values: Vec<f64> = (0..n).map(|_| rng.below(17) as f64 - 8.0).collect();
    let mut inverse = vec![0isize; rank];
    for (place, &axis) in order.iter().enumerate() {
        inverse[axis] = place as isize;
    }
    let mut view = Tensor::from_vec(values, base).permute(&inverse);
    for axis in 0..rank {
        let a = axis as isize;
        if repeated[axis] {
            continue;
        }
        let extra = view.dims()[axis] - dims[axis] * steps[axis];
        view = view.slice_step(a, extra.., steps[axis]);
        if rng.below(4) == 0 {
            view = view.flip(a);
        }
    }
    let view = view.broadcast_to(dims);
    let data = view.to_vec::<f64>().unwrap_or_default();
    let dense = Tensor::from_vec(data, dims);
    Viewed { view, dense }
}
