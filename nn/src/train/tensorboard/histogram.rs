//! How the elements of a tensor are distributed, over many orders of magnitude.

use std::sync::LazyLock;

use plies_tensor::{Result, Tensor};

use super::event::Histogram;

/// TensorFlow's limits: those above 0 grow by a tenth each, from 1e-12 to 1e20; the same below 0.
static LIMITS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut positive = Vec::new();
    let mut limit = 1e-12;
    while limit < 1e20 {
        positive.push(limit);
        limit *= 1.1;
    }
    positive.push(f64::MAX);
    let negative = positive.iter().rev().map(|limit| -limit);
    negative.chain([0.0]).chain(positive.iter().copied()).collect()
});

/// The histogram of the finite elements; none when there are no such elements. Empty buckets that are
/// side by side are one.
pub(super) fn histogram(tensor: &Tensor) -> Result<Option<Histogram>> {
    let mut numbers = tensor.to_f64_vec()?;
    numbers.retain(|x| x.is_finite());
    let mut counts = vec![0u64; LIMITS.len()];
    for x in &numbers {
        // The last limit is above all numbers but itself.
        let bucket = LIMITS.partition_point(|limit| limit <= x).min(LIMITS.len() - 1);
        counts[bucket] += 1;
    }
    let (mut limits, mut buckets): (Vec<f64>, Vec<f64>) = Default::default();
    for (&limit, &count) in LIMITS.iter().zip(&counts) {
        match (limits.last_mut(), buckets.last()) {
            (Some(last), Some(&before)) if count == 0 && before == 0.0 => *last = limit,
            _ => {
                limits.push(limit);
                buckets.push(count as f64);
            }
        }
    }
    let fold = |f: fn(f64, f64) -> f64| numbers.iter().copied().reduce(f);
    let (Some(min), Some(max)) = (fold(f64::min), fold(f64::max)) else { return Ok(None) };
    Ok(Some(Histogram {
        min,
        max,
        num: numbers.len() as f64,
        sum: numbers.iter().sum(),
        sum_squares: numbers.iter().map(|x| x * x).sum(),
        bucket_limit: limits,
        bucket: buckets,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_element_is_between_the_limits_of_its_bucket() {
        let numbers = [-f64::MAX, -3.0, -1e-15, 0.0, 1e-12, 2.0, 2.0, f64::MAX, f64::NAN];
        let found = histogram(&Tensor::from(numbers)).unwrap().unwrap();
        assert_eq!((found.num, found.bucket.iter().sum::<f64>()), (8.0, 8.0));
        let mut below = f64::NEG_INFINITY;
        for (&limit, &count) in found.bucket_limit.iter().zip(&found.bucket) {
            let here =
                numbers.iter().filter(|x| below <= **x && (**x < limit || limit == f64::MAX));
            assert_eq!(here.filter(|x| x.is_finite()).count() as f64, count, "below {limit}");
            below = limit;
        }
        assert_eq!(histogram(&Tensor::from([f64::NAN])).unwrap(), None);
    }
}
