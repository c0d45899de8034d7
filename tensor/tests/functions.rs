//! Every named element-wise function against its definition in F64. A function without a row fails
//! the last test.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Elementwise, Tensor};

/// Name, the function of tensors, its definition. The second operand is x turned round.
type Row = (&'static str, fn(&Tensor, &Tensor) -> Tensor, fn(f64, f64) -> f64);

const ROWS: &[Row] = &[
    ("abs", |x, _| x.abs(), |x, _| if x < 0.0 { -x } else { x }),
    ("sign", |x, _| x.sign(), |x, _| if x == 0.0 { 0.0 } else { x.signum() }),
    ("sqrt", |x, _| x.sqrt(), |x, _| x.sqrt()),
    ("sqr", |x, _| x.sqr(), |x, _| x * x),
    ("recip", |x, _| x.recip(), |x, _| 1.0 / x),
    ("exp", |x, _| x.exp(), |x, _| x.exp()),
    ("exp_m1", |x, _| x.exp_m1(), |x, _| x.exp() - 1.0),
    ("ln", |x, _| x.ln(), |x, _| x.ln()),
    ("ln_1p", |x, _| x.ln_1p(), |x, _| (1.0 + x).ln()),
    ("sin", |x, _| x.sin(), |x, _| x.sin()),
    ("cos", |x, _| x.cos(), |x, _| x.cos()),
    ("tan", |x, _| x.tan(), |x, _| x.tan()),
    ("tanh", |x, _| x.tanh(), |x, _| x.tanh()),
    ("erf", |x, _| x.erf(), |x, _| erf(x)),
    ("floor", |x, _| x.floor(), |x, _| x.floor()),
    ("ceil", |x, _| x.ceil(), |x, _| x.ceil()),
    ("round", |x, _| x.round(), |x, _| x.round_ties_even()),
    ("pow", |x, y| x.abs().pow(y), |x, y| x.abs().powf(y)),
    ("powf", |x, _| x.abs().powf(1.7), |x, _| x.abs().powf(1.7)),
    ("powi", |x, _| x.powi(-3), |x, _| 1.0 / (x * x * x)),
    ("minimum", |x, y| x.minimum(y), |x, y| if x < y { x } else { y }),
    ("maximum", |x, y| x.maximum(y), |x, y| if x > y { x } else { y }),
    ("clamp", |x, _| x.clamp(-1.5, 0.25), |x, _| x.clamp(-1.5, 0.25)),
    ("lt", |x, y| x.lt(y), |x, y| f64::from(x < y)),
    ("le", |x, y| x.le(y), |x, y| f64::from(x <= y)),
    ("gt", |x, y| x.gt(y), |x, y| f64::from(x > y)),
    ("ge", |x, y| x.ge(y), |x, y| f64::from(x >= y)),
    ("eq", |x, y| x.eq(y), |x, y| f64::from(x == y)),
    ("ne", |x, y| x.ne(y), |x, y| f64::from(x != y)),
    ("is_nan", |x, _| x.sqrt().is_nan(), |x, _| f64::from(x < 0.0)),
    (
        "where_cond",
        |x, y| x.relu().where_cond(&(y * 2.0), x),
        |x, y| if x > 0.0 { 2.0 * y } else { x },
    ),
    ("lerp", |x, y| x.lerp(y, 0.25), |x, y| 0.75 * x + 0.25 * y),
    ("relu", |x, _| x.relu(), |x, _| x.max(0.0)),
    ("leaky_relu", |x, _| x.leaky_relu(0.1), |x, _| if x > 0.0 { x } else { 0.1 * x }),
    ("elu", |x, _| x.elu(0.7), |x, _| if x > 0.0 { x } else { 0.7 * (x.exp() - 1.0) }),
    ("celu", |x, _| x.celu(0.7), |x, _| if x > 0.0 { x } else { 0.7 * ((x / 0.7).exp() - 1.0) }),
    (
        "selu",
        |x, _| x.selu(),
        |x, _| 1.0507009873554805 * if x > 0.0 { x } else { 1.6732632423543772 * (x.exp() - 1.0) },
    ),
    ("sigmoid", |x, _| x.sigmoid(), |x, _| sigmoid(x)),
    ("log_sigmoid", |x, _| x.log_sigmoid(), |x, _| sigmoid(x).ln()),
    ("softplus", |x, _| x.softplus(), |x, _| (1.0 + x.exp()).ln()),
    ("softsign", |x, _| x.softsign(), |x, _| x / (1.0 + x.abs())),
    ("silu", |x, _| x.silu(), |x, _| x * sigmoid(x)),
    ("gelu", |x, _| x.gelu(), |x, _| 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))),
    (
        "gelu_tanh",
        |x, _| x.gelu_tanh(),
        |x, _| 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
    ),
    ("mish", |x, _| x.mish(), |x, _| x * (1.0 + x.exp()).ln().tanh()),
    ("relu6", |x, _| x.relu6(), |x, _| x.clamp(0.0, 6.0)),
    ("hardsigmoid", |x, _| x.hardsigmoid(), |x, _| (x / 6.0 + 0.5).clamp(0.0, 1.0)),
    ("hardswish", |x, _| x.hardswish(), |x, _| x * (x + 3.0).clamp(0.0, 6.0) / 6.0),
    ("hardtanh", |x, _| x.hardtanh(), |x, _| x.clamp(-1.0, 1.0)),
];

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// 2/√π e^-x² Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · … · (2n + 1)), a series in which nothing cancels.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

#[test]
fn every_function_is_what_its_definition_says() {
    let x: Vec<f64> = (-48..=48).map(|i| f64::from(i) / 8.0).collect();
    let y: Vec<f64> = x.iter().rev().copied().collect();
    for (name, function, definition) in ROWS {
        let expected = x.iter().zip(&y).map(|(&x, &y)| definition(x, y)).collect::<Vec<_>>();
        let expected = Tensor::from(expected);
        for (dtype, rtol, atol) in [(DType::F64, 1e-10, 1e-10), (DType::F32, 1e-5, 2e-6)] {
            let of = |values: &[f64]| Tensor::from(values).to_dtype(dtype);
            let found = function(&of(&x), &of(&y));
            println!("{name} in {dtype}");
            assert_close(&found, &expected.to_dtype(dtype), rtol, atol);
        }
    }
}

#[test]
fn every_function_has_a_row() {
    let source = include_str!("../src/ops/elementwise.rs");
    let of_trait = source.split_once("pub trait Elementwise").unwrap().1;
    let of_trait = of_trait.split("\n}\n").next().unwrap();
    let names = of_trait.lines().filter_map(|line| line.strip_prefix("    fn "));
    let names: Vec<&str> = names.filter_map(|line| line.split('(').next()).collect();
    assert!(names.len() > 40, "the source is read");
    for name in names.into_iter().filter(|name| *name != "map") {
        assert!(ROWS.iter().any(|row| row.0 == name), "{name} has no row in this table");
    }
}
