//! Every operation on a device, against its definition.

#![allow(clippy::single_range_in_vec_init)] // One state, one matrix that is kept.

use std::ops::Range;

use super::close::compare;
use super::reference::{self, Array, Sliding};
use super::strategies::random_view;
use crate::{
    ArgReduce, Binary, Conv, DType, Device, Elementwise, Formula, PerAxis, Pool, Reduce, Rng,
    Shape, Steps, Tensor, Unary, cells, formula,
};

/// A case: random shapes from `Rng`, the operation on a device, the comparison.
type Case = fn(&mut Rng, &Device, DType) -> Result<(), String>;

/// One row for each family of operations.
const ROWS: &[(&str, Case)] = &[
    ("copies and casts", copies),
    ("map", map),
    ("map of every primitive", primitives),
    ("update in place", update),
    ("update by rows", update_rows),
    ("reduce", reduce),
    ("argmax and argmin", arg_reduce),
    ("statistics along an axis", statistics),
    ("softmax and its relatives", softmax),
    ("cumsum", cumsum),
    ("sort and topk", sort),
    ("unique", unique),
    ("matmul", matmul),
    ("conv", conv),
    ("max_pool", max_pool),
    ("avg_pool", avg_pool),
    ("recur", recur),
    ("gather", gather),
    ("scatter_add", scatter_add),
    ("one_hot", one_hot),
    ("cat and pad", cat_and_pad),
    ("random", random),
];

/// Runs every operation on a device with random shapes, strides and dtypes, 0- and 1-sized and
/// broadcast ones among them, against the naive loops of [`reference`](mod@super::reference). A
/// backend of your own is proved by one line: `conformance(&device)`.
///
/// # Panics
/// With the operation, the dtype, the case's seed and the worst element.
pub fn conformance(device: &Device) {
    for (name, case) in ROWS {
        for dtype in dtypes(device) {
            for seed in 0..25 {
                let mut rng = Rng::new(seed);
                if let Err(reason) = case(&mut rng, device, dtype) {
                    panic!("{}: {name}, {dtype}, seed {seed}: {reason}", device.name());
                }
                if rng.state() == Rng::new(seed).state() {
                    break; // Nothing was drawn: the next seed would be the same case.
                }
            }
        }
    }
}

/// Those that the device has.
fn dtypes(device: &Device) -> impl Iterator<Item = DType> {
    [DType::F32, DType::F64, DType::I32].into_iter().filter(|&dtype| device.supports(dtype))
}

fn random_dims(rng: &mut Rng, max_rank: usize) -> Vec<usize> {
    let rank = rng.below(max_rank + 1);
    let dim = |rng: &mut Rng| match rng.below(12) {
        0 => 0,
        1 | 2 => 1,
        3 => 17 + rng.below(40),
        _ => 2 + rng.below(5),
    };
    (0..rank).map(|_| dim(rng)).collect()
}

/// A strided tensor of the dtype on the device, with small whole values that every dtype holds.
fn draw(rng: &mut Rng, device: &Device, dtype: DType, dims: &[usize]) -> Tensor {
    let seed = u64::from(rng.next_u32());
    let viewed = random_view(dims, seed);
    if rng.below(3) == 0 {
        return place(&viewed.dense.to_dtype(dtype), device);
    }
    // The strides are rebuilt on the device: the buffer moves whole, the view is taken there.
    let padded = place(&viewed.dense.to_dtype(dtype), device);
    let rank = dims.len();
    if rank >= 2 && rng.below(2) == 0 {
        let back: Vec<isize> = (0..rank as isize).rev().collect();
        return padded.permute(&back).contiguous().permute(&back);
    }
    let Some(axis) = (0..rank).find(|&a| dims[a] > 1) else { return padded };
    let doubled = Tensor::stack(&[&padded, &padded], axis as isize + 1);
    let mut shape = dims.to_vec();
    shape[axis] *= 2;
    let every_second = doubled.reshape(shape).slice_step(axis as isize, 1.., 2);
    if rng.below(2) == 0 { every_second.flip(axis as isize) } else { every_second }
}

fn place(x: &Tensor, device: &Device) -> Tensor {
    x.to_device(device).expect("the CPU reads")
}

fn check(actual: &Tensor, expected: &Array, dtype: DType) -> Result<(), String> {
    if actual.dtype() != dtype {
        return Err(format!("dtype {} instead of {dtype}", actual.dtype()));
    }
    let rtol = if dtype == DType::F32 { 4e-6 } else { 1e-12 };
    compare(actual, &expected.tensor(), rtol, rtol)
}

