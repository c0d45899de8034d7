//! Convolution of sequences and of images.
//!
//! y\[n, o, i\] = bias\[o\] + Σ\[c, k\] w\[o, c, k\] · x\[n, c, stride·i + dilation·k - padding\]

use plies_autograd::Var;
use plies_tensor::{Conv, Rng, Tensor};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pad, Padding, Pass, Visitor, VisitorMut, check, init};

/// What both layers are made of.
#[derive(Debug)]
struct Filters {
    weight: Var,
    bias: Option<Var>,
    conv: Conv,
    /// What the input gets around it before it is convolved.
    pad: Pad,
}

impl Filters {
    #[track_caller]
    fn from_weights(
        name: &str,
        axes: usize,
        weight: Tensor,
        bias: Option<Tensor>,
        conv: Conv,
    ) -> Self {
        assert!(
            weight.rank() == axes + 2,
            "{name}: weight {} must have {axes} axes behind [O, C]",
            weight.shape()
        );
        assert!(
            weight.dims()[2..].iter().all(|&size| size > 0),
            "{name}: weight {} has windows of no elements",
            weight.shape()
        );
        let groups = conv.n_groups();
        assert!(
            groups > 0 && weight.dim(0).is_multiple_of(groups),
            "{name}: {} output channels, not a multiple of {groups} groups",
            weight.dim(0)
        );
        if let Some(bias) = &bias {
            assert!(
                bias.dims() == [weight.dim(0)],
                "{name}: bias {} for weight {}",
                bias.shape(),
                weight.shape()
            );
        }
        let pad = Pad::new(Padding::Constant(0.0), &[]);
        Filters { weight: Var::leaf(weight), bias: bias.map(Var::leaf), conv, pad }
    }

    /// Makes results as long as inputs.
    #[track_caller]
    fn pad_to_same(&mut self, padding: Padding) {
        self.pad = Pad::new(padding, &self.conv.same_padding(&self.weight.dims()[2..]));
    }

    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.pad.forward(x, pass).conv(&self.weight, self.bias.as_ref(), &self.conv)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let x = self.pad.export(x, graph)?;
        let size = &self.weight.dims()[2..];
        let [strides, padding, dilations] = self.conv.of_axes(size.len());
        let weight = graph.tensor("weight", self.weight.value());
        let bias = self.bias.as_ref().map(|bias| graph.tensor("bias", bias.value()));
        let inputs: Vec<&Value> = [&x, &weight].into_iter().chain(&bias).collect();
        let attributes = [
            ("kernel_shape", size.into()),
            ("strides", (&strides[..]).into()),
            ("pads", (&[&padding[..], &padding].concat()[..]).into()),
            ("dilations", (&dilations[..]).into()),
            ("group", self.conv.n_groups().into()),
        ];
        Ok(graph.op("Conv", &inputs, attributes))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        if let Some(bias) = &self.bias {
            visitor.parameter("bias", bias);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        if let Some(bias) = &mut self.bias {
            visitor.parameter("bias", bias);
        }
    }
}

/// Convolution of sequences. [`Conv`] has the options, and says what the letters stand for.
///
/// # Shapes
/// x [N, C, L], weight [O, C / groups, K], bias `[O]` -> [N, O, M];
/// M = (L + 2·padding - dilation·(K - 1) - 1) / stride + 1, rounded down
///
/// # Gradient
/// d_x is the transposed convolution of d_y, d_weight correlates x with d_y, d_bias = Σ d_y over examples
/// and places
///
/// # Panics
/// `forward`, as [`Tensor::conv`], whose message begins with `conv`, and when x has another rank
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Conv1d, Module, Pass};
/// use plies_tensor::{Conv, Tensor};
/// let weight = Tensor::from([[[-1f32, 1.0]]]);
/// let layer = Conv1d::from_weights(weight, None, Conv::default().stride(2));
/// let x = Var::constant(Tensor::from([[[1f32, 3.0, 4.0, 8.0]]]));
/// let y = layer.forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [2.0, 4.0]);
/// ```
#[derive(Debug)]
pub struct Conv1d(Filters);

impl Conv1d {
    /// A layer from `inputs` channels to `outputs` in F32 whose windows have `size` elements;
    /// weights by He's rule for ReLU ([`init::kaiming_normal`]), bias 0.
    ///
    /// # Panics
    /// When `inputs` or `outputs` is not a multiple of the groups, which must not be 0, a window is empty,
    /// or memory cannot address so many weights.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, size: usize, conv: Conv, rng: &mut Rng) -> Self {
        let inputs = per_group("conv1d", inputs, &conv);
        check::size("conv1d", &[outputs, inputs, size]);
        let weight = init::kaiming_normal([outputs, inputs, size], rng);
        Self::from_weights(weight, Some(init::zeros([outputs])), conv)
    }

    /// A layer of given weights [O, C / groups, K] and, unless it has none, bias `[O]`.
    ///
    /// # Panics
    /// When the shapes are others, O is not a multiple of the groups, or a window is empty.
    #[track_caller]
    pub fn from_weights(weight: Tensor, bias: Option<Tensor>, conv: Conv) -> Self {
        Conv1d(Filters::from_weights("conv1d", 1, weight, bias, conv))
    }

    /// The same layer, which pads its input like this first, where [`Conv::padding`] has zeros only, as many
    /// on either side.
    pub fn pad(mut self, pad: Pad) -> Self {
        self.0.pad = pad;
        self
    }

    /// The same layer with so much of a padding that results are as long as inputs.
    ///
    /// # Panics
    /// As [`Conv::same_padding`]
    #[track_caller]
    pub fn same(mut self, padding: Padding) -> Self {
        self.0.pad_to_same(padding);
        self
    }

    /// The same layer without a bias.
    pub fn without_bias(mut self) -> Self {
        self.0.bias = None;
        self
    }

    /// weight [O, C / groups, K]
    pub fn weight(&self) -> &Var {
        &self.0.weight
    }

    /// bias `[O]`
    pub fn bias(&self) -> Option<&Var> {
        self.0.bias.as_ref()
    }
}

