//! Attention: masks of every kind, rows that see nothing, sequences of different lengths.

use plies_autograd::Var;
use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
use plies_nn::{AttentionMask, Module, MultiHeadAttention, Pass, scaled_dot_product_attention};
use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Device, Elementwise, Rng, Tensor};
use proptest::prelude::*;

fn normal(dims: &[usize], seed: u64) -> Tensor {
    Rng::new(seed).normal(dims, DType::F64, &Device::cpu())
}

/// In double precision, so that tolerances can be tight.
fn attention(size: usize, heads: usize, sizes: [usize; 2]) -> MultiHeadAttention {
    let mut layer = MultiHeadAttention::with(size, heads, sizes, &mut Rng::new(3));
    let mut seed = 0;
    layer.for_each_parameter_mut(&mut |_, p| {
        seed += 1;
        *p = Var::leaf(normal(p.dims(), seed) * 0.5);
    });
    layer
}

fn attend(qkv: [&Var; 3], lengths: Option<&[usize]>, mask: &AttentionMask) -> (Var, Var) {
    scaled_dot_product_attention(qkv, lengths, mask, 0.0, &mut Pass::eval())
}

/// y and the weights by the definition, element by element; `sees` says which query sees which key.
fn by_definition(
    [q, k, v]: [&Tensor; 3],
    sees: impl Fn(usize, usize, usize) -> bool,
    bias: &Tensor,
) -> [Tensor; 2] {
    let (batch, queries, keys) = (q.dim(0), q.dim(1), k.dim(1));
    let row = |x: &Tensor, b: usize, i: usize| x.select(0, b).select(0, i).to_vec::<f64>().unwrap();
    let (mut y, mut weights) = (vec![], vec![]);
    for b in 0..batch {
        for i in 0..queries {
            let score = |j: usize| {
                let dot: f64 = row(q, b, i).iter().zip(row(k, b, j)).map(|(q, k)| q * k).sum();
                let z = dot / (q.dim(2) as f64).sqrt() + row(bias, b, i)[j];
                if sees(b, i, j) { z.exp() } else { 0.0 }
            };
            let scores: Vec<f64> = (0..keys).map(score).collect();
            let sum: f64 = scores.iter().sum();
            let share = |score: f64| if sum == 0.0 { 0.0 } else { score / sum };
            let own: Vec<f64> = scores.into_iter().map(share).collect();
            let read = |o: usize| (0..keys).map(|j| own[j] * row(v, b, j)[o]).sum::<f64>();
            y.extend((0..v.dim(2)).map(read));
            weights.extend(own);
        }
    }
    [
        Tensor::from_vec(y, [batch, queries, v.dim(2)]),
        Tensor::from_vec(weights, [batch, queries, keys]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whichever_the_masks_the_weights_are_those_of_the_definition(
        [batch, queries, keys] in [1usize..4, 0usize..5, 0usize..5],
        lengths in proptest::option::of(proptest::collection::vec(0usize..5, 3)),
        causal in any::<bool>(),
        has_bias in any::<bool>(),
        hidden in proptest::collection::vec(proptest::bool::weighted(0.3), 3 * 5 * 5),
        seed in 0u64..1000,
    ) {
        let q = normal(&[batch, queries, 3], seed);
        let k = normal(&[batch, keys, 3], seed + 1);
        let v = normal(&[batch, keys, 2], seed + 2);
        let lengths: Option<Vec<usize>> =
            lengths.map(|l| l[..batch].iter().map(|&n| n.min(keys)).collect());
        let hidden = |b: usize, i: usize, j: usize| has_bias && hidden[(b * 5 + i) * 5 + j];
        let mut bias = normal(&[batch, queries, keys], seed + 3).to_vec::<f64>().unwrap();
        for (at, bias) in bias.iter_mut().enumerate() {
            let (b, i, j) = (at / (queries * keys), at / keys % queries, at % keys);
            *bias = match has_bias {
                true if hidden(b, i, j) => f64::NEG_INFINITY,
                true => *bias,
                false => 0.0,
            };
        }
        let bias = Tensor::from_vec(bias, [batch, queries, keys]);
        let sees = |b: usize, i: usize, j: usize| {
            let keys = lengths.as_ref().map_or(keys, |lengths| lengths[b]);
            j < keys && (!causal || j + queries <= i + keys) && !hidden(b, i, j)
        };
        let [y, weights] = by_definition([&q, &k, &v], sees, &bias);
        let mask = AttentionMask { causal, bias: has_bias.then(|| Var::constant(bias)) };
        let vars = [q, k, v].map(Var::constant);
        let found = attend(vars.each_ref(), lengths.as_deref(), &mask);
        assert_close(found.0.value(), &y, 1e-12, 1e-12);
        assert_close(found.1.value(), &weights, 1e-12, 1e-12);
    }

    /// The products of a batch add up in the order that suits their shapes, so the last bits differ.
    #[test]
    fn a_batch_of_different_lengths_gives_what_each_sequence_gives_alone(
        lengths in proptest::collection::vec(0usize..7, 1..6),
        causal in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let layer = attention(6, 2, [6, 6]);
        let x = normal(&[lengths.len(), 7, 6], seed);
        let d_y = normal(&[lengths.len(), 7, 6], seed + 1);
        let bias = normal(&[lengths.len(), 7, 7], seed + 2);
        let mask = |bias: Tensor| AttentionMask { causal, bias: Some(Var::constant(bias)) };
        // What lies beyond the ends must not be read.
        let mut parts = Vec::new();
        for (b, &n) in lengths.iter().enumerate() {
            parts.push(x.narrow(0, b, 1).narrow(1, 0, n).pad(1, 0, 7 - n, f64::NAN));
        }
        let padded = Var::leaf(Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0));
        let pass = &mut Pass::eval();
        let (y, weights) = layer.run(&padded, Some(&lengths), &mask(bias.clone()), pass);
        (&y * Var::constant(d_y.clone())).sum_all().backward();
        let d_x = padded.grad().unwrap();
        let of_batch: Vec<Var> =
            layer.named_parameters().iter().map(|(_, p)| p.grad().unwrap()).collect();
        layer.zero_grad();
        for (b, &n) in lengths.iter().enumerate() {
            let part = |x: &Tensor| x.narrow(0, b, 1).narrow(1, 0, n).contiguous();
            let alone = Var::leaf(part(&x));
            let own = mask(part(&bias).narrow(2, 0, n));
            let (y_alone, weights_alone) = layer.run(&alone, None, &own, pass);
            (&y_alone * Var::constant(part(&d_y))).sum_all().backward();
            assert_close(&part(y.value()), y_alone.value(), 1e-12, 1e-12);
            let own = weights.value().narrow(0, b, 1).narrow(2, 0, n).narrow(3, 0, n);
            assert_close(&own, weights_alone.value(), 1e-12, 1e-12);
            assert_close(&part(d_x.value()), alone.grad().unwrap().value(), 1e-11, 1e-11);
            for (x, axis) in [(&y, 1), (&d_x, 1), (&weights, 2), (&weights, 3)] {
                let beyond = x.narrow(0, b, 1).slice(axis, n..).to_vec::<f64>().unwrap();
                prop_assert!(beyond.iter().all(|&y| y == 0.0));
            }
        }
        for ((name, p), of_batch) in layer.named_parameters().iter().zip(of_batch) {
            println!("{name}");
            assert_close(of_batch.value(), p.grad().unwrap().value(), 1e-11, 1e-11);
        }
    }
}

/// With a causal mask the last query stands at the last of its sequence's own keys, not of the longest's.
#[test]
fn keys_beyond_the_end_of_another_sequence_are_not_read() {
    for mask in [AttentionMask::default(), AttentionMask::causal()] {
        for own in [0, 1, 3] {
            what_is_read_is_that_of_the_sequence_alone(&mask, own);
        }
    }
}

fn what_is_read_is_that_of_the_sequence_alone(mask: &AttentionMask, own: usize) {
    let layer = attention(4, 2, [3, 5]);
    let (query, key, value) = (normal(&[2, 2, 4], 1), normal(&[2, 4, 3], 2), normal(&[2, 4, 5], 3));
    let cut = |x: &Tensor| {
        let last = x.narrow(0, 1, 1).narrow(1, 0, own).pad(1, 0, 4 - own, f64::NAN);
        Tensor::cat(&[&x.narrow(0, 0, 1), &last], 0)
    };
    let padded = [query.clone(), cut(&key), cut(&value)].map(Var::leaf);
    let pass = &mut Pass::eval();
    let (y, weights) = layer.cross(padded.each_ref(), Some(&[4, own]), mask, pass);
    y.sum_all().backward();
    let second = |x: &Tensor, n: usize| x.narrow(0, 1, 1).narrow(1, 0, n);
    let alone = [second(&query, 2), second(&key, own), second(&value, own)].map(Var::leaf);
    let (y_alone, weights_alone) = layer.cross(alone.each_ref(), None, mask, pass);
    y_alone.sum_all().backward();
    let weights = second(weights.value(), 2).narrow(3, 0, own);
    assert_close(&weights, weights_alone.value(), 1e-12, 1e-12);
    assert_close(&second(y.value(), 2), y_alone.value(), 1e-12, 1e-12);
    for ((padded, alone), n) in padded.iter().zip(&alone).zip([2, own, own]) {
        let d = padded.grad().unwrap();
        assert_close(&second(d.value(), n), alone.grad().unwrap().value(), 1e-12, 1e-12);
        let beyond = d.narrow(0, 1, 1).slice(1, n..).to_vec::<f64>().unwrap();
        assert!(beyond.iter().all(|&d| d == 0.0));
    }
}

#[test]
fn a_query_that_sees_nothing_gives_0_and_sends_nothing_back() {
    let leaf = |seed: u64| Var::leaf(normal(&[1, 2, 3], seed));
    let (q, k, v) = (leaf(1), leaf(2), leaf(3));
    let bias = Var::leaf(Tensor::from([[f64::NEG_INFINITY, f64::NEG_INFINITY], [0.5, 0.0]]));
    let (y, weights) = attend([&q, &k, &v], None, &AttentionMask::bias(bias.clone()));
    assert_eq!(weights.slice(1, ..1).to_vec::<f64>().unwrap(), [0.0; 2]);
    assert_eq!(y.slice(1, ..1).to_vec::<f64>().unwrap(), [0.0; 3]);
    y.sqr().sum_all().backward();
    for leaf in [&q, &k, &v, &bias] {
        assert!(leaf.grad().unwrap().to_vec::<f64>().unwrap().iter().all(|d| d.is_finite()));
    }
    assert_eq!(q.grad().unwrap().slice(1, ..1).to_vec::<f64>().unwrap(), [0.0; 3]);
    assert_eq!(bias.grad().unwrap().slice(0, ..1).to_vec::<f64>().unwrap(), [0.0; 2]);

    let layer = attention(4, 2, [4, 4]);
    let x = Var::constant(normal(&[1, 3, 4], 4));
    let nothing = AttentionMask::allow(&Tensor::zeros([3, 3], DType::I32, &Device::cpu()));
    let (y, _) = layer.run(&x, None, &nothing, &mut Pass::eval());
    let (_, bias) = layer.named_parameters().pop().unwrap();
    assert_close(y.value(), &bias.value().broadcast_to([1, 3, 4]), 0.0, 0.0);
}

#[test]
fn the_last_query_stands_at_the_last_key() {
    let x = |n: usize| Var::constant(normal(&[1, n, 2], n as u64));
    let (k, v) = (x(4), x(4));
    let (_, weights) = attend([&x(2), &k, &v], None, &AttentionMask::causal());
    let seen: Vec<bool> = weights.to_vec::<f64>().unwrap().iter().map(|&w| w > 0.0).collect();
    assert_eq!(seen, [true, true, true, false, true, true, true, true]);
}

#[test]
fn gradients_of_both_orders_are_those_of_finite_differences_with_every_mask() {
    let inputs = [&[2, 3, 2], &[2, 4, 2], &[2, 4, 3]].map(|dims: &[usize; 3]| normal(dims, 5));
    let hidden = AttentionMask::allow(&Tensor::from([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]]));
    for lengths in [None, Some(&[4, 2][..]), Some(&[0, 3])] {
        for mask in [AttentionMask::default(), AttentionMask::causal(), hidden.clone()] {
            let f = |x: &[Var]| attend([&x[0], &x[1], &x[2]], lengths, &mask).0;
            gradcheck(f, &inputs).unwrap_or_else(|e| panic!("{lengths:?} {mask:?}: {e}"));
            gradgradcheck(f, &inputs).unwrap_or_else(|e| panic!("{lengths:?} {mask:?}: {e}"));
        }
        // A bias that is learnt, repeated for each sequence, and one for each.
        for dims in [&[3, 4][..], &[2, 3, 4], &[2, 1, 4]] {
            let inputs: Vec<Tensor> = inputs.iter().cloned().chain([normal(dims, 6)]).collect();
            let f = |x: &[Var]| {
                let mask = AttentionMask { causal: true, bias: Some(x[3].clone()) };
                attend([&x[0], &x[1], &x[2]], lengths, &mask).0
            };
            gradcheck(f, &inputs).unwrap_or_else(|e| panic!("{lengths:?} {dims:?}: {e}"));
            gradgradcheck(f, &inputs).unwrap_or_else(|e| panic!("{lengths:?} {dims:?}: {e}"));
        }
    }
}

