//! Graphs: large, deep, hooked, cut, and changed while they are alive.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use plies_autograd::{Var, checkpoint, grad, no_grad};
use plies_tensor::{DType, Device, Elementwise, Tensor, formula};
use proptest::prelude::*;

fn list(x: &Var) -> Vec<f64> {
    x.value().to_vec().unwrap()
}

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

fn chain(x: &Var, steps: usize) -> Var {
    (0..steps).fold(x.clone(), |y, _| y + 1.0)
}

/// Thread locals go in an order of their own, and a graph may be held by the last of them.
#[test]
fn a_chain_that_a_thread_leaves_behind_is_freed_without_recursion() {
    thread_local! {
        static FIRST: RefCell<Vec<Var>> = const { RefCell::new(Vec::new()) };
        static LAST: RefCell<Vec<Var>> = const { RefCell::new(Vec::new()) };
    }
    for freed_before in [false, true] {
        on_a_small_stack(move || {
            let x = Var::leaf(Tensor::from(1f32));
            FIRST.with_borrow_mut(|held| held.push(x.clone()));
            if freed_before {
                drop(chain(&x, 2));
            }
            FIRST.with_borrow_mut(|held| held.push(chain(&x, 100_000)));
            LAST.with_borrow_mut(|held| held.push(chain(&x, 100_000)));
        });
    }
}

#[test]
fn a_chain_of_hooks_that_hold_one_another_is_freed_without_recursion() {
    on_a_small_stack(|| {
        let mut held = Var::leaf(Tensor::from(1f32));
        for _ in 0..100_000 {
            let next = Var::leaf(Tensor::from(1f32));
            next.register_hook(move |_| {
                let _ = &held;
                None
            });
            held = next;
        }
        drop(held);
    });
}

/// A recorded one would lead back to its leaf: a cycle, never freed.
#[test]
fn the_gradient_of_a_leaf_is_a_constant_whoever_sets_it() {
    struct Freed(Arc<Mutex<bool>>);
    impl Drop for Freed {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = true;
        }
    }
    let x = Var::leaf(Tensor::from(3f64));
    let freed = Freed(Arc::default());
    let is_freed = freed.0.clone();
    x.register_hook(move |_| {
        let _ = &freed;
        None
    });
    let d_x = grad(&(&x * &x * &x), &[&x], true).remove(0);
    x.set_grad(Some(d_x));
    let kept = x.grad().unwrap();
    assert_eq!((item(&kept), kept.requires_grad()), (27.0, false));
    drop((x, kept));
    assert!(*is_freed.lock().unwrap(), "nothing else holds the leaf");
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
    let update = formula!(|w| w * 100.0);
    Tensor::update(&mut [w.value_mut()], update, &[], &[]);
    y.backward();
    assert_eq!(w.grad().unwrap().value().to_vec::<f64>().unwrap(), [4.0, 10.0]);
    assert_eq!(w.value().to_vec::<f64>().unwrap(), [200.0, 500.0]);
}

#[test]
fn nothing_is_recorded_inside_no_grad_even_after_a_panic() {
    let x = Var::leaf(Tensor::from(1f64));
    assert!(!no_grad(|| x.exp()).requires_grad());
    let _ = catch_unwind(|| no_grad(|| panic!("on purpose")));
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
    second.where_cond(&a, &b).sqr().sum_all().backward();
    assert_eq!(list(&a.grad().unwrap()), [0.0, 8.0]);
    assert_eq!(list(&b.grad().unwrap()), [14.0, 0.0]);
}

type Function = fn(&Var) -> Var;

/// First and second derivative of f, element by element.
fn derivatives(f: impl Fn(&Var) -> Var, x: &[f64]) -> [Vec<f64>; 2] {
    let x = Var::leaf(Tensor::from_slice(x, [x.len()]));
    let first = grad(&f(&x), &[&x], true).remove(0);
    let second = grad(&first, &[&x], false).remove(0);
    [list(&first), list(&second)]
}

