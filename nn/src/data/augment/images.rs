//! Pictures as plain numbers, while they are changed.

use plies_tensor::{DType, Tensor};

/// `count` pictures of the size [C, H, W].
pub(super) struct Images {
    pub(super) pixels: Vec<f32>,
    pub(super) count: usize,
    pub(super) dims: [usize; 3],
    /// Whether the tensor has an axis of channels.
    channels: bool,
}

impl Images {
    /// # Panics
    /// When they are not [N, C, H, W] or [N, H, W], or not F32.
    #[track_caller]
    pub(super) fn new(images: &Tensor) -> Self {
        let (count, dims) = match *images.dims() {
            [n, c, h, w] => (n, [c, h, w]),
            [n, h, w] => (n, [1, h, w]),
            _ => panic!("augment: images {}; expected [N, C, H, W] or [N, H, W]", images.shape()),
        };
        assert!(
            images.dtype() == DType::F32,
            "augment: images are {}, not f32; cast with to_dtype first",
            images.dtype()
        );
        let pixels = match images.to_vec() {
            Ok(pixels) => pixels,
            Err(fault) => panic!("augment: {fault}"),
        };
        Images { pixels, count, dims, channels: images.rank() == 4 }
    }

    /// Numbers of one picture.
    pub(super) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The pixels of each picture.
    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let len = self.len();
        // Pictures of no pixels are left out: there is nothing to change in them.
        self.pixels.chunks_exact_mut(len.max(1))
    }

    pub(super) fn into_tensor(self) -> Tensor {
        let [c, h, w] = self.dims;
        if self.channels {
            Tensor::from_vec(self.pixels, [self.count, c, h, w])
        } else {
            Tensor::from_vec(self.pixels, [self.count, h, w])
        }
    }
}
