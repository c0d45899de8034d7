//! Graphs: large, deep, hooked, cut, and changed while they are alive.

use std::sync::{Arc, Mutex};

use plies_autograd::{Var, checkpoint, grad, no_grad};
use plies_tensor::{Elementwise, Tensor};
use proptest::prelude::*;

fn item(x: &Var) -> f64 {
    x.value().item().unwrap()
}

fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let builder = std::thread::Builder::new().stack_size(256 << 10);
    builder.spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_chain_of_100_000_steps_fits_a_small_stack() {
    on_a_small_stack(|| {
        let x = Var::leaf(Tensor::from(1f32));
        let mut y = x.clone();
        for _ in 0..100_000 {
            y = &y + 1.0;
        }
        assert_eq!(item(&grad(&y, &[&x], false)[0]), 1.0);
        // A graph of the gradient is as deep again.
        let d_x = grad(&y, &[&x], true).remove(0);
        drop(y);
        drop(d_x);
    });
}

#[test]
fn a_million_nodes_are_walked_and_freed() {
    on_a_small_stack(|| {
        let before = plies_tensor::Device::cpu().memory_use().in_use;
        let x = Var::leaf(Tensor::from(1f32));
        let mut sum = x.clone();
        for _ in 0..500_000 {
            sum = sum + &x * 2.0;
        }
        sum.backward();
        assert_eq!(item(&x.grad().unwrap()), 1_000_001.0);
        drop((sum, x));
        let after = plies_tensor::Device::cpu().memory_use().in_use;
        // Other tests run beside this one; a leak would be 64 MB.
        assert!(after < before + (8 << 20), "{before} bytes before, {after} after");
    });
}

#[test]
fn a_value_used_twice_gets_both_gradients() {
    let x = Var::leaf(Tensor::from(3f64));
    let y = &x * &x + &x;
    y.backward();
    assert_eq!(item(&x.grad().unwrap()), 7.0);
    y.backward();
    assert_eq!(item(&x.grad().unwrap()), 14.0, "gradients accumulate");
    x.zero_grad();
    assert!(x.grad().is_none());
}

#[test]
fn changing_a_parameter_in_place_leaves_a_living_graph_right() {
    let mut w = Var::leaf(Tensor::from([2f64, 5.0]));
    let y = (&w * &w).sum_all();
    let update = plies_tensor::formula!(|w| w * 100.0);
    Tensor::update(&mut [w.value_mut()], update, &[], &[]);
    y.backward();
    assert_eq!(w.grad().unwrap().value().to_vec::<f64>().unwrap(), [4.0, 10.0]);
    assert_eq!(w.value().to_vec::<f64>().unwrap(), [200.0, 500.0]);
}

#[test]
fn nothing_is_recorded_inside_no_grad_even_after_a_panic() {
    let x = Var::leaf(Tensor::from(1f64));
    assert!(!no_grad(|| x.exp()).requires_grad());
    let _ = std::panic::catch_unwind(|| no_grad(|| panic!("on purpose")));
    assert!(x.exp().requires_grad());
    assert!(!x.detach().exp().requires_grad());
}

#[test]
fn hooks_see_the_complete_gradient_and_may_replace_it() {
    let x = Var::leaf(Tensor::from(2f64));
    let h = &x * 3.0;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    h.register_hook(move |d_h| {
        log.lock().unwrap().push(d_h.value().item().unwrap());
        Some(d_h * 10.0)
    });
    (&h * &h + &h).backward();
    assert_eq!(*seen.lock().unwrap(), [13.0], "2h + 1, once");
    assert_eq!(item(&x.grad().unwrap()), 390.0);
}

#[test]
fn the_branch_not_taken_gets_a_gradient_of_zero_even_where_it_is_nan() {
    let (a, b) = (Var::leaf(Tensor::from([f64::NAN, 4.0])), Var::leaf(Tensor::from([7f64, 8.0])));
    let second = Var::constant(Tensor::from([0f64, 1.0]));
    second.select_from(&a, &b).sqr().sum_all().backward();
    assert_eq!(a.grad().unwrap().value().to_vec::<f64>().unwrap(), [0.0, 8.0]);
    assert_eq!(b.grad().unwrap().value().to_vec::<f64>().unwrap(), [14.0, 0.0]);
}

#[test]
fn kinks_have_the_documented_subgradients() {
    let d = |f: fn(&Var) -> Var, x: f64| {
        let x = Var::leaf(Tensor::from(x));
        item(&grad(&f(&x), &[&x], false)[0])
    };
    assert_eq!(d(|x| x.abs(), 0.0), 0.0);
    assert_eq!(d(|x| x.relu(), 0.0), 0.0);
    assert_eq!(d(|x| x.maximum(&x.detach()), 1.0), 0.5);
    assert_eq!(d(|x| x.floor(), 1.0), 0.0);
    assert_eq!(d(|x| x.powf(0.0), 0.0), 0.0);
    assert_eq!(d(|x| x.powf(2.0), 0.0), 0.0);
    assert_eq!(d(|x| x.powf(1.0), 0.0), 1.0);
}

#[test]
fn a_checkpoint_keeps_only_its_inputs_and_gives_the_same_gradient() {
    let f = |x: &[Var]| (&x[0] * &x[1]).tanh().exp();
    let make = || [Var::leaf(Tensor::from([0.5f64, -1.0])), Var::leaf(Tensor::from([2f64, 0.3]))];
    let (plain, saved) = (make(), make());
    f(&plain).sum_all().backward();
    checkpoint(f, &[&saved[0], &saved[1]]).sum_all().backward();
    for (plain, saved) in plain.iter().zip(&saved) {
        let (plain, saved) = (plain.grad().unwrap(), saved.grad().unwrap());
        assert_eq!(plain.value().to_vec::<f64>().unwrap(), saved.value().to_vec::<f64>().unwrap());
    }
}

#[test]
#[should_panic(expected = "a value of shape [2] has no single gradient")]
fn backward_from_a_vector_says_what_to_use_instead() {
    Var::leaf(Tensor::from([1f32, 2.0])).backward();
}

proptest! {
    #[test]
    fn broadcast_gradient_sums_over_the_repeated_axes(
        dims in prop::collection::vec(0usize..4, 0..4),
        ones in prop::collection::vec(any::<bool>(), 4),
        drop_leading in 0usize..4,
    ) {
        let kept = &dims[drop_leading.min(dims.len())..];
        let small: Vec<usize> =
            kept.iter().zip(&ones).map(|(&d, &one)| if one { 1 } else { d }).collect();
        let a = Var::leaf(Tensor::full(&small, 2.0, plies_tensor::DType::F64, &Default::default()));
        let b = Var::leaf(Tensor::full(&dims, 3.0, plies_tensor::DType::F64, &Default::default()));
        (&a * &b).sum_all().backward();
        let count: usize = dims.iter().product();
        let d_a = a.grad().unwrap();
        prop_assert_eq!(d_a.dims(), &small[..]);
        prop_assert_eq!(d_a.value().sum_all().item().unwrap(), 3.0 * count as f64);
        let d_b = b.grad().unwrap();
        prop_assert_eq!(d_b.dims(), &dims[..]);
    }
}
