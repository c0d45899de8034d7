//! Gradients that are rows of a table: the same numbers as whole ones, wherever they go.

use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
use plies_autograd::{Var, checkpoint, grad};
use plies_nn::optim::{
    Adagrad, Adam, Lazy, Lion, Optimizer, ParameterGroups, RmsProp, Sgd, clip_grad_norm,
    clip_grad_value,
};
use plies_nn::{Checkpoint, Embedding, Module};
use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Device, Elementwise, Rng, Tensor};

fn table(dtype: DType, seed: u64) -> Embedding {
    Embedding::from_weights(Rng::new(seed).normal([7, 3], dtype, &Device::cpu()))
}

/// Some rows several times, others never.
fn index() -> Tensor {
    Tensor::from([[5, 0, 5], [2, 5, 0]])
}

fn loss(table: &Embedding, index: &Tensor) -> Var {
    let y = table.of(index);
    (&y.sqr() * &y).sum_all()
}

fn bits(x: &Tensor) -> Vec<u64> {
    x.to_dtype(DType::F64).to_vec::<f64>().unwrap().into_iter().map(f64::to_bits).collect()
}

/// A model whose gradient has been written out whole.
fn make_dense(model: &dyn Module) {
    model.for_each_parameter(&mut |_, p| p.set_grad(p.grad()));
}

#[test]
fn the_gradient_is_held_as_the_rows_that_were_read() {
    let table = table(DType::F64, 1);
    loss(&table, &index()).backward();
    let gradient = table.weight().gradient().unwrap();
    assert_eq!(gradient.rows().unwrap().to_vec::<i32>().unwrap(), [0, 2, 5]);
    assert_eq!(gradient.values().dims(), [3, 3]);
    let w = table.weight();
    // Not held by a leaf, a gradient is whole.
    let whole = grad(&loss(&table, &index()), &[w], false).remove(0);
    assert_eq!(bits(&gradient.to_dense()), bits(whole.value()));
    assert_eq!(bits(w.grad().unwrap().value()), bits(whole.value()));
    assert_eq!(gradient.shape(), w.shape());
}

#[test]
fn derivatives_of_both_orders_are_right() {
    let w = table(DType::F64, 2).weight().value().clone();
    let read = |x: &[Var]| x[0].index_select(0, &Tensor::from([5, 0, 5])).sin() * &x[1];
    let z = Rng::new(3).normal([3, 3], DType::F64, &Device::cpu());
    gradcheck(read, &[w.clone(), z.clone()]).unwrap();
    gradgradcheck(read, &[w, z]).unwrap();
}

/// Contributions of several calls, of both forms, in any order.
#[test]
fn contributions_join_whatever_their_form() {
    let other = Tensor::from([[1, 5]]);
    let orders: [&[usize]; 4] = [&[0, 1], &[0, 2], &[2, 0], &[0, 2, 1]];
    for order in orders {
        let (held, whole) = (table(DType::F64, 4), table(DType::F64, 4));
        for &which in order {
            let of = |table: &Embedding| match which {
                0 => loss(table, &index()),
                1 => loss(table, &other),
                _ => table.weight().sin().sum_all(),
            };
            of(&held).backward();
            of(&whole).backward();
            make_dense(&whole);
        }
        let (held, whole) = (held.weight(), whole.weight());
        assert_eq!(held.gradient().unwrap().rows().is_some(), !order.contains(&2), "{order:?}");
        assert_close(held.grad().unwrap().value(), whole.grad().unwrap().value(), 1e-14, 1e-14);
    }
}

#[test]
fn a_table_that_is_used_twice_or_is_an_output_weight_too_has_one_gradient() {
    for tied in [false, true] {
        let table = table(DType::F64, 5);
        let w = table.weight();
        let of = || {
            let y = table.of(&index()).sum(&[0], false);
            match tied {
                true => y.matmul(&w.t()).sin().sum_all(),
                false => (y * table.of(&Tensor::from([1, 5, 1])).sqr()).sum_all(),
            }
        };
        of().backward();
        assert_eq!(w.gradient().unwrap().rows().is_none(), tied);
        let whole = grad(&of(), &[w], false).remove(0);
        assert_close(w.grad().unwrap().value(), whole.value(), 1e-14, 1e-14);
    }
}

