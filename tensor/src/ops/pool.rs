//! Pooling: each window of a sequence or an image becomes one element.

use crate::backend::{Buffer, Windows};
use crate::{Conv, DType, Pool, Shape, Tensor};

impl Pool {
    /// Checks the shape of the input; returns the windows and the shape of the result.
    #[track_caller]
    fn windows(&self, operation: &str, x: Shape) -> (Windows, Shape) {
        assert!(
            x.len() == 3 || x.len() == 4,
            "{operation}: input {x}; expected [N, C, L] or [N, C, H, W]"
        );
        let axes = x.len() - 2;
        let size = self.size.resolve(operation, "size", axes, 1);
        let stride = self.stride.map_or(size, |s| s.resolve(operation, "stride", axes, 1));
        let padding = self.padding.resolve(operation, "padding", axes, 0);
        assert!(
            size.iter().chain(&stride).all(|&n| n > 0),
            "{operation}: {self:?}: size and stride must be positive"
        );
        assert!(
            (0..2).all(|a| padding[a] <= size[a] / 2),
            "{operation}: padding {padding:?} is more than half of a window {size:?}"
        );
        let mut windows = Windows { size, stride, padding, count: [1, 1] };
        let mut shape = x;
        for (axis, a) in (2..).zip(2 - axes..2) {
            let count = self.count(x[axis], size[a], stride[a], padding[a]);
            let Some(count) = count.filter(|_| x[axis] > 0) else {
                panic!(
                    "{operation}: a window of {} does not fit into axis {axis} of {x}, {self:?}",
                    size[a]
                )
            };
            windows.count[a] = count;
            shape[axis] = windows.count[a];
            // A longer step leads outside as well, and no backend need make room for it.
            windows.stride[a] = stride[a].min(x[axis] + 2 * padding[a]);
        }
        (windows, shape)
    }

    /// How many windows an axis of `len` elements has, if any.
    fn count(&self, len: usize, size: usize, stride: usize, padding: usize) -> Option<usize> {
        let padded = (2 * padding).checked_add(len)?;
        if !self.round_up {
            return Some(padded.checked_sub(size)? / stride + 1);
        }
        let hanging = padded.saturating_sub(size).div_ceil(stride);
        // One that begins behind the input has no element.
        Some(hanging.min((len + padding).checked_sub(1)? / stride) + 1)
    }
}

/// An average as a convolution of every plane by itself with ones, divided at the end, so that it is
/// rounded once more than the sum is. Zeros stand where windows hang over the end.
struct Average {
    conv: Conv,
    /// [1, 1, KH, KW]
    ones: Tensor,
    /// The planes of the input, [N · C, 1, H, W], and of the result.
    input: Shape,
    output: Shape,
    /// How many rows and columns windows hang over the end of the padded input.
    over: [usize; 2],
    /// The shape of the result.
    shape: Shape,
    /// Elements of each window: one number, or [1, 1, OH, OW].
    count: Tensor,
}

impl Average {
    #[track_caller]
    fn new(operation: &str, pool: &Pool, x: Shape, like: &Tensor) -> Average {
        let (windows, shape) = pool.windows(operation, x);
        assert!(
            like.dtype().is_float(),
            "{operation}: not defined on {}; cast with to_dtype first",
            like.dtype()
        );
        let planes = |shape: Shape| match shape[2..] {
            [l] => Shape::from([shape[0] * shape[1], 1, 1, l]),
            [h, w] => Shape::from([shape[0] * shape[1], 1, h, w]),
            _ => shape,
        };
        let Windows { size, stride, padding, .. } = windows;
        let conv = Conv::default().stride(stride).padding(padding);
        let (input, output) = (planes(x), planes(shape));
        let full = |dims: Shape, value: f64| Tensor::full(dims, value, like.dtype(), like.device());
        let ones = full([1, 1, size[0], size[1]].into(), 1.0);
        let over = [0, 1].map(|a| {
            let reach = (output[a + 2] - 1) * stride[a] + size[a];
            reach.saturating_sub(input[a + 2] + 2 * padding[a])
        });
        let is_full = over == [0, 0] && (pool.count_padding || padding == [0, 0]);
        let count = if is_full {
            full(Shape::SCALAR, (size[0] * size[1]) as f64)
        } else {
            // Where there is something to count, as a plane: what hangs over is not, padding may be.
            let counted = if pool.count_padding { padding } else { [0, 0] };
            let plane = [0, 1].map(|a| input[a + 2] + 2 * counted[a]);
            let conv = conv.padding([0, 1].map(|a| padding[a] - counted[a]));
            hang_over(&full([1, 1, plane[0], plane[1]].into(), 1.0), over).conv(&ones, None, &conv)
        };
        Average { conv, ones, input, output, over, shape, count }
    }
}

