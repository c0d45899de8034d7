//! Optimisers against PyTorch: ten steps with each of their options, in the files that
//! `golden/optim/make.py` has made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plies_autograd::Var;
use plies_nn::data::{Loader, TensorDataset};
use plies_nn::optim::{
    Adadelta, Adagrad, Adam, Clip, Ema, Lbfgs, Lion, Muon, NAdam, Optimizer, ParameterGroups,
    RAdam, Regularized, RmsProp, Sgd, clip_grad_norm,
};
use plies_nn::train::{Fit, fit};
use plies_nn::{Checkpoint, CheckpointError, Linear, Module, Pass, Visitor, VisitorMut, loss};
use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Device, Elementwise, Rng, Tensor};

fn golden(name: &str) -> Checkpoint {
    crate::golden::read(&format!("optim/{name}"))
}

/// The file, the type that it is of, its settings by their names in the file.
type Row = (&'static str, &'static str, Vec<(&'static str, fn() -> Box<dyn Optimizer>)>);

fn rows() -> Vec<Row> {
    vec![
        (
            "sgd",
            "Sgd",
            vec![
                ("plain", || Box::new(Sgd::new(0.05))),
                ("weight_decay", || Box::new(Sgd::new(0.05).weight_decay(0.1))),
                ("momentum", || Box::new(Sgd::new(0.05).momentum(0.9))),
                ("nesterov", || Box::new(Sgd::new(0.05).nesterov(0.9).weight_decay(0.1))),
                ("dampening", || {
                    Box::new(Sgd::new(0.05).momentum(0.9).dampening(0.3).weight_decay(0.1))
                }),
            ],
        ),
        (
            "rmsprop",
            "RmsProp",
            vec![
                ("plain", || Box::new(RmsProp::new(0.05))),
                ("alpha", || Box::new(RmsProp::new(0.05).alpha(0.9).eps(1e-3).weight_decay(0.1))),
                ("momentum", || Box::new(RmsProp::new(0.05).momentum(0.5))),
                ("centered", || Box::new(RmsProp::new(0.05).centered())),
                ("all", || {
                    let rmsprop = RmsProp::new(0.05).alpha(0.9).momentum(0.5).centered();
                    Box::new(rmsprop.weight_decay(0.1))
                }),
            ],
        ),
        (
            "adagrad",
            "Adagrad",
            vec![
                ("plain", || Box::new(Adagrad::new(0.05))),
                ("all", || Box::new(Adagrad::new(0.05).lr_decay(0.1).eps(1e-3).weight_decay(0.1))),
            ],
        ),
        (
            "adadelta",
            "Adadelta",
            vec![
                ("plain", || Box::new(Adadelta::new(0.05))),
                ("all", || Box::new(Adadelta::new(0.05).rho(0.8).eps(1e-3).weight_decay(0.1))),
            ],
        ),
        (
            "adam",
            "Adam",
            vec![
                ("plain", || Box::new(Adam::new(0.05))),
                ("options", || {
                    Box::new(Adam::new(0.05).betas(0.8, 0.95).eps(1e-4).weight_decay(0.1))
                }),
                ("amsgrad", || Box::new(Adam::new(0.05).betas(0.8, 0.5).amsgrad())),
            ],
        ),
        (
            "adamw",
            "Adam",
            vec![
                ("plain", || Box::new(Adam::adamw(0.05, 0.1))),
                ("amsgrad", || Box::new(Adam::adamw(0.05, 0.1).betas(0.8, 0.5).amsgrad())),
            ],
        ),
        (
            "nadam",
            "NAdam",
            vec![
                ("plain", || Box::new(NAdam::new(0.05))),
                ("options", || {
                    let nadam = NAdam::new(0.05).betas(0.8, 0.95).eps(1e-4).momentum_decay(0.1);
                    Box::new(nadam.weight_decay(0.1))
                }),
                ("decoupled", || Box::new(NAdam::new(0.05).decoupled_weight_decay(0.1))),
            ],
        ),
        (
            "radam",
            "RAdam",
            vec![
                ("plain", || Box::new(RAdam::new(0.05))),
                ("options", || {
                    Box::new(RAdam::new(0.05).betas(0.8, 0.95).eps(1e-4).weight_decay(0.1))
                }),
                ("decoupled", || Box::new(RAdam::new(0.05).decoupled_weight_decay(0.1))),
            ],
        ),
        (
            "lion",
            "Lion",
            vec![
                ("plain", || Box::new(Lion::new(0.05))),
                ("all", || Box::new(Lion::new(0.05).betas(0.8, 0.9).weight_decay(0.1))),
            ],
        ),
        (
            "muon",
            "Muon",
            vec![
                ("plain", || Box::new(Muon::new(0.05))),
                ("decay", || Box::new(Muon::new(0.05).weight_decay(0.1).momentum(0.8))),
                ("plain_momentum", || Box::new(Muon::new(0.05).plain_momentum())),
                ("iterations", || Box::new(Muon::new(0.05).iterations(3))),
                ("match_adam", || Box::new(Muon::new(0.05).match_adam())),
                ("tall", || Box::new(Muon::new(0.05))),
            ],
        ),
    ]
}

#[test]
fn ten_steps_of_each_option_give_the_numbers_of_pytorch() {
    let given = golden("given");
    for (file, _, settings) in rows() {
        let expected = golden(file);
        let names: BTreeSet<&str> = settings.iter().map(|row| row.0).collect();
        assert!(expected.tensors().keys().map(String::as_str).eq(names), "{file}: a row for each");
        for (name, make) in settings {
            for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-4)] {
                println!("{file} {name} {dtype}");
                let of = |key: &str| {
                    let tensor = given.tensors()[key].to_dtype(dtype);
                    if name == "tall" { tensor.transpose(-2, -1) } else { tensor }
                };
                let mut layer = Linear::from_weights(of("p").contiguous(), None);
                let mut optimizer = make();
                for t in 0..10 {
                    let g = of("g").select(0, t).contiguous();
                    layer.weight().set_grad(Some(Var::constant(g)));
                    optimizer.step(&mut layer);
                    let expected = expected.tensors()[name].select(0, t).to_dtype(dtype);
                    assert_close(layer.weight().value(), &expected, tolerance, tolerance);
                }
            }
        }
    }
}

