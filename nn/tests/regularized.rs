//! Penalties and limits, against what they are defined by.

use plies_autograd::Var;
use plies_nn::optim::{Adam, Ema, Optimizer, ParameterGroups, Regularized, Sgd};
use plies_nn::{Activation, Conv2d, Flatten, Linear, Module, Pass, Sequential, loss};
use plies_tensor::testing::assert_close;
use plies_tensor::{Conv, DType, Device, Rng, Tensor};

fn network() -> Sequential {
    let rng = &mut Rng::new(1);
    Sequential::new()
        .push(Conv2d::new(1, 3, [2, 2], Conv::default(), rng))
        .push(Activation::Tanh)
        .push(Flatten::default())
        .push(Linear::new(12, 2, rng))
}

/// A part of the loss.
type Penalty<'a> = &'a dyn Fn(&dyn Module) -> Var;

/// The parameters after some steps.
fn trained(optimizer: &mut dyn Optimizer, penalty: Option<Penalty<'_>>) -> Vec<Tensor> {
    let mut model = network();
    let x = Var::constant(Rng::new(2).normal([4, 1, 3, 3], DType::F32, &Device::cpu()));
    for _ in 0..5 {
        let logits = model.forward(&x, &mut Pass::eval());
        let mut loss = loss::cross_entropy(&logits, &Tensor::from([0, 1, 1, 0]));
        if let Some(penalty) = penalty {
            loss = loss + penalty(&model);
        }
        loss.backward();
        drop((logits, loss));
        optimizer.step(&mut model);
        model.zero_grad();
    }
    model.named_parameters().into_iter().map(|(_, p)| p.into_value()).collect()
}

fn assert_same(found: &[Tensor], expected: &[Tensor], tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert_close(found, expected, tolerance, tolerance);
    }
}

fn everything(_: &str, _: &Tensor) -> bool {
    true
}

#[test]
fn penalties_and_decay_are_those_that_optimisers_have_built_in() {
    let l2 = trained(&mut Regularized::new(Adam::new(0.1)).only(everything).l2(0.3), None);
    assert_same(&l2, &trained(&mut Adam::new(0.1).weight_decay(0.3), None), 1e-6);
    let decay = Regularized::new(Adam::new(0.1)).only(everything).decoupled_l2(0.3);
    let decay = trained(&mut { decay }, None);
    assert_same(&decay, &trained(&mut Adam::adamw(0.1, 0.3), None), 1e-6);
    // AdamW stays decoupled with another λ.
    let changed = trained(&mut Adam::adamw(0.1, 0.01).weight_decay(0.3), None);
    assert_same(&changed, &decay, 1e-6);
    // By itself it is for weights and not for biases, which PyTorch's groups would say.
    let weights = trained(&mut Regularized::new(Sgd::new(0.1)).l2(0.3), None);
    let mut groups = ParameterGroups::new(Sgd::new(0.1).weight_decay(0.3))
        .group(|name, _| name.ends_with("bias"), Sgd::new(0.1));
    assert_same(&weights, &trained(&mut groups, None), 1e-6);
}

#[test]
fn the_elastic_net_in_the_gradient_is_that_in_the_loss() {
    let net = || Regularized::new(Sgd::new(0.1).momentum(0.9)).l1(0.02).l2(0.3);
    let regularized = net();
    let in_loss = |model: &dyn Module| regularized.penalty(model);
    let expected = trained(&mut Sgd::new(0.1).momentum(0.9), Some(&in_loss));
    assert_same(&trained(&mut net(), None), &expected, 1e-6);
    let plain = trained(&mut Sgd::new(0.1).momentum(0.9), None);
    assert!((&plain[0] - &expected[0]).norm_all().item().unwrap() > 1e-2);
}

#[test]
fn decoupled_l1_makes_weights_exactly_0() {
    let found = trained(&mut Regularized::new(Sgd::new(0.1)).decoupled_l1(1.0), None);
    let zeros = |t: &Tensor| t.to_vec::<f32>().unwrap().into_iter().filter(|&w| w == 0.0).count();
    assert!(zeros(&found[0]) > 0 && zeros(&found[0]) < 12, "{}", found[0]);
    assert_eq!(zeros(&found[1]), 0, "biases are left alone");
    // One step by hand, at a rate of 1/2.
    let mut layer = Linear::from_weights(Tensor::from([[1f64, -1.0, 0.2, -0.2]]), None);
    (layer.weight() * 0.5).sum_all().backward();
    Regularized::new(Sgd::new(0.5)).decoupled_l1(1.0).step(&mut layer);
    let expected = Tensor::from([[0.25f64, -0.75, 0.0, 0.0]]);
    assert_close(layer.weight().value(), &expected, 1e-15, 1e-15);
}

