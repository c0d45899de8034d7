//! Adaptive pooling: as many windows as are asked for, however long the input is. With one window it is
//! global pooling.
//!
//! Window i of n elements, of m windows, is ⌊i·n / m⌋ .. ⌈(i + 1)·n / m⌉: all of them cover the input, and
//! neighbours share an element where n is no multiple of m. Windows of an image are products of such
//! ranges, so that one axis is pooled after the other.

use std::ops::Range;

use plies_autograd::Var;
use plies_tensor::{Tensor, formula};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// Which elements of n are in each of m windows.
fn windows(n: usize, m: usize) -> impl Iterator<Item = Range<usize>> {
    (0..m).map(move |i| i * n / m..((i + 1) * n).div_ceil(m))
}

/// Elements in a row for each window of an axis, all windows of the longest one's size: the shorter ones
/// repeat their last element.
///
/// # Shapes
/// x [.., N, ..] -> [.., M, K, ..]
fn in_windows(x: &Var, axis: usize, m: usize) -> Var {
    let n = x.dims()[axis];
    let size = windows(n, m).map(|window| window.len()).max().unwrap_or(0);
    let mut shape = x.dims().to_vec();
    shape.splice(axis..=axis, [m, size]);
    if n == m * size {
        return x.reshape(shape); // side by side
    }
    let elements =
        |window: Range<usize>| (0..size).map(move |k| (window.start + k).min(window.end - 1));
    let index: Vec<i32> = windows(n, m).flat_map(elements).map(|element| element as i32).collect();
    let index = Tensor::from_slice_on(&index, [m * size], x.device());
    x.index_select(axis as isize, &index).reshape(shape)
}

/// The average of each of m windows of an axis.
fn average(x: &Var, axis: usize, m: usize) -> Var {
    let n = x.dims()[axis];
    let y = in_windows(x, axis, m); // [.., M, K, ..]
    let (of, size) = (axis as isize + 1, y.dims()[axis + 1]);
    if n == m * size {
        return y.mean(&[of], false);
    }
    // Repeated elements count nothing, not even as ∞ · 0.
    let shares = windows(n, m).flat_map(|window| {
        let share = 1.0 / window.len() as f64;
        (0..size).map(move |k| if k < window.len() { share } else { 0.0 })
    });
    let mut shape = vec![1; y.rank()];
    shape[axis..axis + 2].copy_from_slice(&[m, size]);
    let shares = Tensor::from_slice_on(&shares.collect::<Vec<f64>>(), shape, x.device());
    let shares = Var::constant(shares.to_dtype(x.dtype()));
    let f = formula!(|x, share| share.eq(0.0).select(0.0, x * share));
    Var::map_sum(f, &[&y, &shares], &[], &[of], false)
}

/// The largest of each of m windows of an axis, the first of equals.
fn largest(x: &Var, axis: usize, m: usize) -> Var {
    let y = in_windows(x, axis, m); // [.., M, K, ..]
    let of = axis as isize + 1;
    y.gather(of, &y.argmax(of, true)).squeeze(of)
}

/// Pools the last axis and, of an image, the rows. So among the equals of an image the first row has the
/// first say.
#[track_caller]
fn pool(name: &str, x: &Var, sizes: &[usize], of_axis: fn(&Var, usize, usize) -> Var) -> Var {
    let expected = if sizes.len() == 1 { "[N, C, L]" } else { "[N, C, H, W]" };
    assert!(x.rank() == sizes.len() + 2, "{name}: input {}; expected {expected}", x.shape());
    assert!(
        x.dims()[2..].iter().chain(sizes).all(|&n| n > 0),
        "{name}: {sizes:?} windows of an input {}",
        x.shape()
    );
    sizes.iter().enumerate().rev().fold(x.clone(), |x, (axis, &m)| of_axis(&x, axis + 2, m))
}

/// The averages of so many windows of a sequence.
///
/// # Shapes
/// x [N, C, L] -> [N, C, M]
///
/// # Gradient
/// d_y shared out among each window
///
/// # Panics
/// `forward`, when x has another rank or nothing to average, or no window is asked for
///
/// # Source
/// The rule of windows is PyTorch's. With one window: Lin, Chen, Yan: Network in network (2014).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AdaptiveAvgPool1d, Module, Pass};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[[1f32, 4.0, 3.0]]]));
/// let y = AdaptiveAvgPool1d(2).forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [2.5, 3.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool1d(pub usize);

