//! Rectangles of a picture replaced by something else.

use plies_tensor::Rng;

/// How pictures lose a rectangle: what is to be recognised is then recognised from all of its parts.
///
/// The rectangle has a random share of the area and a random ratio of height to width, uniform between
/// `aspect` and 1 / `aspect`, and a random place where it fits. When a hundred of them do not fit the
/// picture is left whole.
///
/// # Source
/// Zhong, Zheng, Kang, Li, Yang: Random erasing data augmentation (2017), algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Erase {
    /// How likely it is that a picture loses one.
    pub probability: f64,
    /// Least and largest share of the picture's area.
    pub area: (f64, f64),
    /// Least ratio of height to width, up to 1.
    pub aspect: f64,
    /// What stands in the rectangle; random numbers from 0 to 1 when it is nothing certain.
    pub value: Option<f32>,
}

impl Default for Erase {
    /// Half of the pictures, 2 to 40 % of the area, ratios of 0.3 to 1/0.3, random numbers: as in the
    /// paper.
    fn default() -> Self {
        Erase { probability: 0.5, area: (0.02, 0.4), aspect: 0.3, value: None }
    }
}

impl Erase {
    /// # Panics
    /// When a setting has no meaning.
    #[track_caller]
    pub(super) fn check(&self) {
        let Erase { probability, area: (least, largest), aspect, .. } = *self;
        assert!((0.0..=1.0).contains(&probability), "augment: {probability} is not a probability");
        assert!(
            0.0 <= least && least <= largest && largest <= 1.0,
            "augment: areas of {least} to {largest} are not shares of a picture"
        );
        assert!(0.0 < aspect && aspect <= 1.0, "augment: aspect {aspect} is not in 0..=1");
    }

    /// Erases what the random numbers say, in all channels of a picture of [C, H, W].
    pub(super) fn apply(&self, image: &mut [f32], [_, h, w]: [usize; 3], rng: &mut Rng) {
        if rng.next_f64() >= self.probability {
            return;
        }
        let Some(rectangle) = self.find(h, w, rng) else { return };
        rectangle.for_each_row(h, w, image.len(), |row| {
            for pixel in &mut image[row] {
                *pixel = self.value.unwrap_or_else(|| rng.next_f64() as f32);
            }
        });
    }

    fn find(&self, h: usize, w: usize, rng: &mut Rng) -> Option<Rectangle> {
        let within = |(least, largest): (f64, f64), rng: &mut Rng| {
            least + (largest - least) * rng.next_f64()
        };
        for _ in 0..100 {
            let area = within(self.area, rng) * (h * w) as f64;
            let ratio = within((self.aspect, 1.0 / self.aspect), rng);
            let [height, width] =
                [area * ratio, area / ratio].map(|squared| squared.sqrt().round() as usize);
            if height <= h && width <= w {
                let [top, left] = [rng.below(h - height + 1), rng.below(w - width + 1)];
                return Some(Rectangle { top, left, height, width });
            }
        }
        None
    }
}

/// A part of a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rectangle {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Rectangle {
    /// Calls `f` with the place of each of its rows in the `len` numbers of a picture of [C, H, W].
    pub(super) fn for_each_row(
        &self,
        h: usize,
        w: usize,
        len: usize,
        mut f: impl FnMut(std::ops::Range<usize>),
    ) {
        for corner in (0..len).step_by((h * w).max(1)) {
            for row in self.top..self.top + self.height {
                let start = corner + row * w + self.left;
                f(start..start + self.width);
            }
        }
    }
}