#[test]
fn hooks_and_checkpoints_see_whole_gradients() {
    let [plain, hooked, forgotten] = [0; 3].map(|_| table(DType::F64, 6));
    loss(&plain, &index()).backward();
    let expected = plain.weight().grad().unwrap();

    hooked.weight().register_hook(|d| Some(d * 2.0));
    loss(&hooked, &index()).backward();
    let twice = (&expected * 2.0).into_value();
    assert_close(hooked.weight().grad().unwrap().value(), &twice, 1e-14, 1e-14);

    let w = forgotten.weight().clone();
    let f = move |_: &[Var]| {
        let y = w.index_select(0, &index().flatten());
        (&y.sqr() * &y).sum_all()
    };
    checkpoint(f, &[&Var::constant(Tensor::from(0f64))]).backward();
    assert_close(forgotten.weight().grad().unwrap().value(), expected.value(), 1e-14, 1e-14);
}

#[test]
fn clipping_is_that_of_the_whole_gradient() {
    let (held, whole) = (table(DType::F64, 7), table(DType::F64, 7));
    for clip in [
        |m: &Embedding| clip_grad_norm(m, 0.5).unwrap(),
        |m: &Embedding| {
            clip_grad_value(m, 0.1);
            0.0
        },
    ] {
        for model in [&held, &whole] {
            model.zero_grad();
            loss(model, &index()).backward();
        }
        make_dense(&whole);
        assert!((clip(&held) - clip(&whole)).abs() < 1e-14);
        assert!(held.weight().gradient().unwrap().rows().is_some());
        let expected = whole.weight().grad().unwrap();
        assert_close(held.weight().grad().unwrap().value(), expected.value(), 1e-14, 1e-14);
    }
}

/// Everything that is not lazy: to the bit what it is with gradients written out, on any number of threads.
#[test]
fn steps_by_rows_have_the_bits_of_steps_by_whole_gradients() {
    let _turn = crate::threads::Turn::take();
    type Make = fn() -> Box<dyn Optimizer>;
    let optimizers: [Make; 8] = [
        || Box::new(Sgd::new(0.1)),
        || Box::new(Sgd::new(0.1).weight_decay(0.1)),
        || Box::new(Sgd::new(0.1).momentum(0.9)),
        || Box::new(Adagrad::new(0.1)),
        || Box::new(Adam::new(0.1)),
        || Box::new(Adam::adamw(0.1, 0.1)),
        || Box::new(RmsProp::new(0.1).centered().momentum(0.5)),
        || Box::new(Lion::new(0.1)),
    ];
    for dtype in [DType::F32, DType::F64] {
        for make in optimizers {
            let mut found = Vec::new();
            for (whole, threads) in [(false, 1), (true, 1), (false, 2)] {
                plies_tensor::set_threads(threads);
                let weight = Rng::new(8).normal([9_000, 24], dtype, &Device::cpu());
                let (mut model, mut optimizer) = (Embedding::from_weights(weight), make());
                let mut rng = Rng::new(9);
                for _ in 0..3 {
                    let index: Vec<i32> = (0..4000).map(|_| rng.below(9_000) as i32).collect();
                    loss(&model, &Tensor::from(index)).backward();
                    if whole {
                        make_dense(&model);
                    }
                    optimizer.step(&mut model);
                    model.zero_grad();
                }
                let moments = optimizer.state().into_values().map(|t| bits(&t));
                found.push((bits(model.weight().value()), moments.collect::<Vec<_>>()));
            }
            let name = make().describe();
            assert!(found[0] == found[1], "{name}, {dtype}: rows and whole differ");
            assert!(found[0] == found[2], "{name}, {dtype}: threads differ");
        }
    }
}

/// Rows that were not read keep their numbers and moments; those that were read have the numbers of a
/// table of these rows alone.
#[test]
fn a_lazy_step_touches_the_rows_that_were_read_alone() {
    type Make = fn() -> Box<dyn Optimizer>;
    let pairs: [[Make; 2]; 3] = [
        [|| Box::new(Lazy(Adam::adamw(0.1, 0.1))), || Box::new(Adam::adamw(0.1, 0.1))],
        [|| Box::new(Lazy(Sgd::new(0.1).nesterov(0.9))), || Box::new(Sgd::new(0.1).nesterov(0.9))],
        [|| Box::new(Lazy(Lion::new(0.1))), || Box::new(Lion::new(0.1))],
    ];
    for [lazy, eager] in pairs {
        let (mut large, mut optimizer) = (table(DType::F64, 10), lazy());
        let rows = Tensor::from([0, 2, 5]);
        let mut small = Embedding::from_weights(large.weight().value().index_select(0, &rows));
        let mut other = eager();
        let before = large.weight().value().clone();
        let small_index = Tensor::from([[2, 0, 2], [1, 2, 0]]);
        for _ in 0..4 {
            loss(&large, &index()).backward();
            optimizer.step(&mut large);
            large.zero_grad();
            loss(&small, &small_index).backward();
            other.step(&mut small);
            small.zero_grad();
        }
        let rest = Tensor::from([1, 3, 4, 6]);
        let untouched = |x: &Tensor| bits(&x.index_select(0, &rest));
        let after = large.weight().value();
        assert_eq!(untouched(after), untouched(&before));
        assert_eq!(bits(&after.index_select(0, &rows)), bits(small.weight().value()));
        for (name, expected) in other.state() {
            let found = &optimizer.state()[&name];
            if name != "step" {
                assert_eq!(bits(&found.index_select(0, &rows)), bits(&expected), "{name}");
                assert!(untouched(found).iter().all(|&x| x == 0), "{name}");
            }
        }
    }
}

