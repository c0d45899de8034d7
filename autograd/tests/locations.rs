//! A mistake is reported at the line that made it, by the name of what was called.

#![allow(clippy::single_range_in_vec_init)] // One sequence.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex};
use std::thread;

use plies_autograd::{Cell, Var, checkpoint, linear, no_grad, recurrent};
use plies_tensor::{Conv, DType, Device, Elementwise, Pool, Tensor, formula};

/// How the message begins, and the mistake.
type Row<'a> = (&'a str, &'a dyn Fn());

#[test]
fn a_mistake_is_reported_at_the_callers_line_by_the_name_of_what_was_called() {
    static SEEN: Mutex<Vec<(String, u32, String)>> = Mutex::new(Vec::new());
    let zeros = |dims: &[usize]| Var::leaf(Tensor::zeros(dims, DType::F32, &Device::cpu()));
    let (x, y, empty, scalar) = (zeros(&[2, 3]), zeros(&[2, 3, 5]), zeros(&[0, 3]), zeros(&[]));
    let ints = Var::constant(Tensor::from([[1, 2, 3], [4, 5, 6]]));
    let index = Tensor::from([0, 1]);
    let wrong_index = Tensor::from([[0, 1]]);
    let sum = formula!(|x, y| x + y);
    let conv = Conv::default();
    // One sequence of two steps through three units.
    let (w, b, h) = (zeros(&[3, 3]), zeros(&[3]), zeros(&[1, 3]));
    let weights = [&w, &w, &b, &b];
    let rows: &[Row<'_>] = &[
        // Variables and gradients.
        ("leaf", &|| drop(Var::leaf(Tensor::from(1)))),
        ("value_mut", &|| _ = (&x + &x).value_mut()),
        ("set_grad", &|| x.set_grad(Some(y.clone()))),
        ("register_hook", &|| x.detach().register_hook(|_| None)),
        ("dim", &|| _ = x.dim(2)),
        ("item", &|| drop(x.item())),
        ("to_vec", &|| drop(x.to_vec::<f64>())),
        ("backward: a value of shape", &|| x.backward()),
        ("backward: gradient", &|| x.backward_with(&y)),
        ("backward: this value depends on no leaf", &|| x.detach().sum_all().backward()),
        ("backward: this value depends on no leaf", &|| no_grad(|| x.sum_all()).backward()),
        ("backward: this value depends on no leaf", &|| x.detach().backward_with(&x)),
        ("(x0 + x1): shapes", &|| drop(no_grad(|| &x + &y))),
        ("(x0 + x1): shapes", &|| {
            let y = y.clone();
            drop(checkpoint(move |x| &x[0] + &y, &[&x]));
        }),
        // Formulas and reductions.
        ("(x0 + x1): shapes", &|| drop(&x + &y)),
        ("(x0 * s0): 0.5", &|| drop(&ints * 0.5)),
        ("(x0 max x1): shapes", &|| drop(x.maximum(&y))),
        ("(x0 + x1): shapes", &|| drop(Var::map(sum, &[&x, &y], &[]))),
        ("(x0 + x1): shapes", &|| drop(Var::map_sum(sum, &[&x, &y], &[], &[0], false))),
        ("sum", &|| drop(x.sum(&[7], false))),
        ("sum_to", &|| drop(x.sum_to([5]))),
        ("mean", &|| drop(x.mean(&[7], false))),
        ("max", &|| drop(x.max(&[7], false))),
        ("max", &|| drop(empty.max_all())),
        ("min", &|| drop(empty.min_all())),
        ("prod", &|| drop(x.prod(&[7], false))),
        ("var", &|| drop(x.var(&[7], 1, false))),
        ("norm", &|| drop(x.norm(&[7], false))),
        ("norm_p", &|| drop(x.norm_p(3.0, &[7], false))),
        ("logsumexp", &|| drop(x.logsumexp(&[7], false))),
        ("softmax", &|| drop(x.softmax(3))),
        ("log_softmax", &|| drop(x.log_softmax(3))),
        ("argmax", &|| drop(x.argmax(3, false))),
        ("argmin", &|| drop(x.argmin(3, false))),
        ("cumsum", &|| drop(x.cumsum(2))),
        ("sort", &|| drop(x.sort(2, false))),
        ("topk", &|| drop(x.topk(4, 1))),
        // Matrix products.
        ("matmul", &|| drop(x.matmul(&x))),
        ("matmul", &|| drop(x.matmul(&scalar))),
        ("linear", &|| drop(linear(&x, &y, None))),
        // Convolution and pooling.
        ("conv", &|| drop(y.conv(&x, None, &conv))),
        ("conv_transpose", &|| drop(y.conv_transpose(&y, None, &conv, 0))),
        ("conv_input_gradient", &|| drop(y.conv_input_gradient(&y, [2, 3, 5], &conv))),
        ("conv_weight_gradient", &|| drop(y.conv_weight_gradient(&y, [3, 3, 2], &conv))),
        ("max_pool", &|| drop(y.max_pool(&Pool::new(6)))),
        ("avg_pool", &|| drop(y.avg_pool(&Pool::new(6)))),
        ("avg_pool_gradient", &|| drop(y.avg_pool_gradient([2, 3, 5], &Pool::new(2)))),
        // Recurrences.
        ("recurrent", &|| drop(recurrent(Cell::Tanh, &y, &[0..2], false, &[&h], weights))),
        ("recurrent", &|| drop(recurrent(Cell::Gru, &x, &[0..2], false, &[&h], weights))),
        ("recurrent", &|| drop(recurrent(Cell::Tanh, &x, &[0..2], false, &[], weights))),
        ("recurrent", &|| drop(recurrent(Cell::Tanh, &x, &[0..2], false, &[&x], weights))),
        ("recurrent", &|| {
            drop(recurrent(Cell::Tanh, &x, &[0..2, 2..2], false, &[&x], weights));
        }),
        ("recurrent", &|| drop(recurrent(Cell::Tanh, &x, &[0..3], false, &[&h], weights))),
        ("recurrent", &|| drop(recurrent(Cell::Tanh, &x, &[0..1], true, &[&h], weights))),
        ("recur", &|| drop(recurrent(Cell::Tanh, &x, &[0..1, 0..1], false, &[&x], weights))),
        // Views and copies.
        ("t", &|| drop(scalar.t())),
        ("transpose", &|| drop(x.transpose(0, 2))),
        ("permute", &|| drop(x.permute(&[0, 0]))),
        ("reshape", &|| drop(x.reshape([5]))),
        ("unsqueeze", &|| drop(x.unsqueeze(4))),
        ("squeeze", &|| drop(x.squeeze(1))),
        ("broadcast_to", &|| drop(x.broadcast_to([2, 4]))),
        ("slice", &|| drop(x.slice(1, 2..9))),
        ("slice", &|| drop(x.slice(2, ..))),
        ("slice", &|| drop(x.narrow(1, 2, 2))),
        ("select", &|| drop(x.select(0, 2))),
        ("flip", &|| drop(x.flip(2))),
        ("pad", &|| drop(x.pad(2, 1, 1, 0.0))),
        ("split", &|| drop(x.split(2, &[3]))),
        ("split", &|| drop(x.split(0, &[3]))),
        ("chunk", &|| drop(x.chunk(2, 1))),
        ("cat", &|| drop(Var::cat(&[], 0))),
        ("cat", &|| drop(Var::cat(&[&x, &y], 0))),
        ("stack", &|| drop(Var::stack(&[], 0))),
        ("stack", &|| drop(Var::stack(&[&x, &y], 0))),
        // Positions.
        ("gather", &|| drop(x.gather(0, &index))),
        ("scatter_add", &|| drop(x.scatter_add(0, &index, &x))),
        ("index_select", &|| drop(x.index_select(5, &index))),
        ("index_select", &|| drop(x.index_select(0, &wrong_index))),
        ("index_add", &|| drop(x.index_add(5, &index, &x))),
        ("index_add", &|| drop(x.index_add(0, &index, &y))),
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
