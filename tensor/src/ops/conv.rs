//! Convolution of sequences and images, and its two gradients: three bilinear operations, each of
//! which is the gradient of the others.
//!
//! y\[n, o, i\] = Σ\[c, k\] w\[o, c, k\] · x\[n, c, stride·i + dilation·k - padding\]
//!
//! One loop nest over x, w and y, of which one is the result. A layout over all the loops says
//! where each index leads in each tensor. The windows of x overlap in one copy of it at most, the one with
//! its padding; the matrix of all windows never exists, only the blocks of it that a product packs.

use crate::backend::{Contraction, Epilogue, Target, View};
use crate::tensor::check_same;
use crate::{Conv, Layout, Shape, Tensor, formula};

use super::movement::place;

/// The loops, outermost first, as they stand in the layouts below.
const N: isize = 0;
const G: isize = 1;
const O: isize = 2;
const C: isize = 3;
const KH: isize = 4;
const KW: isize = 5;
const OH: isize = 6;
const OW: isize = 7;

/// Checked sizes: of rows and columns where there are two numbers. `o` and `c` count the channels
/// of one group.
struct Sizes {
    n: usize,
    g: usize,
    o: usize,
    c: usize,
    x: [usize; 2],
    w: [usize; 2],
    y: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    /// 1 for sequences, 2 for images.
    axes: usize,
}

