//! A mistake is reported at the line that made it, by the name of what was called.

#![allow(clippy::single_range_in_vec_init)] // One state, one matrix that is kept.

use std::ops::{Bound, Range};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex};
use std::thread;

use plies_tensor::testing::assert_close;
use plies_tensor::{
    Conv, DType, Device, Elementwise, Formula, Layout, Pool, Reduce, Rng, Shape, Steps, Tensor,
    formula,
};

/// How the message begins, and the mistake.
const MAX: usize = usize::MAX;

type Row<'a> = (&'a str, &'a dyn Fn());

#[test]
fn a_mistake_is_reported_at_the_callers_line_by_the_name_of_what_was_called() {
    static SEEN: Mutex<Vec<(String, u32, String)>> = Mutex::new(Vec::new());
    let cpu = Device::cpu();
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::cpu());
    let (x, y, empty, scalar) = (zeros(&[2, 3]), zeros(&[2, 3, 5]), zeros(&[0, 3]), zeros(&[]));
    let ints = Tensor::from([[1, 2, 3], [4, 5, 6]]);
    let doubles = Tensor::from([[1f64, 2.0, 3.0]]);
    let sum = formula!(|x, y| x + y);
    let halves = formula!(|x| [x, x + 1.0]);
    let index = Tensor::from([0, 1]);
    let conv = Conv::default();
    // hₜ = hₜ₋₁ w + xₜ along a sequence of two steps, with one part made wrong.
    let (w, h, xs) = (zeros(&[3, 3]), zeros(&[1, 3]), zeros(&[2, 3]));
    let cell = formula!(|p, h, x| p + x + 0.0 * h);
    let inputs = [&xs];
    let (none, upside_down) = (zeros(&[1, 0]), || Range { start: 2, end: 0 });
    let steps = Steps {
        cell,
        inputs: &inputs,
        sequences: &[0..2],
        backwards: false,
        states: &[&h],
        next: &[0..1],
        kept: &[0..1],
    };
    let rows: &[Row<'_>] = &[
        // Making and looking.
        ("from_slice", &|| drop(Tensor::from_slice(&[1f32], [2]))),
        ("from_slice", &|| drop(Tensor::from_vec(vec![1f32], [2]))),
        ("shape", &|| drop(Tensor::zeros([1; 9], DType::F32, &cpu))),
        ("shape", &|| drop(Tensor::full([usize::MAX, 2], 1.0, DType::F32, &cpu))),
        ("shape", &|| drop(Tensor::ones([usize::MAX, 2], DType::F32, &cpu))),
        ("arange", &|| drop(Tensor::arange(usize::MAX))),
        ("arange", &|| drop(Tensor::eye(usize::MAX, DType::F32))),
        ("shape", &|| _ = Shape::from([0; 9])),
        ("shape", &|| _ = Layout::contiguous([0; 9])),
        ("allocate", &|| drop(Tensor::zeros([1 << 29, 1 << 29], DType::F32, &cpu))),
        ("allocate", &|| drop(Tensor::zeros([1 << 62], DType::F64, &cpu))),
        ("allocate", &|| drop(&scalar.broadcast_to([1 << 59]) + 1.0)),
        ("allocate", &|| drop(scalar.broadcast_to([1 << 59]).contiguous())),
        ("dim", &|| _ = x.dim(2)),
        ("full", &|| drop(Tensor::full([2], 0.5, DType::I32, &cpu))),
        ("full", &|| drop(ints.full_like(3e9))),
        ("full", &|| drop(ints.full_like(f64::NAN))),
        ("linspace", &|| drop(Tensor::linspace(0.0, 1.0, MAX, DType::F64))),
        ("to_vec", &|| drop(x.to_vec::<f64>())),
        ("item", &|| drop(x.item())),
        ("assert_close", &|| assert_close(&x, &y, 0.0, 0.0)),
        // Formulas over tensors.
        ("(x0 + x1): shapes", &|| drop(&x + &y)),
        ("(x0 - x1): shapes", &|| drop(x.clone() - y.clone())),
        ("(x0 * x1): dtypes", &|| drop(&x * &doubles)),
        ("(x0 * s0): 0.5", &|| drop(&ints * 0.5)),
        ("(x0 * s0): 0.5", &|| drop(ints.clone() * 0.5)),
        ("(s0 - x0): 0.5", &|| drop(0.5 - &ints)),
        ("(x0 + s0): 3000000000 exceeds the range of i32", &|| drop(&ints + 3e9)),
        ("(x0 + s0): -2147483649 exceeds the range of i32", &|| drop(&ints + -2147483649.0)),
        ("(x0 - s0): inf", &|| drop(&ints - f64::INFINITY)),
        ("(x0 * 10000000000.0): 10000000000 exceeds", &|| {
            drop(Tensor::map(formula!(|x| x * 1e10), &[&ints], &[]));
        }),
        ("(x0 max x1): shapes", &|| drop(x.maximum(&y))),
        ("select(x0, x1, x2): shapes", &|| drop(x.where_cond(&x, &y))),
        ("tanh: not defined on i32", &|| drop(ints.tanh())),
        ("(x0 + x1): shapes", &|| drop(Tensor::map(sum, &[&x, &y], &[]))),
        ("formula: takes 2 inputs", &|| drop(Tensor::map(sum, &[&x], &[]))),
        ("map: 2 outputs", &|| drop(Tensor::map(halves, &[&x], &[]))),
        ("formula: takes 1 inputs", &|| drop(Tensor::map_several(halves, &[], &[]))),
        ("(x0 + x1): shapes", &|| Tensor::update(&mut [&mut x.clone()], sum, &[&y], &[])),
        ("update", &|| Tensor::update(&mut [&mut x.clone()], halves, &[], &[])),
        ("update", &|| Tensor::update(&mut [&mut zeros(&[1, 3])], sum, &[&x], &[])),
        ("formula: input 1 of 1", &|| drop(Formula::build(1, 0, |g| vec![g.input(1)]))),
        ("formula: at least one", &|| drop(Formula::build(1, 0, |_| vec![]))),
        ("formula: scalar 0 of 0", &|| drop(Formula::new(|[x]| x.graph().scalar(0) + x))),
        // Reductions.
        ("sum", &|| drop(x.sum(&[2], false))),
        ("sum", &|| drop(x.sum(&[0, -2], false))),
        ("mean", &|| drop(x.mean(&[2], false))),
        ("mean", &|| drop(ints.mean_all())),
        ("max", &|| drop(x.max(&[-3], false))),
        ("max", &|| drop(empty.max_all())),
        ("min", &|| drop(x.min(&[2], false))),
        ("min", &|| drop(empty.min_all())),
        ("prod", &|| drop(x.prod(&[2], false))),
        ("var", &|| drop(x.var(&[2], 1, false))),
        ("var", &|| drop(ints.var(&[0], 1, false))),
        ("norm", &|| drop(x.norm(&[2], false))),
        ("norm", &|| drop(ints.norm_all())),
        ("norm_p", &|| drop(x.norm_p(3.0, &[2], false))),
        ("norm_p", &|| drop(x.norm_p(1.0, &[2], false))),
        ("norm_p", &|| drop(empty.norm_p(f64::INFINITY, &[0], false))),
        ("logsumexp", &|| drop(x.logsumexp(&[2], false))),
        ("softmax", &|| drop(x.softmax(2))),
        ("softmax", &|| drop(ints.softmax(0))),
        ("log_softmax", &|| drop(x.log_softmax(2))),
        ("argmax", &|| drop(x.argmax(2, false))),
        ("argmin", &|| drop(empty.argmin(0, false))),
        ("cumsum", &|| drop(x.cumsum(2))),
        ("sort", &|| drop(x.sort(2, false))),
        ("topk", &|| drop(x.topk(1, 2))),
        ("topk", &|| drop(x.topk(4, 1))),
        ("(x0 + x1): shapes", &|| {
            drop(Tensor::map_reduce(Reduce::Sum, sum, &[&x, &y], &[], &[0], false));
        }),
        // Matrix products.
        ("matmul", &|| drop(x.matmul(&x))),
        ("matmul", &|| drop(x.matmul(&scalar))),
        ("matmul", &|| drop(x.matmul(&doubles.t()))),
        ("matmul_then", &|| drop(x.matmul_then(&x.t(), sum, &[&y], &[]))),
        ("matmul_then", &|| drop(x.matmul_then(&x.t(), sum, &[&doubles], &[]))),
        ("formula: takes 2 inputs", &|| drop(x.matmul_then(&x.t(), sum, &[], &[]))),
        ("exp: not defined on i32", &|| {
            drop(ints.matmul_then(&ints.t(), formula!(|x| x.exp()), &[], &[]));
        }),
        // Convolution and pooling.
        ("conv", &|| drop(x.conv(&y, None, &conv))),
        ("conv", &|| drop(y.conv(&zeros(&[1, 2, 1]), None, &conv))),
        ("conv", &|| drop(y.conv(&zeros(&[1, 3, 6]), None, &conv))),
        ("conv", &|| drop(y.conv(&zeros(&[1, 3, 0]), None, &conv))),
        ("conv", &|| drop(y.conv(&zeros(&[1, 3, 1]), Some(&scalar), &conv))),
        ("conv", &|| drop(y.conv(&zeros(&[1, 3, 1]), None, &conv.stride(0)))),
        ("conv", &|| drop(y.conv(&zeros(&[1, 3, 1]), None, &conv.padding([1, 1])))),
        ("conv", &|| drop(y.conv(&zeros(&[2, 1, 1]), None, &conv.groups(3)))),
        ("conv", &|| drop(y.conv(&Tensor::zeros([1, 3, 1], DType::F64, &cpu), None, &conv))),
        ("conv", &|| drop(y.conv(&zeros(&[1, 3, 1]), None, &conv.padding(MAX)))),
        ("conv", &|| drop(y.conv(&zeros(&[1, 3, 1]), None, &conv.padding(MAX / 4)))),
        ("conv", &|| drop(y.conv(&zeros(&[1, 3, 2]), None, &conv.dilation(MAX)))),
        ("conv", &|| drop(y.conv(&zeros(&[8, 2, 1]), None, &conv.groups(MAX / 2 + 2)))),
        ("allocate", &|| drop(y.conv(&zeros(&[1, 3, 1]), None, &conv.padding(1 << 54)))),
        ("conv_transpose", &|| {
            drop(y.conv_transpose(&zeros(&[3, 2, 1]), None, &conv.groups(MAX), 0));
        }),
        ("conv_transpose", &|| {
            drop(y.conv_transpose(&zeros(&[3, 1, 2]), None, &conv.stride(MAX), 0));
        }),
        ("conv_transpose", &|| drop(y.conv_transpose(&y, None, &conv, 0))),
        ("conv_transpose", &|| drop(y.conv_transpose(&zeros(&[3, 1, 2]), None, &conv, 1))),
        ("conv_transpose", &|| {
            drop(y.conv_transpose(&zeros(&[3, 1, 1]), None, &conv.padding(3), 0));
        }),
        ("conv_transpose", &|| {
            drop(y.conv_transpose(&zeros(&[3, 1, 1]), Some(&x), &conv, 0));
        }),
        ("conv_input_gradient", &|| {
            drop(y.conv_input_gradient(&zeros(&[3, 1, 1]), [2, 1, 4], &conv));
        }),
        ("conv_weight_gradient", &|| drop(y.conv_weight_gradient(&y, [3, 3, 2], &conv))),
        ("max_pool", &|| drop(x.max_pool(&Pool::new(2)))),
        ("max_pool", &|| drop(y.max_pool(&Pool::new(6)))),
        ("max_pool", &|| drop(y.max_pool(&Pool::new(0)))),
        ("max_pool", &|| drop(y.max_pool(&Pool::new([2, 2])))),
        ("max_pool", &|| drop(y.max_pool(&Pool::new(MAX).padding(MAX / 2)))),
        ("avg_pool", &|| drop(y.avg_pool(&Pool::new(2).padding(MAX)))),
        ("max_pool", &|| drop(y.max_pool(&Pool::new(2).padding(2)))),
        ("avg_pool", &|| drop(x.avg_pool(&Pool::new(2)))),
        ("avg_pool", &|| drop(ints.reshape([1, 2, 3]).avg_pool(&Pool::new(2)))),
        ("avg_pool_gradient", &|| drop(y.avg_pool_gradient([2, 3, 5], &Pool::new(2)))),
        // Recurrences.
        ("recur", &|| drop(y.recur(&steps))),
        ("recur", &|| drop(zeros(&[0, 3]).recur(&steps))),
        ("recur", &|| drop(zeros(&[3, 4]).recur(&steps))),
        ("recur", &|| drop(w.recur(&Steps { next: &[], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { states: &[], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { states: &[&x], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { states: &[&doubles], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { inputs: &[&h], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { inputs: &[&zeros(&[2, 4])], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { inputs: &[&ints], ..steps }))),
        ("formula: takes 3 inputs", &|| drop(w.recur(&Steps { inputs: &[], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { kept: &[0..2], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { sequences: &[1..3], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { sequences: &[upside_down()], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { sequences: &[0..MAX, 0..MAX], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { next: &[0..1, 1..1], states: &[&h, &none], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { next: &[0..MAX], ..steps }))),
        ("recur", &|| drop(w.recur(&Steps { kept: &[1..1], ..steps }))),
        ("recur", &|| {
            drop(w.recur(&Steps { cell: formula!(|p, h, x| p + x + h.row_sum()), ..steps }));
        }),
        ("shape", &|| {
            let cell = formula!(|p, _h| p);
            drop(w.recur(&Steps { cell, inputs: &[], sequences: &[0..MAX], ..steps }));
        }),
        ("allocate", &|| {
            let cell = formula!(|p, _h| p);
            drop(w.recur(&Steps { cell, inputs: &[], sequences: &[0..1 << 56], ..steps }));
        }),
        ("recur", &|| {
            drop(w.recur(&Steps { sequences: &[0..1, 0..1], states: &[&x], ..steps }));
        }),
        ("tanh: not defined on i32", &|| {
            let w = Tensor::from([[1, 2, 3]; 3]);
            let (cell, h) = (formula!(|p, h, x| (p + x).tanh() + h), w.narrow(0, 0, 1));
            drop(w.recur(&Steps { cell, inputs: &[&ints], states: &[&h], ..steps }));
        }),
        // Views and copies.
        ("t", &|| drop(scalar.t())),
        ("transpose", &|| drop(x.transpose(0, 2))),
        ("permute", &|| drop(x.permute(&[0, 0]))),
        ("slice", &|| drop(x.slice(1, 2..9))),
        ("slice", &|| drop(x.slice_step(1, .., 0))),
        ("slice", &|| drop(x.narrow(1, 2, 2))),
        ("slice", &|| drop(x.narrow(1, 2, MAX))),
        ("slice", &|| drop(x.slice(1, 0..=MAX))),
        ("slice", &|| drop(x.slice(1, (Bound::Excluded(MAX), Bound::Unbounded)))),
        ("slice", &|| drop(x.slice(2, ..))),
        ("select", &|| drop(x.select(0, 2))),
        ("broadcast_to", &|| drop(x.broadcast_to([2, 4]))),
        ("unsqueeze", &|| drop(x.unsqueeze(4))),
        ("squeeze", &|| drop(x.squeeze(0))),
        ("flip", &|| drop(x.flip(2))),
        ("reshape", &|| drop(x.reshape([5]))),
        ("split", &|| drop(x.split(0, &[3]))),
        ("split", &|| drop(x.split(2, &[3]))),
        ("split", &|| drop(x.split(1, &[MAX, 4]))),
        ("chunk", &|| drop(x.chunk(2, 1))),
        ("cat", &|| drop(Tensor::cat(&[], 0))),
        ("cat", &|| drop(Tensor::cat(&[&x, &y], 0))),
        ("cat", &|| {
            let long = scalar.broadcast_to([MAX / 2]);
            drop(Tensor::cat(&[&long, &long, &long], 0));
        }),
        ("stack", &|| drop(Tensor::stack(&[], 0))),
        ("stack", &|| drop(Tensor::stack(&[&x], 3))),
        ("stack", &|| drop(Tensor::stack(&[&x, &y], 0))),
        ("stack", &|| drop(Tensor::stack(&[&x, &ints], 0))),
        ("pad", &|| drop(x.pad(2, 1, 1, 0.0))),
        ("pad", &|| drop(x.pad(0, MAX, 1, 0.0))),
        ("pad", &|| drop(x.pad(0, 0, MAX, 0.0))),
        ("pad", &|| drop(ints.pad(0, 1, 1, 0.5))),
        ("allocate", &|| drop(x.pad(0, 1 << 56, 0, 0.0))),
        // Positions.
        ("gather", &|| drop(x.gather(0, &x))),
        ("gather", &|| drop(x.gather(0, &index))),
        ("index_select", &|| drop(x.index_select(2, &index))),
        ("index_select", &|| drop(x.index_select(0, &scalar))),
        ("scatter_add", &|| drop(x.scatter_add(0, &ints, &y))),
        ("index_add", &|| drop(x.index_add(0, &index, &y))),
        ("index_add", &|| drop(x.index_add(0, &index, &ints))),
        (
            "gather: index 3 at [0, 1] is out of range for the 3 elements of axis 1 of [2, 3]",
            &|| {
                drop(x.gather(1, &Tensor::from([[0, 3], [3, 0]])));
            },
        ),
        (
            "gather: index -1 at [1, 2] is out of range for the 2 elements of axis 0 of [2, 3]",
            &|| {
                drop(x.gather(0, &Tensor::from([[0, 1, 0], [0, 0, -1]]).t().contiguous().t()));
            },
        ),
        (
            "gather: index 0 at [0, 0] is out of range for the 0 elements of axis 0 of [0, 3]",
            &|| {
                drop(empty.gather(0, &Tensor::from([[0, 0, 0]])));
            },
        ),
        (
            "index_select: index 2 at [1] is out of range for the 2 elements of axis 0 of [2, 3]",
            &|| {
                drop(x.index_select(0, &Tensor::from([0, 2, 7])));
            },
        ),
        ("scatter_add: index 5 at [1, 0] is out of range", &|| {
            drop(x.scatter_add(1, &Tensor::from([[0], [5]]), &zeros(&[2, 1])));
        }),
        (
            "index_add: index -2147483648 at [2] is out of range for the 3 elements of axis 1",
            &|| {
                drop(x.index_add(1, &Tensor::from([0, 2, i32::MIN]), &x));
            },
        ),
        ("unique", &|| drop(x.unique())),
        ("update_rows: 1 targets, the formula has 2 outputs", &|| {
            Tensor::update_rows(&mut [&mut x.clone()], &index, halves, &[&x], &[]);
        }),
        ("update_rows: an input [2, 3] where [1, 3] is needed", &|| {
            Tensor::update_rows(&mut [&mut x.clone()], &Tensor::from([0]), sum, &[&x], &[]);
        }),
        ("update_rows: row 1 at [1] after row 1; they must ascend", &|| {
            Tensor::update_rows(&mut [&mut x.clone()], &Tensor::from([1, 1]), sum, &[&x], &[]);
        }),
        ("update_rows: row 2 is out of range for the 2 rows of [2, 3]", &|| {
            Tensor::update_rows(&mut [&mut x.clone()], &Tensor::from([1, 2]), sum, &[&x], &[]);
        }),
        ("update_rows: row -1 is out of range", &|| {
            Tensor::update_rows(&mut [&mut x.clone()], &Tensor::from([-1, 1]), sum, &[&x], &[]);
        }),
        ("update_rows: the index must be one axis of i32, not f32 [2, 3]", &|| {
            Tensor::update_rows(&mut [&mut x.clone()], &x, sum, &[&x], &[]);
        }),
        ("update_sparse: a scalar has no rows", &|| {
            Tensor::update_sparse(&mut [&mut scalar.clone()], &index, sum, &[&x], &[]);
        }),
        ("update_sparse: (x0 / row_sum((x0 + x1))) reduces rows", &|| {
            let share = formula!(|x, y| x / (x + y).row_sum());
            Tensor::update_sparse(&mut [&mut x.clone()], &index, share, &[&x], &[]);
        }),
        ("one_hot", &|| drop(x.one_hot(3, DType::F32))),
        ("one_hot", &|| drop(index.one_hot(1 << 33, DType::F32))),
        // Random numbers.
        ("below", &|| _ = Rng::new(1).below(0)),
        ("uniform", &|| drop(Rng::new(1).uniform([2], DType::I32, &cpu))),
        ("normal", &|| drop(Rng::new(1).normal([2], DType::I32, &cpu))),
        ("permutation", &|| drop(Rng::new(1).permutation(1 << 33))),
        ("categorical", &|| drop(Rng::new(1).categorical(&scalar))),
        ("categorical", &|| drop(Rng::new(1).categorical(&ints))),
    ];
    let (before, this) = (Arc::new(take_hook()), thread::current().id());
    let of_others = before.clone();
    set_hook(Box::new(move |info| {
        if thread::current().id() != this {
            return of_others(info); // Another test's.
        }
        let Some(location) = info.location() else { return };
        let message = info.payload_as_str().unwrap_or_default().to_owned();
        SEEN.lock().unwrap().push((location.file().to_owned(), location.line(), message));
    }));
    let outcomes: Vec<bool> =
        rows.iter().map(|(_, mistake)| catch_unwind(AssertUnwindSafe(mistake)).is_err()).collect();
    set_hook(Box::new(move |info| before(info)));
    let mut seen = SEEN.lock().unwrap().drain(..).collect::<Vec<_>>().into_iter();
    let mut wrong = Vec::new();
    for ((start, _), panicked) in rows.iter().zip(outcomes) {
        if !panicked {
            wrong.push(format!("{start}: accepted"));
            continue;
        }
        let (file, line, message) = seen.next().unwrap();
        let rest = message.strip_prefix(start);
        let named = rest.is_some_and(|rest| start.contains(':') || rest.starts_with([':', ' ']));
        if !named || !file.ends_with("tests/locations.rs") {
            wrong.push(format!("{start}: at {file}:{line}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
