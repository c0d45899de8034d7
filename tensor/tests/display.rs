//! `{}` against NumPy's own output, which `data/display.py` recorded.

use plies_tensor::{DType, Tensor};

/// The text under `== name`.
fn numpy(name: &str) -> &'static str {
    let all = include_str!("data/display.txt");
    let head = format!("== {name}\n");
    let start = all.find(&head).unwrap_or_else(|| panic!("no entry {name}")) + head.len();
    let rest = &all[start..];
    rest.split("\n== ").next().unwrap_or(rest).trim_end_matches('\n')
}

#[track_caller]
fn check(name: &str, tensor: &Tensor) {
    assert_eq!(tensor.to_string(), numpy(name), "{name}");
}

fn counted(dims: impl Into<plies_tensor::Shape>) -> Tensor {
    let shape = dims.into();
    Tensor::arange(shape.elem_count()).reshape(shape)
}

fn f<const N: usize>(values: [f32; N]) -> Tensor {
    values.into()
}

fn d<const N: usize>(values: [f64; N]) -> Tensor {
    values.into()
}

#[test]
fn one_format_fits_all_elements() {
    check("whole numbers", &f([1.0, 2.0, 3.0]));
    check("decimals are aligned", &f([1.0, 2.5, -100.125]));
    check("shortest f32", &f([0.1, 0.2, 0.3, 1.0 / 3.0]));
    check("shortest f64", &d([0.1, 0.2, 0.3, 1.0 / 3.0, 2.0 / 3.0]));
    check("zeros", &f([0.0, -0.0, 0.0]));
    check("integers", &[[1, -200, 3], [40, 5, 6]].into());
}

#[test]
fn powers_of_ten_appear_where_a_column_would_be_too_wide() {
    check("ratio", &d([0.001, 1.5]));
    check("ratio on the border", &f([0.001, 1.0]));
    check("small", &f([0.00001, 0.00002]));
    check("large f32", &f([1e6, 2e6]));
    check("below large f32", &f([999999.0, 100000.0]));
    check("large f64", &d([1e8, 2e8]));
    check("below large f64", &d([1e7, 2.5e7]));
    check("long exponents", &d([1e-300, -2.5, 1.23456789012e200]));
}

#[test]
fn what_is_not_finite_is_named_and_does_not_choose_the_format() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    check("not finite", &f([1.0, nan, inf, -inf]));
    check("not finite and narrow", &f([1.0, 2.0, nan]));
    check("only nan", &f([nan, nan]));
    check("only infinite", &f([inf, -inf]));
    check("not finite and tiny", &d([1e-10, f64::NAN, f64::NEG_INFINITY]));
}

#[test]
fn brackets_nest_and_empty_lines_part_the_outer_axes() {
    check("matrix", &[[1f32, 2.5], [-3.25, 4.0]].into());
    check("rank 3", &counted([2, 3, 2]));
    check("rank 4", &(counted([2, 2, 1, 2]).to_dtype(DType::F32) / 4.0));
    check("empty", &counted([0]));
    check("empty matrix", &counted([2, 0]));
}

#[test]
fn lines_end_before_column_75() {
    check("long line", &(counted([30]) * 7.0));
    check("long line of decimals", &(counted([40]).to_dtype(DType::F64) / 8.0));
    check("long rows", &(counted([2, 30]).to_dtype(DType::F32) / 4.0));
    check("long rows of rank 3", &(counted([2, 2, 30]).to_dtype(DType::F32) / 4.0));
}

#[test]
fn more_than_a_thousand_elements_are_summarised() {
    check("thousand", &counted([1000]));
    check("summary of a vector", &counted([1001]));
    check("summary of a matrix", &(counted([50, 100]).to_dtype(DType::F32) / 8.0));
    check("summary of short rows", &counted([300, 4]));
    check("summary of short columns", &counted([4, 300]));
    check("summary of rank 3", &counted([20, 20, 20]));
}

#[test]
fn the_caller_chooses_the_precision() {
    let mixed = d([std::f64::consts::PI, 2.5, 0.0004]);
    assert_eq!(format!("{mixed:.3}"), numpy("precision 3"));
    assert_eq!(format!("{:.0}", f([3.7, 2.5, -1.0])), numpy("precision 0"));
    assert_eq!(format!("{:.2}", d([1.23456e10, 7.0])), numpy("precision 2 of powers"));
    assert_eq!(format!("{:.2}", d([0.125, 0.375, 2.5])), numpy("half to even"));
    let pi = Tensor::scalar(std::f64::consts::PI);
    assert_eq!(format!("{pi:.3}"), numpy("precision of a scalar"));
}

#[test]
fn a_scalar_is_a_plain_number_that_reads_back_exactly() {
    let third = 1.0 / 3.0;
    let rows = [
        ("0.1", 0.1),
        ("1", 1.0),
        ("1e15", 1e15),
        ("1e16", 1e16),
        ("1e-4", 1e-4),
        ("1e-5", 1e-5),
        ("0", 0.0),
        ("-0", -0.0),
        ("nan", f64::NAN),
        ("-inf", f64::NEG_INFINITY),
        ("third", third),
    ];
    for (name, value) in rows {
        check(&format!("scalar f64 {name}"), &Tensor::scalar(value));
        check(&format!("scalar f32 {name}"), &Tensor::scalar(value as f32));
    }
    check("scalar f64 big", &Tensor::scalar(1.5e300));
    check("scalar i32", &Tensor::scalar(-7));
}

#[test]
fn a_view_prints_its_own_elements() {
    let x = Tensor::from([[1, 2, 3], [4, 5, 6]]);
    assert_eq!(x.t().to_string(), "[[1 4]\n [2 5]\n [3 6]]");
    assert_eq!(x.flip(1).select(0, 0).to_string(), "[3 2 1]");
    assert_eq!(
        Tensor::scalar(7).broadcast_to([usize::MAX >> 8, 1]).slice(1, 1..).to_string(),
        "[]"
    );
}

#[test]
fn debug_says_what_the_tensor_is_and_shows_its_elements() {
    let x = Tensor::from([[1f32, 2.5], [3.0, 4.0]]);
    let expected = "Tensor(f32 [2, 2] on cpu, strides [1, 2])\n[[1.  3. ]\n [2.5 4. ]]";
    assert_eq!(format!("{:?}", x.t()), expected);
    assert_eq!(format!("{:?}", Tensor::from([1i32])), "Tensor(i32 [1] on cpu) [1]");
}
