//! Convolution. With x the input, w the weight and y the result it is bilinear, y = C(x, w); with
//! the gradient of its input T(y, w) and that of its weight W(x, y) it makes three operations, each
//! the gradient of the others:
//!
//! ⟨y, C(x, w)⟩ = ⟨x, T(y, w)⟩ = ⟨w, W(x, y)⟩

use plies_tensor::{Conv, PerAxis, Shape, Tensor};

use crate::{Op, Reads, Var, apply};

/// y = C(x, w), plus the bias of each channel if there is one.
///
/// # Gradient
/// d_x = T(d_y, w), d_w = W(x, d_y), d_bias = Σ d_y over images and places
struct Convolve {
    conv: Conv,
}

impl Op for Convolve {
    fn name(&self) -> &'static str {
        "conv"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].conv(inputs[1], inputs.get(2).copied(), &self.conv)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let (x, w) = (&inputs[0], &inputs[1]);
        let d_x = || d_y.conv_input_gradient(w, x.shape(), &self.conv);
        let d_w = || x.conv_weight_gradient(d_y, w.shape(), &self.conv);
        let mut gradients = vec![x.requires_grad().then(d_x), w.requires_grad().then(d_w)];
        if let Some(bias) = inputs.get(2) {
            gradients.push(bias.requires_grad().then(|| sum_of_channels(d_y)));
        }
        gradients
    }

    fn reads(&self, inputs: &[&Var]) -> Reads {
        Reads::inputs((0..2).filter(|&i| inputs[1 - i].requires_grad()))
    }
}

/// [N, C, ...] -> `[C]`
fn sum_of_channels(x: &Var) -> Var {
    let others: Vec<isize> = (0..x.rank() as isize).filter(|&axis| axis != 1).collect();
    x.sum(&others, false)
}

/// x = T(y, w)
///
/// # Gradient
/// d_y = C(d_x, w), d_w = W(d_x, y)
struct Transpose {
    conv: Conv,
    size: Size,
}

/// What T needs to know about its result: the rule of strides leaves several sizes open.
enum Size {
    Dims(Shape),
    OutputPadding(PerAxis),
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        match self.size {
            Size::Dims(_) => "conv_input_gradient",
            Size::OutputPadding(_) => "conv_transpose",
        }
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        let (y, w) = (inputs[0], inputs[1]);
        match self.size {
            Size::Dims(dims) => y.conv_input_gradient(w, dims, &self.conv),
            Size::OutputPadding(more) => {
                y.conv_transpose(w, inputs.get(2).copied(), &self.conv, more)
            }
        }
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_x: &Var) -> Vec<Option<Var>> {
        let (y, w) = (&inputs[0], &inputs[1]);
        let d_y = || d_x.conv(w, None, &self.conv);
        let d_w = || d_x.conv_weight_gradient(y, w.shape(), &self.conv);
        let mut gradients = vec![y.requires_grad().then(d_y), w.requires_grad().then(d_w)];
        if let Some(bias) = inputs.get(2) {
            gradients.push(bias.requires_grad().then(|| sum_of_channels(d_x)));
        }
        gradients
    }

    fn reads(&self, inputs: &[&Var]) -> Reads {
        Reads::inputs((0..2).filter(|&i| inputs[1 - i].requires_grad()))
    }
}

/// w = W(x, y)
///
/// # Gradient
/// d_x = T(y, d_w), d_y = C(x, d_w)
struct WeightGradient {
    conv: Conv,
    dims: Shape,
}

impl Op for WeightGradient {
    fn name(&self) -> &'static str {
        "conv_weight_gradient"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        inputs[0].conv_weight_gradient(inputs[1], self.dims, &self.conv)
    }

    fn vjp(&self, inputs: &[Var], _output: &Var, d_w: &Var) -> Vec<Option<Var>> {
        let (x, y) = (&inputs[0], &inputs[1]);
        vec![
            x.requires_grad().then(|| y.conv_input_gradient(d_w, x.shape(), &self.conv)),
            y.requires_grad().then(|| x.conv(d_w, None, &self.conv)),
        ]
    }

    fn reads(&self, inputs: &[&Var]) -> Reads {
        Reads::inputs((0..2).filter(|&i| inputs[1 - i].requires_grad()))
    }
}

/// The operation on its two operands and perhaps a bias.
#[track_caller]
fn apply_with(op: impl Op + 'static, a: &Var, b: &Var, bias: Option<&Var>) -> Var {
    match bias {
        Some(bias) => apply(op, &[a, b, bias]),
        None => apply(op, &[a, b]),
    }
}

impl Var {
    /// Convolution of sequences [N, C, L] or images [N, C, H, W]; see [`Tensor::conv`].
    ///
    /// # Gradient
    /// d_x = [`conv_input_gradient`](Var::conv_input_gradient)(d_y, weight), d_weight =
    /// [`conv_weight_gradient`](Var::conv_weight_gradient)(x, d_y), d_bias = Σ d_y over examples and places
    ///
    /// # Panics
    /// As [`Tensor::conv`]
    #[track_caller]
    pub fn conv(&self, weight: &Var, bias: Option<&Var>, conv: &Conv) -> Var {
        apply_with(Convolve { conv: *conv }, self, weight, bias)
    }

    /// Transposed convolution; see [`Tensor::conv_transpose`].
    ///
    /// # Gradient
    /// d_y = [`conv`](Var::conv)(d_x, weight), d_weight =
    /// [`conv_weight_gradient`](Var::conv_weight_gradient)(d_x, y), d_bias = Σ d_x over examples and places
    ///
    /// # Panics
    /// As [`Tensor::conv_transpose`]
    #[track_caller]
    pub fn conv_transpose(
        &self,
        weight: &Var,
        bias: Option<&Var>,
        conv: &Conv,
        output_padding: impl Into<PerAxis>,
    ) -> Var {
        let size = Size::OutputPadding(output_padding.into());
        apply_with(Transpose { conv: *conv, size }, self, weight, bias)
    }

    /// The gradient of a convolution with respect to its input, which has the shape `dims`; see
    /// [`Tensor::conv_input_gradient`].
    ///
    /// # Gradient
    /// With this d_y, the weight and the result d_x: that of d_y is [`conv`](Var::conv) of the gradient
    /// that arrives, that of the weight [`conv_weight_gradient`](Var::conv_weight_gradient) of it and d_y
    ///
    /// # Panics
    /// As [`Tensor::conv_input_gradient`]
    #[track_caller]
    pub fn conv_input_gradient(&self, weight: &Var, dims: impl Into<Shape>, conv: &Conv) -> Var {
        apply(Transpose { conv: *conv, size: Size::Dims(dims.into()) }, &[self, weight])
    }

    /// The gradient of a convolution with respect to its weight, which has the shape `dims`; see
    /// [`Tensor::conv_weight_gradient`].
    ///
    /// # Gradient
    /// With v the gradient that arrives: that of this x is
    /// [`conv_input_gradient`](Var::conv_input_gradient)(d_y, v), that of d_y is [`conv`](Var::conv)(x, v)
    ///
    /// # Panics
    /// As [`Tensor::conv_weight_gradient`]
    #[track_caller]
    pub fn conv_weight_gradient(&self, d_y: &Var, dims: impl Into<Shape>, conv: &Conv) -> Var {
        apply(WeightGradient { conv: *conv, dims: dims.into() }, &[self, d_y])
    }
}
