//! Pooling: each window of a sequence or an image becomes one element.

use crate::backend::{Buffer, Windows};
use crate::{DType, Pool, Shape, Tensor};

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
            let len = x[axis] + 2 * padding[a];
            assert!(
                size[a] <= len && x[axis] > 0,
                "{operation}: a window of {} does not fit into axis {axis} of {x}, {self:?}",
                size[a]
            );
            windows.count[a] = (len - size[a]) / stride[a] + 1;
            shape[axis] = windows.count[a];
        }
        (windows, shape)
    }
}

impl Tensor {
    /// The largest element of each window, and its position in the plane (row · W + column) or the
    /// sequence that it comes from, as I32. Padding is never the largest; of equal elements it is
    /// the first; NaN counts as larger than all numbers.
    ///
    /// # Shapes
    /// x [N, C, L] -> [N, C, M], x [N, C, H, W] -> [N, C, OH, OW];
    /// M = (L + 2·padding - size) / stride + 1, rounded down
    ///
    /// # Panics
    /// When the shape is another, a window does not fit, or padding is more than half of one.
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
        let (device, n) = (self.device(), shape.elem_count());
        let mut values = Buffer::allocate(device, self.dtype(), n);
        let mut positions = Buffer::allocate(device, DType::I32, n);
        if n > 0 {
            device.backend().max_pool(image.view(), windows, &mut values, &mut positions);
        }
        (Tensor::from_buffer(values, shape), Tensor::from_buffer(positions, shape))
    }
}