/// Around groups it takes the learning rate of each: as if it stood in every one of them.
#[test]
fn around_groups_each_parameter_shrinks_by_its_own_learning_rate() {
    let shrink = |optimizer| Regularized::new(optimizer).decoupled_l1(0.5).decoupled_l2(0.3);
    let last = |name: &str, _: &Tensor| name.starts_with("3.");
    let around = ParameterGroups::new(Sgd::new(0.1)).group(last, Sgd::new(0.4));
    let around = Regularized::new(around).decoupled_l1(0.5).decoupled_l2(0.3);
    let inside = ParameterGroups::new(shrink(Sgd::new(0.1))).group(last, shrink(Sgd::new(0.4)));
    let expected = trained(&mut { inside }, None);
    assert_same(&trained(&mut { around }, None), &expected, 0.0);
    let of_one_rate = trained(&mut shrink(Sgd::new(0.1)), None);
    assert!((&of_one_rate[2] - &expected[2]).norm_all().item().unwrap() > 1e-3);
}

#[test]
fn no_unit_has_longer_weights_than_the_limit() {
    let plain = trained(&mut Sgd::new(0.5), None);
    let limited = trained(&mut Regularized::new(Sgd::new(0.5)).max_norm(0.7), None);
    let norms = |t: &Tensor| -> Vec<f64> {
        let rows = t.to_vec::<f32>().unwrap();
        let squares = |row: &[f32]| row.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
        rows.chunks(t.elem_count() / t.dim(0)).map(squares).collect()
    };
    // conv [3, 1, 2, 2] and linear [2, 12]; biases are not limited.
    for (i, units) in [(0, 3), (2, 2)] {
        let (before, after) = (norms(&plain[i]), norms(&limited[i]));
        assert_eq!(after.len(), units);
        assert!(before.iter().any(|&n| n > 0.71), "{before:?}");
        assert!(after.iter().all(|&n| n < 0.7 + 1e-6), "{after:?}");
        assert!(after.iter().any(|&n| n > 0.7 - 1e-6), "{after:?}");
    }
    // A vector's units are its numbers.
    let mut layer = Linear::from_weights(Tensor::from([[1f32]]), Some(Tensor::from([-3f32])));
    layer.forward(&Var::constant(Tensor::from([[1f32]])), &mut Pass::eval()).sum_all().backward();
    Regularized::new(Sgd::new(0.0)).only(everything).max_norm(2.0).step(&mut layer);
    let numbers = layer.named_parameters().into_iter().map(|(_, p)| p.item().unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), [1.0, -2.0]);
}

#[test]
fn what_has_no_gradient_stays_and_optimisers_around_one_another_pass_things_on() {
    let mut layer = Linear::from_weights(Tensor::from([[3f32, 4.0]]), None);
    let all = |sgd| Regularized::new(sgd).l1(1.0).l2(1.0).decoupled_l1(1.0).decoupled_l2(1.0);
    all(Sgd::new(0.1)).max_norm(1.0).step(&mut layer);
    assert_eq!(layer.weight().to_vec::<f32>().unwrap(), [3.0, 4.0]);

    let averaging =
        || Ema::new(Regularized::new(Sgd::new(1.0).momentum(0.9)).l2(0.1).max_norm(0.5), 0.5);
    let mut optimizer = averaging();
    layer.weight().sum_all().backward();
    optimizer.step(&mut layer);
    optimizer.step(&mut layer);
    assert!(optimizer.state().contains_key("ema.average.weight"));
    assert!(optimizer.state().contains_key("inner.momentum_buffer.weight"));
    assert!(optimizer.describe().starts_with("ema decay=0.5 of sgd momentum=0.9"));
    assert!(optimizer.describe().ends_with(" with l2=0.1 max_norm=0.5"));
    let nothing = Regularized::new(Sgd::new(1.0));
    assert_eq!(nothing.describe(), Sgd::new(1.0).describe());
    let raw = layer.weight().to_vec::<f32>().unwrap();
    optimizer.show_averages(&mut layer, true);
    assert_ne!(layer.weight().to_vec::<f32>().unwrap(), raw);
    assert!(
        layer.weight().value().norm_all().item().unwrap() < 0.5 + 1e-6,
        "what is limited is averaged"
    );
    let parameters = [("weight".to_owned(), layer.weight().value().clone())].into();
    let mut fresh = averaging();
    fresh.load_state(optimizer.state(), &parameters).unwrap();
    assert!(fresh.state().keys().eq(optimizer.state().keys()));
}