/// How many windows fit an axis, if any does.
fn windows(
    len: usize,
    size: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Option<usize> {
    let span = (size - 1).checked_mul(dilation)?.checked_add(1)?;
    let padded = padding.checked_mul(2)?.checked_add(len)?;
    Some(padded.checked_sub(span)? / stride + 1)
}

/// The two last dimensions of a shape [_, _, ...]; a sequence is an image of one row.
fn spatial(shape: &[usize]) -> [usize; 2] {
    match *shape {
        [_, _, l] => [1, l],
        [_, _, h, w] => [h, w],
        _ => [1, 1],
    }
}

impl Sizes {
    /// Checks the options and the shapes of the input, the weight and, if it is known, the result.
    #[track_caller]
    fn new(operation: &str, conv: &Conv, x: Shape, w: Shape, y: Option<Shape>) -> Sizes {
        let fit = (x.len() == 3 || x.len() == 4) && w.len() == x.len();
        assert!(
            fit,
            "{operation}: input {x}, weight {w}; expected [N, C, L] and [O, C, K], or [N, C, H, W] \
             and [O, C, KH, KW]"
        );
        let axes = x.len() - 2;
        let stride = conv.stride.resolve(operation, "stride", axes, 1);
        let padding = conv.padding.resolve(operation, "padding", axes, 0);
        let dilation = conv.dilation.resolve(operation, "dilation", axes, 1);
        let g = conv.groups;
        assert!(
            g > 0 && stride.iter().chain(&dilation).all(|&n| n > 0),
            "{operation}: {conv:?}: stride, dilation and groups must be positive"
        );
        assert!(
            Some(x[1]) == w[1].checked_mul(g),
            "{operation}: input {x} has {} channels; the weight {w} in {g} group(s) sees {}",
            x[1],
            w[1].saturating_mul(g)
        );
        assert!(
            w[0].is_multiple_of(g),
            "{operation}: weight {w} has {} output channels, not a multiple of {g} groups",
            w[0]
        );
        let (x_size, w_size) = (spatial(&x), spatial(&w));
        assert!(w_size.iter().all(|&k| k > 0), "{operation}: weight {w} is an empty window");
        let (mut y_size, mut stride) = ([0; 2], stride);
        for a in 0..2 {
            let n = windows(x_size[a], w_size[a], stride[a], padding[a], dilation[a]);
            let Some(n) = n else {
                panic!("{operation}: weight {w} does not fit into the input {x}, {conv:?}")
            };
            y_size[a] = n;
            // A longer step leads outside as well, and might be more than a layout can say.
            stride[a] = stride[a].min(x_size[a] + 2 * padding[a]);
        }
        let (n, o, c) = (x[0], w[0] / g, w[1]);
        let sizes =
            Sizes { n, g, o, c, x: x_size, w: w_size, y: y_size, stride, padding, dilation, axes };
        for shape in [sizes.padded_shape(), sizes.y_shape(), sizes.loops()] {
            assert!(
                shape.checked_elem_count().is_some(),
                "{operation}: input {x}, weight {w}, {conv:?}: {shape} is more than can be counted"
            );
        }
        if let Some(y) = y {
            assert!(
                y == sizes.y_shape(),
                "{operation}: input {x}, weight {w} and result {y}; they make {}",
                sizes.y_shape()
            );
        }
        sizes
    }

    fn shape(&self, lead: [usize; 2], size: [usize; 2]) -> Shape {
        let mut shape = Shape::from(lead);
        size[2 - self.axes..].iter().for_each(|&dim| shape.push(dim));
        shape
    }

    fn y_shape(&self) -> Shape {
        self.shape([self.n, self.g * self.o], self.y)
    }

    fn loops(&self) -> Shape {
        let ([kh, kw], [oh, ow]) = (self.w, self.y);
        Shape::from([self.n, self.g, self.o, self.c, kh, kw, oh, ow])
    }

    /// Size of the input with its padding.
    fn padded(&self) -> [usize; 2] {
        [0, 1].map(|a| self.x[a] + 2 * self.padding[a])
    }

    fn padded_shape(&self) -> Shape {
        let [h, w] = self.padded();
        Shape::from([self.n, self.g * self.c, h, w])
    }

    /// Layouts over the loops, of the padded input,
    fn x_layout(&self, x: Layout) -> Layout {
        let [h, w] = self.padded();
        let x = reshape(x, [self.n, self.g, self.c, h, w].into());
        let x = x.windows(3, self.w[0], self.stride[0], self.dilation[0]);
        let x = x.windows(4, self.w[1], self.stride[1], self.dilation[1]);
        // [N, G, C, OH, OW, KH, KW]
        let x = x.permute(&[0, 1, 2, 5, 6, 3, 4]).unsqueeze(O);
        self.spread(x)
    }

    /// of the weight,
    fn w_layout(&self, w: Layout) -> Layout {
        let [kh, kw] = self.w;
        let w = reshape(w, [self.g, self.o, self.c, kh, kw].into());
        self.spread(w.unsqueeze(0).unsqueeze(-1).unsqueeze(-1))
    }

    /// and of the result.
    fn y_layout(&self, y: Layout) -> Layout {
        let [oh, ow] = self.y;
        let y = reshape(y, [self.n, self.g, self.o, oh, ow].into());
        self.spread(y.unsqueeze(C).unsqueeze(KH).unsqueeze(KW))
    }

    fn spread(&self, layout: Layout) -> Layout {
        layout.broadcast_to(self.loops())
    }
}

/// Cuts axes in two, which strides can always say; a layout that is merely repeated stays so.
#[track_caller]
fn reshape(layout: Layout, shape: Shape) -> Layout {
    match layout.reshape(shape) {
        Some(layout) => layout,
        None => unreachable!("conv: an axis cut in two"),
    }
}

/// A bias, broadcast over a result: [O] as a layout over the loops.
fn bias_layout(sizes: &Sizes, bias: &Tensor) -> Layout {
    let bias = reshape(*bias.layout(), [sizes.g, sizes.o].into());
    let lead = bias.unsqueeze(0);
    sizes.spread((0..5).fold(lead, |layout, _| layout.unsqueeze(-1)))
}

#[track_caller]
fn check_bias(operation: &str, x: &Tensor, bias: Option<&Tensor>, channels: usize) {
    let Some(bias) = bias else { return };
    check_same(operation, x, bias);
    assert!(
        bias.dims() == [channels],
        "{operation}: bias {} for {channels} output channels",
        bias.shape()
    );
}

impl Tensor {
    /// Convolution, as it is called: the cross-correlation of a sequence or an image with a weight.
    ///
    /// y\[n, o, i\] = bias\[o\] + Σ\[c, k\] w\[o, c, k\] · x\[n, c, stride·i + dilation·k - padding\]
    ///
    /// # Shapes
    /// x [N, C, L], weight [O, C / groups, K] -> [N, O, M] for sequences, and
    /// x [N, C, H, W], weight [O, C / groups, KH, KW] -> [N, O, OH, OW] for images; bias `[O]`.
    /// M = (L + 2·padding - dilation·(K - 1) - 1) / stride + 1, rounded down, and OH and OW alike.
    /// [`Conv`] says what the letters stand for.
    ///
    /// # Panics
    /// When the shapes are others, C or O is not a multiple of the groups, stride, dilation or groups are
    /// 0, or the weight with its dilation is larger than the padded input or empty.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Conv, Tensor};
    /// let x = Tensor::from([[[1f32, 2.0, 4.0, 8.0]]]);
    /// let difference = Tensor::from([[[-1f32, 1.0]]]);
    /// let y = x.conv(&difference, None, &Conv::default());
    /// assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 2.0, 4.0]);
    /// ```
    #[doc(alias("conv1d", "conv2d"))]
    #[track_caller]
    pub fn conv(&self, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv) -> Tensor {
        check_same("conv", self, weight);
        let sizes = Sizes::new("conv", conv, self.shape(), weight.shape(), None);
        check_bias("conv", self, bias, weight.dim(0));
        let x = self.padded(&sizes);
        let x_layout = sizes.x_layout(*x.layout());
        let w_layout = sizes.w_layout(*weight.layout());
        let y_layout = sizes.y_layout(Layout::contiguous(sizes.y_shape()));
        let loops = Contraction { batch: 2, rows: 1, inner: 3, columns: 2, add: false };
        Tensor::fresh(self.device(), self.dtype(), sizes.y_shape(), |backend, buffer| {
            let a = View { layout: &w_layout, ..weight.view() };
            let b = View { layout: &x_layout, ..x.view() };
            let out = Target { buffer, layout: &y_layout };
            let Some(bias) = bias else { return backend.contract(loops, a, b, None, out) };
            let inputs = [View { layout: &bias_layout(&sizes, bias), ..bias.view() }];
            let formula = formula!(|y, bias| y + bias);
            backend.contract(
                loops,
                a,
                b,
                Some(Epilogue { formula, inputs: &inputs, scalars: &[] }),
                out,
            );
        })
    }

    /// Transposed convolution: what the gradient of [`conv`](Tensor::conv) with respect to its
    /// input does to the gradient of its result. Each element of this tensor puts the weight, times
    /// itself, where a convolution would have read it from.
    ///
    /// x\[n, c, stride·i + dilation·k - padding\] = bias\[c\] + Σ\[o, i, k\] w\[o, c, k\] · y\[n, o, i\]
    ///
    /// # Shapes
    /// y [N, O, M], weight [O, C / groups, K], bias `[C]` -> [N, C, L], and the like for images.
    /// L = (M - 1)·stride + dilation·(K - 1) + 1 - 2·padding + output_padding
    ///
    /// `output_padding` says which of the lengths that a convolution with this stride would make
    /// into M is meant.
    ///
    /// # Panics
    /// When the shapes are others, O is not a multiple of the groups, stride, dilation or groups are 0,
    /// nothing is left of the result, or `output_padding` is not less than the stride.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Conv, Tensor};
    /// let y = Tensor::from([[[1f32, 10.0]]]);
    /// let w = Tensor::from([[[1f32, 2.0, 3.0]]]);
    /// let x = y.conv_transpose(&w, None, &Conv::default().stride(2), 0);
    /// assert_eq!(x.to_vec::<f32>().unwrap(), [1.0, 2.0, 13.0, 20.0, 30.0]);
    /// ```
    #[doc(alias("deconvolution", "conv_transpose1d", "conv_transpose2d"))]
    #[track_caller]
    pub fn conv_transpose(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        conv: &Conv,
        output_padding: impl Into<crate::PerAxis>,
    ) -> Tensor {
        check_same("conv_transpose", self, weight);
        let (y, w) = (self.shape(), weight.shape());
        assert!(
            (y.len() == 3 || y.len() == 4) && w.len() == y.len() && y[1] == w[0],
            "conv_transpose: input {y}, weight {w}; expected [N, O, L] and [O, C, K], or \
             [N, O, H, W] and [O, C, KH, KW]"
        );
        let axes = y.len() - 2;
        let resolve = |what: crate::PerAxis, name: &str, flat: usize| {
            what.resolve("conv_transpose", name, axes, flat)
        };
        let more = resolve(output_padding.into(), "output padding", 0);
        let (stride, padding) =
            (resolve(conv.stride, "stride", 1), resolve(conv.padding, "padding", 0));
        let dilation = resolve(conv.dilation, "dilation", 1);
        let (y_size, w_size) = (spatial(&y), spatial(&w));
        let mut shape = Shape::from([y[0], w[1].saturating_mul(conv.groups)]);
        for a in 2 - axes..2 {
            assert!(
                more[a] < stride[a].max(1),
                "conv_transpose: output padding {} must be less than the stride {}",
                more[a],
                stride[a]
            );
            let len = y_size[a].checked_sub(1).and_then(|last| {
                let span = w_size[a].checked_sub(1)?.checked_mul(dilation[a])?.checked_add(1)?;
                let whole = last.checked_mul(stride[a])?.checked_add(span)?.checked_add(more[a])?;
                whole.checked_sub(padding[a].checked_mul(2)?)
            });
            let Some(len) = len.filter(|&len| len > 0) else {
                panic!("conv_transpose: nothing is left of input {y} with weight {w}, {conv:?}")
            };
            shape.push(len);
        }
        let x = self.conv_input("conv_transpose", weight, shape, conv);
        check_bias("conv_transpose", self, bias, shape[1]);
        let Some(bias) = bias else { return x };
        let bias = (0..axes).fold(bias.clone(), |bias, _| bias.unsqueeze(-1));
        Tensor::evaluate(formula!(|x, bias| x + bias), &[&x, &bias], &[])
    }

    /// The gradient of [`conv`](Tensor::conv) with respect to its input, from this, that of its
    /// result: [`conv_transpose`](Tensor::conv_transpose) to an input of the shape `dims`.
    ///
    /// # Shapes
    /// d_y [N, O, M], weight [O, C / groups, K], dims = [N, C, L] -> d_x [N, C, L] for sequences, and
    /// d_y [N, O, OH, OW], weight [O, C / groups, KH, KW], dims = [N, C, H, W] -> d_x [N, C, H, W] for
    /// images. L cannot be told from M: with a stride several lengths make the same.
    ///
    /// # Panics
    /// When a convolution of an input of the shape `dims` with this weight panics, or does not have
    /// this result's shape.
    #[track_caller]
    pub fn conv_input_gradient(
        &self,
        weight: &Tensor,
        dims: impl Into<Shape>,
        conv: &Conv,
    ) -> Tensor {
        check_same("conv_input_gradient", self, weight);
        self.conv_input("conv_input_gradient", weight, dims.into(), conv)
    }

    #[track_caller]
    fn conv_input(&self, operation: &str, weight: &Tensor, dims: Shape, conv: &Conv) -> Tensor {
        let sizes = Sizes::new(operation, conv, dims, weight.shape(), Some(self.shape()));
        let padded = sizes.padded_shape();
        let order = [N, G, C, KH, KW, O, OH, OW];
        let w_layout = sizes.w_layout(*weight.layout()).permute(&order);
        let y_layout = sizes.y_layout(*self.layout()).permute(&order);
        let x_layout = sizes.x_layout(Layout::contiguous(padded)).permute(&order);
        let loops = Contraction { batch: 2, rows: 3, inner: 1, columns: 2, add: true };
        let mut x = Tensor::zeros(padded, self.dtype(), self.device());
        if self.elem_count() > 0 && weight.elem_count() > 0 {
            x.with_buffer_mut(|backend, buffer| {
                let a = View { layout: &w_layout, ..weight.view() };
                let b = View { layout: &y_layout, ..self.view() };
                backend.contract(loops, a, b, None, Target { buffer, layout: &x_layout });
            });
        }
        for a in 0..2 {
            if sizes.padding[a] > 0 {
                x = x.narrow(a as isize + 2, sizes.padding[a], sizes.x[a]);
            }
        }
        if sizes.axes == 1 { x.squeeze(2) } else { x }
    }

    /// The gradient of [`conv`](Tensor::conv) with respect to its weight, for this input and the
    /// gradient of the result.
    ///
    /// # Shapes
    /// x [N, C, L], d_y [N, O, M], dims = [O, C / groups, K] -> d_w [O, C / groups, K] for sequences, and
    /// x [N, C, H, W], d_y [N, O, OH, OW], dims = [O, C / groups, KH, KW] -> d_w of that shape for images
    ///
    /// # Panics
    /// When a convolution of this input with a weight of the shape `dims` panics, or does not have the
    /// shape of `d_y`.
    #[track_caller]
    pub fn conv_weight_gradient(
        &self,
        d_y: &Tensor,
        dims: impl Into<Shape>,
        conv: &Conv,
    ) -> Tensor {
        check_same("conv_weight_gradient", self, d_y);
        let dims = dims.into();
        let sizes = Sizes::new("conv_weight_gradient", conv, self.shape(), dims, Some(d_y.shape()));
        let x = self.padded(&sizes);
        let order = [G, O, N, OH, OW, C, KH, KW];
        let x_layout = sizes.x_layout(*x.layout()).permute(&order);
        let y_layout = sizes.y_layout(*d_y.layout()).permute(&order);
        let w_layout = sizes.w_layout(Layout::contiguous(dims)).permute(&order);
        let loops = Contraction { batch: 1, rows: 1, inner: 3, columns: 3, add: false };
        Tensor::fresh(self.device(), self.dtype(), dims, |backend, buffer| {
            let a = View { layout: &y_layout, ..d_y.view() };
            let b = View { layout: &x_layout, ..x.view() };
            backend.contract(loops, a, b, None, Target { buffer, layout: &w_layout });
        })
    }

    /// With zeros around, as an image.
    #[track_caller]
    fn padded(&self, sizes: &Sizes) -> Tensor {
        let image = if sizes.axes == 1 { self.unsqueeze(2) } else { self.clone() };
        if sizes.padding == [0, 0] {
            return image;
        }
        let mut padded = Tensor::zeros(sizes.padded_shape(), self.dtype(), self.device());
        let inside = (0..2).fold(*padded.layout(), |layout, a| {
            let start = sizes.padding[a];
            layout.slice(a as isize + 2, start, start + sizes.x[a], 1)
        });
        padded.with_buffer_mut(|_, buffer| place(&image, buffer, &inside));
        padded
    }
}
