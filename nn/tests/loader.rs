//! Batches: every example once, in an order that the seed and the epoch decide, whatever threads
//! make them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plies_nn::data::{
    Batch, Concat, Dataset, Draws, Loader, Map, SequenceDataset, Split, Subset, TensorDataset,
};
use plies_tensor::{DType, Device, Tensor};
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
        workers in 1usize..5,
        pool in prop::option::of(1usize..4),
    ) {
        let mut loader = Loader::new(numbers(n), size).prefetch(prefetch).workers(workers);
        if let Some(pool) = pool {
            loader = loader.bucket(pool);
        }
        if let Some(seed) = seed {
            loader = loader.shuffle(seed);
        }
        if drop_last {
            loader = loader.drop_last();
        }
        let mut seen = Vec::new();
        let mut batches = 0;
        for batch in loader.epoch(3) {
            let last = batches + 1 == loader.batches() || pool.is_some();
            prop_assert!(batch.len() == size || (!drop_last && last));
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
    for workers in [2, 3, 4, 100] {
        assert_eq!(targets(&loader(1, 2).workers(workers), 5), order, "{workers} threads");
    }
    assert_ne!(targets(&loader(1, 2), 6), order);
    assert_ne!(targets(&loader(2, 2), 5), order);
}

#[test]
fn a_transform_has_the_same_random_numbers_on_every_thread_and_new_ones_for_each_batch() {
    let loader = |prefetch| {
        Loader::new(numbers(12), 4).prefetch(prefetch).transform(3, |batch, draws| Batch {
            targets: Tensor::from([draws.batch().below(1 << 30) as i32]),
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
        Batch::new(index.clone(), index)
    }
}

#[test]
fn a_panic_of_the_dataset_reaches_the_caller_after_the_batches_before_it() {
    for (prefetch, workers) in [(0, 1), (2, 1), (2, 2), (1, 3)] {
        let data = Faulty { fails_at: 35, made: AtomicUsize::new(0) };
        let loader = Loader::new(Arc::new(data), 10).prefetch(prefetch).workers(workers);
        let mut batches = loader.epoch(0);
        assert_eq!((0..3).filter_map(|_| batches.next()).count(), 3);
        let panic = catch_unwind(AssertUnwindSafe(|| batches.next())).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "example 35 is damaged");
    }
}

#[test]
fn a_dropped_epoch_stops_its_threads_soon() {
    for workers in [1, 2] {
        let data = Arc::new(Faulty { fails_at: usize::MAX, made: AtomicUsize::new(0) });
        for _ in 0..20 {
            let mut batches = Loader::new(data.clone(), 1).workers(workers).epoch(0);
            batches.next();
            drop(batches);
        }
        // One taken, two waiting, one in the making on each thread, of a thousand.
        assert!(data.made.load(Ordering::Relaxed) <= 20 * (3 + workers));
        assert_eq!(Arc::strong_count(&data), 1);
    }
}

/// What each example is given by a transform that draws one number from the example's own stream.
fn drawn(loader: Loader, epoch: usize) -> Vec<(i32, i32)> {
    let loader = loader.transform(3, |batch, draws| {
        let drawn: Vec<i32> =
            (0..draws.len()).map(|i| draws.example(i).next_u32() as i32).collect();
        Batch { inputs: Tensor::from(drawn), ..batch }
    });
    let pairs = loader.epoch(epoch).flat_map(|batch| {
        let drawn = batch.inputs.to_vec::<i32>().unwrap();
        batch.targets.to_vec::<i32>().unwrap().into_iter().zip(drawn).collect::<Vec<_>>()
    });
    let mut pairs: Vec<(i32, i32)> = pairs.collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn an_example_draws_the_same_numbers_in_whatever_batch_it_is_and_new_ones_each_epoch() {
    let loader = |size| Loader::new(numbers(20), size);
    let in_turn = drawn(loader(20).prefetch(0), 1);
    assert_eq!(drawn(loader(3).shuffle(5), 1), in_turn);
    assert_eq!(drawn(loader(6).shuffle(8).workers(2), 1), in_turn);
    let next = drawn(loader(20), 2);
    assert!(next.iter().zip(&in_turn).all(|(next, now)| next.0 == now.0 && next.1 != now.1));
}

#[test]
fn an_example_that_is_drawn_twice_in_an_epoch_draws_other_numbers() {
    let pairs = drawn(Loader::new(numbers(3), 4).sample(1, &[1.0, 1.0, 1.0], 50), 0);
    let mut distinct = pairs.clone();
    distinct.dedup();
    assert_eq!((pairs.len(), distinct.len()), (50, 50));
}

#[test]
fn transforms_follow_one_another_and_draw_different_numbers_from_one_seed() {
    let draw = |batch: Batch, draws: &Draws<'_>| {
        let drawn = Tensor::from([draws.batch().next_u32() as i32]).unsqueeze(0);
        Batch { targets: Tensor::cat(&[&batch.targets, &drawn], 1), ..batch }
    };
    let data = TensorDataset::new(Tensor::arange(1), Tensor::arange(1).unsqueeze(-1));
    let loader = Loader::new(Arc::new(data), 1).transform(3, draw).transform(3, draw);
    let [_, first, second] = targets(&loader, 0).concat()[..] else { panic!("two transforms") };
    assert_ne!(first, second);
}

/// `n` sequences, the i-th of `lengths[i]` steps that are all i + 1.
fn sequences(lengths: &[usize]) -> Arc<SequenceDataset> {
    let sequence = |(i, &n): (usize, &usize)| Tensor::from(vec![i as i32 + 1; n]);
    let inputs = lengths.iter().enumerate().map(sequence).collect();
    Arc::new(SequenceDataset::new(inputs, Tensor::arange(lengths.len())))
}

#[test]
fn buckets_of_all_examples_need_the_least_padding_and_batches_change_places() {
    let lengths: Vec<usize> = (0..60).map(|i| (i * 37) % 23 + 1).collect();
    let padding = |loader: Loader| -> usize {
        let padded = loader.epoch(0).map(|batch| {
            let lengths = batch.lengths.unwrap();
            assert_eq!(batch.inputs.dim(1), *lengths.iter().max().unwrap());
            batch.inputs.elem_count() - lengths.iter().sum::<usize>()
        });
        padded.sum()
    };
    let loader = Loader::new(sequences(&lengths), 6).shuffle(4);
    let mut sorted = lengths.clone();
    sorted.sort_unstable();
    let least: usize = sorted.chunks(6).map(|c| c.iter().map(|l| c[5] - l).sum::<usize>()).sum();
    assert_eq!(padding(loader.clone().bucket(usize::MAX)), least);
    let of_three = padding(loader.clone().bucket(3));
    assert!(least < of_three && of_three < padding(loader.clone()), "{of_three}");
    let loader = loader.bucket(usize::MAX);
    let longest = |epoch| -> Vec<usize> { loader.epoch(epoch).map(|b| b.inputs.dim(1)).collect() };
    assert!(!longest(0).is_sorted());
    assert_ne!(longest(0), longest(1));
}

#[test]
fn a_padded_sequence_is_the_sequence_and_then_padding() {
    let data = sequences(&[2, 0, 3]);
    let batch = data.batch(&[2, 0, 1]);
    assert_eq!(batch.inputs.to_vec::<i32>().unwrap(), [3, 3, 3, 1, 1, 0, 0, 0, 0]);
    assert_eq!(batch.lengths, Some(vec![3, 2, 0]));
    assert_eq!(data.batch(&[]).inputs.dims(), [0, 0]);
    let steps = [
        Tensor::ones([2, 4], DType::F32, &Device::cpu()),
        Tensor::full([1, 4], 2.0, DType::F32, &Device::cpu()),
    ];
    let tags = vec![Tensor::from([5, 6]), Tensor::from([7])];
    let data = SequenceDataset::tagged(steps.to_vec(), tags, -100.0).padding(9.0);
    let batch = data.batch(&[1, 0]);
    assert_eq!(batch.inputs.dims(), [2, 2, 4]);
    assert_eq!(batch.inputs.select(2, 0).to_vec::<f32>().unwrap(), [2.0, 9.0, 1.0, 1.0]);
    assert_eq!(batch.targets.to_vec::<i32>().unwrap(), [7, -100, 5, 6]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_and_folds_hold_every_example_once(n in 0usize..60, k in 2usize..7, seed: u64) {
        let classes: Vec<i32> = (0..n as i32).map(|i| i * i % 5).collect();
        for split in [Split::shuffled(n, seed), Split::stratified(&classes, seed)] {
            let mut all = Vec::new();
            for (outside, inside) in split.folds(k) {
                prop_assert!(inside.len() == n / k || inside.len() == n.div_ceil(k));
                let mut both = [outside, inside.clone()].concat();
                both.sort_unstable();
                prop_assert!(both.iter().copied().eq(0..n));
                all.extend(inside);
            }
            prop_assert_eq!(&all, split.order());
            let [a, b, c] = split.parts([0.5, 0.3, 0.2]);
            prop_assert_eq!(&[a, b, c].concat(), split.order());
        }
        prop_assert_eq!(Split::shuffled(n, seed), Split::shuffled(n, seed));
    }

    /// Of a class with n of N examples a piece of m holds n·m/N; what rounding adds is at most one
    /// example for each end of the piece and class.
    #[test]
    fn every_part_holds_the_classes_in_proportion(
        counts in prop::collection::vec(1usize..30, 1..5),
        seed: u64,
        share in 0.0f64..1.0,
    ) {
        let classes: Vec<i32> =
            counts.iter().enumerate().flat_map(|(c, &n)| vec![c as i32; n]).collect();
        let [part, rest] = Split::stratified(&classes, seed).parts([share, 1.0 - share]);
        for piece in [part, rest] {
            for (c, &n) in counts.iter().enumerate() {
                let found = piece.iter().filter(|&&i| classes[i] == c as i32).count() as f64;
                let fair = (n * piece.len()) as f64 / classes.len() as f64;
                prop_assert!((found - fair).abs() <= 0.5 + counts.len() as f64 / 2.0);
            }
        }
    }

    #[test]
    fn a_data_set_made_of_others_has_their_examples(
        lengths in prop::collection::vec(0usize..6, 1..4),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let total: usize = lengths.iter().sum();
        prop_assume!(total > 0);
        let (mut parts, mut start) = (Vec::<Arc<dyn Dataset>>::new(), 0);
        for n in lengths {
            let all: Arc<dyn Dataset> = numbers(total);
            parts.push(Arc::new(Subset::new(all, (start..start + n).collect())));
            start += n;
        }
        let twice = |batch: Batch| Batch { inputs: batch.inputs * 2.0, ..batch };
        let data = Map::new(Arc::new(Concat::new(parts)), twice);
        let picks: Vec<usize> = picks.iter().map(|pick| pick.index(total)).collect();
        let batch = data.batch(&picks);
        let expected: Vec<i32> = picks.iter().map(|&i| i as i32).collect();
        prop_assert_eq!(batch.targets.to_vec::<i32>().unwrap(), expected);
        let inputs = batch.inputs.to_vec::<f32>().unwrap();
        prop_assert!(inputs.iter().zip(&picks).all(|(&x, &i)| x == 2.0 * i as f32));
    }
}

#[test]
fn joined_sequences_are_padded_to_the_longest_of_all() {
    let joined = Concat::new(vec![sequences(&[2, 1]), sequences(&[4])]);
    let batch = joined.batch(&[2, 1, 0]);
    assert_eq!(batch.inputs.dims(), [3, 4]);
    assert_eq!(batch.lengths, Some(vec![4, 1, 2]));
    assert_eq!(batch.inputs.to_vec::<i32>().unwrap(), [1, 1, 1, 1, 2, 0, 0, 0, 1, 1, 0, 0]);
    assert_eq!((0..3).map(|i| joined.steps(i)).collect::<Vec<_>>(), [2, 1, 4]);
}

#[test]
fn an_epoch_that_is_begun_later_has_the_batches_that_are_left() {
    for (workers, prefetch) in [(1, 0), (1, 2), (3, 2)] {
        let loader = Loader::new(numbers(20), 3).shuffle(1).prefetch(prefetch).workers(workers);
        let whole = targets(&loader, 4);
        for first in [0, 1, 5, 7, 9] {
            let left = loader.epoch_from(4, first).map(|b| b.targets.to_vec::<i32>().unwrap());
            assert!(left.eq(whole.iter().skip(first).cloned()), "{workers} threads from {first}");
        }
    }
}