/// The numbers are PyTorch 2.15's: `SparseAdam(lr=0.1, betas=(0.8, 0.95), eps=0)` on an
/// `Embedding(3, 1, sparse=True)`, for the rows of each step and the loss Σ y³.
#[test]
fn lazy_adam_gives_the_numbers_of_sparse_adam() {
    let mut table = Embedding::from_weights(Tensor::from([[1f64], [-0.5], [2.0]]));
    let mut adam = Lazy(Adam::new(0.1).betas(0.8, 0.95).eps(0.0));
    for index in [[0, 2, 0], [2, 2, 2], [0, 2, 2]] {
        loss(&table, &Tensor::from(index)).backward();
        adam.step(&mut table);
        table.zero_grad();
    }
    let expected = Tensor::from([[0.8209753504396576f64], [-0.5], [1.7107868253258465]]);
    assert_close(table.weight().value(), &expected, 1e-12, 1e-12);
}

#[test]
fn a_lazy_rule_is_a_group_beside_others_and_resumes() {
    let new = || {
        ParameterGroups::new(Adam::new(0.1)).group(|name, _| name == "weight", Lazy(Adam::new(0.1)))
    };
    let (mut model, mut optimizer) = (table(DType::F32, 11), new());
    let step = |model: &mut Embedding, optimizer: &mut ParameterGroups, i: i32| {
        loss(model, &Tensor::from([i, 6])).backward();
        optimizer.step(model);
        model.zero_grad();
    };
    step(&mut model, &mut optimizer, 0);
    let mut file = Checkpoint::new();
    file.put_model(&model);
    file.put_optimizer(&optimizer);
    step(&mut model, &mut optimizer, 1);

    let (mut resumed, mut again) = (table(DType::F32, 12), new());
    file.load_model(&mut resumed).unwrap();
    file.load_optimizer(&mut again).unwrap();
    step(&mut resumed, &mut again, 1);
    assert_eq!(bits(model.weight().value()), bits(resumed.weight().value()));
    assert!(file.load_optimizer(&mut ParameterGroups::new(Adam::new(0.1))).is_err());
}

#[test]
fn padding_has_a_vector_of_zeros_and_no_gradient() {
    for dtype in [DType::F32, DType::F64] {
        let mut model = table(dtype, 13).padding(5);
        let y = model.of(&index());
        assert_eq!(y.dims(), [2, 3, 3]);
        let expected = model.weight().value().index_select(0, &index().flatten());
        assert_eq!(bits(&y.value().reshape([6, 3])), bits(&expected));
        assert_eq!(y.select(0, 0).select(0, 0).abs().sum_all().item().unwrap(), 0.0);

        // Loaded, it may be another vector, and stays that.
        let before = table(dtype, 14).weight().value().clone();
        model.for_each_parameter_mut(&mut |_, p| *p.value_mut() = before.clone());
        let mut sgd = Lazy(Sgd::new(0.1).weight_decay(0.1));
        loss(&model, &index()).backward();
        assert_eq!(
            model.weight().gradient().unwrap().rows().unwrap().to_vec::<i32>().unwrap(),
            [0, 2]
        );
        sgd.step(&mut model);
        let row = |x: &Tensor, i| bits(&x.select(0, i));
        let after = model.weight().value();
        assert_eq!(row(after, 5), row(&before, 5));
        assert_ne!(row(after, 0), row(&before, 0));
        // Nothing but padding.
        model.zero_grad();
        loss(&model, &Tensor::from([5, 5])).backward();
        assert_eq!(model.weight().grad().unwrap().abs().sum_all().item().unwrap(), 0.0);
    }
}

#[test]
fn a_frozen_table_is_a_buffer() {
    let trained = table(DType::F32, 15);
    let mut file = Checkpoint::new();
    file.put_model(&trained);
    let mut frozen = table(DType::F32, 16).padding(1).frozen();
    file.load_model(&mut frozen).unwrap();
    assert_eq!(bits(frozen.weight().value()), bits(trained.weight().value()));
    assert!(!frozen.of(&index()).requires_grad());
    assert!(frozen.named_parameters().is_empty());
    assert_eq!(frozen.named_buffers()[0].0, "weight");
}
