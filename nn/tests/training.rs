//! Whole trainings: they learn, repeat, resume, and survive damaged files.

use std::sync::Arc;

use plies_autograd::Var;
use plies_nn::data::{Loader, TensorDataset};
use plies_nn::optim::{Adam, Optimizer, Schedule, Sgd};
use plies_nn::train::{Fit, evaluate, fit};
use plies_nn::{Activation, Checkpoint, Mlp, Module, loss};
use plies_tensor::{DType, Device, Rng, Tensor};
use proptest::prelude::*;

/// Two classes: inside and outside a circle.
fn circle(n: usize) -> Loader {
    let x = Rng::new(1).uniform([n, 2], DType::F32, &Device::cpu()) * 2.0 - 1.0;
    let rows = x.to_vec::<f32>().unwrap();
    let inside = |p: &[f32]| i32::from(p[0] * p[0] + p[1] * p[1] < 0.5);
    let targets: Vec<i32> = rows.chunks(2).map(inside).collect();
    Loader::new(Arc::new(TensorDataset::new(x, Tensor::from(targets))), 32).shuffle(5)
}

fn network() -> Mlp {
    Mlp::new(&[2, 32, 2], Activation::Relu, &mut Rng::new(2)).dropout(0.0, 0.1)
}

fn cross_entropy(logits: &Var, targets: &Tensor) -> Var {
    loss::cross_entropy(logits, targets, 0.0)
}

fn train(model: &mut Mlp, optimizer: &mut dyn Optimizer, epochs: std::ops::Range<usize>) {
    let settings = Fit { epochs, seed: 3, schedule: Schedule::Constant, ..Fit::epochs(0) };
    fit(model, optimizer, &cross_entropy, &circle(512), &settings, &mut []).unwrap();
}

fn bytes(model: &Mlp, optimizer: &dyn Optimizer) -> Vec<u8> {
    let mut checkpoint = Checkpoint::new();
    checkpoint.put_model(model);
    checkpoint.put_optimizer(optimizer);
    checkpoint.to_bytes().unwrap()
}

#[test]
fn a_network_learns_a_circle() {
    let (mut model, mut adam) = (network(), Adam::new(0.01));
    train(&mut model, &mut adam, 0..30);
    let evaluation = evaluate(&model, &circle(512), 2, &cross_entropy).unwrap();
    assert!(evaluation.confusion.accuracy() > 0.95, "{}", evaluation.confusion.accuracy());
}

#[test]
fn resuming_gives_the_bytes_of_an_uninterrupted_training() {
    type Make = fn() -> Box<dyn Optimizer>;
    let optimizers: [Make; 4] = [
        || Box::new(Adam::new(0.01)),
        || Box::new(Adam::w(0.01, 0.1)),
        || Box::new(Sgd::new(0.1).momentum(0.9).weight_decay(1e-3)),
        || Box::new(Sgd::new(0.1).nesterov(0.9)),
    ];
    for make in optimizers {
        let (mut model, mut optimizer) = (network(), make());
        train(&mut model, optimizer.as_mut(), 0..4);
        let whole = bytes(&model, optimizer.as_ref());

        let (mut model, mut optimizer) = (network(), make());
        train(&mut model, optimizer.as_mut(), 0..2);
        let half = Checkpoint::from_bytes(&bytes(&model, optimizer.as_ref()), "half").unwrap();
        let (mut model, mut optimizer) = (network(), make());
        half.load_model(&mut model).unwrap();
        half.load_optimizer(optimizer.as_mut()).unwrap();
        train(&mut model, optimizer.as_mut(), 2..4);
        assert!(whole == bytes(&model, optimizer.as_ref()), "{}", optimizer.describe());
    }
}

