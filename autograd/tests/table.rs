//! Every differentiable operation against central differences in F64, first and second order. An
//! operation without a row fails the last test.

use std::fs;
use std::path::Path;

use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
use plies_autograd::{Cell, Var, checkpoint, linear, recurrent};
use plies_tensor::{Conv, DType, Device, Elementwise, Pool, Rng, Tensor, formula};

/// Where the inputs of a row are drawn from.
#[derive(Clone, Copy)]
enum Domain {
    /// -2..2, away from integers, where floor and round jump and abs has its kink.
    Real,
    /// 0.3..1.7
    Positive,
    /// -0.9..0.9, away from 0
    Unit,
}
use Domain::{Positive, Real, Unit};

/// The name of the operation, as it stands in the source; the function; the inputs' shapes.
type Row = (&'static str, fn(&[Var]) -> Var, &'static [&'static [usize]], Domain);

fn index() -> Tensor {
    Tensor::from([2, 0, 2])
}

fn truth(x: &Var) -> Var {
    Var::constant(x.value().gt(&x.value().zeros_like()))
}

/// Three sequences of two inputs, of one, three and two steps, and all that comes out of them.
fn recur(cell: Cell, backwards: bool, x: &[Var]) -> Var {
    let (states, weights) = x[1..].split_at(cell.states());
    let [w_ih, w_hh, b_ih, b_hh] = weights else { panic!("four weights") };
    let states: Vec<&Var> = states.iter().collect();
    let sequences = [3..4, 0..3, 4..6];
    let weights = [w_ih, w_hh, b_ih, b_hh];
    let (y, states) = recurrent(cell, &x[0], &sequences, backwards, &states, weights);
    Var::cat(&[y].iter().chain(&states).collect::<Vec<_>>(), 0)
}

const OF_RNN: &[&[usize]] = &[&[6, 2], &[3, 3], &[3, 2], &[3, 3], &[3], &[3]];
const OF_LSTM: &[&[usize]] = &[&[6, 2], &[3, 3], &[3, 3], &[12, 2], &[12, 3], &[12], &[12]];
const OF_GRU: &[&[usize]] = &[&[6, 2], &[3, 3], &[9, 2], &[9, 3], &[9], &[9]];

const ROWS: &[Row] = &[
    // Element-wise functions.
    ("abs", |x| x[0].abs(), &[&[5]], Real),
    ("sign", |x| x[0].sign(), &[&[5]], Real),
    ("sqrt", |x| x[0].sqrt(), &[&[5]], Positive),
    ("sqr", |x| x[0].sqr(), &[&[5]], Real),
    ("recip", |x| x[0].recip(), &[&[5]], Real),
    ("exp", |x| x[0].exp(), &[&[5]], Real),
    ("exp_m1", |x| x[0].exp_m1(), &[&[5]], Real),
    ("ln", |x| x[0].ln(), &[&[5]], Positive),
    ("ln_1p", |x| x[0].ln_1p(), &[&[5]], Unit),
    ("sin", |x| x[0].sin(), &[&[5]], Real),
    ("cos", |x| x[0].cos(), &[&[5]], Real),
    ("tan", |x| x[0].tan(), &[&[5]], Unit),
    ("tanh", |x| x[0].tanh(), &[&[5]], Real),
    ("erf", |x| x[0].erf(), &[&[5]], Real),
    ("floor", |x| x[0].floor(), &[&[5]], Real),
    ("ceil", |x| x[0].ceil(), &[&[5]], Real),
    ("round", |x| x[0].round(), &[&[5]], Unit),
    ("pow", |x| x[0].pow(&x[1]), &[&[2, 1], &[3]], Positive),
    ("powf", |x| x[0].powf(2.5), &[&[5]], Positive),
    ("powi", |x| x[0].powi(-3), &[&[5]], Real),
    ("minimum", |x| x[0].minimum(&x[1]), &[&[2, 3], &[3]], Real),
    ("maximum", |x| x[0].maximum(&x[1]), &[&[2, 3], &[2, 1]], Real),
    ("clamp", |x| x[0].clamp(-0.55, 0.6), &[&[9]], Real),
    ("lt", |x| x[0].lt(&x[1]), &[&[5], &[5]], Real),
    ("le", |x| x[0].le(&x[1]), &[&[5], &[5]], Real),
    ("gt", |x| x[0].gt(&x[1]), &[&[5], &[5]], Real),
    ("ge", |x| x[0].ge(&x[1]), &[&[5], &[5]], Real),
    ("eq", |x| x[0].eq(&x[1]), &[&[5], &[5]], Real),
    ("ne", |x| x[0].ne(&x[1]), &[&[5], &[5]], Real),
    ("is_nan", |x| x[0].is_nan(), &[&[5]], Real),
    ("where_cond", |x| truth(&x[0]).where_cond(&x[0], &x[1]), &[&[7], &[7]], Real),
    ("lerp", |x| x[0].lerp(&x[1], 0.3), &[&[2, 3], &[3]], Real),
    ("relu", |x| x[0].relu(), &[&[7]], Real),
    ("leaky_relu", |x| x[0].leaky_relu(0.1), &[&[7]], Real),
    ("elu", |x| x[0].elu(1.2), &[&[7]], Real),
    ("celu", |x| x[0].celu(0.7), &[&[7]], Real),
    ("selu", |x| x[0].selu(), &[&[7]], Real),
    ("sigmoid", |x| x[0].sigmoid(), &[&[5]], Real),
    ("log_sigmoid", |x| x[0].log_sigmoid(), &[&[5]], Real),
    ("softplus", |x| x[0].softplus(), &[&[5]], Real),
    ("softsign", |x| x[0].softsign(), &[&[5]], Real),
    ("silu", |x| x[0].silu(), &[&[5]], Real),
    ("gelu", |x| x[0].gelu(), &[&[5]], Real),
    ("gelu_tanh", |x| x[0].gelu_tanh(), &[&[5]], Real),
    ("mish", |x| x[0].mish(), &[&[5]], Real),
    ("relu6", |x| (&x[0] * 4.0).relu6(), &[&[9]], Real),
    ("hardsigmoid", |x| (&x[0] * 2.0).hardsigmoid(), &[&[9]], Real),
    ("hardswish", |x| (&x[0] * 2.0).hardswish(), &[&[9]], Real),
    ("hardtanh", |x| x[0].hardtanh(), &[&[7]], Real),
    (
        "map",
        |x| Var::map(formula!(|x, y; s| (x * y * s).tanh() / (2.0 + y)), &[&x[0], &x[1]], &[0.7]),
        &[&[2, 3], &[3]],
        Unit,
    ),
    ("neg", |x| -&x[0], &[&[5]], Real),
    ("add", |x| &x[0] + &x[1], &[&[2, 3], &[3]], Real),
    ("sub", |x| 1.0 - (&x[0] - &x[1]), &[&[2, 1], &[2, 3]], Real),
    ("mul", |x| &x[0] * &x[1], &[&[], &[2, 3]], Real),
    ("div", |x| &x[0] / &x[1], &[&[4, 1], &[3]], Real),
    // Sums.
    (
        "map_sum",
        |x| Var::map_sum(formula!(|x, y| x * y), &[&x[0], &x[1]], &[], &[0, -1], false),
        &[&[2, 3, 4], &[3, 1]],
        Real,
    ),
    ("sum", |x| x[0].sum(&[1], false), &[&[2, 3, 2]], Real),
    ("sum_all", |x| x[0].sum_all(), &[&[2, 3]], Real),
    ("sum_to", |x| x[0].sum_to([3, 1]), &[&[2, 3, 4]], Real),
    ("mean", |x| x[0].mean(&[0, 2], true), &[&[2, 3, 2]], Real),
    ("mean_all", |x| x[0].mean_all(), &[&[2, 3]], Real),
    ("var", |x| x[0].var(&[0], 1, false), &[&[4, 3]], Real),
    ("norm", |x| x[0].norm(&[1], false), &[&[2, 4]], Real),
    ("norm_all", |x| x[0].norm_all(), &[&[2, 4]], Real),
    ("norm_p", |x| x[0].norm_p(3.0, &[1], false), &[&[2, 4]], Real),
    ("norm_p", |x| x[0].norm_p(1.0, &[0, 1], true), &[&[2, 4]], Real),
    ("norm_p", |x| x[0].norm_p(f64::INFINITY, &[1], false), &[&[2, 4]], Real),
    ("norm_p", |x| x[0].norm_p(0.0, &[1], false), &[&[2, 4]], Real),
    (
        "sum",
        |x| Var::map_sum(formula!(|x, y| x * x + y), &[&x[0], &x[1]], &[], &[0], false),
        &[&[4, 3], &[3]],
        Real,
    ),
    ("sum", |x| x[0].sum(&[], false), &[&[2, 3]], Real),
    ("sum_all", |x| x[0].sum_all(), &[&[]], Real),
    ("logsumexp", |x| x[0].logsumexp(&[0, 1], false), &[&[2, 4]], Real),
    ("softmax", |x| x[0].softmax(-1), &[&[2, 4]], Real),
    ("log_softmax", |x| x[0].log_softmax(0), &[&[3, 4]], Real),
    // Other reductions and scans.
    ("max", |x| x[0].max(&[-1], false), &[&[4, 3]], Real),
    ("min", |x| x[0].min(&[0, 1], true), &[&[4, 3]], Real),
    ("max_all", |x| x[0].max_all(), &[&[4, 3]], Real),
    ("min_all", |x| x[0].min_all(), &[&[4, 3]], Real),
    ("prod", |x| x[0].prod(&[0], false), &[&[5, 3]], Real),
    ("prod", |x| x[0].prod(&[0, -1], true), &[&[2, 1, 3]], Real),
    ("prod_all", |x| x[0].prod_all(), &[&[2, 3]], Real),
    ("cumsum", |x| x[0].cumsum(0), &[&[4, 2]], Real),
    ("sort", |x| x[0].sort(-1, true).0, &[&[2, 4]], Real),
    ("topk", |x| x[0].topk(2, 0).0, &[&[4, 2]], Real),
    // Matrix products.
    ("matmul", |x| x[0].matmul(&x[1]), &[&[2, 1, 3, 4], &[5, 4, 2]], Real),
    ("matmul", |x| x[0].matmul(&x[1]), &[&[3, 4], &[4]], Real),
    ("matmul", |x| x[0].matmul(&x[1]), &[&[3], &[2, 3, 4]], Real),
    ("matmul", |x| x[0].matmul(&x[1]), &[&[3], &[3]], Real),
    ("matmul", |x| x[0].matmul(&x[1]), &[&[2, 0], &[0, 3]], Real),
    ("linear", |x| linear(&x[0], &x[1], Some(&x[2])), &[&[2, 3, 4], &[5, 4], &[5]], Real),
    ("matmul", |x| x[0].matmul(&x[1]), &[&[2, 3, 4], &[4, 2]], Real),
    ("matmul", |x| x[0].t().matmul(&x[1].t()), &[&[4, 3], &[2, 2, 4]], Real),
    ("linear", |x| linear(&x[0], &x[1], None), &[&[3, 4], &[5, 4]], Real),
    ("linear", |x| linear(&x[0], &x[1], Some(&x[2])), &[&[4], &[5, 4], &[5]], Real),
    // Convolution.
    (
        "conv",
        |x| x[0].conv(&x[1], Some(&x[2]), &Conv::default().stride(2).padding([1, 0])),
        &[&[2, 2, 3, 5], &[3, 2, 2, 3], &[3]],
        Real,
    ),
    (
        "conv",
        |x| x[0].conv(&x[1], None, &Conv::default().dilation(2).groups(2)),
        &[&[2, 4, 6], &[4, 2, 3]],
        Real,
    ),
    ("conv", |x| x[0].conv(&x[1], None, &Conv::default()), &[&[0, 1, 3], &[2, 1, 2]], Real),
    (
        "conv_transpose",
        |x| x[0].conv_transpose(&x[1], Some(&x[2]), &Conv::default().stride(2).padding(1), [1, 0]),
        &[&[2, 2, 2, 3], &[2, 3, 3, 2], &[3]],
        Real,
    ),
    (
        "conv_input_gradient",
        |x| x[0].conv_input_gradient(&x[1], [2, 2, 8], &Conv::default().stride(3).groups(2)),
        &[&[2, 2, 3], &[2, 1, 2]],
        Real,
    ),
    (
        "conv_weight_gradient",
        |x| x[0].conv_weight_gradient(&x[1], [2, 2, 2, 1], &Conv::default().padding([1, 0])),
        &[&[2, 2, 2, 3], &[2, 2, 3, 3]],
        Real,
    ),
    ("max_pool", |x| x[0].max_pool(&Pool::new(2)).0, &[&[2, 1, 4, 6]], Real),
    (
        "max_pool",
        |x| x[0].max_pool(&Pool::new([3, 2]).stride([2, 1]).padding([1, 0])).0.sqr(),
        &[&[1, 2, 4, 3]],
        Real,
    ),
    ("max_pool", |x| x[0].max_pool(&Pool::new(3).stride(2)).0, &[&[2, 1, 6]], Real),
    (
        "avg_pool",
        |x| x[0].avg_pool(&Pool::new([2, 3]).stride([1, 2]).padding(1).count_padding(false)),
        &[&[2, 1, 3, 4]],
        Real,
    ),
    ("avg_pool", |x| x[0].avg_pool(&Pool::new(2).padding(1)).sqr(), &[&[1, 2, 5]], Real),
    (
        "avg_pool",
        |x| x[0].avg_pool(&Pool::new([2, 3]).stride([3, 2]).round_up(true)),
        &[&[1, 2, 4, 6]],
        Real,
    ),
    ("max_pool", |x| x[0].max_pool(&Pool::new(2).round_up(true)).0, &[&[2, 1, 5]], Real),
    (
        "avg_pool_gradient",
        |x| x[0].avg_pool_gradient([1, 2, 5, 4], &Pool::new(2)),
        &[&[1, 2, 2, 2]],
        Real,
    ),
    // Movement.
    ("t", |x| x[0].t(), &[&[2, 3, 4]], Real),
    ("transpose", |x| x[0].transpose(0, -1), &[&[2, 3, 4]], Real),
    ("permute", |x| x[0].permute(&[2, 0, 1]), &[&[2, 3, 4]], Real),
    ("reshape", |x| x[0].t().reshape([2, 3]), &[&[2, 3]], Real),
    ("flatten", |x| x[0].flatten(), &[&[2, 3]], Real),
    ("unsqueeze", |x| x[0].unsqueeze(1), &[&[2, 3]], Real),
    ("squeeze", |x| x[0].squeeze(1), &[&[2, 1, 3]], Real),
    ("broadcast_to", |x| x[0].broadcast_to([3, 2, 4]), &[&[2, 1]], Real),
    ("slice", |x| x[0].slice(1, 2..), &[&[2, 4]], Real),
    ("slice_step", |x| x[0].slice_step(1, 1..6, 2), &[&[2, 7]], Real),
    ("narrow", |x| x[0].narrow(0, 1, 2), &[&[4, 2]], Real),
    ("select", |x| x[0].select(1, 2), &[&[2, 4]], Real),
    ("flip", |x| x[0].flip(0), &[&[3, 2]], Real),
    ("pad", |x| x[0].pad(0, 1, 2, 7.0), &[&[2, 3]], Real),
    (
        "split",
        |x| {
            let p = x[0].split(1, &[1, 3]);
            &p[0] * &p[1]
        },
        &[&[2, 4]],
        Real,
    ),
    // Parts that overlap, leave gaps, repeat, and lie along two axes of one value.
    (
        "split",
        |x| {
            let (x, y) = (x[0].exp(), &x[1]);
            let a = x.narrow(0, 1, 2) * x.narrow(0, 2, 2) + x.narrow(0, 1, 2) * y;
            a * x.slice(1, 1..2).narrow(0, 4, 1) + x.sum_all()
        },
        &[&[6, 3], &[3]],
        Unit,
    ),
    (
        "chunk",
        |x| {
            let p = x[0].chunk(0, 2);
            p[0].narrow(0, 0, 2) * &p[1]
        },
        &[&[5, 2]],
        Real,
    ),
    ("cat", |x| Var::cat(&[&x[0], &x[1], &x[0]], 1), &[&[2, 3], &[2, 1]], Real),
    ("stack", |x| Var::stack(&[&x[0], &x[1]], -1), &[&[2, 3], &[2, 3]], Real),
    // Index.
    ("gather", |x| x[0].gather(0, &Tensor::from([[1, 0], [1, 1]])), &[&[3, 2]], Real),
    (
        "scatter_add",
        |x| x[0].scatter_add(0, &Tensor::from([[1, 0], [1, 1]]), &x[1]),
        &[&[3, 2], &[2, 2]],
        Real,
    ),
    ("index_select", |x| x[0].index_select(1, &index()), &[&[2, 3]], Real),
    ("index_select", |x| x[0].index_select(0, &index()), &[&[3, 2]], Real),
    ("index_add", |x| x[0].index_add(0, &index(), &x[1]), &[&[3, 2], &[3, 2]], Real),
    // Recurrences.
    ("recurrent", |x| recur(Cell::Tanh, false, x), OF_RNN, Unit),
    ("recurrent", |x| recur(Cell::Relu, true, x), OF_RNN, Positive),
    ("recurrent", |x| recur(Cell::Lstm, false, x), OF_LSTM, Real),
    ("recurrent", |x| recur(Cell::Lstm, true, x), OF_LSTM, Unit),
    ("recurrent", |x| recur(Cell::Gru, false, x), OF_GRU, Unit),
    ("recurrent", |x| recur(Cell::Gru, true, x), OF_GRU, Real),
    // Others.
    ("to_dtype", |x| x[0].to_dtype(DType::F64).sqr(), &[&[5]], Real),
    ("to_device", |x| x[0].to_device(&Device::cpu()).unwrap().sqr(), &[&[5]], Real),
    (
        "checkpoint",
        |x| {
            let (w, h) = (x[0].clone(), x[1].sin());
            // The same argument twice, and one that was computed from what is captured.
            let u = &h * &w;
            checkpoint(move |v| (&v[0] * &w).sin() * &v[1] + &h, &[&u, &u])
        },
        &[&[2, 3], &[3]],
        Unit,
    ),
    (
        "checkpoint",
        |x| {
            let w = x[0].clone();
            checkpoint(
                move |v| {
                    let w = w.clone();
                    checkpoint(move |v| (&v[0] * &w).tanh(), &[&v[0].exp()])
                },
                &[&x[1]],
            )
        },
        &[&[2, 3], &[3]],
        Unit,
    ),
    (
        "checkpoint",
        |x| checkpoint(|x| (&x[0] * &x[1]).exp().sin(), &[&x[0], &x[1]]),
        &[&[2, 3], &[3]],
        Unit,
    ),
];

fn draw(rng: &mut Rng, dims: &[usize], domain: Domain) -> Tensor {
    let u = rng.uniform(dims, DType::F64, &Device::cpu());
    match domain {
        Positive => u * 1.4 + 0.3,
        // Half-integers are the centres of 0.2-wide gaps, and so are the integers.
        Real => Tensor::map(
            formula!(|u| {
                let n = (4.0 * u).floor();
                0.6 * (4.0 * u - n) + n + 0.2 - 2.0
            }),
            &[&u],
            &[],
        ),
        Unit => Tensor::map(
            formula!(|u; half| u.lt(half).select(0.6 * u - 0.4, 0.6 * u - 0.2)),
            &[&u],
            &[0.5],
        ),
    }
}

fn inputs(row: usize) -> Vec<Tensor> {
    let (_, _, shapes, domain) = ROWS[row];
    let mut rng = Rng::new(row as u64);
    shapes.iter().map(|dims| draw(&mut rng, dims, domain)).collect()
}

/// The same numbers, stored reversed along the last axis and with gaps along the first.
fn strided(x: &Tensor) -> Tensor {
    if x.rank() == 0 {
        return x.clone();
    }
    let gaps = Tensor::stack(&[x, &x.full_like(f64::NAN)], 1);
    let first = x.dim(0);
    let mut dims = x.shape();
    dims[0] = 2 * first;
    // [N, 2, ...] as [2N, ...]; the NaNs are the odd rows.
    gaps.reshape(dims).flip(-1).contiguous().slice_step(0, (x.rank() == 1) as usize.., 2).flip(-1)
}

#[test]
fn first_derivatives_are_those_of_finite_differences() {
    for (row, (name, f, ..)) in ROWS.iter().enumerate() {
        gradcheck(f, &inputs(row)).unwrap_or_else(|e| panic!("row {row}, {name}: {e}"));
    }
}

#[test]
fn derivatives_of_strided_views_are_those_of_finite_differences() {
    for (row, (name, f, ..)) in ROWS.iter().enumerate() {
        let views: Vec<Tensor> = inputs(row).iter().map(strided).collect();
        for (view, x) in views.iter().zip(inputs(row)) {
            assert_eq!(view.to_vec::<f64>().unwrap(), x.to_vec::<f64>().unwrap());
        }
        gradcheck(f, &views).unwrap_or_else(|e| panic!("row {row}, {name}: {e}"));
    }
}

#[test]
fn second_derivatives_are_those_of_finite_differences() {
    for (row, (name, f, ..)) in ROWS.iter().enumerate() {
        gradgradcheck(f, &inputs(row)).unwrap_or_else(|e| panic!("row {row}, {name}: {e}"));
    }
}

/// Names of the functions that follow `marker` in a source file.
fn names<'a>(source: &'a str, marker: &str) -> Vec<&'a str> {
    let name = |line: &'a str| line.trim_start().strip_prefix(marker)?.split(['(', '<']).next();
    source.lines().filter_map(name).collect()
}

/// The source files of a folder, named from this crate.
fn sources(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Operations whose results are positions.
const CONSTANT: [&str; 2] = ["argmax", "argmin"];

/// Public methods of Tensor in its files of operations that Var need not have: what they do goes by
/// another name, or their arguments are integers.
const OF_TENSORS_ALONE: [&str; 7] =
    ["map_reduce", "matmul_then", "one_hot", "recur", "unique", "update_rows", "update_sparse"];

#[test]
fn every_operation_of_tensors_is_one_of_variables() {
    let of_tensors = sources("../tensor/src/ops");
    for name in of_tensors.iter().flat_map(|source| names(source, "pub fn ")) {
        let has = ROWS.iter().any(|row| row.0 == name) || CONSTANT.contains(&name);
        assert!(has || OF_TENSORS_ALONE.contains(&name), "Var has no {name}, or it has no row");
    }
}

#[test]
fn every_operation_has_a_row() {
    let of_tensors = sources("../tensor/src/ops");
    let after =
        |source: &String| source.split_once("pub trait Elementwise").map(|s| s.1.to_owned());
    let of_trait = of_tensors.iter().find_map(after).unwrap();
    let of_trait = of_trait.split("\n}\n").next().unwrap();
    let mut wanted = names(of_trait, "fn ");
    let own = [sources("src/ops"), sources("src")].concat();
    let holds_operation = |source: &&String| {
        source.lines().any(|line| line.starts_with("impl") && line.contains("Op for "))
    };
    for source in own.iter().filter(holds_operation) {
        wanted.extend(names(source, "pub fn "));
    }
    assert!(wanted.len() > 80, "the sources are read");
    for name in wanted.into_iter().filter(|name| !CONSTANT.contains(name)) {
        assert!(ROWS.iter().any(|row| row.0 == name), "{name} has no row in this table");
    }
}

#[test]
fn the_check_finds_a_wrong_gradient() {
    struct Wrong;
    impl plies_autograd::Op for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }
        fn forward(&self, x: &[&Tensor]) -> Tensor {
            x[0].sqr()
        }
        fn vjp(&self, x: &[Var], _: &Var, d_y: &Var) -> Vec<Option<Var>> {
            vec![Some(d_y * &x[0] * 2.001)]
        }
    }
    let error = gradcheck(|x| plies_autograd::apply(Wrong, &[&x[0]]), &[Tensor::from([1f64])]);
    assert!(error.unwrap_err().contains("input 0 [1] at [0]"));
}