#[test]
fn a_branch_that_is_not_taken_inside_a_formula_does_not_leak_its_nan() {
    let x = [-1.0, 0.0, 4.0];
    let ln = formula!(|x| x.gt(0.0).select(x.ln(), 0.0));
    assert_eq!(
        derivatives(|x| Var::map(ln, &[x], &[]), &x),
        [[0.0, 0.0, 0.25], [0.0, 0.0, -0.0625]]
    );
    let root = formula!(|x| x.le(0.0).select(0.0, 2.0 * x.sqrt() + x));
    let [first, second] = derivatives(|x| Var::map(root, &[x], &[]), &x);
    assert_eq!((first, second), (vec![0.0, 0.0, 1.5], vec![0.0, 0.0, -0.0625]));
    // One decision inside another, and the branches share their argument.
    let nested = formula!(|x| {
        let inner = x.gt(0.0).select(x.ln() + x.recip(), x * x);
        x.eq(0.0).select(0.0, inner)
    });
    let [first, _] = derivatives(|x| Var::map(nested, &[x], &[]), &x);
    assert_eq!(first, [-2.0, 0.0, 0.25 - 0.0625]);
    // A bound on a logarithm, as in binary cross-entropy from probabilities.
    let bounded = formula!(|x| x.ln().max(-100.0));
    let [first, second] = derivatives(|x| Var::map(bounded, &[x], &[]), &[0.0, 0.5]);
    assert_eq!((first, second), (vec![0.0, 2.0], vec![0.0, -4.0]));
}

#[test]
fn a_saturated_unit_has_a_finite_gradient() {
    let x = [-1e30, -1e4, -800.0, 800.0, 1e4, 1e30];
    let units: [(&str, Function); 14] = [
        ("sigmoid", |x| x.sigmoid()),
        ("silu", |x| x.silu()),
        ("relu", |x| x.relu()),
        ("leaky_relu", |x| x.leaky_relu(0.1)),
        ("elu", |x| x.elu(1.5)),
        ("celu", |x| x.celu(1.5)),
        ("selu", |x| x.selu()),
        ("hardswish", |x| x.hardswish()),
        ("softplus", |x| x.softplus()),
        ("log_sigmoid", |x| x.log_sigmoid()),
        ("tanh", |x| x.tanh()),
        ("gelu", |x| x.gelu()),
        ("mish", |x| x.mish()),
        ("softmax", |x| x.softmax(0)),
    ];
    for (name, f) in units {
        let [first, second] = derivatives(f, &x);
        assert!(first.iter().chain(&second).all(|d| d.is_finite()), "{name}: {first:?} {second:?}");
    }
}

#[test]
fn smooth_functions_have_their_derivatives_at_zero_too() {
    let functions: [(&str, Function, f64, f64); 5] = [
        ("sigmoid", |x| x.sigmoid(), 0.25, 0.0),
        ("silu", |x| x.silu(), 0.5, 0.5),
        ("softplus", |x| x.softplus(), 0.5, 0.25),
        ("log_sigmoid", |x| x.log_sigmoid(), 0.5, -0.25),
        ("mish", |x| x.mish(), 0.6, 0.64),
    ];
    for (name, f, first, second) in functions {
        let [found_first, found_second] = derivatives(f, &[0.0]);
        assert!((found_first[0] - first).abs() < 1e-12, "{name}: {found_first:?}");
        assert!((found_second[0] - second).abs() < 1e-12, "{name}: {found_second:?}");
    }
}