/// What is exported, in the file that says so.
#[test]
fn every_optimiser_has_a_row() {
    let no_optimisers = [
        "change_gradients",
        "Clip",
        "clip_grad_norm",
        "clip_grad_value",
        "Ema",
        "Lazy",
        "Memory",
        "ParameterGroups",
        "Regularized",
        "Rule",
        "Schedule",
    ];
    let source = include_str!("../src/optim/mod.rs");
    let exports = source.lines().filter(|line| line.starts_with("pub use"));
    let names = exports.flat_map(|line| {
        let names = line.trim_end_matches(';').rsplit("::").next().unwrap();
        names.trim_matches(['{', '}']).split(", ").map(str::to_owned).collect::<Vec<_>>()
    });
    let names = names.filter(|name| !no_optimisers.contains(&name.as_str()));
    let mut tested: BTreeSet<String> = rows().iter().map(|row| row.1.to_owned()).collect();
    tested.insert("Lbfgs".to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), tested);
}

/// A point that is looked for.
struct X(Var);

impl Module for X {
    fn forward(&self, x: &Var, _: &mut Pass) -> Var {
        x * &self.0
    }
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("x", &self.0);
    }
    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("x", &mut self.0);
    }
}

fn start() -> X {
    X(Var::leaf(Tensor::from([-1.2f64, 1.0, -0.5, 0.8, 1.5])))
}

fn point(model: &dyn Module) -> Var {
    model.named_parameters().remove(0).1
}

