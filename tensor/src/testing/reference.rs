//! Every operation as the loop that defines it, in F64, over plain row-major arrays. Slow and
//! obvious: the oracle that fast paths are compared with.

use std::ops::Range;

use crate::{ArgReduce, Formula, Node, Reduce, Shape, Steps, Tensor};

/// A row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Dimensions, outermost first.
    pub dims: Vec<usize>,
    /// Elements, the last axis running fastest.
    pub data: Vec<f64>,
}

impl Array {
    /// The elements of a tensor of any dtype.
    ///
    /// # Panics
    /// When the device fails.
    pub fn of(tensor: &Tensor) -> Array {
        let here = tensor.to_device(&crate::Device::cpu()).expect("the device reads");
        let data = here.to_dtype(crate::DType::F64).to_vec().expect("the CPU reads");
        Array { dims: tensor.dims().to_vec(), data }
    }

    /// An F64 tensor on the CPU.
    pub fn tensor(&self) -> Tensor {
        Tensor::from_slice(&self.data, &self.dims)
    }

    /// Each element from its index.
    pub fn from_fn(dims: &[usize], mut f: impl FnMut(&[usize]) -> f64) -> Array {
        let mut data = Vec::new();
        for_each_index(dims, |index| data.push(f(index)));
        Array { dims: dims.to_vec(), data }
    }

    /// The element at an index.
    pub fn at(&self, index: &[usize]) -> f64 {
        let flat = index.iter().zip(&self.dims).fold(0, |flat, (i, d)| flat * d + i);
        self.data[flat]
    }

    /// The element that broadcasting puts at an index of a larger shape.
    pub fn broadcast_at(&self, index: &[usize]) -> f64 {
        let own = index[index.len() - self.dims.len()..].iter().zip(&self.dims);
        let flat = own.fold(0, |flat, (&i, &d)| flat * d + if d == 1 { 0 } else { i });
        self.data[flat]
    }
}