fn copies(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let dims = random_dims(rng, 4);
    let x = draw(rng, device, dtype, &dims);
    let expected = Array::of(&x);
    check(&x.contiguous(), &expected, dtype)?;
    check(&x.flatten().reshape(&dims), &expected, dtype)?;
    for other in dtypes(device) {
        check(&x.to_dtype(other), &expected, other)?;
    }
    let float = if device.supports(DType::F64) { DType::F64 } else { DType::F32 };
    let number = |x: f64| place(&Tensor::from([x]).to_dtype(float), device);
    let cast = |x: f64| number(x).to_dtype(DType::I32).item();
    for (x, whole) in [(2.9, 2.0), (-2.9, -2.0), (1e20, i32::MAX.into()), (f64::NAN, 0.0)] {
        if cast(x).ok() != Some(whole) {
            return Err(format!("{x} became {:?} as i32, not {whole}", cast(x)));
        }
    }
    check(&Tensor::full(&dims[..], 3.0, dtype, device), &Array::from_fn(&dims, |_| 3.0), dtype)
}

fn broadcast_pair(rng: &mut Rng) -> (Vec<usize>, Vec<usize>) {
    let full = random_dims(rng, 4);
    let mut thin = |cut: usize| -> Vec<usize> {
        full[cut..].iter().map(|&d| if rng.below(4) == 0 { 1 } else { d }).collect()
    };
    let (a, b) = (thin(0), thin(full.len() / 2));
    (a, b)
}

fn map(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let (a, b) = broadcast_pair(rng);
    let (x, y) = (draw(rng, device, dtype, &a), draw(rng, device, dtype, &b));
    let f = formula!(|x, y; two| (x - two * y).max(y) + x * y.abs());
    let expected = reference::map(f, &[&Array::of(&x), &Array::of(&y)], &[2.0]);
    check(&Tensor::map(f, &[&x, &y], &[2.0]), &expected, dtype)?;
    let several = formula!(|x, y; one| [x + y, y, x.lt(y), one]);
    for (output, one) in Tensor::map_several(several, &[&x, &y], &[1.0]).iter().zip([
        formula!(|x, y| x + y),
        formula!(|x, y| y + 0.0 * x),
        formula!(|x, y| x.lt(y)),
        formula!(|x, y| 0.0 * (x + y) + 1.0),
    ]) {
        check(output, &reference::map(one, &[&Array::of(&x), &Array::of(&y)], &[]), dtype)?;
    }
    Ok(())
}