/// Σ 100 (xᵢ₊₁ - xᵢ²)² + (1 - xᵢ)²
fn rosenbrock(model: &dyn Module) -> Var {
    let x = point(model);
    let (x, next) = (x.slice(0, ..4), x.slice(0, 1..));
    ((next - x.sqr()).sqr() * 100.0 + (x * -1.0 + 1.0).sqr()).sum_all()
}

#[test]
fn lbfgs_goes_the_way_of_pytorch() {
    let file = golden("lbfgs");
    let lbfgs = || Lbfgs::new().max_iter(4).max_eval(12).tolerance(1e-9, 1e-12);
    let rows = [
        ("rosenbrock", lbfgs()),
        ("short_history", lbfgs().history(2)),
        ("few_evaluations", lbfgs().max_iter(6).max_eval(5)),
        ("long_first_try", lbfgs().learning_rate(3.0)),
    ];
    assert_eq!(file.tensors().len(), rows.len() + 1);
    for (name, mut lbfgs) in rows {
        let mut x = start();
        for call in 0..12 {
            let found = lbfgs.minimize(&mut x, &rosenbrock).unwrap();
            println!("{name} {call} {found}");
            let expected = file.tensors()[name].select(0, call);
            // Each step divides by differences of the ones before, so digits are lost on the way.
            assert_close(x.0.value(), &expected, 1e-6, 1e-6);
            assert_eq!(found, rosenbrock(&x).item().unwrap());
        }
    }
    let (mut x, mut lbfgs) = (start(), Lbfgs::new().history(3).learning_rate(0.5));
    for step in 0..12 {
        let weights = Var::constant(Tensor::from([1f64, 2.0, 3.0, 4.0, 5.0]));
        (weights * (&x.0 - 1.0).sqr()).sum_all().backward();
        lbfgs.step(&mut x);
        x.zero_grad();
        let expected = file.tensors()["fixed"].select(0, step);
        assert_close(x.0.value(), &expected, 1e-9, 1e-9);
    }
}

#[test]
fn lbfgs_finds_the_least_point_of_rosenbrocks_function() {
    let lbfgs = Lbfgs::new().max_iter(200).max_eval(400).tolerance(1e-9, 1e-14);
    let (mut x, mut lbfgs) = (start(), lbfgs);
    let found = lbfgs.minimize(&mut x, &rosenbrock).unwrap();
    assert!(found < 1e-12, "{found}");
    assert_close(x.0.value(), &Tensor::from([1f64; 5]), 1e-5, 1e-5);
    assert!(x.0.grad().is_none(), "no gradient is left behind");
    // There it stays.
    let before = x.0.value().clone();
    lbfgs.minimize(&mut x, &rosenbrock).unwrap();
    assert_close(x.0.value(), &before, 1e-6, 1e-6);
}

/// ln's domain ends at 0: a step too far is no number, and is taken back.
#[test]
fn lbfgs_comes_back_from_where_the_loss_is_no_number() {
    let mut x = X(Var::leaf(Tensor::from([0.05f64, 4.0, 30.0])));
    let barrier = |model: &dyn Module| {
        let x = point(model);
        (&x * 3.0 - x.ln()).sum_all()
    };
    let found = Lbfgs::new().max_iter(100).minimize(&mut x, &barrier).unwrap();
    assert!((found - 3.0 * (1.0 + 3f64.ln())).abs() < 1e-9, "{found}");
}

