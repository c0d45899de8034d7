//! Batches: every example once, in an order that the seed and the epoch decide, whatever thread
//! makes them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plies_nn::data::{Batch, Dataset, Loader, TensorDataset};
use plies_tensor::{DType, Tensor};
use proptest::prelude::*;

fn numbers(n: usize) -> Arc<TensorDataset> {
    let x = Tensor::arange(n);
    Arc::new(TensorDataset::new(x.to_dtype(DType::F32).unsqueeze(-1), x))
}

fn targets(loader: &Loader, epoch: usize) -> Vec<Vec<i32>> {
    loader.epoch(epoch).map(|batch| batch.targets.to_vec().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_example_comes_once_and_with_its_own_target(
        n in 0usize..50,
        size in 1usize..12,
        seed in prop::option::of(any::<u64>()),
        drop_last: bool,
        prefetch in 0usize..4,
    ) {
        let mut loader = Loader::new(numbers(n), size).prefetch(prefetch);
        if let Some(seed) = seed {
            loader = loader.shuffle(seed);
        }
        if drop_last {
            loader = loader.drop_last();
        }
        let mut seen = Vec::new();
        let mut batches = 0;
        for batch in loader.epoch(3) {
            prop_assert!(batch.len() == size || (!drop_last && batches + 1 == loader.batches()));
            let inputs = batch.inputs.to_vec::<f32>().unwrap();
            let targets = batch.targets.to_vec::<i32>().unwrap();
            prop_assert!(inputs.iter().zip(&targets).all(|(&x, &t)| x == t as f32));
            seen.extend(targets);
            batches += 1;
        }
        prop_assert_eq!((batches, seen.len()), (loader.batches(), loader.examples()));
        if seed.is_none() {
            prop_assert!(seen.is_sorted());
        }
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), loader.examples());
        prop_assert!(seen.len() == n || (drop_last && n - seen.len() < size));
    }
}

#[test]
fn the_order_depends_on_seed_and_epoch_and_not_on_the_thread() {
    let loader = |seed, prefetch| Loader::new(numbers(40), 7).shuffle(seed).prefetch(prefetch);
    let order = targets(&loader(1, 0), 5);
    assert_eq!(targets(&loader(1, 2), 5), order);
    assert_eq!(targets(&loader(1, 9), 5), order);
    assert_ne!(targets(&loader(1, 2), 6), order);
    assert_ne!(targets(&loader(2, 2), 5), order);
}

#[test]
fn a_transform_has_the_same_random_numbers_on_every_thread_and_new_ones_for_each_batch() {
    let loader = |prefetch| {
        Loader::new(numbers(12), 4).prefetch(prefetch).transform(3, |batch, rng| Batch {
            targets: Tensor::from([rng.below(1 << 30) as i32]),
            ..batch
        })
    };
    let drawn = [targets(&loader(0), 0), targets(&loader(0), 1)].concat();
    assert_eq!([targets(&loader(2), 0), targets(&loader(2), 1)].concat(), drawn);
    let mut distinct = drawn.concat();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 6);
}

/// Fails at one example, and counts batches.
struct Faulty {
    fails_at: usize,
    made: AtomicUsize,
}

impl Dataset for Faulty {
    fn len(&self) -> usize {
        1000
    }
    fn batch(&self, indices: &[usize]) -> Batch {
        assert!(!indices.contains(&self.fails_at), "example {} is damaged", self.fails_at);
        self.made.fetch_add(1, Ordering::Relaxed);
        let index = Tensor::arange(indices.len());
        Batch { inputs: index.clone(), targets: index }
    }
}

#[test]
fn a_panic_of_the_dataset_reaches_the_caller_after_the_batches_before_it() {
    for prefetch in [0, 2] {
        let data = Faulty { fails_at: 35, made: AtomicUsize::new(0) };
        let mut batches = Loader::new(Arc::new(data), 10).prefetch(prefetch).epoch(0);
        assert_eq!((0..3).filter_map(|_| batches.next()).count(), 3);
        let panic = catch_unwind(AssertUnwindSafe(|| batches.next())).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "example 35 is damaged");
    }
}

#[test]
fn a_dropped_epoch_stops_its_thread_soon() {
    let data = Arc::new(Faulty { fails_at: usize::MAX, made: AtomicUsize::new(0) });
    let started = Instant::now();
    for _ in 0..20 {
        let mut batches = Loader::new(data.clone(), 1).epoch(0);
        batches.next();
        drop(batches);
    }
    // One taken, two waiting, one in the making, of a thousand.
    assert!(data.made.load(Ordering::Relaxed) <= 20 * 4);
    assert_eq!(Arc::strong_count(&data), 1);
    assert!(started.elapsed() < Duration::from_secs(5));
}
