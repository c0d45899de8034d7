//! Pooling over time and transformers: a batch gives what each sequence gives alone. Positions.

use plies_autograd::Var;
use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
use plies_nn::{
    Activation, AttentionMask, LayerNorm, Module, Pass, PositionalEncoding, SequencePool,
    TransformerEncoder, TransformerEncoderLayer,
};
use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Device, Elementwise, Rng, Tensor};
use proptest::prelude::*;

fn normal(dims: &[usize], seed: u64) -> Tensor {
    Rng::new(seed).normal(dims, DType::F64, &Device::cpu())
}

const TIME: usize = 6;

/// A batch whose places beyond the ends of the sequences must not be read.
fn padded(x: &Tensor, lengths: &[usize]) -> Tensor {
    let part =
        |(b, &n): (usize, &usize)| x.narrow(0, b, 1).narrow(1, 0, n).pad(1, 0, TIME - n, f64::NAN);
    let parts: Vec<Tensor> = lengths.iter().enumerate().map(part).collect();
    Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_pooled_is_that_of_each_sequence_alone(
        lengths in proptest::collection::vec(0..=TIME, 0..5),
        seed in 0u64..1000,
    ) {
        let (batch, width) = (lengths.len(), 3);
        let x = normal(&[batch, TIME, width], seed);
        let d_y = normal(&[batch, width], seed + 1);
        for &pool in SequencePool::ALL {
            // Of no batch there is nothing to join.
            let leaf = Var::leaf(if batch == 0 { x.clone() } else { padded(&x, &lengths) });
            let y = pool.of(&leaf, Some(&lengths));
            prop_assert_eq!(y.dims(), [batch, width]);
            (&y * Var::constant(d_y.clone())).sum_all().backward();
            let d_x = leaf.grad().unwrap();
            for (b, &n) in lengths.iter().enumerate() {
                let alone = Var::leaf(x.narrow(0, b, 1).narrow(1, 0, n).contiguous());
                let y_alone = pool.of(&alone, None);
                let of_batch = y.narrow(0, b, 1).to_vec::<f64>().unwrap();
                prop_assert_eq!(&of_batch, &y_alone.to_vec::<f64>().unwrap(), "{:?} {}", pool, b);
                let d_x = d_x.narrow(0, b, 1);
                let beyond = d_x.slice(1, n..).to_vec::<f64>().unwrap();
                prop_assert!(beyond.iter().all(|&d| d == 0.0));
                if n == 0 {
                    prop_assert_eq!(of_batch, [0.0; 3]);
                    continue;
                }
                (y_alone * Var::constant(d_y.narrow(0, b, 1).contiguous())).sum_all().backward();
                let d_own = d_x.narrow(1, 0, n).to_vec::<f64>().unwrap();
                prop_assert_eq!(d_own, alone.grad().unwrap().to_vec::<f64>().unwrap());

                // By the definition, too.
                let rows = x.select(0, b).to_vec::<f64>().unwrap();
                for feature in 0..width {
                    let mut column = (0..n).map(|t| rows[t * width + feature]);
                    let expected = match pool {
                        SequencePool::Last => column.next_back().unwrap(),
                        SequencePool::Mean => column.sum::<f64>() / n as f64,
                        SequencePool::Max => column.by_ref().fold(f64::NEG_INFINITY, f64::max),
                    };
                    prop_assert!((of_batch[feature] - expected).abs() < 1e-14);
                }
            }
        }
    }

    /// The products of a batch add up in the order that suits their shapes, so the last bits differ.
    #[test]
    fn a_transformer_gives_each_sequence_what_it_gives_it_alone(
        lengths in proptest::collection::vec(0..=TIME, 1..5),
        causal in any::<bool>(),
        norm_first in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let mut rng = Rng::new(3);
        let layers = (0..2).map(|_| {
            let layer = TransformerEncoderLayer::new(4, 2, 5, &mut rng).activation(Activation::Gelu);
            if norm_first { layer.norm_first() } else { layer }
        });
        let mut model = TransformerEncoder::new(layers).norm(LayerNorm::new([4]));
        model.for_each_parameter_mut(&mut |_, p| *p = Var::leaf(p.value().to_dtype(DType::F64)));
        let mask = AttentionMask { causal, bias: None };
        let x = normal(&[lengths.len(), TIME, 4], seed);
        let d_y = normal(&[lengths.len(), TIME, 4], seed + 1);
        let leaf = Var::leaf(padded(&x, &lengths));
        let pass = &mut Pass::eval();
        let y = model.run(&leaf, Some(&lengths), &mask, pass);
        (&y * Var::constant(d_y.clone())).sum_all().backward();
        let d_x = leaf.grad().unwrap();
        let gradients = |model: &TransformerEncoder| -> Vec<Var> {
            let all = model.named_parameters().iter().map(|(_, p)| p.grad().unwrap()).collect();
            model.zero_grad();
            all
        };
        let of_batch = gradients(&model);
        for (b, &n) in lengths.iter().enumerate() {
            let part = |x: &Tensor| x.narrow(0, b, 1).narrow(1, 0, n).contiguous();
            let alone = Var::leaf(part(&x));
            let y_alone = model.run(&alone, None, &mask, pass);
            (&y_alone * Var::constant(part(&d_y))).sum_all().backward();
            assert_close(&part(y.value()), y_alone.value(), 1e-11, 1e-11);
            assert_close(&part(d_x.value()), alone.grad().unwrap().value(), 1e-9, 1e-9);
            for x in [&y, &d_x] {
                let beyond = x.narrow(0, b, 1).slice(1, n..).to_vec::<f64>().unwrap();
                prop_assert!(beyond.iter().all(|&y| y == 0.0));
            }
        }
        for (of_batch, of_all) in of_batch.iter().zip(gradients(&model)) {
            assert_close(of_batch.value(), of_all.value(), 1e-9, 1e-9);
        }
    }
}