#[test]
fn gradients_of_attention_to_others_are_those_of_finite_differences() {
    let layer = || attention(2, 1, [3, 1]);
    let mut inputs = vec![normal(&[2, 2, 2], 1), normal(&[2, 3, 3], 2), normal(&[2, 3, 1], 3)];
    layer().for_each_parameter(&mut |_, p| inputs.push(p.value().clone()));
    let f = |x: &[Var]| {
        let (mut layer, mut parameters) = (layer(), x[3..].iter());
        layer.for_each_parameter_mut(&mut |_, p| *p = parameters.next().unwrap().clone());
        let (mask, pass) = (AttentionMask::default(), &mut Pass::eval());
        layer.cross([&x[0], &x[1], &x[2]], Some(&[3, 1]), &mask, pass).0
    };
    gradcheck(f, &inputs).unwrap();
    gradgradcheck(f, &inputs).unwrap();
}

/// 0 weights of some heads; the others stand for them.
#[test]
fn dropout_drops_weights_and_scales_the_others() {
    let n = 100;
    let zeros = Var::constant(Tensor::zeros([1, n, n], DType::F64, &Device::cpu()));
    let mut pass = Pass::train(Rng::new(1));
    let eye = Var::constant(Tensor::eye(n, DType::F64).unsqueeze(0));
    let mask = AttentionMask::default();
    let (dropped, weights) =
        scaled_dot_product_attention([&zeros, &zeros, &eye], None, &mask, 0.2, &mut pass);
    assert_close(weights.value(), &weights.value().full_like(0.01), 1e-12, 0.0);
    let dropped = dropped.to_vec::<f64>().unwrap();
    let kept = dropped.iter().filter(|&&w| w != 0.0).count() as f64 / dropped.len() as f64;
    // Four standard deviations of a share of 10 000.
    assert!((kept - 0.8).abs() < 4.0 * 0.004, "{kept}");
    assert!(dropped.iter().all(|&w| w == 0.0 || (w - 0.01 / 0.8).abs() < 1e-12));
}

#[test]
fn scores_that_overflow_an_exponential_are_weighed_all_the_same() {
    let q = Var::constant(Tensor::from([[[100f32, 0.0]]]));
    let k = Var::constant(Tensor::from([[[100f32, 0.0], [-100.0, 0.0], [100.0, 0.0]]]));
    let (_, weights) = attend([&q, &k, &k], None, &AttentionMask::default());
    assert_eq!(weights.to_vec::<f32>().unwrap(), [0.5, 0.0, 0.5]);
}
