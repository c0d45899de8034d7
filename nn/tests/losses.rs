//! Losses against PyTorch: values and gradients for each of their options, in the files that
//! `golden/loss/make.py` has made; and gradients of any order against finite differences.

use std::collections::{BTreeMap, BTreeSet};

use plies_autograd::Var;
use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
use plies_nn::Checkpoint;
use plies_nn::loss::{self, Reduction};
use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Tensor};

use crate::golden;

/// What a file holds, in one dtype; some of it as variables.
struct Given {
    file: Checkpoint,
    dtype: DType,
    leaves: BTreeMap<String, Var>,
}

impl Given {
    fn t(&self, name: &str) -> Tensor {
        golden::tensor(&self.file, name, self.dtype)
    }

    fn x(&self, name: &str) -> &Var {
        &self.leaves[name]
    }
}

type Loss = fn(&Given, Reduction) -> Var;

/// The file, which has the function's name; the loss as it usually is, which is the first of the cases.
type Row = (&'static str, Option<fn(&Given) -> Var>, Vec<(&'static str, Loss)>);

fn rows() -> Vec<Row> {
    vec![
        (
            "mse",
            Some(|g| loss::mse(g.x("x"), &g.t("t"))),
            vec![("plain", |g, reduction| loss::Mse { reduction }.of(g.x("x"), &g.t("t")))],
        ),
        (
            "l1",
            Some(|g| loss::l1(g.x("x"), &g.t("t"))),
            vec![("plain", |g, reduction| loss::L1 { reduction }.of(g.x("x"), &g.t("t")))],
        ),
        (
            "smooth_l1",
            Some(|g| loss::smooth_l1(g.x("x"), &g.t("t"))),
            vec![
                ("1.0", |g, reduction| smooth_l1(1.0, g, reduction)),
                ("0.5", |g, reduction| smooth_l1(0.5, g, reduction)),
                ("3.0", |g, reduction| smooth_l1(3.0, g, reduction)),
            ],
        ),
        (
            "huber",
            Some(|g| loss::huber(g.x("x"), &g.t("t"))),
            vec![
                ("1.0", |g, reduction| huber(1.0, g, reduction)),
                ("0.5", |g, reduction| huber(0.5, g, reduction)),
                ("3.0", |g, reduction| huber(3.0, g, reduction)),
            ],
        ),
        (
            "binary_cross_entropy",
            Some(|g| loss::binary_cross_entropy(g.x("x"), &g.t("t"))),
            vec![
                ("plain", |g, reduction| bce(None, None, g, reduction)),
                ("pos_weight", |g, reduction| bce(None, Some(g.t("weight")), g, reduction)),
                ("weight", |g, reduction| bce(Some(g.t("weight")), None, g, reduction)),
                ("both", |g, reduction| {
                    bce(Some(g.t("weight")), Some(g.t("weight").flip(0)), g, reduction)
                }),
            ],
        ),
        (
            "soft_margin",
            Some(|g| loss::soft_margin(g.x("x"), &g.t("t"))),
            vec![("plain", |g, reduction| loss::SoftMargin { reduction }.of(g.x("x"), &g.t("t")))],
        ),
        (
            "hinge_embedding",
            Some(|g| loss::hinge_embedding(g.x("x"), &g.t("t"))),
            vec![
                ("1.0", |g, reduction| hinge_embedding(1.0, g, reduction)),
                ("3.0", |g, reduction| hinge_embedding(3.0, g, reduction)),
            ],
        ),
        (
            "poisson_nll",
            Some(|g| loss::poisson_nll(g.x("x"), &g.t("t"))),
            vec![
                ("plain", |g, reduction| poisson(true, false, 1e-8, g, reduction)),
                ("full", |g, reduction| poisson(true, true, 1e-8, g, reduction)),
                ("rates", |g, reduction| poisson(false, false, 1e-8, g, reduction)),
                ("rates_full", |g, reduction| poisson(false, true, 0.1, g, reduction)),
            ],
        ),
        (
            "gaussian_nll",
            Some(|g| loss::gaussian_nll(g.x("x"), g.x("v"), &g.t("t"))),
            vec![
                ("plain", |g, reduction| gaussian(false, 1e-6, g, reduction)),
                ("full", |g, reduction| gaussian(true, 1e-6, g, reduction)),
                ("eps", |g, reduction| gaussian(false, 0.5, g, reduction)),
            ],
        ),
        (
            "margin_ranking",
            Some(|g| loss::margin_ranking(g.x("a"), g.x("b"), &g.t("t"))),
            vec![
                ("0.0", |g, reduction| margin_ranking(0.0, g, reduction)),
                ("0.7", |g, reduction| margin_ranking(0.7, g, reduction)),
            ],
        ),
        (
            "cosine_embedding",
            Some(|g| loss::cosine_embedding(g.x("a"), g.x("b"), &g.t("t"))),
            vec![
                ("0.0", |g, reduction| cosine_embedding(0.0, g, reduction)),
                ("-0.8", |g, reduction| cosine_embedding(-0.8, g, reduction)),
            ],
        ),
        (
            "triplet",
            Some(|g| loss::triplet(g.x("a"), g.x("p"), g.x("n"))),
            vec![
                ("plain", |g, reduction| triplet(1.0, 2.0, false, g, reduction)),
                ("margin", |g, reduction| triplet(3.0, 1.0, false, g, reduction)),
                ("p", |g, reduction| triplet(1.0, 3.0, false, g, reduction)),
                ("swap", |g, reduction| triplet(1.0, 2.0, true, g, reduction)),
            ],
        ),
        (
            "multi_margin",
            Some(|g| loss::multi_margin(g.x("x"), &g.t("t"))),
            vec![
                ("plain", |g, reduction| multi_margin(1.0, false, None, g, reduction)),
                ("squared", |g, reduction| multi_margin(0.6, true, None, g, reduction)),
                ("weight", |g, reduction| {
                    multi_margin(1.0, false, Some(g.t("weight")), g, reduction)
                }),
            ],
        ),
        (
            "multi_label_soft_margin",
            Some(|g| loss::multi_label_soft_margin(g.x("x"), &g.t("t"))),
            vec![
                ("plain", |g, reduction| multi_label(None, g, reduction)),
                ("weight", |g, reduction| multi_label(Some(g.t("weight")), g, reduction)),
            ],
        ),
        (
            "kl_divergence",
            Some(|g| loss::kl_divergence(g.x("x"), &g.t("t"))),
            vec![
                ("plain", |g, reduction| kl_divergence(false, "t", g, reduction)),
                ("log_target", |g, reduction| kl_divergence(true, "log_t", g, reduction)),
            ],
        ),
        (
            "nll",
            Some(|g| loss::nll(g.x("x"), &g.t("t"))),
            vec![
                ("plain", |g, reduction| nll(None, None, g, reduction)),
                ("weight", |g, reduction| nll(Some(g.t("weight")), None, g, reduction)),
                ("ignore", |g, reduction| nll(None, Some(0), g, reduction)),
            ],
        ),
        (
            "nll_places",
            None,
            vec![
                ("ignore", |g, reduction| nll(None, Some(-100), g, reduction)),
                ("all", |g, reduction| nll(Some(g.t("weight")), Some(-100), g, reduction)),
            ],
        ),
        (
            "hinge",
            Some(|g| loss::hinge(g.x("x"), &g.t("t"))),
            vec![("plain", |g, reduction| loss::Hinge { reduction }.of(g.x("x"), &g.t("t")))],
        ),
        (
            "cross_entropy",
            Some(|g| loss::cross_entropy(g.x("x"), &g.t("t"))),
            vec![
                ("plain", |g, reduction| cross_entropy(None, None, 0.0, g, reduction)),
                ("all", |g, reduction| {
                    cross_entropy(Some(g.t("weight")), Some(0), 0.2, g, reduction)
                }),
            ],
        ),
        (
            "ctc",
            Some(|g| {
                let x = g.x("x").log_softmax(-1);
                loss::ctc(
                    &x,
                    &g.t("t"),
                    &lengths(g, "input_lengths"),
                    &lengths(g, "target_lengths"),
                )
            }),
            vec![
                ("plain", |g, reduction| ctc(0, "t", g, reduction)),
                ("blank", |g, reduction| ctc(2, "t_blank", g, reduction)),
            ],
        ),
    ]
}

