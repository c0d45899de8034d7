//! What is done to all images alike before they are compared: upright digits, soft edges.
//!
//! Deskewing takes the slant out. With the ink as mass, μ_xy and μ_yy its second moments about the centre of
//! mass, a slanted stroke leans by α = μ_xy / μ_yy columns a row; each row goes back by α times its distance from
//! the centre, which leaves μ_xy = 0. Blurring weighs each pixel and its neighbours by [1 2 1] / 4, down and
//! across, so that strokes which miss each other by a pixel still overlap.
//!
//! # Source
//! LeCun, Bottou, Bengio, Haffner (1998), section III.A; the blurring: K. Wilder on LeCun's page.

use plies_tensor::Tensor;

use crate::idx::{COLS, PIXELS, ROWS};

/// Images with their slant taken out.
///
/// # Shapes
/// images [N, 784] -> the same
///
/// # Example
/// ```
/// use plies_digits::{idx::PIXELS, normalise::deskew};
/// use plies_tensor::Tensor;
/// // A stroke from (20, 8) to (8, 20), with x to the right and y down.
/// let mut slash = vec![0f32; PIXELS];
/// (0..13).for_each(|i| slash[(8 + i) * 28 + 20 - i] = 1.0);
/// let upright = deskew(&Tensor::from_vec(slash, [1, PIXELS])).to_vec::<f32>().unwrap();
/// assert!((8..21).all(|y| upright[y * 28 + 14] == 1.0));
/// ```
pub fn deskew(images: &Tensor) -> Tensor {
    each(images, |image| {
        let (slant, centre) = slant(image);
        let mut upright = [0.0; PIXELS];
        for y in 0..ROWS {
            let shift = slant * (y as f32 - centre);
            for x in 0..COLS {
                upright[y * COLS + x] = between(image, y, x as f32 + shift);
            }
        }
        upright
    })
}

/// α, and the row of the centre of mass.
pub(crate) fn slant(image: &[f32; PIXELS]) -> (f32, f32) {
    let [mut mass, mut x_mean, mut y_mean] = [0f32; 3];
    let places = || (0..PIXELS).map(|i| ((i % COLS) as f32, (i / COLS) as f32));
    for ((x, y), ink) in places().zip(image) {
        mass += ink;
        x_mean += ink * x;
        y_mean += ink * y;
    }
    if mass == 0.0 {
        return (0.0, 0.0);
    }
    (x_mean, y_mean) = (x_mean / mass, y_mean / mass);
    let [mut xy, mut yy] = [0f32; 2];
    for ((x, y), ink) in places().zip(image) {
        xy += ink * (x - x_mean) * (y - y_mean);
        yy += ink * (y - y_mean).powi(2);
    }
    // A dash has no slant.
    (if yy > 0.01 * mass { xy / yy } else { 0.0 }, y_mean)
}

/// Row `y` at a column that may lie between two; there is nothing beyond the edge.
fn between(image: &[f32; PIXELS], y: usize, x: f32) -> f32 {
    let (left, part) = (x.floor(), x - x.floor());
    let at = |x: f32| match x {
        0.0..=27.0 => image[y * COLS + x as usize],
        _ => 0.0,
    };
    (1.0 - part) * at(left) + part * at(left + 1.0)
}

/// Images with each pixel a mean of its neighbourhood, 3 x 3.
///
/// # Shapes
/// images [N, 784] -> the same
pub fn blur(images: &Tensor) -> Tensor {
    each(images, |image| {
        // Transposed twice, what goes across goes down as well.
        blur_rows(&blur_rows(image))
    })
}

/// [1 2 1] / 4 along rows, and the result transposed.
fn blur_rows(image: &[f32; PIXELS]) -> [f32; PIXELS] {
    let mut blurred = [0.0; PIXELS];
    for y in 0..ROWS {
        for x in 0..COLS {
            let at =
                |x: Option<usize>| x.filter(|&x| x < COLS).map_or(0.0, |x| image[y * COLS + x]);
            let sum = at(x.checked_sub(1)) + 2.0 * at(Some(x)) + at(Some(x + 1));
            blurred[x * ROWS + y] = sum / 4.0;
        }
    }
    blurred
}

fn each(images: &Tensor, change: impl Fn(&[f32; PIXELS]) -> [f32; PIXELS]) -> Tensor {
    let values = images.to_vec::<f32>().expect("images on the CPU can be read");
    let changed: Vec<f32> = values.as_chunks().0.iter().flat_map(change).collect();
    Tensor::from_vec(changed, images.shape())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dataset::inputs, embedded};

    #[test]
    fn a_deskewed_digit_has_no_slant_and_its_ink() {
        let test = embedded::test();
        let images = inputs((0..50).map(|i| test.image(i)));
        let upright = deskew(&images).to_vec::<f32>().unwrap();
        let images = images.to_vec::<f32>().unwrap();
        for (before, after) in images.as_chunks::<PIXELS>().0.iter().zip(upright.as_chunks().0) {
            let (was, is) = (slant(before).0.abs(), slant(after).0.abs());
            assert!(is < 0.02 + 0.1 * was, "{was} became {is}");
            let [was, is] = [before, after].map(|image| image.iter().sum::<f32>());
            assert!((was - is).abs() < 0.02 * was, "{was} ink became {is}");
        }
    }

    #[test]
    fn nothing_has_no_slant() {
        let nothing = Tensor::from_vec(vec![0f32; PIXELS], [1, PIXELS]);
        assert_eq!(deskew(&nothing).to_vec::<f32>().unwrap(), [0.0; PIXELS]);
    }

    #[test]
    fn a_point_becomes_the_blurs_weights() {
        let mut point = vec![0f32; PIXELS];
        point[3 * COLS + 5] = 16.0;
        point[PIXELS - 1] = 16.0; // its neighbours beyond the corner are lost
        let blurred = blur(&Tensor::from_vec(point, [1, PIXELS])).to_vec::<f32>().unwrap();
        let around = |y: usize| [4, 5, 6].map(|x| blurred[y * COLS + x]);
        assert_eq!([2, 3, 4].map(around), [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]);
        assert_eq!(blurred.iter().sum::<f32>(), 16.0 + 9.0);
    }
}
