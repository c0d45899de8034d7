//! The perceptron against its definition, and against what is proved about it.

use plies_nn::{Checkpoint, Module, Perceptron};
use plies_tensor::{DType, Device, Rng, Tensor};

/// Points [N, 3] of classes that u, of norm 1 with its biases, tells apart by at least the margin.
fn separable(n: usize, classes: usize, margin: f64) -> (Tensor, Tensor) {
    let mut rng = Rng::new(4);
    let u = rng.normal([classes, 4], DType::F64, &Device::cpu());
    let u = &u / u.norm_all();
    let x = rng.normal([4 * n, 3], DType::F64, &Device::cpu());
    let with_1 = Tensor::cat(&[&x, &Tensor::ones([4 * n, 1], DType::F64, &Device::cpu())], 1);
    let (best, class) = with_1.matmul(&u.t()).topk(2, -1);
    let gaps = (best.select(-1, 0) - best.select(-1, 1)).to_vec::<f64>().unwrap();
    let apart: Vec<i32> =
        (0..).zip(gaps).filter(|(_, gap)| *gap >= margin).map(|(i, _)| i).collect();
    let index = Tensor::from_slice(&apart[..n], [n]);
    (x.index_select(0, &index), class.select(-1, 0).index_select(0, &index))
}

#[test]
fn mistakes_are_at_most_those_of_the_theorem_and_then_there_are_none() {
    for classes in [2, 3, 5] {
        let margin = 0.1;
        let (x, y) = separable(60, classes, margin);
        let longest = (x.norm(&[-1], false).max_all().item().unwrap().powi(2) + 1.0).sqrt();
        let mut perceptron = Perceptron::new(3, classes);
        let mut mistakes = 0;
        loop {
            let of_pass = perceptron.learn(&x, &y);
            if of_pass == 0 {
                break;
            }
            mistakes += of_pass;
            assert!(mistakes as f64 <= 2.0 * (longest / margin).powi(2), "{classes} classes");
        }
        assert!(mistakes > 0);
        assert_eq!(
            perceptron.classify(&x).to_vec::<i32>().unwrap(),
            y.to_vec::<i32>().unwrap(),
            "{classes} classes"
        );
    }
}

/// Examples that no line separates.
fn noisy(n: usize) -> (Tensor, Tensor) {
    let mut rng = Rng::new(7);
    let x = rng.normal([n, 2], DType::F32, &Device::cpu());
    let class = |x: &[f32]| i32::from(f64::from(x[0] + x[1]) + 2.0 * rng.next_f64() > 1.0);
    let classes: Vec<i32> = x.to_vec::<f32>().unwrap().chunks(2).map(class).collect();
    (x, Tensor::from(classes))
}

#[test]
fn with_two_classes_it_is_rosenblatts_and_its_average_that_of_all_his_weights() {
    let (x, y) = noisy(50);
    let mut perceptron = Perceptron::new(2, 2);
    let points: Vec<f64> = x.to_dtype(DType::F64).to_vec().unwrap();
    // v [v₁, v₂, bias] ← v + 2t x, with t = ±1 for the classes 1 and 0.
    let (mut v, mut sum, mut expected) = ([0f64; 3], [0f64; 3], 0);
    for (x, class) in points.chunks(2).zip(y.to_vec::<i32>().unwrap()) {
        let (t, x) = (f64::from(2 * class - 1), [x[0], x[1], 1.0]);
        if t * (v[0] * x[0] + v[1] * x[1] + v[2]) <= 0.0 {
            expected += 1;
            (0..3).for_each(|i| v[i] += 2.0 * t * x[i]);
        }
        (0..3).for_each(|i| sum[i] += v[i]);
    }
    assert_eq!(perceptron.learn(&x, &y), expected);
    let difference = |perceptron: &Perceptron| {
        let weights = Tensor::cat(
            &[perceptron.weight().value(), &perceptron.bias().value().unsqueeze(-1)],
            1,
        );
        (weights.select(0, 1) - weights.select(0, 0)).to_vec::<f64>().unwrap()
    };
    for i in 0..3 {
        assert!((difference(&perceptron)[i] - v[i]).abs() < 1e-12);
        assert!((difference(&perceptron.averaged())[i] - sum[i] / 50.0).abs() < 1e-12);
    }
    assert_eq!(difference(&Perceptron::new(2, 2).averaged()), [0.0; 3], "an average of nothing");
}

#[test]
fn learning_in_parts_with_a_file_in_between_is_learning_at_once() {
    let (x, y) = noisy(40);
    let mut at_once = Perceptron::new(2, 3);
    let mistakes = at_once.learn(&x, &y);

    let mut first = Perceptron::new(2, 3);
    let mut mistakes_in_parts = first.learn(&x.narrow(0, 0, 13), &y.narrow(0, 0, 13));
    let mut checkpoint = Checkpoint::new();
    checkpoint.put_model(&first);
    let checkpoint = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap(), "memory").unwrap();
    let mut second = Perceptron::new(2, 3);
    checkpoint.load_model(&mut second).unwrap();
    mistakes_in_parts += second.learn(&x.narrow(0, 13, 27), &y.narrow(0, 13, 27));

    assert_eq!(mistakes, mistakes_in_parts);
    for (a, b) in [(&at_once, &second), (&at_once.averaged(), &second.averaged())] {
        for ((_, a), (_, b)) in a.named_parameters().into_iter().zip(b.named_parameters()) {
            assert_eq!(a.to_vec::<f64>().unwrap(), b.to_vec::<f64>().unwrap());
        }
    }
}

#[test]
fn where_no_line_separates_the_classes_the_average_is_the_better_judge() {
    let (x, y) = noisy(2000);
    let (train, held_out) = (x.narrow(0, 0, 1000), x.narrow(0, 1000, 1000));
    let mut perceptron = Perceptron::new(2, 2);
    perceptron.learn(&train, &y.narrow(0, 0, 1000));
    let right = |perceptron: &Perceptron| {
        let truth = y.narrow(0, 1000, 1000).to_vec::<i32>().unwrap();
        let classes = perceptron.classify(&held_out).to_vec::<i32>().unwrap();
        truth.iter().zip(classes).filter(|&(truth, class)| *truth == class).count()
    };
    assert!(right(&perceptron.averaged()) > right(&perceptron));
}
