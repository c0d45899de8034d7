//! Affine maps of the plane: rotation, scale, shear, shift, mirror.
//!
//! (x, y) ↦ (a x + b y + u, c x + d y + v)
//!
//! The origin is the centre of the picture; x is pixels to the right, y pixels down.

use plies_tensor::Tensor;

use super::images::Images;
use super::warp::{Warp, warp};

/// Where each point of a picture goes.
///
/// Maps are composed by [`then`](Affine::then) before any pixel is touched, so that a picture is
/// interpolated once, however many there are.
///
/// # Example
/// ```
/// use plies_nn::data::Affine;
/// use plies_tensor::Tensor;
/// let picture = Tensor::from([[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]]); // [1, 2, 3]
/// let turned = Affine::rotation(180.0).then(&Affine::mirror()).warp(&picture, 0.0);
/// assert_eq!(turned.to_vec::<f32>().unwrap(), [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// [[a, b, u], [c, d, v]]
    rows: [[f64; 3]; 2],
}

impl Affine {
    /// Everything stays where it is.
    pub const IDENTITY: Affine = Affine { rows: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] };

    /// The map with these rows, [[a, b, u], [c, d, v]].
    ///
    /// # Panics
    /// When a number is not finite, or the map has no inverse.
    #[track_caller]
    pub fn new(rows: [[f64; 3]; 2]) -> Self {
        let map = Affine { rows };
        let finite = rows.as_flattened().iter().all(|number| number.is_finite());
        assert!(
            finite && map.determinant().is_normal(),
            "affine: {rows:?} maps the plane onto a line or less"
        );
        map
    }

    /// A turn by an angle in degrees, counter-clockwise as it is seen. By a multiple of 90° pixels fall on
    /// pixels exactly.
    ///
    /// # Panics
    /// When the angle is not finite.
    #[track_caller]
    pub fn rotation(degrees: f64) -> Self {
        let quarters = (degrees / 90.0).round();
        let (sin, cos) = (degrees - 90.0 * quarters).to_radians().sin_cos();
        let (sin, cos) = match quarters.rem_euclid(4.0) {
            0.0 => (sin, cos),
            1.0 => (cos, -sin),
            2.0 => (-sin, -cos),
            _ => (-cos, sin),
        };
        Affine::new([[cos, sin, 0.0], [-sin, cos, 0.0]])
    }

    /// `x` pixels to the right and `y` down.
    ///
    /// # Panics
    /// When one is not finite.
    #[track_caller]
    pub fn shift(x: f64, y: f64) -> Self {
        Affine::new([[1.0, 0.0, x], [0.0, 1.0, y]])
    }

    /// `x` times as wide and `y` times as high.
    ///
    /// # Panics
    /// When one is 0 or not finite.
    #[track_caller]
    pub fn scale(x: f64, y: f64) -> Self {
        Affine::new([[x, 0.0, 0.0], [0.0, y, 0.0]])
    }

    /// Rows pushed along themselves until columns lean by an angle in degrees, to the right at the top.
    ///
    /// # Panics
    /// When the angle is not finite.
    #[track_caller]
    pub fn shear(degrees: f64) -> Self {
        Affine::new([[1.0, -degrees.to_radians().tan(), 0.0], [0.0, 1.0, 0.0]])
    }

    /// Left and right exchanged.
    pub fn mirror() -> Self {
        Affine::scale(-1.0, 1.0)
    }

    /// This map, and `next` applied to its result.
    pub fn then(&self, next: &Affine) -> Self {
        let [p, q] = self.rows;
        let row = |[a, b, u]: [f64; 3]| {
            let at = |i: usize| a * p[i] + b * q[i];
            [at(0), at(1), at(2) + u]
        };
        Affine { rows: next.rows.map(row) }
    }

    /// Where each point comes from.
    pub fn inverse(&self) -> Self {
        let [[a, b, u], [c, d, v]] = self.rows;
        let n = self.determinant();
        let [[a, b], [c, d]] = [[d / n, -b / n], [-c / n, a / n]];
        Affine { rows: [[a, b, -(a * u + b * v)], [c, d, -(c * u + d * v)]] }
    }

    /// [[a, b, u], [c, d, v]]
    pub fn rows(&self) -> [[f64; 3]; 2] {
        self.rows
    }

    fn determinant(&self) -> f64 {
        let [[a, b, _], [c, d, _]] = self.rows;
        a * d - b * c
    }

    /// Moves the points of pictures; between pixels they are interpolated linearly, and beyond the edge
    /// all is `fill`.
    ///
    /// # Shapes
    /// images [N, C, H, W] or [N, H, W], F32 -> the same
    ///
    /// # Panics
    /// When `images` are something else.
    #[track_caller]
    pub fn warp(&self, images: &Tensor, fill: f32) -> Tensor {
        let mut images = Images::new(images);
        let warps = vec![Warp { inverse: self.inverse(), fields: Vec::new() }; images.count];
        let [_, h, w] = images.dims;
        warp(&mut images, [h, w], &warps, &[], fill);
        images.into_tensor()
    }
}