#[test]
fn a_checkpoint_of_another_architecture_changes_nothing() {
    let mut checkpoint = Checkpoint::new();
    checkpoint.put_model(&Mlp::new(&[2, 16, 2], Activation::Relu, &mut Rng::new(9)));
    let mut model = network();
    let before = bytes(&model, &Sgd::new(0.1));
    let error = checkpoint.load_model(&mut model).unwrap_err().to_string();
    assert!(
        error.contains("layers.0.weight is f32 [16, 2], this model needs f32 [32, 2]"),
        "{error}"
    );
    assert!(before == bytes(&model, &Sgd::new(0.1)));
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut checkpoint = Checkpoint::new();
    checkpoint.put_model(&network());
    checkpoint.save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = checkpoint.save(&path.join("below")).unwrap_err().to_string();
    assert!(error.contains("below"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

proptest! {
    #[test]
    fn damaged_checkpoints_are_refused_or_read_but_never_panic(
        changes in prop::collection::vec((0usize..2000, any::<u8>()), 1..8),
        cut in prop::option::of(0usize..2000),
    ) {
        let mut damaged = bytes(&network(), &Adam::new(0.1));
        for (at, value) in changes {
            let n = damaged.len();
            damaged[at % n] = value;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut);
        }
        if let Ok(checkpoint) = Checkpoint::from_bytes(&damaged, "damaged") {
            let mut model = network();
            let _ = checkpoint.load_model(&mut model);
            let _ = checkpoint.load_optimizer(&mut Adam::new(0.1));
        }
    }
}

/// PyTorch's documented update rules, one number at a time in F64.
#[test]
fn ten_steps_follow_the_documented_formulas() {
    struct One(Var);
    impl Module for One {
        fn forward(&self, x: &Var, _: &mut plies_nn::Pass) -> Var {
            x * &self.0
        }
        fn visit(&self, f: &mut dyn FnMut(&str, &Var)) {
            f("p", &self.0);
        }
        fn visit_mut(&mut self, f: &mut dyn FnMut(&str, &mut Var)) {
            f("p", &mut self.0);
        }
    }
    let gradient = |p: f64| 2.0 * (p - 0.3) + 0.1 * p.cos();
    let run = |optimizer: &mut dyn Optimizer, mut rule: Box<dyn FnMut(f64, f64) -> f64>| {
        let mut model = One(Var::leaf(Tensor::from([1.5f64])));
        let mut p = 1.5;
        for step in 0..10 {
            model.0.set_grad(Some(Var::constant(Tensor::from([gradient(p)]))));
            optimizer.step(&mut model);
            p = rule(p, gradient(p));
            let found = model.0.value().item().unwrap();
            assert!((found - p).abs() < 1e-12, "{} step {step}: {found} {p}", optimizer.describe());
        }
    };
    let (lr, mu, wd) = (0.05, 0.9, 0.01);
    run(&mut Sgd::new(lr).weight_decay(wd), Box::new(move |p, g| p - lr * (g + wd * p)));
    let mut v = None;
    run(
        &mut Sgd::new(lr).momentum(mu).weight_decay(wd),
        Box::new(move |p, g| {
            let g = g + wd * p;
            let next = v.map_or(g, |v: f64| mu * v + g);
            v = Some(next);
            p - lr * next
        }),
    );
    let mut v = 0.0;
    run(
        &mut Sgd::new(lr).nesterov(mu),
        Box::new(move |p, g| {
            v = mu * v + g;
            p - lr * (g + mu * v)
        }),
    );
    for decoupled in [false, true] {
        let (b1, b2, eps): (f64, f64, f64) = (0.8, 0.95, 1e-6);
        let (mut m, mut v, mut t) = (0.0, 0.0, 0);
        let mut adam = match decoupled {
            true => Adam::w(lr, wd),
            false => Adam::new(lr).weight_decay(wd),
        }
        .betas(b1, b2)
        .eps(eps);
        run(
            &mut adam,
            Box::new(move |p, g| {
                t += 1;
                let (p, g) = if decoupled { (p - lr * wd * p, g) } else { (p, g + wd * p) };
                m = b1 * m + (1.0 - b1) * g;
                v = b2 * v + (1.0 - b2) * g * g;
                let (m_hat, v_hat) = (m / (1.0 - b1.powi(t)), v / (1.0 - b2.powi(t)));
                p - lr * m_hat / (v_hat.sqrt() + eps)
            }),
        );
    }
}