#[test]
fn lbfgs_is_saved_and_gone_on_with() {
    let search = |x: &mut X, lbfgs: &mut Lbfgs, calls: usize| {
        for _ in 0..calls {
            lbfgs.minimize(x, &rosenbrock).unwrap();
        }
    };
    let lbfgs = || Lbfgs::new().history(12).max_iter(3);
    let saved = |x: &X, lbfgs: &Lbfgs| {
        let mut checkpoint = Checkpoint::new();
        checkpoint.put_model(x);
        checkpoint.put_optimizer(lbfgs);
        checkpoint.to_bytes().unwrap()
    };
    let (mut x, mut whole) = (start(), lbfgs());
    search(&mut x, &mut whole, 9);
    let expected = saved(&x, &whole);

    let (mut x, mut half) = (start(), lbfgs());
    search(&mut x, &mut half, 6); // more than ten pairs: 1 and 10 must be told apart
    let file = Checkpoint::from_bytes(&saved(&x, &half), "half").unwrap();
    let (mut x, mut rest) = (start(), lbfgs());
    file.load_model(&mut x).unwrap();
    file.load_optimizer(&mut rest).unwrap();
    search(&mut x, &mut rest, 3);
    assert!(saved(&x, &rest) == expected);

    let parameters = [("x".to_owned(), x.0.value().clone())].into();
    let refused = |change: &dyn Fn(&mut plies_nn::optim::State)| {
        let mut state = whole.state();
        change(&mut state);
        let error = lbfgs().load_state(state, &parameters).unwrap_err();
        assert!(matches!(error, CheckpointError::State { .. }));
        error.to_string()
    };
    let error = refused(&|state| _ = state.remove("old_dirs.0.x"));
    assert!(error.starts_with("optimiser state: x has not all of old_stps.0"), "{error}");
    let error = refused(&|state| _ = state.insert("old_stps.40.x".into(), Tensor::from([1f64; 5])));
    assert!(error.starts_with("optimiser state: old_stps.40.x is not one of"), "{error}");
}

#[test]
#[should_panic(expected = "muon: parameter bias [2] is no matrix")]
fn muon_says_which_parameter_is_no_matrix() {
    let mut layer =
        Linear::from_weights(Tensor::from([[1f32], [2.0]]), Some(Tensor::from([0f32; 2])));
    layer.forward(&Var::constant(Tensor::from([[1f32]])), &mut Pass::eval()).sum_all().backward();
    Muon::new(0.1).step(&mut layer);
}

/// The filters of a convolution are rows.
#[test]
fn muon_treats_a_tensor_of_more_axes_as_a_matrix() {
    let given = golden("given");
    let (p, g) = (&given.tensors()["p"], given.tensors()["g"].select(0, 0).contiguous());
    let stepped = |dims: &[usize]| {
        let mut x = X(Var::leaf(p.reshape(dims)));
        x.0.set_grad(Some(Var::constant(g.reshape(dims))));
        Muon::new(0.1).step(&mut x);
        x.0.value().reshape([3, 4])
    };
    assert_close(&stepped(&[3, 2, 1, 2]), &stepped(&[3, 4]), 0.0, 0.0);
}

/// y = tanh(x W) Wᵀ, where W stands in one place or in several.
struct Tied(Vec<Var>);

impl Tied {
    fn new(places: usize) -> Self {
        Tied(vec![Var::leaf(Tensor::from([[0.5f64, -0.3], [0.2, 0.9]])); places])
    }

    fn numbers(&self) -> Vec<Vec<f64>> {
        self.0.iter().map(|w| w.to_vec().unwrap()).collect()
    }
}

impl Module for Tied {
    fn forward(&self, x: &Var, _: &mut Pass) -> Var {
        x.matmul(&self.0[0]).tanh().matmul(&self.0[self.0.len() - 1].t())
    }
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.iter().enumerate().for_each(|(i, w)| visitor.parameter(&i.to_string(), w));
    }
    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        let places = self.0.iter_mut().enumerate();
        places.for_each(|(i, w)| visitor.parameter(&i.to_string(), w));
    }
}