fn lengths(g: &Given, name: &str) -> Vec<usize> {
    g.t(name).to_vec::<i32>().unwrap().into_iter().map(|n| n as usize).collect()
}

fn ctc(blank: i32, targets: &str, g: &Given, reduction: Reduction) -> Var {
    let x = g.x("x").log_softmax(-1);
    let loss = loss::Ctc { blank, reduction, zero_infinity: false };
    loss.of(&x, &g.t(targets), &lengths(g, "input_lengths"), &lengths(g, "target_lengths"))
}

fn smooth_l1(beta: f64, g: &Given, reduction: Reduction) -> Var {
    loss::SmoothL1 { beta, reduction }.of(g.x("x"), &g.t("t"))
}

fn huber(delta: f64, g: &Given, reduction: Reduction) -> Var {
    loss::Huber { delta, reduction }.of(g.x("x"), &g.t("t"))
}

fn bce(weight: Option<Tensor>, pos_weight: Option<Tensor>, g: &Given, reduction: Reduction) -> Var {
    loss::BinaryCrossEntropy { weight, pos_weight, reduction }.of(g.x("x"), &g.t("t"))
}

fn hinge_embedding(margin: f64, g: &Given, reduction: Reduction) -> Var {
    loss::HingeEmbedding { margin, reduction }.of(g.x("x"), &g.t("t"))
}