#[test]
fn norms_of_zero_and_sums_of_nothing_have_gradient_zero() {
    let zero = [0.0, 0.0];
    for p in [1.0, 1.5, 2.0, 3.0] {
        let [first, second] = derivatives(|x| x.norm_p(p, &[0], false), &zero);
        assert_eq!((&first, &second), (&zero.to_vec(), &zero.to_vec()), "p = {p}");
    }
    let [first, second] = derivatives(|x| x.logsumexp(&[0], false), &[f64::NEG_INFINITY; 2]);
    assert_eq!((first, second), (zero.to_vec(), zero.to_vec()));
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
fn a_checkpoint_gives_the_same_gradient() {
    let f = |x: &[Var]| (&x[0] * &x[1]).tanh().exp();
    let make = || [Var::leaf(Tensor::from([0.5f64, -1.0])), Var::leaf(Tensor::from([2f64, 0.3]))];
    let (plain, saved) = (make(), make());
    f(&plain).sum_all().backward();
    checkpoint(f, &[&saved[0], &saved[1]]).sum_all().backward();
    for (plain, saved) in plain.iter().zip(&saved) {
        assert_eq!(list(&plain.grad().unwrap()), list(&saved.grad().unwrap()));
    }
}

#[test]
fn a_checkpoint_gives_captured_parameters_their_gradients() {
    let w = Var::leaf(Tensor::from(3f64));
    let captured = w.clone();
    let x = Var::constant(Tensor::from(2f64));
    let y = checkpoint(move |x| &x[0] * captured.sqr(), &[&x]);
    (&y + &w).backward();
    assert_eq!(item(&w.grad().unwrap()), 13.0); // 2wx + 1
}

#[test]
fn a_checkpoint_of_its_own_arguments_counts_each_gradient_once() {
    let w = Var::leaf(Tensor::from(0.7f64));
    let plain = |create_graph| {
        let h = w.sin();
        grad(&(&h * &w * &h), &[&w], create_graph).remove(0)
    };
    let saved = |create_graph| {
        let h = w.sin();
        let y = checkpoint(|v| &v[0] * &v[1] * &v[2], &[&h, &w, &h]);
        grad(&y, &[&w], create_graph).remove(0)
    };
    assert!((item(&plain(false)) - item(&saved(false))).abs() < 1e-15);
    let (plain, saved) = (plain(true), saved(true));
    assert!((item(&plain) - item(&saved)).abs() < 1e-15);
    let second = |d_w: &Var| item(&grad(d_w, &[&w], false)[0]);
    assert!((second(&plain) - second(&saved)).abs() < 1e-15);
}

#[test]
fn checkpoints_in_a_row_take_time_in_proportion() {
    let x = Var::leaf(Tensor::from(0.5f64));
    let (mut y, mut calls) = (x.clone(), 0);
    let count = Arc::new(Mutex::new(0));
    for _ in 0..200 {
        let count = count.clone();
        calls += 1;
        let f = move |v: &[Var]| {
            *count.lock().unwrap() += 1;
            v[0].sin()
        };
        y = checkpoint(f, &[&y]);
    }
    assert_eq!(*count.lock().unwrap(), calls);
    let d_x = grad(&y, &[&x], true).remove(0);
    assert_eq!(*count.lock().unwrap(), 2 * calls, "each is computed a second time, once");
    assert!(item(&d_x).is_finite());
}

#[test]
fn gradients_of_a_thousand_rows_are_put_together() {
    let (n, m) = (1000usize, 100usize);
    let x = Var::leaf(Tensor::zeros([n, m], DType::F32, &Device::cpu()));
    let mut sum = Var::constant(Tensor::zeros([m], DType::F32, &Device::cpu()));
    for i in 0..n {
        sum = sum + x.select(0, i) * i as f64;
    }
    sum.sum_all().backward();
    let d_x = x.grad().unwrap();
    for i in [0, 1, 500, 999] {
        assert_eq!(item(&d_x.select(0, i).select(0, 7)), i as f64);
    }
}

#[test]
fn grad_computes_only_what_leads_to_what_was_asked_for() {
    use plies_autograd::{Op, apply};
    struct Product(Arc<Mutex<Vec<&'static str>>>);
    impl Op for Product {
        fn name(&self) -> &'static str {
            "product"
        }
        fn forward(&self, x: &[&Tensor]) -> Tensor {
            x[0] * x[1]
        }
        fn vjp(&self, x: &[Var], _: &Var, d_y: &Var) -> Vec<Option<Var>> {
            let compute = |i: usize, name| {
                self.0.lock().unwrap().push(name);
                d_y * &x[1 - i]
            };
            vec![
                x[0].requires_grad().then(|| compute(0, "x")),
                x[1].requires_grad().then(|| compute(1, "w")),
            ]
        }
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let (x, w) = (Var::leaf(Tensor::from(2f64)), Var::leaf(Tensor::from(5f64)));
    let y = apply(Product(log.clone()), &[&x, &w.exp()]);
    let d_x = grad(&y.sqr(), &[&x], true).remove(0); // 2 x e^2w
    assert_eq!(*log.lock().unwrap(), ["x"]);
    // Although the gradient of w was not wanted then, the gradient of the gradient is right.
    let d_w = grad(&d_x, &[&w], false).remove(0);
    assert!((item(&d_w) / (8.0 * 10f64.exp()) - 1.0).abs() < 1e-12);
}

#[test]
fn gradients_with_respect_to_values_on_the_way() {
    let x = Var::leaf(Tensor::from(3f64));
    let h = x.sqr();
    let y = h.sqr() + &x;
    let unrelated = Var::leaf(Tensor::from([1f64, 2.0]));
    let found = grad(&y, &[&h, &x, &unrelated, &y, &x], false);
    let numbers: Vec<Vec<f64>> = found.iter().map(list).collect();
    assert_eq!(numbers, [vec![18.0], vec![109.0], vec![0.0, 0.0], vec![1.0], vec![109.0]]);
    assert!(x.grad().is_none(), "grad leaves the accumulated gradients alone");
}

#[test]
fn a_hook_may_add_a_hook_and_a_wrong_shape_is_named() {
    let x = Var::leaf(Tensor::from(2f64));
    let h = &x * 3.0;
    let weak = h.detach();
    let h2 = h.clone();
    h.register_hook(move |_| {
        let _ = &weak;
        None
    });
    let again = Mutex::new(Some(h2));
    h.register_hook(move |_| {
        if let Some(h) = again.lock().unwrap().take() {
            h.register_hook(|d| Some(d * 2.0));
        }
        None
    });
    grad(&h, &[&x], false);
    assert_eq!(item(&grad(&h, &[&x], false)[0]), 6.0);
    h.register_hook(|_| Some(Var::constant(Tensor::from([1f64, 2.0]))));
    let panic = catch_unwind(AssertUnwindSafe(|| grad(&h, &[&x], false)));
    assert!(panic.unwrap_err().downcast_ref::<String>().unwrap().contains("hook: a gradient"));
}

#[test]
fn a_chain_held_by_operations_instead_of_inputs_is_freed_without_recursion() {
    use plies_autograd::{Op, apply};
    struct Holder(#[allow(dead_code)] Var);
    impl Op for Holder {
        fn name(&self) -> &'static str {
            "holder"
        }
        fn forward(&self, x: &[&Tensor]) -> Tensor {
            x[0].clone()
        }
        fn vjp(&self, _: &[Var], _: &Var, d_y: &Var) -> Vec<Option<Var>> {
            vec![Some(d_y.clone())]
        }
    }
    on_a_small_stack(|| {
        let x = Var::leaf(Tensor::from(1f32));
        let mut held = x.clone();
        for _ in 0..100_000 {
            held = apply(Holder(held), &[&x]);
        }
        drop(held);
    });
}

#[test]
fn threads_may_share_a_graph() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Var>();
    let x = Var::leaf(Tensor::from(2f64));
    let y = x.sqr();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| y.backward()));
        }
    });
    assert_eq!(item(&x.grad().unwrap()), 1600.0);
}

