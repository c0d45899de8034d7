//! How windows move over the spatial axes of an image (rows and columns) or of a sequence (one
//! axis): the options of convolution and pooling.

/// A number for each spatial axis: the same for all (`3`), or one each (`[3]`, `[3, 5]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerAxis {
    /// The same for every axis.
    All(usize),
    /// That of the only axis.
    One([usize; 1]),
    /// Those of rows and columns.
    Two([usize; 2]),
}

impl From<usize> for PerAxis {
    fn from(n: usize) -> Self {
        PerAxis::All(n)
    }
}

impl From<[usize; 1]> for PerAxis {
    fn from(n: [usize; 1]) -> Self {
        PerAxis::One(n)
    }
}

impl From<[usize; 2]> for PerAxis {
    fn from(n: [usize; 2]) -> Self {
        PerAxis::Two(n)
    }
}

impl PerAxis {
    /// The numbers for rows and columns. A sequence is an image of one row, for which the number
    /// is `flat`.
    #[track_caller]
    pub(crate) fn resolve(
        self,
        operation: &str,
        what: &str,
        axes: usize,
        flat: usize,
    ) -> [usize; 2] {
        match (self, axes) {
            (PerAxis::All(n), 2) => [n, n],
            (PerAxis::All(n) | PerAxis::One([n]), 1) => [flat, n],
            (PerAxis::Two(n), 2) => n,
            _ => panic!("{operation}: {what} {self:?} for {axes} spatial axes"),
        }
    }

    /// The numbers of so many axes.
    #[track_caller]
    fn list(self, operation: &str, what: &str, axes: usize) -> Vec<usize> {
        self.resolve(operation, what, axes, 0)[2 - axes..].to_vec()
    }
}

/// The options of a convolution. A sequence takes one number of each, an image one number for both
/// axes or two.
///
/// # Shapes
/// The letters, wherever windows move: N examples of a batch, C channels of the input, O channels of the
/// result; L the length of a sequence, K that of a window, M that of the result; H and W the rows and
/// columns of an image, KH and KW those of a window, OH and OW those of the result. (Where nothing moves, in
/// linear and recurrent layers, a batch is `B` and a sequence has `T` steps.)
///
/// # Example
/// ```
/// use plies_tensor::Conv;
/// let downsampling = Conv::default().stride(2).padding([1, 2]);
/// let depthwise = Conv::default().padding(1).groups(16);
/// # assert_ne!(downsampling, depthwise);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    pub(crate) stride: PerAxis,
    pub(crate) padding: PerAxis,
    pub(crate) dilation: PerAxis,
    pub(crate) groups: usize,
}

impl Default for Conv {
    /// Stride 1, no padding, dilation 1, one group.
    fn default() -> Self {
        let [one, zero] = [PerAxis::All(1), PerAxis::All(0)];
        Conv { stride: one, padding: zero, dilation: one, groups: 1 }
    }
}

impl Conv {
    /// Elements from one window to the next, at least 1.
    #[must_use]
    pub fn stride(self, stride: impl Into<PerAxis>) -> Self {
        Conv { stride: stride.into(), ..self }
    }

    /// So many zeros on either side of each axis of the input.
    #[must_use]
    pub fn padding(self, padding: impl Into<PerAxis>) -> Self {
        Conv { padding: padding.into(), ..self }
    }