/// Calls `f` with every index of a shape in row-major order.
pub fn for_each_index(dims: &[usize], mut f: impl FnMut(&[usize])) {
    let mut index = vec![0; dims.len()];
    for _ in 0..dims.iter().product() {
        f(&index);
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// All indices of a shape in row-major order.
pub fn indices(dims: &[usize]) -> Vec<Vec<usize>> {
    dims.iter().fold(vec![vec![]], |prefixes, &dim| {
        let extend =
            |prefix: Vec<usize>| (0..dim).map(move |i| prefix.iter().copied().chain([i]).collect());
        prefixes.into_iter().flat_map(extend).collect()
    })
}

/// The shape of operands that are broadcast against each other.
///
/// # Panics
/// When they do not fit.
pub fn broadcast_dims(inputs: &[&Array]) -> Vec<usize> {
    let common = inputs.iter().fold(Shape::SCALAR, |shape, x| {
        shape.broadcast(&Shape::from(&x.dims[..])).expect("shapes broadcast")
    });
    common.to_vec()
}

/// A formula of one output at every element of broadcast inputs, node by node.
pub fn map(formula: &Formula, inputs: &[&Array], scalars: &[f64]) -> Array {
    map_several(formula, inputs, scalars).swap_remove(0)
}

/// Each output of a formula.
pub fn map_several(formula: &Formula, inputs: &[&Array], scalars: &[f64]) -> Vec<Array> {
    let dims = broadcast_dims(inputs);
    let mut values: Vec<Array> = Vec::new();
    for node in formula.nodes() {
        let each = |f: &dyn Fn(&[usize]) -> f64| Array::from_fn(&dims, f);
        let value = match *node {
            Node::Input(i) => each(&|at| inputs[i].broadcast_at(at)),
            Node::Scalar(i) => each(&|_| scalars[i]),
            Node::Const(bits) => each(&|_| f64::from_bits(bits)),
            Node::Unary(op, x) => each(&|at| op.at(values[x].at(at))),
            Node::Binary(op, x, y) => each(&|at| op.at(values[x].at(at), values[y].at(at))),
            Node::Select(c, a, b) => {
                each(&|at| values[if values[c].at(at) != 0.0 { a } else { b }].at(at))
            }
            Node::Reduce(op, x) => {
                let last: Vec<usize> = dims.len().checked_sub(1).into_iter().collect();
                let rows = reduce(op, &values[x], &last);
                each(&|at| rows.broadcast_at(at))
            }
        };
        values.push(value);
    }
    formula.roots().iter().map(|&root| values[root].clone()).collect()
}

/// A reduction over the axes in `axes`, which stay with size 1.
pub fn reduce(op: Reduce, x: &Array, axes: &[usize]) -> Array {
    let mut dims = x.dims.clone();
    axes.iter().for_each(|&axis| dims[axis] = 1);
    let lengths: Vec<usize> =
        (0..x.dims.len()).map(|a| if axes.contains(&a) { x.dims[a] } else { 1 }).collect();
    Array::from_fn(&dims, |start| {
        let elements = indices(&lengths).into_iter().map(|offset| {
            let index: Vec<usize> = start.iter().zip(&offset).map(|(s, o)| s + o).collect();
            x.at(&index)
        });
        match op {
            Reduce::Sum => elements.fold(0.0, |a, b| a + b),
            Reduce::Prod => elements.fold(1.0, |a, b| a * b),
            Reduce::Max => elements.fold(f64::NEG_INFINITY, |a, b| {
                if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
            }),
            Reduce::Min => elements.fold(f64::INFINITY, |a, b| {
                if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
            }),
        }
    })
}

/// An array whose lines along `axis` are made from the lines of `x`; all lines have one new length.
pub fn along(x: &Array, axis: usize, length: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Array {
    let mut dims = x.dims.clone();
    dims[axis] = length;
    Array::from_fn(&dims, |index| {
        let mut at = index.to_vec();
        let line: Vec<f64> = (0..x.dims[axis])
            .map(|i| {
                at[axis] = i;
                x.at(&at)
            })
            .collect();
        f(&line)[index[axis]]
    })
}

/// Positions of extremes along `axis`, which stays with size 1.
pub fn arg_reduce(op: ArgReduce, x: &Array, axis: usize) -> Array {
    along(x, axis, 1, |line| {
        let better = |a: f64, b: f64| match op {
            _ if b.is_nan() => false,
            _ if a.is_nan() => true,
            ArgReduce::Max => a > b,
            ArgReduce::Min => a < b,
        };
        let best = (1..line.len()).fold(0, |b, i| if better(line[i], line[b]) { i } else { b });
        vec![best as f64]
    })
}

/// The positions of a line's elements in order; NaN last, equal elements in their order.
pub fn argsort(line: &[f64], descending: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..line.len()).collect();
    let key = |i: usize| (line[i].is_nan(), line[i]);
    order.sort_by(|&i, &j| {
        let ((nan_i, x), (nan_j, y)) = (key(i), key(j));
        let ascending =
            nan_i.cmp(&nan_j).then(x.partial_cmp(&y).unwrap_or(std::cmp::Ordering::Equal));
        if descending { ascending.reverse() } else { ascending }
    });
    order
}

/// The matrix product of [..., M, K] and [..., K, N].
pub fn matmul(a: &Array, b: &Array) -> Array {
    let (ra, rb) = (a.dims.len(), b.dims.len());
    let lead = |x: &Array, r: usize| Array { dims: x.dims[..r - 2].to_vec(), data: vec![] };
    let mut dims = broadcast_dims(&[&lead(a, ra), &lead(b, rb)]);
    dims.extend([a.dims[ra - 2], b.dims[rb - 1]]);
    Array::from_fn(&dims, |index| {
        let (batch, last) = index.split_at(index.len() - 2);
        let at = |x: &Array, row: usize, column: usize| {
            let full: Vec<usize> = batch.iter().copied().chain([row, column]).collect();
            // Matrix axes of size 1 are not broadcast here: their index is 0 anyway.
            x.broadcast_at(&full)
        };
        (0..a.dims[ra - 1]).map(|l| at(a, last[0], l) * at(b, l, last[1])).sum()
    })
}

/// Columns of a matrix, or rows.
fn part(x: &Array, axis: usize, range: Range<usize>) -> Array {
    let mut dims = x.dims.clone();
    dims[axis] = range.len();
    Array::from_fn(&dims, |at| {
        let mut from = at.to_vec();
        from[axis] += range.start;
        x.at(&from)
    })
}

/// Matrices side by side.
fn side_by_side(parts: &[Array]) -> Array {
    let rows = parts.first().map_or(0, |part| part.dims[0]);
    let columns = parts.iter().map(|part| part.dims[1]).sum();
    let row = |i| parts.iter().flat_map(move |part| part.data.chunks(part.dims[1]).nth(i));
    Array { dims: vec![rows, columns], data: (0..rows).flat_map(row).flatten().copied().collect() }
}

/// A cell along sequences, one after another, step by step: what is kept of each row, and the last
/// states. See [`Recurrence`](crate::Recurrence).
pub fn recur(weight: &Tensor, steps: &Steps<'_>) -> (Vec<Array>, Vec<Array>) {
    let weight = Array::of(weight);
    let width = weight.dims[0] / steps.next[0].len();
    let blocks = |x: &Array| -> Vec<Array> {
        (0..x.dims[1] / width).map(|j| part(x, 1, j * width..(j + 1) * width)).collect()
    };
    let inputs: Vec<Array> = steps.inputs.iter().map(|x| Array::of(x)).collect();
    let mut finals: Vec<Array> = steps.states.iter().map(|x| Array::of(x)).collect();
    let n_rows: usize = steps.sequences.iter().map(|rows| rows.len()).sum();
    let wide = |range: &Range<usize>| zeros(&[n_rows, range.len() * width]);
    let mut kept: Vec<Array> = steps.kept.iter().map(wide).collect();
    let set_row = |x: &mut Array, row: usize, blocks: &[Array]| {
        let columns = x.dims[1];
        x.data[row * columns..(row + 1) * columns].copy_from_slice(&side_by_side(blocks).data);
    };
    for (s, rows) in steps.sequences.iter().enumerate() {
        for t in 0..rows.len() {
            let row = if steps.backwards { rows.end - 1 - t } else { rows.start + t };
            let states: Vec<Array> = finals.iter().map(|state| part(state, 0, s..s + 1)).collect();
            let mut operands = blocks(&matmul(&states[0], &weight));
            operands.extend(states.iter().flat_map(blocks));
            operands.extend(inputs.iter().flat_map(|x| blocks(&part(x, 0, row..row + 1))));
            let operands: Vec<&Array> = operands.iter().collect();
            let outputs = map_several(steps.cell, &operands, &[]);
            for (state, next) in finals.iter_mut().zip(steps.next) {
                set_row(state, s, &outputs[next.clone()]);
            }
            for (kept, range) in kept.iter_mut().zip(steps.kept) {
                set_row(kept, row, &outputs[range.clone()]);
            }
        }
    }
    (kept, finals)
}

/// y\[…, j, …\] = x\[…, index\[…, j, …\], …\]
pub fn gather(x: &Array, axis: usize, index: &Array) -> Array {
    Array::from_fn(&index.dims, |at| {
        let mut from = at.to_vec();
        from[axis] = index.at(at) as usize;
        x.at(&from)
    })
}

/// y = x, then y\[…, index\[…, j, …\], …\] += source\[…, j, …\]
pub fn scatter_add(x: &Array, axis: usize, index: &Array, source: &Array) -> Array {
    let mut y = x.clone();
    for at in indices(&index.dims) {
        let mut to = at.clone();
        to[axis] = index.at(&at) as usize;
        let flat = to.iter().zip(&y.dims).fold(0, |flat, (i, d)| flat * d + i);
        y.data[flat] += source.at(&at);
    }
    y
}

/// How windows move over rows and columns.
#[derive(Clone, Copy, Debug)]
pub struct Sliding {
    /// From one window to the next.
    pub stride: [usize; 2],
    /// Elements on either side.
    pub padding: [usize; 2],
    /// From one element of a window to the next.
    pub dilation: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
}

impl Sliding {
    /// How many windows of a size there are on each axis of an image.
    pub fn count(&self, image: &[usize], size: &[usize]) -> [usize; 2] {
        [0, 1].map(|a| {
            let span = (size[a] - 1) * self.dilation[a] + 1;
            (image[a] + 2 * self.padding[a] - span) / self.stride[a] + 1
        })
    }

    /// The same where windows may hang over the end: as many as it takes to reach it, though none that
    /// begins behind the image.
    pub fn count_up(&self, image: &[usize], size: &[usize]) -> [usize; 2] {
        [0, 1].map(|a| {
            let (end, padding, stride) =
                (image[a] + self.padding[a], self.padding[a], self.stride[a]);
            let mut n = 1;
            while (n - 1) * stride + size[a] < end + padding && n * stride < end {
                n += 1;
            }
            n
        })
    }

    /// How many elements window i has of an image, padding among them or not.
    pub fn elements(
        &self,
        image: &[usize],
        size: [usize; 2],
        i: [usize; 2],
        padding: bool,
    ) -> usize {
        let is_counted = |k: &Vec<usize>| match padding {
            true => (0..2).all(|a| i[a] * self.stride[a] + k[a] < image[a] + 2 * self.padding[a]),
            false => self.inside(image, i, [k[0], k[1]]).is_some(),
        };
        indices(&size).iter().filter(|k| is_counted(k)).count()
    }

    /// The element k of window i, unless it is padding.
    fn inside(&self, image: &[usize], i: [usize; 2], k: [usize; 2]) -> Option<[usize; 2]> {
        let at = |a: usize| {
            let padded = i[a] * self.stride[a] + k[a] * self.dilation[a];
            padded.checked_sub(self.padding[a]).filter(|&at| at < image[a])
        };
        Some([at(0)?, at(1)?])
    }
}

/// Calls `f` with the indices in x [N, C, H, W], w [O, C / groups, KH, KW] and y [N, O, OH, OW] of
/// every product of a convolution.
fn convolve(
    x: &[usize],
    w: &[usize],
    sliding: &Sliding,
    mut f: impl FnMut([usize; 4], [usize; 4], [usize; 4]),
) {
    let [oh, ow] = sliding.count(&x[2..], &w[2..]);
    let window = indices(&w[1..]);
    for y in indices(&[x[0], w[0], oh, ow]) {
        let [n, o, i, j] = y[..] else { continue };
        let group = o / (w[0] / sliding.groups);
        for k in &window {
            let [c, k, l] = k[..] else { continue };
            let Some([row, column]) = sliding.inside(&x[2..], [i, j], [k, l]) else { continue };
            f([n, group * w[1] + c, row, column], [o, c, k, l], [n, o, i, j]);
        }
    }
}

fn zeros(dims: &[usize]) -> Array {
    Array::from_fn(dims, |_| 0.0)
}

/// Adds to an element.
fn add(y: &mut Array, at: &[usize], x: f64) {
    let flat = at.iter().zip(&y.dims).fold(0, |flat, (i, d)| flat * d + i);
    y.data[flat] += x;
}

/// The convolution of x [N, C, H, W] with w [O, C / groups, KH, KW].
pub fn conv(x: &Array, w: &Array, sliding: &Sliding) -> Array {
    let [oh, ow] = sliding.count(&x.dims[2..], &w.dims[2..]);
    let mut y = zeros(&[x.dims[0], w.dims[0], oh, ow]);
    convolve(&x.dims, &w.dims, sliding, |i, j, k| add(&mut y, &k, x.at(&i) * w.at(&j)));
    y
}

/// The gradient of its input.
pub fn conv_input_gradient(d_y: &Array, w: &Array, dims: &[usize], sliding: &Sliding) -> Array {
    let mut d_x = zeros(dims);
    convolve(dims, &w.dims, sliding, |i, j, k| add(&mut d_x, &i, d_y.at(&k) * w.at(&j)));
    d_x
}

/// The gradient of its weight.
pub fn conv_weight_gradient(x: &Array, d_y: &Array, dims: &[usize], sliding: &Sliding) -> Array {
    let mut d_w = zeros(dims);
    convolve(&x.dims, dims, sliding, |i, j, k| add(&mut d_w, &j, x.at(&i) * d_y.at(&k)));
    d_w
}

/// The elements of each of `count` windows of x [N, C, H, W] that are not padding, with their positions
/// in the plane, as `f` joins them.
pub fn pool(
    x: &Array,
    size: [usize; 2],
    sliding: &Sliding,
    [oh, ow]: [usize; 2],
    f: impl Fn(&[(f64, usize)]) -> f64,
) -> Array {
    let image = &x.dims[2..];
    Array::from_fn(&[x.dims[0], x.dims[1], oh, ow], |at| {
        let element = |k: Vec<usize>| {
            let [row, column] = sliding.inside(image, [at[2], at[3]], [k[0], k[1]])?;
            Some((x.at(&[at[0], at[1], row, column]), row * image[1] + column))
        };
        f(&indices(&size).into_iter().filter_map(element).collect::<Vec<_>>())
    })
}

/// The average of each window of x [N, C, H, W], which may count padding.
pub fn avg_pool(
    x: &Array,
    size: [usize; 2],
    sliding: &Sliding,
    [oh, ow]: [usize; 2],
    count_padding: bool,
) -> Array {
    let sums = pool(x, size, sliding, [oh, ow], |window| window.iter().map(|(x, _)| x).sum());
    Array::from_fn(&sums.dims, |at| {
        sums.at(at) / sliding.elements(&x.dims[2..], size, [at[2], at[3]], count_padding) as f64
    })
}

/// Each element of d_y [N, C, OH, OW], shared out among its window in an input of `dims`.
pub fn avg_pool_gradient(
    d_y: &Array,
    dims: &[usize],
    size: [usize; 2],
    sliding: &Sliding,
    count_padding: bool,
) -> Array {
    let mut d_x = zeros(dims);
    for y in indices(&d_y.dims) {
        let places = indices(&size).into_iter();
        let inside = |k: Vec<usize>| sliding.inside(&dims[2..], [y[2], y[3]], [k[0], k[1]]);
        let places: Vec<[usize; 2]> = places.filter_map(inside).collect();
        let n = sliding.elements(&dims[2..], size, [y[2], y[3]], count_padding);
        for [row, column] in places {
            add(&mut d_x, &[y[0], y[1], row, column], d_y.at(&y) / n as f64);
        }
    }
    d_x
}