#[test]
fn gradients_keep_the_dtype_of_what_they_belong_to() {
    let x = Var::leaf(Tensor::from([1f32, 2.0]));
    x.to_dtype(DType::F64).sqr().sum_all().backward();
    assert_eq!(x.grad().unwrap().value().to_vec::<f32>().unwrap(), [2.0, 4.0]);
}

#[test]
fn an_inner_gradient_is_part_of_an_outer_loss() {
    // A gradient penalty, (|d y / d x| - 1)², as in Gulrajani et al. (2017).
    let w = Var::leaf(Tensor::from([3f64, 4.0]));
    let x = Var::leaf(Tensor::from([1f64, 1.0]));
    let y = (&w * &x).sum_all();
    let d_x = grad(&y, &[&x], true).remove(0); // w
    let penalty = (d_x.norm_all() - 1.0).sqr(); // (5 - 1)²
    penalty.backward();
    // 2 (|w| - 1) w / |w|
    let d_w = list(&w.grad().unwrap());
    assert!((d_w[0] - 4.8).abs() < 1e-12 && (d_w[1] - 6.4).abs() < 1e-12, "{d_w:?}");
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
        let a = Var::leaf(Tensor::full(&small, 2.0, DType::F64, &Default::default()));
        let b = Var::leaf(Tensor::full(&dims, 3.0, DType::F64, &Default::default()));
        (&a * &b).sum_all().backward();
        let count: usize = dims.iter().product();
        let d_a = a.grad().unwrap();
        prop_assert_eq!(d_a.dims(), &small[..]);
        prop_assert_eq!(d_a.value().sum_all().item().unwrap(), 3.0 * count as f64);
        let d_b = b.grad().unwrap();
        prop_assert_eq!(d_b.dims(), &dims[..]);
    }
}