fn primitives(_: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let whole: Vec<f64> = (-9..10).map(f64::from).collect();
    let real: Vec<f64> = (-90..90)
        .map(|i| f64::from(i) * 0.37)
        .chain([0.0, -0.0, 0.5, 1.5, 1e-6, -1e-6, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
        .collect();
    let values = if dtype.is_float() { &real } else { &whole };
    let values = Tensor::from(&values[..]).to_dtype(dtype);
    let x = place(&values, device);
    for &op in Unary::ALL.iter().filter(|op| dtype.is_float() || op.is_on_integers()) {
        let f = Formula::new(|[x]| x.unary(op));
        let expected = reference::map(&f, &[&Array::of(&x)], &[]);
        check(&Tensor::map(&f, &[&x], &[]), &expected, dtype)
            .map_err(|e| format!("{op:?}: {e}"))?;
    }
    let y = x.unsqueeze(1);
    for &op in Binary::ALL.iter().filter(|op| dtype.is_float() || op.is_exact_on_integers()) {
        let f = Formula::new(|[x, y]| x.binary(op, y));
        let expected = reference::map(&f, &[&Array::of(&x), &Array::of(&y)], &[]);
        let found = Tensor::map(&f, &[&x, &y], &[]);
        // The largest powers exceed F32.
        let limit = |t: &Tensor| {
            Tensor::map(formula!(|x; big| x.abs().gt(big).select(big, x)), &[t], &[1e9])
        };
        let (found, expected) = match op {
            Binary::Pow => (limit(&found), Array::of(&limit(&expected.tensor()))),
            _ => (found, expected),
        };
        check(&found, &expected, dtype).map_err(|e| format!("{op:?}: {e}"))?;
    }
    let f = formula!(|x, y| x.select(y, -y));
    check(
        &Tensor::map(f, &[&x, &y], &[]),
        &reference::map(f, &[&Array::of(&x), &Array::of(&y)], &[]),
        dtype,
    )
}

fn update(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let dims = random_dims(rng, 3);
    let (mut p, mut m) = (draw(rng, device, dtype, &dims), draw(rng, device, dtype, &dims));
    let g = draw(rng, device, dtype, dims.get(1..).unwrap_or(&[]));
    let old = p.clone();
    let before = [Array::of(&p), Array::of(&m), Array::of(&g)];
    let f = formula!(|p, m, g; s| [p - s * (m + g), m + g]);
    let fetched = m.fetch();
    Tensor::update(&mut [&mut p, &mut m], f, &[&g], &[3.0]);
    let fetched = match dtype {
        DType::F32 => fetched.to_vec::<f32>().map(Tensor::from),
        DType::F64 => fetched.to_vec::<f64>().map(Tensor::from),
        DType::I32 => fetched.to_vec::<i32>().map(Tensor::from),
    };
    let fetched = fetched.map_err(|e| e.to_string())?.reshape(&dims);
    check(&fetched, &before[1], dtype).map_err(|e| format!("what was fetched changed: {e}"))?;
    let inputs = [&before[0], &before[1], &before[2]];
    let first = formula!(|p, m, g; s| p - s * (m + g));
    check(&p, &reference::map(first, &inputs, &[3.0]), dtype)?;
    check(&m, &reference::map(formula!(|p, m, g; s| m + g + 0.0 * p * s), &inputs, &[3.0]), dtype)?;
    check(&old, &before[0], dtype).map_err(|e| format!("another handle changed: {e}"))
}

fn update_rows(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let mut dims = random_dims(rng, 3);
    dims.insert(0, rng.below(40));
    let numbers: Vec<i32> = (0..dims[0] as i32).filter(|_| rng.below(3) == 0).collect();
    let mut given = dims.clone();
    given[0] = numbers.len();
    let (p, m) = (draw(rng, device, dtype, &dims), draw(rng, device, dtype, &dims));
    let g = draw(rng, device, dtype, &given);
    let dense = Array::from_fn(&dims, |at| {
        let mut from = at.to_vec();
        let place = numbers.iter().position(|&n| n as usize == at[0]);
        place.map_or(0.0, |i| {
            from[0] = i;
            Array::of(&g).at(&from)
        })
    });
    let before = [Array::of(&p), Array::of(&m), dense];
    let index = place(&Tensor::from(numbers.clone()), device);
    let f = formula!(|p, m, g; s| [p - s * (m + g), m + g + 1.0]);
    let expected = reference::map_several(f, &before.each_ref(), &[3.0]);
    for named_alone in [true, false] {
        let (mut new_p, mut new_m) = (p.clone(), m.clone());
        let update = if named_alone { Tensor::update_rows } else { Tensor::update_sparse };
        update(&mut [&mut new_p, &mut new_m], &index, f, &[&g], &[3.0]);
        for ((new, all), old) in [new_p, new_m].iter().zip(&expected).zip(&before) {
            let expected = Array::from_fn(&dims, |at| {
                let is_named = numbers.contains(&(at[0] as i32));
                if named_alone && !is_named { old.at(at) } else { all.at(at) }
            });
            check(new, &expected, dtype)?;
        }
    }
    check(&p, &before[0], dtype).map_err(|e| format!("another handle changed: {e}"))
}

fn some_axes(rng: &mut Rng, rank: usize) -> Vec<usize> {
    (0..rank).filter(|_| rng.below(2) == 0).collect()
}

fn signed(axes: &[usize]) -> Vec<isize> {
    axes.iter().map(|&a| a as isize).collect()
}

fn reduce(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let (a, b) = broadcast_pair(rng);
    let (x, y) = (draw(rng, device, dtype, &a), draw(rng, device, dtype, &b));
    let f = formula!(|x, y| x * y - y);
    let values = reference::map(f, &[&Array::of(&x), &Array::of(&y)], &[]);
    let axes = some_axes(rng, values.dims.len());
    let n: usize = axes.iter().map(|&axis| values.dims[axis]).product();
    for op in [Reduce::Sum, Reduce::Max, Reduce::Min] {
        if op != Reduce::Sum && n == 0 {
            continue;
        }
        let found = Tensor::map_reduce(op, f, &[&x, &y], &[], &signed(&axes), true);
        check(&found, &reference::reduce(op, &values, &axes), dtype)
            .map_err(|e| format!("{op:?} over {axes:?} of {:?}: {e}", values.dims))?;
    }
    // Products of signs stay small.
    let signs = x.sign() + Tensor::full(Shape::SCALAR, 1.0, dtype, device) * x.eq(&x.zeros_like());
    let axes = some_axes(rng, a.len());
    let expected = reference::reduce(Reduce::Prod, &Array::of(&signs), &axes);
    check(&signs.prod(&signed(&axes), true), &expected, dtype)
}

/// Dimensions with an axis of at least one element, and that axis.
fn dims_and_axis(rng: &mut Rng) -> (Vec<usize>, usize) {
    let mut dims = random_dims(rng, 3);
    dims.push(1 + rng.below(6));
    let axis = rng.below(dims.len());
    dims[axis] = dims[axis].max(1);
    (dims, axis)
}

fn arg_reduce(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let (dims, axis) = dims_and_axis(rng);
    let x = draw(rng, device, dtype, &dims);
    let expected = |op| reference::arg_reduce(op, &Array::of(&x), axis);
    check(&x.argmax(axis as isize, true), &expected(ArgReduce::Max), DType::I32)?;
    check(&x.argmin(axis as isize, true), &expected(ArgReduce::Min), DType::I32)
}

/// What a line of elements is to become.
type Line = fn(&[f64]) -> Vec<f64>;

fn statistics(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    if !dtype.is_float() {
        return Ok(());
    }
    let (dims, axis) = dims_and_axis(rng);
    let x = draw(rng, device, dtype, &dims);
    let axes = [axis as isize];
    let rows: [(&str, Tensor, Line); 9] = [
        ("mean", x.mean(&axes, true), |x| vec![mean(x)]),
        ("var", x.var(&axes, 0, true), |x| vec![variance(x, 0.0)]),
        ("var, unbiased", x.var(&axes, 1, true), |x| vec![variance(x, 1.0)]),
        ("norm", x.norm(&axes, true), |x| vec![power_sum(x, 2.0).sqrt()]),
        ("norm_p 0", x.norm_p(0.0, &axes, true), |x| {
            vec![x.iter().filter(|x| **x != 0.0).count() as f64]
        }),
        ("norm_p 1", x.norm_p(1.0, &axes, true), |x| vec![power_sum(x, 1.0)]),
        ("norm_p 2", x.norm_p(2.0, &axes, true), |x| vec![power_sum(x, 2.0).sqrt()]),
        ("norm_p 3", x.norm_p(3.0, &axes, true), |x| vec![power_sum(x, 3.0).cbrt()]),
        ("norm_p ∞", x.norm_p(f64::INFINITY, &axes, true), |x| {
            vec![x.iter().fold(0.0, |largest, x| x.abs().max(largest))]
        }),
    ];
    for (name, found, line) in rows {
        let expected = reference::along(&Array::of(&x), axis, 1, line);
        check(&found, &expected, dtype).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn variance(x: &[f64], correction: f64) -> f64 {
    let mean = mean(x);
    x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (x.len() as f64 - correction)
}

fn power_sum(x: &[f64], p: f64) -> f64 {
    x.iter().map(|x| x.abs().powf(p)).sum()
}

fn log_sum(x: &[f64]) -> f64 {
    x.iter().map(|x| x.exp()).sum::<f64>().ln()
}

fn softmax(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    if !dtype.is_float() {
        return Ok(());
    }
    let (dims, axis) = dims_and_axis(rng);
    let x = draw(rng, device, dtype, &dims);
    let along = |line: Line, length| reference::along(&Array::of(&x), axis, length, line);
    let found = x.logsumexp(&[axis as isize], true);
    check(&found, &along(|x| vec![log_sum(x)], 1), dtype).map_err(|e| format!("logsumexp: {e}"))?;
    let expected = along(|x| x.iter().map(|e| (e - log_sum(x)).exp()).collect(), dims[axis]);
    check(&x.softmax(axis as isize), &expected, dtype).map_err(|e| format!("softmax: {e}"))?;
    let expected = along(|x| x.iter().map(|e| e - log_sum(x)).collect(), dims[axis]);
    check(&x.log_softmax(axis as isize), &expected, dtype).map_err(|e| format!("log_softmax: {e}"))
}

fn cumsum(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let (dims, axis) = dims_and_axis(rng);
    let x = draw(rng, device, dtype, &dims);
    let expected = reference::along(&Array::of(&x), axis, dims[axis], |line| {
        line.iter()
            .scan(0.0, |sum, x| {
                *sum += x;
                Some(*sum)
            })
            .collect()
    });
    check(&x.cumsum(axis as isize), &expected, dtype)
}

fn sort(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let (dims, axis) = dims_and_axis(rng);
    let x = draw(rng, device, dtype, &dims);
    let k = rng.below(dims[axis] + 1);
    let array = Array::of(&x);
    for (descending, k) in [(false, dims[axis]), (true, dims[axis]), (true, k)] {
        let order = |line: &[f64]| reference::argsort(line, descending);
        let (values, indices) = match k == dims[axis] {
            true => x.sort(axis as isize, descending),
            false => x.topk(k, axis as isize),
        };
        let sorted = |line: &[f64]| order(line).into_iter().map(|i| line[i]).collect();
        check(&values, &reference::along(&array, axis, k, sorted), dtype)?;
        let positions = |line: &[f64]| order(line).into_iter().map(|i| i as f64).collect();
        check(&indices, &reference::along(&array, axis, k, positions), DType::I32)?;
    }
    Ok(())
}

fn matmul(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let size = |rng: &mut Rng| if rng.below(10) == 0 { 0 } else { 1 + rng.below(40) };
    let (m, k, n) = (size(rng), size(rng), size(rng));
    let (lead_a, lead_b) = broadcast_pair(rng);
    let lead = |dims: &[usize]| dims.iter().map(|d| d % 4).take(2).collect::<Vec<usize>>();
    let (mut a, mut b) = (lead(&lead_a), lead(&lead_b));
    if Shape::from(&a).broadcast(&Shape::from(&b)).is_none() {
        b.clear();
    }
    a.extend([m, k]);
    b.extend([k, n]);
    let (x, y) = (draw(rng, device, dtype, &a), draw(rng, device, dtype, &b));
    let expected = reference::matmul(&Array::of(&x), &Array::of(&y));
    check(&x.matmul(&y), &expected, dtype).map_err(|e| format!("{a:?} x {b:?}: {e}"))?;
    let bias = draw(rng, device, dtype, &[n]);
    let f = formula!(|y, b| (y + b).max(0.0));
    let then = reference::map(f, &[&expected, &Array::of(&bias)], &[]);
    check(&x.matmul_then(&y, f, &[&bias], &[]), &then, dtype)?;
    let one = Tensor::full(Shape::SCALAR, 1.0, dtype, device);
    let plus = formula!(|y, b| y + b);
    let (row, column) = (draw(rng, device, dtype, &[k]), draw(rng, device, dtype, &[k]));
    let dot = reference::matmul(&Array::of(&row.unsqueeze(0)), &Array::of(&column.unsqueeze(1)));
    check(&row.matmul(&column).reshape([1, 1]), &dot, dtype)?;
    // Vectors with an epilogue: the broadcast shape is that without the vector's axis.
    let (y2, x2) = (draw(rng, device, dtype, &[k, n]), draw(rng, device, dtype, &[m, k]));
    for (found, plain, extra) in [
        (row.matmul_then(&y2, plus, &[&bias], &[]), row.matmul(&y2), &bias),
        (x2.matmul_then(&column, plus, &[&one], &[]), x2.matmul(&column), &one),
        (row.matmul_then(&column, plus, &[&one], &[]), row.matmul(&column), &one),
    ] {
        check(&found, &reference::map(plus, &[&Array::of(&plain), &Array::of(extra)], &[]), dtype)?;
    }
    Ok(())
}

/// Images, or sequences as images of one row, and how windows of a size move over them.
fn images(rng: &mut Rng, channels: usize, most: usize) -> (Vec<usize>, [usize; 2], Sliding, bool) {
    let sequence = rng.below(3) == 0;
    let mut pair = |least: usize, n: usize, flat: usize| {
        let [row, column] = [least + rng.below(n), least + rng.below(n)];
        if sequence { [flat, column] } else { [row, column] }
    };
    let (size, stride, dilation) = (pair(1, most, 1), pair(1, 3, 1), pair(1, 2, 1));
    let padding = pair(0, 3, 0).map(|p| p.min(most / 2));
    let more = pair(0, 13, 0);
    let sliding = Sliding { stride, padding, dilation, groups: 1 };
    // Now and then wide enough for several registers, or more than a block.
    let wide = [0, 0, 0, 30, 130][rng.below(5)];
    let span = |a: usize| (size[a] - 1) * dilation[a] + 1 + more[a] + if a == 1 { wide } else { 0 };
    let n = [0, 1, 2, 3][rng.below(4)];
    let dims = vec![n, channels, if sequence { 1 } else { span(0) }, span(1)];
    (dims, size, sliding, sequence)
}

/// As an operation sees it: images of one row are sequences.
fn as_drawn(x: &Tensor, sequence: bool) -> Tensor {
    if sequence { x.squeeze(2) } else { x.clone() }
}

fn per_axis(n: [usize; 2], sequence: bool) -> PerAxis {
    if sequence { [n[1]].into() } else { n.into() }
}

fn conv(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let groups = [1, 1, 2, 3][rng.below(4)];
    let (c, o) = (1 + rng.below(4), 1 + rng.below(20));
    let (dims, size, sliding, sequence) = images(rng, c * groups, 5);
    let sliding = Sliding { groups, ..sliding };
    let weight = [o * groups, c, size[0], size[1]];
    let (x, w) = (draw(rng, device, dtype, &dims), draw(rng, device, dtype, &weight));
    let bias = draw(rng, device, dtype, &[o * groups]);
    let conv = Conv::default()
        .stride(per_axis(sliding.stride, sequence))
        .padding(per_axis(sliding.padding, sequence))
        .dilation(per_axis(sliding.dilation, sequence))
        .groups(groups);
    let (sliding_x, sliding_w) = (as_drawn(&x, sequence), as_drawn(&w, sequence));
    let named = |name: &str, e: String| format!("{name}: {dims:?} x {weight:?}, {conv:?}: {e}");
    let image = |y: Tensor| if sequence { y.unsqueeze(2) } else { y };

    let expected = reference::conv(&Array::of(&x), &Array::of(&w), &sliding);
    let y = image(sliding_x.conv(&sliding_w, None, &conv));
    check(&y, &expected, dtype).map_err(|e| named("conv", e))?;
    let with_bias = reference::map(
        formula!(|y, b| y + b),
        &[&expected, &Array::of(&bias.reshape([o * groups, 1, 1]))],
        &[],
    );
    let y = image(sliding_x.conv(&sliding_w, Some(&bias), &conv));
    check(&y, &with_bias, dtype).map_err(|e| named("conv with bias", e))?;

    let d_y = draw(rng, device, dtype, y.dims());
    let sliding_d_y = as_drawn(&d_y, sequence);
    let expected =
        reference::conv_input_gradient(&Array::of(&d_y), &Array::of(&w), &dims, &sliding);
    let d_x = sliding_d_y.conv_input_gradient(&sliding_w, sliding_x.shape(), &conv);
    check(&image(d_x), &expected, dtype).map_err(|e| named("conv_input_gradient", e))?;
    // The same operation by its other name; what no window reaches is output padding.
    let rest = [0, 1].map(|a| {
        let span = (size[a] - 1) * sliding.dilation[a] + 1;
        (dims[a + 2] + 2 * sliding.padding[a] - span) % sliding.stride[a]
    });
    if dims[2..].iter().all(|&dim| dim > 0) {
        let rest = per_axis(rest, sequence);
        let x = image(sliding_d_y.conv_transpose(&sliding_w, None, &conv, rest));
        check(&x, &expected, dtype).map_err(|e| named("conv_transpose", e))?;
    }
    let expected =
        reference::conv_weight_gradient(&Array::of(&x), &Array::of(&d_y), &weight, &sliding);
    let d_w = sliding_x.conv_weight_gradient(&sliding_d_y, sliding_w.shape(), &conv);
    check(&image(d_w), &expected, dtype).map_err(|e| named("conv_weight_gradient", e))
}

/// Whether windows hang over the end, and how many there are then.
fn rounding(
    rng: &mut Rng,
    sliding: &Sliding,
    dims: &[usize],
    size: [usize; 2],
) -> (bool, [usize; 2]) {
    match rng.below(2) == 0 {
        true => (true, sliding.count_up(&dims[2..], &size)),
        false => (false, sliding.count(&dims[2..], &size)),
    }
}

fn max_pool(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let channels = 1 + rng.below(3);
    let (mut dims, mut size, mut sliding, mut sequence) = images(rng, channels, 4);
    sliding.dilation = [1, 1];
    sliding.padding = [0, 1].map(|a| sliding.padding[a].min(size[a] / 2));
    if rng.below(3) == 0 {
        // Side by side, which has loops of its own.
        (size, sliding.stride, sliding.padding) = ([2, 2], [2, 2], [0, 0]);
        sequence = false;
        dims[2..].iter_mut().for_each(|dim| *dim = 2 * dim.div_ceil(2));
    }
    let mut x = draw(rng, device, dtype, &dims);
    if dtype.is_float() && rng.below(3) == 0 {
        // Small numbers become NaN, -∞ or stay.
        let special = formula!(|x; nan, low| x.eq(1.0).select(nan, x.lt(0.0).select(low, x)));
        x = Tensor::map(special, &[&x], &[f64::NAN, f64::NEG_INFINITY]);
    }
    let first_largest = |window: &[(f64, usize)]| {
        let better = |a: f64, b: f64| !a.is_nan() && (b.is_nan() || b > a);
        let first = window[0];
        window.iter().fold(first, |best, &x| if better(best.0, x.0) { x } else { best })
    };
    let array = Array::of(&x);
    let (round_up, count) = rounding(rng, &sliding, &dims, size);
    let values = reference::pool(&array, size, &sliding, count, |w| first_largest(w).0);
    let positions = reference::pool(&array, size, &sliding, count, |w| first_largest(w).1 as f64);
    let pool = Pool::new(per_axis(size, sequence))
        .stride(per_axis(sliding.stride, sequence))
        .padding(per_axis(sliding.padding, sequence))
        .round_up(round_up);
    let (y, at) = as_drawn(&x, sequence).max_pool(&pool);
    let image = |y: Tensor| if sequence { y.unsqueeze(2) } else { y };
    check(&image(y), &values, dtype).map_err(|e| format!("{dims:?}, {pool:?}: {e}"))?;
    check(&image(at), &positions, DType::I32).map_err(|e| format!("{dims:?}, {pool:?}: {e}"))
}

fn avg_pool(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    if !dtype.is_float() {
        return Ok(());
    }
    let channels = 1 + rng.below(3);
    let (dims, size, mut sliding, sequence) = images(rng, channels, 4);
    sliding.dilation = [1, 1];
    sliding.padding = [0, 1].map(|a| sliding.padding[a].min(size[a] / 2));
    let x = draw(rng, device, dtype, &dims);
    let count_padding = rng.below(2) == 0;
    let (round_up, count) = rounding(rng, &sliding, &dims, size);
    let pool = Pool::new(per_axis(size, sequence))
        .stride(per_axis(sliding.stride, sequence))
        .padding(per_axis(sliding.padding, sequence))
        .count_padding(count_padding)
        .round_up(round_up);
    let expected = reference::avg_pool(&Array::of(&x), size, &sliding, count, count_padding);
    let y = as_drawn(&x, sequence).avg_pool(&pool);
    let image = |y: Tensor| if sequence { y.unsqueeze(2) } else { y };
    check(&image(y.clone()), &expected, dtype).map_err(|e| format!("{dims:?}, {pool:?}: {e}"))?;
    let d_y = draw(rng, device, dtype, y.dims());
    let d_x = d_y.avg_pool_gradient(as_drawn(&x, sequence).shape(), &pool);
    let d_y = Array::of(&image(d_y));
    let expected = reference::avg_pool_gradient(&d_y, &dims, size, &sliding, count_padding);
    check(&image(d_x), &expected, dtype).map_err(|e| format!("{dims:?}, {pool:?}: {e}"))
}

fn index_into(rng: &mut Rng, device: &Device, dims: &[usize], size: usize) -> Tensor {
    let n: usize = dims.iter().product();
    let index: Vec<i32> = (0..n).map(|_| rng.below(size.max(1)) as i32).collect();
    place(&Tensor::from_vec(index, dims), device)
}

/// A cell for recurrences: blocks of the product and of each input, what the next states are, and
/// what is kept.
type CellRow =
    (&'static Formula, usize, &'static [usize], &'static [Range<usize>], &'static [Range<usize>]);

/// A cell that someone may have compiled, or one that nobody has: with outputs that are inputs, kept
/// twice, or kept by nobody.
fn draw_cell(rng: &mut Rng, dtype: DType) -> CellRow {
    let another = formula!(|p, h, x| [x, h, p + x, 0.0 * x + 2.0, p]);
    let rows: [CellRow; 9] = [
        (another, 1, &[1], &[2..3], &[1..4, 2..3, 0..1]),
        (cells::tanh(), 1, &[1, 1], &[1..2], &[0..1, 1..2]),
        (cells::tanh_back(), 1, &[1, 1], &[0..1], &[0..1]),
        (cells::lstm(), 4, &[4, 4], &[6..7, 7..8], &[0..5, 5..6, 6..7]),
        (cells::lstm_alone(), 4, &[4, 4], &[0..1, 1..2], &[0..1]),
        (cells::lstm_back(), 1, &[5, 1], &[0..4, 4..5], &[0..4]),
        (cells::gru(), 3, &[3, 4], &[5..6], &[0..4, 4..5, 5..6]),
        (cells::gru_alone(), 3, &[3, 4], &[0..1], &[0..1]),
        (cells::gru_back(), 1, &[4, 1, 1], &[1..4, 4..5], &[0..4]),
    ];
    let n = if dtype.is_float() { rows.len() } else { 1 };
    rows.into_iter().nth(rng.below(n)).expect("there is such a row")
}

fn recur(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let (cell, products, inputs, next, kept) = draw_cell(rng, dtype);
    // Less than a register, one, and several with a rest.
    let width = [1 + rng.below(15), 16, 37][rng.below(3)];
    let mut total = 0;
    let mut sequence = || {
        let start = total;
        total += rng.below(6);
        start..total
    };
    let sequences: Vec<Range<usize>> = (0..4).map(|_| sequence()).collect();
    let sequences = &sequences[rng.below(4)..];
    let total = sequences.iter().map(|rows| rows.len()).sum();
    let first = sequences[0].start;
    let sequences: Vec<Range<usize>> =
        sequences.iter().map(|rows| rows.start - first..rows.end - first).collect();
    let depth = next[0].len() * width;
    // Whole numbers would soon grow beyond what an I32 or a tanh tells apart.
    let mut small = |dims: [usize; 2], scale: f64| {
        let x = draw(rng, device, dtype, &dims);
        let x = if dtype.is_float() { x * scale } else { x.sign() };
        if rng.below(2) == 0 { x.t().contiguous().t() } else { x }
    };
    let weight = small([depth, products * width], 0.1 / depth as f64);
    let states: Vec<Tensor> =
        next.iter().map(|next| small([sequences.len(), next.len() * width], 0.1)).collect();
    let mut inputs: Vec<Tensor> = inputs.iter().map(|&n| small([total, n * width], 0.1)).collect();
    if total > 0 && rng.below(2) == 0 {
        // One that is the same in every row, like a bias.
        let last = inputs.pop().expect("every cell has an input");
        inputs.push(last.narrow(0, 0, 1).broadcast_to(last.shape()));
    }
    let steps = Steps {
        cell,
        inputs: &inputs.iter().collect::<Vec<_>>(),
        sequences: &sequences,
        backwards: rng.below(2) == 0,
        states: &states.iter().collect::<Vec<_>>(),
        next,
        kept,
    };
    let (found, finals) = weight.recur(&steps);
    let (expected, last) = reference::recur(&weight, &steps);
    for (found, expected) in found.iter().chain(&finals).zip(expected.iter().chain(&last)) {
        check(found, expected, dtype)
            .map_err(|e| format!("{cell}, width {width}, {sequences:?}: {e}"))?;
    }
    Ok(())
}

fn gather(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let (dims, axis) = dims_and_axis(rng);
    let x = draw(rng, device, dtype, &dims);
    let mut picked = dims.clone();
    picked[axis] = rng.below(7);
    let index = index_into(rng, device, &picked, dims[axis]);
    let expected = reference::gather(&Array::of(&x), axis, &Array::of(&index));
    check(&x.gather(axis as isize, &index), &expected, dtype)?;
    let rows = index_into(rng, device, &[picked[axis]], dims[axis]);
    let mut shape = vec![1; dims.len()];
    shape[axis] = picked[axis];
    let spread = rows.reshape(shape).broadcast_to(&picked);
    let expected = reference::gather(&Array::of(&x), axis, &Array::of(&spread));
    check(&x.index_select(axis as isize, &rows), &expected, dtype)
}

fn unique(rng: &mut Rng, device: &Device, _: DType) -> Result<(), String> {
    let dims = random_dims(rng, 2);
    let x = index_into(rng, device, &dims, 5);
    let (distinct, places) = x.unique().map_err(|fault| fault.to_string())?;
    let mut sorted = Array::of(&x).data;
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    let expected = Array { dims: vec![sorted.len()], data: sorted };
    check(&distinct, &expected, DType::I32)?;
    let found = Array::of(&places).data.iter().map(|&i| expected.data[i as usize]).collect();
    check(&x, &Array { dims: x.dims().to_vec(), data: found }, DType::I32)
}

fn scatter_add(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let (dims, axis) = dims_and_axis(rng);
    let x = draw(rng, device, dtype, &dims);
    let mut picked = dims.clone();
    picked[axis] = rng.below(7);
    let source = draw(rng, device, dtype, &picked);
    let index = index_into(rng, device, &picked, dims[axis]);
    let reference = |index: &Tensor| {
        reference::scatter_add(&Array::of(&x), axis, &Array::of(index), &Array::of(&source))
    };
    check(&x.scatter_add(axis as isize, &index, &source), &reference(&index), dtype)?;
    let rows = index_into(rng, device, &[picked[axis]], dims[axis]);
    let mut shape = vec![1; dims.len()];
    shape[axis] = picked[axis];
    let spread = rows.reshape(shape).broadcast_to(&picked);
    check(&x.index_add(axis as isize, &rows, &source), &reference(&spread), dtype)
}

fn one_hot(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let dims = random_dims(rng, 3);
    let n = 1 + rng.below(6);
    let classes = index_into(rng, device, &dims, n + 2);
    let mut expected = dims.clone();
    expected.push(n);
    let classes_of = Array::of(&classes);
    let expected = Array::from_fn(&expected, |at| {
        let [at @ .., class] = at else { return f64::NAN };
        f64::from(classes_of.at(at) == *class as f64)
    });
    check(&classes.one_hot(n, dtype), &expected, dtype)
}

fn cat_and_pad(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    let (dims, axis) = dims_and_axis(rng);
    let x = draw(rng, device, dtype, &dims);
    let (before, after) = (rng.below(3), rng.below(3));
    let padded = reference::along(&Array::of(&x), axis, dims[axis] + before + after, |line| {
        let value = |n| std::iter::repeat_n(5.0, n);
        value(before).chain(line.iter().copied()).chain(value(after)).collect()
    });
    check(&x.pad(axis as isize, before, after, 5.0), &padded, dtype)?;
    let twice = reference::along(&Array::of(&x), axis, 2 * dims[axis], |line| line.repeat(2));
    check(&Tensor::cat(&[&x, &x], axis as isize), &twice, dtype)
}

/// The words of Philox, read through the uniform distribution, are the CPU's.
fn random(rng: &mut Rng, device: &Device, dtype: DType) -> Result<(), String> {
    if !dtype.is_float() {
        return Ok(());
    }
    let (seed, n) = (u64::from(rng.next_u32()), rng.below(3000));
    let on = |device: &Device| Rng::from_state(seed, 5).uniform([n], dtype, device);
    check(&on(device), &Array::of(&on(&Device::cpu())), dtype)?;
    let normal = |device: &Device| Rng::from_state(seed, 5).normal([n], dtype, device);
    check(&normal(device), &Array::of(&normal(&Device::cpu())), dtype)
}
