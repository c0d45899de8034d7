//! Pictures, changed: each change against its definition, one pixel at a time.

use std::sync::Arc;

use plies_nn::data::{Affine, Augment, Batch, Draws, Erase, Loader, TensorDataset};
use plies_tensor::{DType, Device, Rng, Tensor};
use proptest::prelude::*;

fn pictures(dims: [usize; 4], seed: u64) -> Tensor {
    Rng::new(seed).uniform(dims, DType::F32, &Device::cpu())
}

/// The pictures of a batch that have the numbers 0, 1, …, changed.
fn apply(augment: &Augment, images: &Tensor, seed: u64) -> Tensor {
    let numbers: Vec<usize> = (0..images.dim(0)).collect();
    let batch = Batch::new(images.clone(), Tensor::arange(numbers.len()));
    augment.apply(batch, &Draws::new(seed, 0, 0, &numbers)).inputs
}

fn numbers(x: &Tensor) -> Vec<f32> {
    x.to_vec().unwrap()
}

fn bits(x: &Tensor) -> Vec<u32> {
    numbers(x).into_iter().map(f32::to_bits).collect()
}

/// A plane of [H, W] where each pixel of the result comes from `source` (from centre to centre): the sum
/// over all pixels, each by how much of it is there.
fn naive(
    plane: &[f32],
    [h, w]: [usize; 2],
    fill: f32,
    source: impl Fn(f64, f64) -> (f64, f64),
) -> Vec<f64> {
    let centre = |n: usize| (n as f64 - 1.0) / 2.0;
    let mut result = Vec::new();
    for y in 0..h {
        for x in 0..w {
            let (sx, sy) = source(x as f64 - centre(w), y as f64 - centre(h));
            let (mut sum, mut total) = (0.0, 0.0);
            for (at, &pixel) in plane.iter().enumerate() {
                let dx = (at % w) as f64 - centre(w) - sx;
                let dy = (at / w) as f64 - centre(h) - sy;
                let weight = (1.0 - dx.abs()).max(0.0) * (1.0 - dy.abs()).max(0.0);
                sum += weight * f64::from(pixel);
                total += weight;
            }
            result.push(sum + (1.0 - total) * f64::from(fill));
        }
    }
    result
}

/// Where a point comes from, by Cramer's rule.
fn source(map: &Affine) -> impl Fn(f64, f64) -> (f64, f64) {
    let [[a, b, u], [c, d, v]] = map.rows();
    move |x, y| {
        let (x, y, n) = (x - u, y - v, a * d - b * c);
        ((d * x - b * y) / n, (a * y - c * x) / n)
    }
}