#[test]
fn gradients_of_pools_of_both_orders_are_those_of_finite_differences() {
    for &pool in SequencePool::ALL {
        let x = [normal(&[3, 4, 2], 1)];
        let f = |x: &[Var]| pool.of(&x[0], Some(&[4, 0, 2])).sqr();
        gradcheck(f, &x).unwrap_or_else(|e| panic!("{pool:?}: {e}"));
        gradgradcheck(f, &x).unwrap_or_else(|e| panic!("{pool:?}: {e}"));
    }
}

/// With dropout nothing is left of the maps but x itself.
#[test]
fn a_transformer_drops_what_it_adds_to_x() {
    let layer = TransformerEncoderLayer::new(4, 2, 3, &mut Rng::new(1)).norm_first().dropout(1.0);
    let x = Var::constant(Rng::new(2).normal([2, 3, 4], DType::F32, &Device::cpu()));
    let y = layer.forward(&x, &mut Pass::train(Rng::new(3)));
    let values = |x: &Var| x.to_vec::<f32>().unwrap();
    assert_eq!(values(&y), values(&x));
    assert_ne!(values(&layer.forward(&x, &mut Pass::eval())), values(&x));
}

#[test]
fn positions_are_the_waves_of_their_definition_wherever_the_first_step_stands() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
        for (start, size) in [(0, 6), (900, 5)] {
            let x = Rng::new(1).normal([2, 4, size], dtype, &Device::cpu());
            let y = PositionalEncoding.at(&Var::constant(x.clone()), start);
            let wave = |at: usize| {
                let (t, i) = ((start + at / size) as f64, at % size);
                let angle = t / 1e4f64.powf((i / 2 * 2) as f64 / size as f64);
                if i % 2 == 0 { angle.sin() } else { angle.cos() }
            };
            let waves = Tensor::from_vec((0..4 * size).map(wave).collect::<Vec<_>>(), [4, size]);
            assert_close(y.value(), &(x + waves.to_dtype(dtype)), tolerance, tolerance);
        }
    }
}