/// Each place would have its gradient scaled, its penalty added and its step taken, for all.
#[test]
fn a_parameter_in_several_places_is_one_parameter() {
    let x = Rng::new(3).normal([8, 2], DType::F64, &Device::cpu());
    let loader = Loader::new(Arc::new(TensorDataset::new(x.clone(), x)), 4);
    let optimizers: [fn() -> Box<dyn Optimizer>; 6] = [
        || Box::new(Sgd::new(0.1)),
        || Box::new(Adam::new(0.1)),
        || Box::new(Muon::new(0.1)),
        || Box::new(Lbfgs::new().learning_rate(0.1)),
        || {
            Box::new(
                Regularized::new(Sgd::new(0.1)).l1(0.3).l2(0.2).decoupled_l1(0.1).max_norm(0.8),
            )
        },
        || {
            let groups = ParameterGroups::new(Sgd::new(0.1)).group(|_, _| true, Adam::new(0.05));
            Box::new(Ema::new(groups, 0.9))
        },
    ];
    for settings in [
        Fit::epochs(3),
        Fit { accumulate: 2, ..Fit::epochs(3) },
        Fit { clip: Some(Clip::Norm(0.1)), ..Fit::epochs(3) },
    ] {
        for make in optimizers {
            let trained = |places: usize| {
                let (mut model, mut optimizer) = (Tied::new(places), make());
                let optimizer = optimizer.as_mut();
                fit(&mut model, optimizer, &loss::mse, &loader, &settings, &mut []).unwrap();
                optimizer.show_averages(&mut model, true);
                model.numbers()
            };
            let one = trained(1).remove(0);
            assert_eq!(trained(3), [one.clone(), one.clone(), one], "{}", make().describe());
        }
    }
    let model = Tied::new(2);
    model.0[1].set_grad(Some(Var::constant(Tensor::from([[3f64, 0.0], [0.0, 4.0]]))));
    assert_eq!(clip_grad_norm(&model, 2.5).unwrap(), 5.0);
    assert_eq!(model.0[0].grad().unwrap().to_vec::<f64>().unwrap(), [1.5, 0.0, 0.0, 2.0]);
    assert_eq!((model.parameter_count(), model.named_parameters().len()), (4, 1));
}

/// As PyTorch's files, and those from which safetensors' `save_model` has left out all names but one.
#[test]
fn a_parameter_in_several_places_is_in_files_under_all_its_names_and_read_from_one() {
    let mut file = Checkpoint::new();
    file.put_model(&Tied(vec![Var::leaf(Tensor::from([[1f64, 2.0], [3.0, 4.0]])); 2]));
    assert!(file.tensors().keys().eq(["0", "1"]));
    let one = |name: &str| file.rename(|key| (key == name).then(|| key.to_owned())).unwrap();
    for file in [&file, &one("0"), &one("1")] {
        let mut model = Tied::new(2);
        file.load_model(&mut model).unwrap();
        assert_eq!(model.numbers(), [[1.0, 2.0, 3.0, 4.0]; 2]);
    }
    let mut untied = file.clone();
    untied.insert("1", Tensor::from([[1f64, 2.0], [3.0, 5.0]]));
    let mut model = Tied::new(2);
    let error = untied.load_model(&mut model).unwrap_err().to_string();
    assert_eq!(error, "checkpoint: 0 and 1 differ, which are one parameter here");
    assert_eq!(model.numbers(), Tied::new(2).numbers());
}

#[test]
fn a_group_is_asked_once_in_a_step_whether_it_takes_a_parameter() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut groups = ParameterGroups::new(Sgd::new(0.1));
    for i in 0..5 {
        let asked = asked.clone();
        let takes = move |name: &str, _: &Tensor| {
            asked.fetch_add(1, Ordering::Relaxed);
            name == i.to_string()
        };
        groups = groups.group(takes, Sgd::new(0.1));
    }
    let mut model = Tied((0..5).map(|_| Var::leaf(Tensor::from([[1f64]]))).collect());
    groups.step(&mut model);
    assert_eq!(asked.load(Ordering::Relaxed), 1 + 2 + 3 + 4 + 5);
}