fn maps() -> impl Strategy<Value = Affine> {
    let part = prop_oneof![
        (-400.0f64..400.0).prop_map(Affine::rotation),
        (-3i32..4).prop_map(|quarters| Affine::rotation(90.0 * f64::from(quarters))),
        (-3.0f64..3.0, -3.0f64..3.0).prop_map(|(x, y)| Affine::shift(x, y)),
        (0.3f64..2.0, 0.3f64..2.0).prop_map(|(x, y)| Affine::scale(x, y)),
        (-50.0f64..50.0).prop_map(Affine::shear),
        Just(Affine::mirror()),
    ];
    prop::collection::vec(part, 0..4)
        .prop_map(|parts| parts.iter().fold(Affine::IDENTITY, |map, part| map.then(part)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_warp_is_the_sum_over_all_pixels_by_how_near_they_are(
        (n, c, h, w) in (0usize..3, 1usize..3, 0usize..8, 0usize..8),
        map in maps(),
        fill in prop_oneof![Just(0.0f32), -1.0f32..1.0],
    ) {
        let images = pictures([n, c, h, w], 1);
        let warped = map.warp(&images, fill);
        prop_assert_eq!(warped.dims(), images.dims());
        let found = numbers(&warped);
        for (i, plane) in numbers(&images).chunks((h * w).max(1)).enumerate() {
            let expected = naive(plane, [h, w], fill, source(&map));
            for (found, expected) in found[i * h * w..].iter().zip(expected) {
                prop_assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} for {expected}");
            }
        }
        if c == 1 {
            let flat = map.warp(&images.squeeze(1), fill);
            prop_assert_eq!(bits(&flat), bits(&warped));
        }
    }

    #[test]
    fn moves_that_follow_one_another_are_one_map(a in maps(), b in maps(), h in 1usize..6) {
        let images = pictures([2, 1, h, 5], 2);
        let one = a.then(&b).warp(&images, 0.5);
        let both = apply(&Augment::new().affine(a).affine(b).fill(0.5), &images, 1);
        prop_assert_eq!(bits(&one), bits(&both));
        // That map is the second after the first.
        let go = |map: &Affine, (x, y): (f64, f64)| {
            let [p, q] = map.rows().map(|[a, b, u]| a * x + b * y + u);
            (p, q)
        };
        let (there, there_too) = (go(&a.then(&b), (1.5, -2.0)), go(&b, go(&a, (1.5, -2.0))));
        prop_assert!((there.0 - there_too.0).abs() + (there.1 - there_too.1).abs() < 1e-9);
        let back = go(&a.inverse(), go(&a, (1.5, -2.0)));
        prop_assert!((back.0 - 1.5).abs() + (back.1 + 2.0).abs() < 1e-9);
    }

    /// Whatever a pixel holds.
    #[test]
    fn no_strength_changes_no_bit(
        (n, h, w) in (0usize..4, 0usize..5, 0usize..5),
        seed: u64,
    ) {
        let odd = [-0.0, f32::NAN, f32::INFINITY, 0.3, 1e-40];
        let pixels: Vec<f32> = (0..n * h * w).map(|i| odd[i % 5]).collect();
        let images = Tensor::from_vec(pixels, [n, 1, h, w]);
        let nothing = Augment::new()
            .rotate(0.0).shift(0.0).scale(1.0, 1.0).shear(0.0).flip(0.0).elastic(0.0, 4.0)
            .crop([h, w], 0)
            .noise(0.0)
            .erase(Erase { probability: 0.0, ..Erase::default() })
            .rotate(0.0);
        prop_assert_eq!(bits(&apply(&nothing, &images, seed)), bits(&images));
    }

    #[test]
    fn everything_at_once_takes_pictures_of_any_size(
        (n, c, h, w) in (0usize..4, 0usize..3, 0usize..6, 0usize..6),
        (oh, ow) in (0usize..6, 0usize..6),
        seed: u64,
    ) {
        let all = Augment::new()
            .rotate(30.0).shift(1.0).elastic(3.0, 1.5).scale(0.5, 2.0).shear(20.0).flip(0.5)
            .crop([oh, ow], 3)
            .elastic(2.0, 1.0)
            .noise(0.1)
            .erase(Erase { probability: 1.0, ..Erase::default() })
            .mixup(0.3, n)
            .cutmix(1.0, n)
            .shift(1.0);
        let result = apply(&all, &pictures([n, c, h, w], seed), seed);
        prop_assert_eq!(result.dims(), [n, c, oh, ow]);
        prop_assert!(numbers(&result).iter().all(|x| x.is_finite()));
    }
}

#[test]
fn quarter_turns_mirrors_and_whole_pixels_move_pixels_onto_pixels() {
    for n in [1, 2, 5, 28] {
        let square = pictures([2, 2, n, n], 3);
        let turned = |quarters: f64| bits(&Affine::rotation(90.0 * quarters).warp(&square, 0.0));
        let [down, right] = [2, 3];
        assert_eq!(turned(1.0), bits(&square.transpose(down, right).flip(down)));
        assert_eq!(turned(-1.0), bits(&square.transpose(down, right).flip(right)));
        assert_eq!(turned(2.0), bits(&square.flip(down).flip(right)));
        assert_eq!(turned(4.0), bits(&square));
        assert_eq!(turned(-3.0), turned(1.0));
    }
    let wide = pictures([1, 1, 3, 6], 4);
    assert_eq!(bits(&Affine::mirror().warp(&wide, 0.0)), bits(&wide.flip(3)));
    let shifted = Affine::shift(2.0, -1.0).warp(&wide, 0.25);
    let expected = wide.slice(2, 1..3).pad(2, 0, 1, 0.25).slice(3, 0..4).pad(3, 2, 0, 0.25);
    assert_eq!(bits(&shifted), bits(&expected));
}

/// Two channels that hold where a pixel is from the centre: x and y. A warp of them says where each pixel
/// of the result came from.
fn compass(n: usize, side: usize) -> Tensor {
    let centre = (side as f32 - 1.0) / 2.0;
    let cells = side * side;
    let x = (0..cells).map(|at| (at % side) as f32 - centre);
    let y = (0..cells).map(|at| (at / side) as f32 - centre);
    let one = Tensor::from_vec(x.chain(y).collect::<Vec<f32>>(), [1, 2, side, side]);
    one.broadcast_to([n, 2, side, side]).contiguous()
}

/// The maps that an augmentation drew for `n` pictures, read from three pixels around the centre.
fn drawn(augment: &Augment, n: usize) -> Vec<[[f64; 3]; 2]> {
    let side = 15;
    let warped = numbers(&apply(augment, &compass(n, side), 9));
    let read = |picture: &[f32]| {
        let row = |channel: usize| {
            let at = |x: usize, y: usize| {
                f64::from(picture[channel * side * side + (7 + y) * side + 7 + x])
            };
            [at(1, 0) - at(0, 0), at(0, 1) - at(0, 0), at(0, 0)]
        };
        Affine::new([row(0), row(1)]).inverse().rows()
    };
    warped.chunks(2 * side * side).map(read).collect()
}

#[test]
fn what_is_drawn_is_what_was_asked_for_and_fills_its_range() {
    let n = 400;
    let range = |numbers: Vec<f64>, low: f64, high: f64| {
        let width = high - low;
        assert!(numbers.iter().all(|x| (low - 1e-3..=high + 1e-3).contains(x)), "{numbers:?}");
        // Of 400 uniform numbers none in a tenth has a probability of 5e-19.
        assert!(numbers.iter().any(|x| *x < low + 0.1 * width));
        assert!(numbers.iter().any(|x| *x > high - 0.1 * width));
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-3, "{a} and {b}");
    let turns = drawn(&Augment::new().rotate(20.0), n);
    range(
        turns.iter().map(|[[cos, sin, _], _]| sin.atan2(*cos).to_degrees()).collect(),
        -20.0,
        20.0,
    );
    for [[a, b, u], [c, d, v]] in turns {
        near(a, d);
        near(b, -c);
        near(a * a + b * b, 1.0);
        near(u.abs() + v.abs(), 0.0);
    }
    let shifts = drawn(&Augment::new().shift(2.5), n);
    range(shifts.iter().map(|[x, _]| x[2]).collect(), -2.5, 2.5);
    range(shifts.iter().map(|[_, y]| y[2]).collect(), -2.5, 2.5);
    let scales = drawn(&Augment::new().scale(0.8, 1.5), n);
    range(scales.iter().map(|[x, _]| x[0]).collect(), 0.8, 1.5);
    scales.iter().for_each(|[x, y]| near(x[0], y[1]));
    let shears = drawn(&Augment::new().shear(30.0), n);
    range(shears.iter().map(|[x, _]| -x[1].atan().to_degrees()).collect(), -30.0, 30.0);
    shears.iter().for_each(|[x, y]| near(x[0] + y[1] - y[0].abs(), 2.0));
    let flips = drawn(&Augment::new().flip(0.25), n);
    let mirrored = flips.iter().filter(|[x, _]| x[0] < 0.0).count();
    // Five standard deviations: 5 · √(400 · 3/16) = 43.
    assert!(mirrored.abs_diff(100) < 43, "{mirrored}");
}

/// Each pixel of a compass says how far it has been displaced.
#[test]
fn elastic_displacements_have_the_size_and_the_smoothness_of_a_smoothed_field() {
    let (n, side, alpha, sigma) = (600, 33, 20.0, 3.0);
    let field = |augment: &Augment| -> Vec<[f64; 2]> {
        let compass = compass(n, side);
        let moved = apply(augment, &compass, 5) - compass;
        let at = |x: usize| (side / 2) * side + x;
        let read = |picture: &[f32]| {
            [at(side / 2), at(side / 2 + 2)].map(|pixel| f64::from(picture[pixel]))
        };
        numbers(&moved).chunks(2 * side * side).map(read).collect()
    };
    let field = |augment| {
        let pairs = field(augment);
        let mean = |f: &dyn Fn(&[f64; 2]) -> f64| pairs.iter().map(f).sum::<f64>() / n as f64;
        (mean(&|[a, _]| a * a).sqrt(), mean(&|[a, b]| a * b) / mean(&|[a, _]| a * a))
    };
    let elastic = Augment::new().elastic(alpha, sigma);
    let (std, correlation) = field(&elastic);
    // Uniform numbers in ±1 have the variance 1/3; smoothing divides it by 4πσ².
    let expected = alpha * (1.0 / 3.0f64).sqrt() / (2.0 * std::f64::consts::PI.sqrt() * sigma);
    // A standard deviation from 600 numbers is right to 3 %; five times that.
    assert!((std / expected - 1.0).abs() < 0.15, "{std} for {expected}");
    let expected = (-(2.0 * 2.0) / (4.0 * sigma * sigma)).exp();
    assert!((correlation - expected).abs() < 0.05, "{correlation} for {expected}");
    // A picture made twice as large before is bent in its own, smaller, pixels; one made so after is not.
    let large = Affine::scale(2.0, 2.0);
    let centre = |augment: &Augment| {
        let moved = numbers(&apply(augment, &compass(1, side), 5));
        f64::from(moved[side * side / 2])
    };
    let alone = centre(&elastic);
    assert!(alone.abs() > 0.1);
    assert!(
        (centre(&Augment::new().affine(large).elastic(alpha, sigma)) - alone / 2.0).abs() < 1e-5
    );
    assert!((centre(&elastic.clone().affine(large)) - alone).abs() < 1e-5);
}

#[test]
fn crops_are_windows_of_the_padded_picture_and_all_of_them() {
    let images = pictures([300, 1, 4, 3], 6);
    let cropped = apply(&Augment::new().crop([3, 5], 1).fill(-1.0), &images, 2);
    assert_eq!(cropped.dims(), [300, 1, 3, 5]);
    let padded = images.pad(2, 1, 1, -1.0).pad(3, 1, 1, -1.0); // [300, 1, 6, 5]
    let mut places = [0; 4];
    for i in 0..300 {
        let result = bits(&cropped.select(0, i));
        let window = |top: usize| bits(&padded.select(0, i).slice(1, top..top + 3));
        places[(0..4).find(|&top| window(top) == result).expect("a window")] += 1;
    }
    // Five standard deviations of a quarter of 300: 5 · √(300 · 3/16) = 37.
    assert!(places.iter().all(|n: &usize| n.abs_diff(75) < 38), "{places:?}");
}

#[test]
fn noise_is_normal_with_mean_0_and_the_standard_deviation_asked_for() {
    let images = pictures([50, 1, 20, 20], 7);
    let noise = apply(&Augment::new().noise(0.3), &images, 3) - images;
    let n = 50.0 * 400.0;
    let mean = noise.mean_all().item().unwrap();
    assert!(mean.abs() < 5.0 * 0.3 / f64::sqrt(n), "{mean}");
    let var = noise.flatten().var(&[0], 1, false).item().unwrap();
    assert!((var / 0.09 - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{var}");
    let tails = numbers(&noise).iter().filter(|x| x.abs() > 0.6).count() as f64;
    // 4.55 % lie beyond two standard deviations.
    assert!((tails - 0.0455 * n).abs() < 5.0 * (0.0455 * n).sqrt(), "{tails}");
}

#[test]
fn what_is_erased_is_one_rectangle_through_all_channels() {
    let (n, h, w) = (500, 12, 16);
    let images = pictures([n, 2, h, w], 8);
    let settings = Erase { probability: 0.6, area: (0.1, 0.3), aspect: 0.5, value: Some(7.0) };
    let result = numbers(&apply(&Augment::new().erase(settings), &images, 4));
    let mut erased = 0;
    for (picture, before) in result.chunks(2 * h * w).zip(numbers(&images).chunks(2 * h * w)) {
        let (first, second) = picture.split_at(h * w);
        let gone: Vec<usize> = (0..h * w).filter(|&at| first[at] == 7.0).collect();
        assert!(gone.iter().all(|&at| second[at] == 7.0));
        let kept = picture.iter().zip(before).filter(|(now, before)| now == before).count();
        assert_eq!(kept, 2 * (h * w - gone.len()));
        let Some(first) = gone.first() else { continue };
        erased += 1;
        let (top, left) = (first / w, gone.iter().map(|at| at % w).min().unwrap());
        let (bottom, right) =
            (gone.last().unwrap() / w, gone.iter().map(|at| at % w).max().unwrap());
        let (height, width) = ((bottom - top + 1) as f64, (right - left + 1) as f64);
        assert_eq!(gone.len() as f64, height * width);
        // Sides are rounded to whole pixels, by half of one at most.
        let area = |by: f64| (height + by) * (width + by) / (h * w) as f64;
        assert!(area(0.5) >= 0.1 && area(-0.5) <= 0.3);
        assert!((height + 0.5) / (width - 0.5) >= 0.5 && (height - 0.5) / (width + 0.5) <= 2.0);
    }
    // Five standard deviations: 5 · √(500 · 0.24) = 55; some of the tallest never fit.
    assert!((225..=355).contains(&erased), "{erased}");
    let random = Erase { probability: 1.0, value: None, ..settings };
    let random = numbers(&apply(&Augment::new().erase(random), &(images - 5.0), 4));
    let drawn: Vec<f32> = random.into_iter().filter(|&x| x >= 0.0).collect();
    assert!(drawn.len() > 1000 && drawn.iter().all(|x| (0.0..1.0).contains(x)));
}

/// Pictures that hold their class in every pixel, so that the mean of what comes out is the mean of its
/// target's classes.
#[test]
fn mixed_targets_say_how_much_of_each_class_is_in_the_picture() {
    let n = 200;
    let classes: Vec<i32> = (0..n).map(|i| i % 5).collect();
    let values: Vec<f32> = classes.iter().flat_map(|&c| [c as f32; 48]).collect();
    let numbers_: Vec<usize> = (0..n as usize).collect();
    for (augment, whole) in
        [(Augment::new().mixup(0.4, 5), false), (Augment::new().cutmix(1.0, 5), true)]
    {
        let inputs = Tensor::from_vec(values.clone(), [n as usize, 1, 6, 8]);
        let batch = Batch::new(inputs, Tensor::from(classes.clone()));
        let mixed = augment.apply(batch, &Draws::new(1, 0, 0, &numbers_));
        assert_eq!(mixed.targets.dims(), [n as usize, 5]);
        let means = mixed.inputs.mean(&[1, 2, 3], false);
        let expected = (&mixed.targets * &Tensor::arange(5).to_dtype(DType::F32).unsqueeze(0))
            .sum(&[1], false);
        for (mean, expected) in numbers(&means).into_iter().zip(numbers(&expected)) {
            assert!((mean - expected).abs() < 1e-5, "{mean} for {expected}");
        }
        let sums = numbers(&mixed.targets.sum(&[1], false));
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6));
        let of_two = numbers(&mixed.targets).into_iter().filter(|q| *q > 0.0 && *q < 1.0).count();
        assert!(of_two > 100, "{of_two}");
        let fractions = numbers(&mixed.inputs).into_iter().filter(|x| x.fract() != 0.0).count();
        assert_eq!(fractions == 0, whole);
        // Targets that are numbers are mixed as they are.
        let inputs = Tensor::from_vec(values.clone(), [n as usize, 1, 6, 8]);
        let targets = Tensor::from(classes.clone()).to_dtype(DType::F32);
        let mixed = augment.apply(Batch::new(inputs, targets), &Draws::new(1, 0, 0, &numbers_));
        for (mean, target) in numbers(&means).into_iter().zip(numbers(&mixed.targets)) {
            assert!((mean - target).abs() < 1e-5, "{mean} for {target}");
        }
    }
}

#[test]
fn one_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let data = Arc::new(TensorDataset::new(pictures([50, 1, 9, 7], 1), Tensor::arange(50)));
    let augment = Augment::new()
        .rotate(15.0)
        .shift(2.0)
        .elastic(8.0, 2.0)
        .noise(0.1)
        .erase(Erase::default())
        .custom(|pixels, _size, rng| pixels[0] = rng.next_f64() as f32)
        .mixup(0.2, 50);
    let bytes = |seed, epoch, workers| {
        let loader = Loader::new(data.clone(), 8).shuffle(2).workers(workers);
        let loader = loader.augment(seed, augment.clone());
        let batches = loader.epoch(epoch);
        batches
            .flat_map(|batch| [bits(&batch.inputs), bits(&batch.targets)].concat())
            .collect::<Vec<_>>()
    };
    let once = bytes(1, 3, 1);
    for workers in [1, 2, 4] {
        assert_eq!(bytes(1, 3, workers), once, "{workers} threads");
    }
    assert_ne!(bytes(2, 3, 1), once);
    assert_ne!(bytes(1, 4, 1), once);
}

#[test]
fn what_becomes_of_a_picture_does_not_depend_on_the_batch_that_it_is_in() {
    let images = pictures([6, 1, 8, 8], 2);
    let augment = Augment::new().rotate(20.0).elastic(6.0, 2.0).noise(0.2).erase(Erase::default());
    let together = apply(&augment, &images, 1);
    for i in 0..6 {
        let batch = Batch::new(images.slice(0, i..i + 1), Tensor::from([0]));
        let alone = augment.apply(batch, &Draws::new(1, 0, 5, &[i])).inputs;
        for (alone, together) in numbers(&alone).into_iter().zip(numbers(&together.select(0, i))) {
            assert!((alone - together).abs() < 1e-5);
        }
    }
}