fn poisson(log_input: bool, full: bool, eps: f64, g: &Given, reduction: Reduction) -> Var {
    loss::PoissonNll { log_input, full, eps, reduction }.of(g.x("x"), &g.t("t"))
}

fn gaussian(full: bool, eps: f64, g: &Given, reduction: Reduction) -> Var {
    loss::GaussianNll { full, eps, reduction }.of(g.x("x"), g.x("v"), &g.t("t"))
}

fn margin_ranking(margin: f64, g: &Given, reduction: Reduction) -> Var {
    loss::MarginRanking { margin, reduction }.of(g.x("a"), g.x("b"), &g.t("t"))
}

fn cosine_embedding(margin: f64, g: &Given, reduction: Reduction) -> Var {
    loss::CosineEmbedding { margin, reduction }.of(g.x("a"), g.x("b"), &g.t("t"))
}

fn triplet(margin: f64, p: f64, swap: bool, g: &Given, reduction: Reduction) -> Var {
    let loss = loss::Triplet { margin, p, swap, reduction, ..loss::Triplet::default() };
    loss.of(g.x("a"), g.x("p"), g.x("n"))
}

fn multi_margin(
    margin: f64,
    squared: bool,
    class_weights: Option<Tensor>,
    g: &Given,
    reduction: Reduction,
) -> Var {
    let loss = loss::MultiMargin { margin, squared, class_weights, reduction };
    loss.of(g.x("x"), &g.t("t"))
}

fn multi_label(class_weights: Option<Tensor>, g: &Given, reduction: Reduction) -> Var {
    loss::MultiLabelSoftMargin { class_weights, reduction }.of(g.x("x"), &g.t("t"))
}

fn kl_divergence(log_target: bool, targets: &str, g: &Given, reduction: Reduction) -> Var {
    loss::KlDivergence { log_target, reduction }.of(g.x("x"), &g.t(targets))
}

fn nll(
    class_weights: Option<Tensor>,
    ignore_index: Option<i32>,
    g: &Given,
    reduction: Reduction,
) -> Var {
    loss::Nll { class_weights, ignore_index, reduction }.of(g.x("x"), &g.t("t"))
}