/// Zeros below and right of each plane.
fn hang_over(x: &Tensor, over: [usize; 2]) -> Tensor {
    let rows = if over[0] > 0 { x.pad(2, 0, over[0], 0.0) } else { x.clone() };
    if over[1] > 0 { rows.pad(3, 0, over[1], 0.0) } else { rows }
}

/// Averages.
impl Tensor {
    /// The average of each window. Padding counts as zeros, or not at all if
    /// [`Pool::count_padding`] says so.
    ///
    /// # Shapes
    /// x [N, C, L] -> [N, C, M], x [N, C, H, W] -> [N, C, OH, OW];
    /// M = (L + 2·padding - size) / stride + 1, rounded down (or up: [`Pool::round_up`]), and OH and OW
    /// alike; [`Conv`] says what the letters stand for
    ///
    /// # Panics
    /// When the shape is another, an axis or a window is empty, a window does not fit, the stride is 0, padding
    /// is more than half of a window, or for integers.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Pool, Tensor};
    /// let x = Tensor::from([[[1f32, 4.0, 3.0, 2.0]]]);
    /// let y = x.avg_pool(&Pool::new(2).stride(1));
    /// assert_eq!(y.to_vec::<f32>().unwrap(), [2.5, 3.5, 2.5]);
    /// ```
    #[doc(alias("avg_pool1d", "avg_pool2d", "mean_pool"))]
    #[track_caller]
    pub fn avg_pool(&self, pool: &Pool) -> Tensor {
        let average = Average::new("avg_pool", pool, self.shape(), self);
        let planes = hang_over(&self.reshape(average.input), average.over);
        let sum = planes.conv(&average.ones, None, &average.conv);
        (sum / average.count).reshape(average.shape)
    }

    /// The gradient of [`avg_pool`](Tensor::avg_pool) with respect to its input, which has the shape
    /// `dims`, from this, that of its result: each element is shared out among its window.
    ///
    /// # Shapes
    /// d_y [N, C, M] -> d_x [N, C, L], d_y [N, C, OH, OW] -> d_x [N, C, H, W]
    ///
    /// # Panics
    /// As [`avg_pool`](Tensor::avg_pool) of an input of the shape `dims`, and when its result would
    /// have another shape than this.
    #[track_caller]
    pub fn avg_pool_gradient(&self, dims: impl Into<Shape>, pool: &Pool) -> Tensor {
        let dims = dims.into();
        let average = Average::new("avg_pool_gradient", pool, dims, self);
        assert!(
            self.shape() == average.shape,
            "avg_pool_gradient: {} for an input {dims}, whose averages are {}",
            self.shape(),
            average.shape
        );
        let share = self.reshape(average.output) / average.count;
        let mut hanging = average.input;
        (0..2).for_each(|a| hanging[a + 2] += average.over[a]);
        let d_x = share.conv_input_gradient(&average.ones, hanging, &average.conv);
        let inside = (0..2).fold(d_x, |d_x, a| d_x.narrow(a as isize + 2, 0, average.input[a + 2]));
        inside.reshape(dims)
    }
}

/// Maxima.
impl Tensor {
    /// The largest element of each window, and its position in the plane (row · W + column) or the
    /// sequence that it comes from, as I32, padding not counted. Padding is never the largest; of equal
    /// elements it is the first; NaN counts as larger than all numbers.
    ///
    /// # Shapes
    /// x [N, C, L] -> [N, C, M], x [N, C, H, W] -> [N, C, OH, OW];
    /// M = (L + 2·padding - size) / stride + 1, rounded down (or up: [`Pool::round_up`]), and OH and OW
    /// alike; [`Conv`] says what the letters stand for
    ///
    /// # Panics
    /// When the shape is another, an axis or a window is empty, a window does not fit, the stride is 0, or
    /// padding is more than half of a window.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Pool, Tensor};
    /// let x = Tensor::from([[[1f32, 4.0, 3.0, 2.0]]]);
    /// let (values, positions) = x.max_pool(&Pool::new(2));
    /// assert_eq!(values.to_vec::<f32>().unwrap(), [4.0, 3.0]);
    /// assert_eq!(positions.to_vec::<i32>().unwrap(), [1, 2]);
    /// ```
    #[doc(alias("max_pool1d", "max_pool2d"))]
    #[track_caller]
    pub fn max_pool(&self, pool: &Pool) -> (Tensor, Tensor) {
        let (windows, shape) = pool.windows("max_pool", self.shape());
        let image = if self.rank() == 3 { self.unsqueeze(2) } else { self.clone() };
        let image = image.contiguous();
        let device = self.device();
        let mut values = Buffer::allocate(device, self.dtype(), &shape);
        let mut positions = Buffer::allocate(device, DType::I32, &shape);
        if !values.is_empty() {
            device.backend().max_pool(image.view(), windows, &mut values, &mut positions);
        }
        (Tensor::from_buffer(values, shape), Tensor::from_buffer(positions, shape))
    }
}