    /// Elements of the input from one element of a window to the next, at least 1.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<PerAxis>) -> Self {
        Conv { dilation: dilation.into(), ..self }
    }

    /// Cuts input and output channels into so many groups, at least 1; each group of outputs sees one
    /// group of inputs, and both numbers of channels must be multiples. As many groups as input channels
    /// is called depthwise.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Conv { groups, ..self }
    }

    /// How many elements around each axis, before and behind it, make the result as long as the input, for
    /// windows of `size`: dilation · (K - 1) in all, the odd one behind.
    ///
    /// # Panics
    /// When the convolution has a stride or a padding.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::Conv;
    /// assert_eq!(Conv::default().dilation([1, 2]).same_padding(&[2, 3]), [[0, 1], [2, 2]]);
    /// ```
    #[track_caller]
    pub fn same_padding(&self, size: &[usize]) -> Vec<[usize; 2]> {
        let axes = size.len();
        let resolve = |what: PerAxis, name: &str| what.resolve("same_padding", name, axes, 1);
        let (stride, dilation) =
            (resolve(self.stride, "stride"), resolve(self.dilation, "dilation"));
        let padding = self.padding.resolve("same_padding", "padding", axes, 0);
        assert!(
            stride == [1, 1] && padding == [0, 0],
            "same_padding: {self:?}: a stride makes the result shorter, a padding longer"
        );
        let around = |(a, &k): (usize, &usize)| {
            let all = dilation[a + 2 - axes].saturating_mul(k.saturating_sub(1));
            [all / 2, all - all / 2]
        };
        size.iter().enumerate().map(around).collect()
    }

    /// Number of groups.
    pub fn n_groups(&self) -> usize {
        self.groups
    }

    /// Stride, padding and dilation of each of so many spatial axes.
    ///
    /// # Panics
    /// When another number of them is given.
    #[track_caller]
    pub fn of_axes(&self, axes: usize) -> [Vec<usize>; 3] {
        [("stride", self.stride), ("padding", self.padding), ("dilation", self.dilation)]
            .map(|(what, of)| of.list("conv", what, axes))
    }
}

/// The windows of a pooling. A sequence takes one number of each, an image one number for both axes or
/// two. The letters of its shapes are those of [`Conv`].
///
/// # Example
/// ```
/// use plies_tensor::Pool;
/// let halving = Pool::new(2);
/// let smoothing = Pool::new(3).stride(1).padding(1);
/// # assert_ne!(halving, smoothing);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    pub(crate) size: PerAxis,
    pub(crate) stride: Option<PerAxis>,
    pub(crate) padding: PerAxis,
    pub(crate) count_padding: bool,
    pub(crate) round_up: bool,
}

impl Pool {
    /// Windows of `size` elements side by side, without padding.
    pub fn new(size: impl Into<PerAxis>) -> Self {
        let padding = PerAxis::All(0);
        Pool { size: size.into(), stride: None, padding, count_padding: true, round_up: false }
    }

    /// Elements from one window to the next, at least 1; otherwise the window's size.
    #[must_use]
    pub fn stride(self, stride: impl Into<PerAxis>) -> Self {
        Pool { stride: Some(stride.into()), ..self }
    }

    /// So many elements on either side of each axis of the input, at most half of a window's size. To a
    /// maximum they are less than all others and never chosen; to an average they are 0, and count among
    /// the window's elements unless [`count_padding`](Pool::count_padding) says otherwise.
    #[must_use]
    pub fn padding(self, padding: impl Into<PerAxis>) -> Self {
        Pool { padding: padding.into(), ..self }
    }

    /// Whether an average divides by all elements of a window, padding among them (as it does unless
    /// this says `false`), or by those inside the input. A maximum does not ask.
    #[must_use]
    pub fn count_padding(self, count_padding: bool) -> Self {
        Pool { count_padding, ..self }
    }
    /// Whether a window that hangs over the end of the input counts too, so that the number of windows is
    /// rounded up instead of down: the last elements are then in a window, whatever the stride. A window
    /// must still begin inside the input or the padding before it. What hangs over is neither chosen nor
    /// counted, not even by [`count_padding`](Pool::count_padding).
    #[doc(alias = "ceil_mode")]
    #[must_use]
    pub fn round_up(self, round_up: bool) -> Self {
        Pool { round_up, ..self }
    }

    /// Whether an average divides by all elements of a window.
    pub fn counts_padding(&self) -> bool {
        self.count_padding
    }

    /// Whether the number of windows is rounded up.
    pub fn rounds_up(&self) -> bool {
        self.round_up
    }

    /// Size, stride and padding of each of so many spatial axes.
    ///
    /// # Panics
    /// When another number of them is given.
    #[track_caller]
    pub fn of_axes(&self, axes: usize) -> [Vec<usize>; 3] {
        let stride = self.stride.unwrap_or(self.size);
        [("size", self.size), ("stride", stride), ("padding", self.padding)]
            .map(|(what, of)| of.list("pool", what, axes))
    }
}