fn cross_entropy(
    class_weights: Option<Tensor>,
    ignore_index: Option<i32>,
    label_smoothing: f64,
    g: &Given,
    reduction: Reduction,
) -> Var {
    loss::CrossEntropy { class_weights, ignore_index, label_smoothing, reduction }
        .of(g.x("x"), &g.t("t"))
}

const WAYS: [(&str, Reduction); 3] =
    [("mean", Reduction::Mean), ("sum", Reduction::Sum), ("none", Reduction::None)];

/// A file with its variables, which are what a case has gradients of.
fn given(name: &str, case: &str, dtype: DType) -> Given {
    let file = golden::read(&format!("loss/{name}"));
    let prefix = format!("{case}.d_");
    let names = file.tensors().keys().filter_map(|key| key.strip_prefix(&prefix));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut given = Given { file, dtype, leaves: BTreeMap::new() };
    given.leaves = names.into_iter().map(|x| (x.clone(), Var::leaf(given.t(&x)))).collect();
    given
}

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    for (name, function, cases) in rows() {
        let first = cases[0].0;
        for (case, loss) in &cases {
            for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 1e-4)] {
                println!("{name} {case} {dtype}");
                let g = given(name, case, dtype);
                let found = WAYS.map(|(way, reduction)| {
                    let found = loss(&g, reduction);
                    assert_close(
                        found.value(),
                        &g.t(&format!("{case}.{way}")),
                        tolerance,
                        tolerance,
                    );
                    found
                });
                let [mean, sum, none] = &found;
                let none = (none * Var::constant(g.t("d_none"))).sum_all();
                (mean + sum * 2.0 + none).backward();
                assert!(!g.leaves.is_empty());
                for (leaf, x) in &g.leaves {
                    let expected = g.t(&format!("{case}.d_{leaf}"));
                    assert_close(x.grad().unwrap().value(), &expected, tolerance, tolerance);
                }
                if let Some(function) = function.filter(|_| *case == first) {
                    assert_close(function(&g).value(), mean.value(), 0.0, 0.0);
                }
            }
        }
    }
}

#[test]
fn gradients_of_gradients_are_those_of_finite_differences() {
    for (name, _, cases) in rows() {
        for (case, loss) in cases {
            let mut start = given(name, case, DType::F64);
            // A variance below the least one has that one's gradient, which no difference shows.
            if let Some(v) = start.leaves.get_mut("v") {
                *v = Var::leaf(v.value() + 0.6);
            }
            let names: Vec<String> = start.leaves.keys().cloned().collect();
            let inputs: Vec<Tensor> = start.leaves.values().map(|x| x.value().clone()).collect();
            for (way, reduction) in WAYS {
                let f = |x: &[Var]| {
                    let leaves = names.iter().cloned().zip(x.iter().cloned()).collect();
                    loss(&Given { file: start.file.clone(), dtype: DType::F64, leaves }, reduction)
                };
                gradcheck(f, &inputs).unwrap_or_else(|e| panic!("{name} {case} {way}: {e}"));
                gradgradcheck(f, &inputs).unwrap_or_else(|e| panic!("{name} {case} {way}: {e}"));
            }
        }
    }
}

/// Each file and each of its cases, and each loss that is exported, in the file that says so.
#[test]
fn every_loss_has_a_row() {
    let files =
        std::fs::read_dir(golden::folder().join("loss")).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
    let files = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let files: BTreeSet<String> = files.collect();
    assert_eq!(files, rows().iter().map(|row| row.0.to_owned()).collect());
    for (name, _, cases) in rows() {
        let file = given(name, "", DType::F64).file;
        let in_file = file.tensors().keys().filter_map(|key| key.strip_suffix(".mean"));
        let cases: BTreeSet<&str> = cases.iter().map(|case| case.0).collect();
        assert_eq!(in_file.collect::<BTreeSet<_>>(), cases, "{name}");
    }
    let source = include_str!("../src/loss/mod.rs");
    let exports =
        source.lines().filter_map(|line| line.strip_prefix("pub use ")?.split("::").next());
    let exports: BTreeSet<&str> = exports.collect();
    let tested: BTreeSet<&str> =
        rows().iter().filter(|row| row.1.is_some()).map(|row| row.0).collect();
    assert_eq!(exports, tested);
}

