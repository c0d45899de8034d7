//! Transposed convolution of sequences and of images: the operation that turns the gradient of a
//! convolution's result into that of its input, as a layer. Each element of x puts the weight, times
//! itself, where a convolution would have read that element from; so a stride makes images larger.
//!
//! y\[n, o, stride·i + dilation·k - padding\] = bias\[o\] + Σ\[c, i, k\] w\[c, o, k\] · x\[n, c, i\]

use plies_autograd::Var;
use plies_tensor::{Conv, PerAxis, Rng, Tensor};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut, check, init};

/// What both layers are made of.
#[derive(Debug)]
struct Stamps {
    weight: Var,
    bias: Option<Var>,
    conv: Conv,
    output_padding: PerAxis,
}

impl Stamps {
    /// Weights [C, O / groups, ...] by He's rule.
    #[track_caller]
    fn new(
        name: &str,
        inputs: usize,
        outputs: usize,
        window: &[usize],
        conv: Conv,
        rng: &mut Rng,
    ) -> Self {
        let groups = conv.n_groups();
        assert!(
            groups > 0 && outputs.is_multiple_of(groups),
            "{name}: {outputs} output channels, not a multiple of {groups} groups"
        );
        check_inputs(name, inputs, groups);
        check::size(name, &[&[inputs, outputs / groups], window].concat());
        // Drawn as [O, C / groups, ...], whose fan-in is what reaches one element of y without a stride.
        let weight = init::kaiming_normal([&[outputs, inputs / groups], window].concat(), rng);
        let weight = weight.reshape([&[inputs, outputs / groups], window].concat());
        Self::from_weights(name, window.len(), weight, Some(init::zeros([outputs])), conv)
    }

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
            "{name}: weight {} must have {axes} axes behind [C, O]",
            weight.shape()
        );
        assert!(
            weight.dims()[2..].iter().all(|&size| size > 0),
            "{name}: weight {} has windows of no elements",
            weight.shape()
        );
        check_inputs(name, weight.dim(0), conv.n_groups());
        if let Some(bias) = &bias {
            assert!(
                bias.dims() == [weight.dim(1) * conv.n_groups()],
                "{name}: bias {} for weight {} in {} groups",
                bias.shape(),
                weight.shape(),
                conv.n_groups()
            );
        }
        let output_padding = PerAxis::All(0);
        Stamps { weight: Var::leaf(weight), bias: bias.map(Var::leaf), conv, output_padding }
    }

    #[track_caller]
    fn forward(&self, x: &Var) -> Var {
        x.conv_transpose(&self.weight, self.bias.as_ref(), &self.conv, self.output_padding)
    }

    fn export(&self, x: &Value, graph: &Graph) -> Value {
        let size = &self.weight.dims()[2..];
        let [strides, padding, dilations] = self.conv.of_axes(size.len());
        let [_, output_padding, _] =
            Conv::default().padding(self.output_padding).of_axes(size.len());
        let weight = graph.tensor("weight", self.weight.value());
        let bias = self.bias.as_ref().map(|bias| graph.tensor("bias", bias.value()));
        let inputs: Vec<&Value> = [x, &weight].into_iter().chain(&bias).collect();
        let attributes = [
            ("kernel_shape", size.into()),
            ("strides", (&strides[..]).into()),
            ("pads", (&[&padding[..], &padding].concat()[..]).into()),
            ("dilations", (&dilations[..]).into()),
            ("group", self.conv.n_groups().into()),
            ("output_padding", (&output_padding[..]).into()),
        ];
        graph.op("ConvTranspose", &inputs, attributes)
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

#[track_caller]
fn check_inputs(name: &str, inputs: usize, groups: usize) {
    assert!(
        groups > 0 && inputs.is_multiple_of(groups),
        "{name}: {inputs} input channels, not a multiple of {groups} groups"
    );
}

/// Transposed convolution of sequences. [`Conv`] has the options, and says what the letters stand for.
///
/// # Shapes
/// x [N, C, L], weight [C, O / groups, K], bias `[O]` -> [N, O, M];
/// M = (L - 1)·stride - 2·padding + dilation·(K - 1) + output_padding + 1
///
/// # Gradient
/// d_x is the convolution of d_y, d_weight correlates d_y with x, d_bias = Σ d_y over examples and places
///
/// # Panics
/// `forward`, as [`Tensor::conv_transpose`], whose message begins with `conv_transpose`, and when x has
/// another rank
///
/// # Source
/// Zeiler, Krishnan, Taylor, Fergus: Deconvolutional networks (2010).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{ConvTranspose1d, Module, Pass};
/// use plies_tensor::{Conv, Tensor};
/// let weight = Tensor::from([[[1f32, 2.0, 3.0]]]);
/// let layer = ConvTranspose1d::from_weights(weight, None, Conv::default().stride(2));
/// let x = Var::constant(Tensor::from([[[1f32, 10.0]]]));
/// let y = layer.forward(&x, &mut Pass::eval());
/// assert_eq!(y.value().to_vec::<f32>().unwrap(), [1.0, 2.0, 13.0, 20.0, 30.0]);
/// ```
#[derive(Debug)]
pub struct ConvTranspose1d(Stamps);

impl ConvTranspose1d {
    /// A layer from `inputs` channels to `outputs` in F32 whose windows have `size` elements; weights by
    /// He's rule for ReLU ([`init::kaiming_normal`]) with fan-in C / groups · K, bias 0.
    ///
    /// # Panics
    /// When `inputs` or `outputs` is not a multiple of the groups, which must not be 0, a window is empty,
    /// or memory cannot address so many weights.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, size: usize, conv: Conv, rng: &mut Rng) -> Self {
        ConvTranspose1d(Stamps::new("conv_transpose1d", inputs, outputs, &[size], conv, rng))
    }

    /// A layer of given weights [C, O / groups, K] and, unless it has none, bias `[O]`.
    ///
    /// # Panics
    /// When the shapes are others, C is not a multiple of the groups, or a window is empty.
    #[track_caller]
    pub fn from_weights(weight: Tensor, bias: Option<Tensor>, conv: Conv) -> Self {
        ConvTranspose1d(Stamps::from_weights("conv_transpose1d", 1, weight, bias, conv))
    }

    /// So many more elements of the result, less than the stride: of the lengths that a convolution with
    /// this stride makes into L, which one is meant. Otherwise the shortest.
    pub fn output_padding(mut self, output_padding: usize) -> Self {
        self.0.output_padding = output_padding.into();
        self
    }

    /// The same layer without a bias.
    pub fn without_bias(mut self) -> Self {
        self.0.bias = None;
        self
    }

    /// weight [C, O / groups, K]
    pub fn weight(&self) -> &Var {
        &self.0.weight
    }

    /// bias `[O]`
    pub fn bias(&self) -> Option<&Var> {
        self.0.bias.as_ref()
    }
}