/// The averages of so many rows and columns of windows of an image.
///
/// # Shapes
/// x [N, C, H, W] -> [N, C, OH, OW]
///
/// # Gradient
/// d_y shared out among each window
///
/// # Panics
/// `forward`, when x has another rank or nothing to average, or no window is asked for
///
/// # Source
/// The rule of windows is PyTorch's. With one window: Lin, Chen, Yan: Network in network (2014).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AdaptiveAvgPool2d, Module, Pass};
/// use plies_tensor::Tensor;
/// let global = AdaptiveAvgPool2d([1, 1]);
/// let x = Var::constant(Tensor::from([[[[1f32, 4.0], [3.0, 2.0]]]]));
/// assert_eq!(global.forward(&x, &mut Pass::eval()).value().to_vec::<f32>().unwrap(), [2.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool2d(pub [usize; 2]);

/// The largest elements of so many windows of a sequence.
///
/// # Shapes
/// x [N, C, L] -> [N, C, M]
///
/// # Gradient
/// d_y at the first largest element of each window
///
/// # Panics
/// `forward`, when x has another rank or nothing to choose from, or no window is asked for
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AdaptiveMaxPool1d, Module, Pass};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[[1f32, 4.0, 3.0]]]));
/// let y = AdaptiveMaxPool1d(3).forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [1.0, 4.0, 3.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveMaxPool1d(pub usize);

/// The largest elements of so many rows and columns of windows of an image.
///
/// # Shapes
/// x [N, C, H, W] -> [N, C, OH, OW]
///
/// # Gradient
/// d_y at the first largest element of each window
///
/// # Panics
/// `forward`, when x has another rank or nothing to choose from, or no window is asked for
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AdaptiveMaxPool2d, Module, Pass};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[[[1f32, 4.0], [3.0, 2.0]]]]));
/// let y = AdaptiveMaxPool2d([2, 1]).forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [4.0, 3.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveMaxPool2d(pub [usize; 2]);

impl Module for AdaptiveAvgPool1d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        pool("adaptive_avg_pool1d", x, &[self.0], average)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(export(AVERAGE, &[self.0], x, graph))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

impl Module for AdaptiveAvgPool2d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        pool("adaptive_avg_pool2d", x, &self.0, average)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(export(AVERAGE, &self.0, x, graph))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

impl Module for AdaptiveMaxPool1d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        pool("adaptive_max_pool1d", x, &[self.0], largest)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(export(LARGEST, &[self.0], x, graph))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

impl Module for AdaptiveMaxPool2d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        pool("adaptive_max_pool2d", x, &self.0, largest)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(export(LARGEST, &self.0, x, graph))
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

/// The operators of ONNX for one window, and for an axis of it.
const AVERAGE: [&str; 2] = ["GlobalAveragePool", "ReduceMean"];
const LARGEST: [&str; 2] = ["GlobalMaxPool", "ReduceMax"];

/// With one window it is an operator. Several stand side by side where their number divides the size of
/// the input, axis after axis; where it does not, the graph fails when it is run, as the sizes of windows
/// would have to be computed there.
fn export(ops: [&'static str; 2], windows: &[usize], x: &Value, graph: &Graph) -> Value {
    let [global, reduce] = ops;
    if windows.iter().all(|&n| n == 1) {
        return graph.op(global, &[x], []);
    }
    let mut y = x.clone();
    for (axis, &m) in windows.iter().enumerate().rev() {
        let mut shape = vec![0; axis + 2]; // As they are.
        shape.extend([m as i64, -1]);
        shape.extend(windows[axis + 1..].iter().map(|&n| n as i64));
        y = graph.op("Reshape", &[&y, &graph.ints(&shape)], []); // [.., M, K, ..]
        let (axes, drop) = (graph.ints(&[axis as i64 + 3]), [("keepdims", 0.into())]);
        y = graph.op(reduce, &[&y, &axes], drop);
    }
    y
}