/// What is far off, at 0, or impossible.
#[test]
fn losses_are_finite_where_their_formulas_are_not() {
    let x = |x: &[f32]| Var::leaf(Tensor::from_slice(x, [1, x.len()]));
    let gradient = |loss: Var, x: &Var| {
        assert!(loss.item().unwrap().is_finite());
        x.zero_grad();
        loss.backward();
        x.grad().unwrap().to_vec::<f32>().unwrap()
    };
    let far = x(&[1e4, -1e4]);
    let signs = Tensor::from([[-1f32, 1.0]]);
    assert_eq!(gradient(loss::soft_margin(&far, &signs), &far), [0.5, -0.5]);
    let pos_weight = Some(Tensor::from([3f32, 3.0]));
    let weighted = loss::BinaryCrossEntropy { pos_weight, ..Default::default() };
    let targets = Tensor::from([[0f32, 1.0]]);
    assert_eq!(gradient(weighted.of(&far, &targets), &far), [0.5, -1.5]);
    // What cannot be and was not predicted.
    let ruled_out = x(&[0.0, f32::NEG_INFINITY]);
    let certain = Tensor::from([[1f32, 0.0]]);
    assert_eq!(gradient(loss::kl_divergence(&ruled_out, &certain), &ruled_out), [-1.0, 0.0]);
    let log_target = loss::KlDivergence { log_target: true, ..Default::default() };
    let of_logs = log_target.of(&ruled_out, ruled_out.value());
    assert_eq!(gradient(of_logs, &ruled_out), [-1.0, 0.0]);
    // Equal vectors, and a vector without a direction.
    let zero = x(&[0.0, 0.0]);
    let same = loss::triplet(&zero, &zero, &zero);
    assert!(gradient(same, &zero).iter().all(|d| d.is_finite()));
    let turned = loss::cosine_embedding(&zero, &far, &Tensor::from([1f32]));
    assert!(gradient(turned, &zero).iter().all(|d| d.is_finite()));
}

#[test]
fn ctc_of_what_cannot_be_said_in_time_is_infinite_or_left_out() {
    let x = Var::leaf(Tensor::from([[[0.5f32.ln(), 0.5f32.ln()]; 2]; 2]));
    // "aa" needs a blank between, three times in all; "a" does not.
    let targets = Tensor::from([[1, 1], [1, 0]]);
    let each = |zero_infinity| {
        let loss = loss::Ctc { zero_infinity, reduction: Reduction::None, blank: 0 };
        loss.of(&x, &targets, &[2, 2], &[2, 1])
    };
    let [all, possible] = [false, true].map(|zero| each(zero).to_vec::<f32>().unwrap());
    assert_eq!(all[0], f32::INFINITY);
    assert_eq!(possible[0], 0.0);
    assert!((all[1] + 0.75f32.ln()).abs() < 1e-6 && possible[1] == all[1]);
    each(false).sum_all().backward();
    let d = x.grad().unwrap().to_vec::<f32>().unwrap();
    assert_eq!(d[..4], [0.0; 4]);
    // Of "aa", "a-" and "-a", two say "a" at each time.
    assert!(d[4..].iter().zip([1.0, 2.0, 1.0, 2.0]).all(|(d, ways)| (d + ways / 3.0).abs() < 1e-6));
}

#[test]
#[should_panic(expected = "ctc: target 0 at position 1 of sequence 0 is blank or outside 0..2")]
fn ctc_has_no_blank_among_its_targets() {
    let x = Var::leaf(Tensor::from([[[0f32, 0.0]; 3]]));
    loss::ctc(&x, &Tensor::from([[1, 0]]), &[3], &[2]);
}