/// Transposed convolution of images. [`Conv`] has the options, and says what the letters stand for.
///
/// # Shapes
/// x [N, C, H, W], weight [C, O / groups, KH, KW], bias `[O]` -> [N, O, OH, OW];
/// OH = (H - 1)·stride - 2·padding + dilation·(KH - 1) + output_padding + 1, and OW alike
///
/// # Gradient
/// d_x is the convolution of d_y, d_weight correlates d_y with x, d_bias = Σ d_y over examples and places
///
/// # Panics
/// `forward`, as [`Tensor::conv_transpose`], whose message begins with `conv_transpose`, and when x has
/// another rank
///
/// # Source
/// Zeiler, Krishnan, Taylor, Fergus: Deconvolutional networks (2010).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{ConvTranspose2d, Module, Pass};
/// use plies_tensor::{Conv, DType, Device, Rng, Tensor};
/// let conv = Conv::default().stride(2).padding(1);
/// let doubling = ConvTranspose2d::new(16, 3, [3, 3], conv, &mut Rng::new(1)).output_padding(1);
/// let images = Var::constant(Tensor::zeros([2, 16, 8, 8], DType::F32, &Device::cpu()));
/// assert_eq!(doubling.forward(&images, &mut Pass::eval()).dims(), [2, 3, 16, 16]);
/// ```
#[derive(Debug)]
pub struct ConvTranspose2d(Stamps);

impl ConvTranspose2d {
    /// A layer from `inputs` channels to `outputs` in F32 whose windows have `size` rows and columns;
    /// weights by He's rule for ReLU ([`init::kaiming_normal`]) with fan-in C / groups · KH · KW, bias 0.
    ///
    /// # Panics
    /// When `inputs` or `outputs` is not a multiple of the groups, which must not be 0, a window is empty,
    /// or memory cannot address so many weights.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, size: [usize; 2], conv: Conv, rng: &mut Rng) -> Self {
        ConvTranspose2d(Stamps::new("conv_transpose2d", inputs, outputs, &size, conv, rng))
    }

    /// A layer of given weights [C, O / groups, KH, KW] and, unless it has none, bias `[O]`.
    ///
    /// # Panics
    /// When the shapes are others, C is not a multiple of the groups, or a window is empty.
    #[track_caller]
    pub fn from_weights(weight: Tensor, bias: Option<Tensor>, conv: Conv) -> Self {
        ConvTranspose2d(Stamps::from_weights("conv_transpose2d", 2, weight, bias, conv))
    }

    /// So many more rows and columns of the result, less than the stride: of the sizes that a convolution
    /// with this stride makes into H and W, which one is meant. Otherwise the smallest.
    pub fn output_padding(mut self, output_padding: impl Into<PerAxis>) -> Self {
        self.0.output_padding = output_padding.into();
        self
    }

    /// The same layer without a bias.
    pub fn without_bias(mut self) -> Self {
        self.0.bias = None;
        self
    }

    /// weight [C, O / groups, KH, KW]
    pub fn weight(&self) -> &Var {
        &self.0.weight
    }

    /// bias `[O]`
    pub fn bias(&self) -> Option<&Var> {
        self.0.bias.as_ref()
    }
}

impl Module for ConvTranspose1d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        assert!(x.rank() == 3, "conv_transpose1d: input {}; expected [N, C, L]", x.shape());
        self.0.forward(x)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(self.0.export(x, graph))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.0.visit_mut(visitor);
    }
}

impl Module for ConvTranspose2d {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        assert!(x.rank() == 4, "conv_transpose2d: input {}; expected [N, C, H, W]", x.shape());
        self.0.forward(x)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        Ok(self.0.export(x, graph))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.0.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.0.visit_mut(visitor);
    }
}