/// Convolution of images. [`Conv`] has the options, and says what the letters stand for.
///
/// # Shapes
/// x [N, C, H, W], weight [O, C / groups, KH, KW], bias `[O]` -> [N, O, OH, OW];
/// OH = (H + 2·padding - dilation·(KH - 1) - 1) / stride + 1, rounded down, and OW alike
///
/// # Gradient
/// d_x is the transposed convolution of d_y, d_weight correlates x with d_y, d_bias = Σ d_y over examples
/// and places
///
/// # Panics
/// `forward`, as [`Tensor::conv`], whose message begins with `conv`, and when x has another rank
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Conv2d, Module, Pass};
/// use plies_tensor::{Conv, DType, Device, Rng, Tensor};
/// let same = Conv2d::new(3, 16, [5, 5], Conv::default().padding(2), &mut Rng::new(1));
/// let images = Var::constant(Tensor::zeros([2, 3, 32, 32], DType::F32, &Device::cpu()));
/// assert_eq!(same.forward(&images, &mut Pass::eval()).dims(), [2, 16, 32, 32]);
/// ```
#[derive(Debug)]
pub struct Conv2d(Filters);

impl Conv2d {
    /// A layer from `inputs` channels to `outputs` in F32 whose windows have `size` rows and
    /// columns; weights by He's rule for ReLU ([`init::kaiming_normal`]), bias 0.
    ///
    /// # Panics
    /// When `inputs` or `outputs` is not a multiple of the groups, which must not be 0, a window is empty,
    /// or memory cannot address so many weights.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, size: [usize; 2], conv: Conv, rng: &mut Rng) -> Self {
        let inputs = per_group("conv2d", inputs, &conv);
        check::size("conv2d", &[outputs, inputs, size[0], size[1]]);
        let weight = init::kaiming_normal([outputs, inputs, size[0], size[1]], rng);
        Self::from_weights(weight, Some(init::zeros([outputs])), conv)
    }

    /// A layer of given weights [O, C / groups, KH, KW] and, unless it has none, bias `[O]`.
    ///
    /// # Panics
    /// When the shapes are others, O is not a multiple of the groups, or a window is empty.
    #[track_caller]
    pub fn from_weights(weight: Tensor, bias: Option<Tensor>, conv: Conv) -> Self {
        Conv2d(Filters::from_weights("conv2d", 2, weight, bias, conv))
    }

    /// The same layer, which pads its input like this first, where [`Conv::padding`] has zeros only, as many
    /// on either side.
    pub fn pad(mut self, pad: Pad) -> Self {
        self.0.pad = pad;
        self
    }

    /// The same layer with so much of a padding that results are as long as inputs.
    ///
    /// # Panics
    /// As [`Conv::same_padding`]
    #[track_caller]
    pub fn same(mut self, padding: Padding) -> Self {
        self.0.pad_to_same(padding);
        self
    }

    /// The same layer without a bias.
    pub fn without_bias(mut self) -> Self {
        self.0.bias = None;
        self
    }

    /// weight [O, C / groups, KH, KW]
    pub fn weight(&self) -> &Var {
        &self.0.weight
    }

    /// bias `[O]`
    pub fn bias(&self) -> Option<&Var> {
        self.0.bias.as_ref()
    }
}

/// Input channels of one group.
#[track_caller]
fn per_group(name: &str, inputs: usize, conv: &Conv) -> usize {
    let groups = conv.n_groups();
    assert!(
        groups > 0 && inputs.is_multiple_of(groups),
        "{name}: {inputs} input channels, not a multiple of {groups} groups"
    );
    inputs / groups
}

impl Module for Conv1d {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        assert!(x.rank() == 3, "conv1d: input {}; expected [N, C, L]", x.shape());
        self.0.forward(x, pass)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        self.0.export(x, graph)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.0.visit_mut(visitor);
    }
}

impl Module for Conv2d {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        assert!(x.rank() == 4, "conv2d: input {}; expected [N, C, H, W]", x.shape());
        self.0.forward(x, pass)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        self.0.export(x, graph)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.0.visit_mut(visitor);
    }
}
