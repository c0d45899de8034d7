//! Images as the network sees them, and the shifts that make ten of one.

use plies_nn::data::{Batch, Dataset};
use plies_tensor::{Rng, Tensor};

use crate::idx::{COLS, Examples, PIXELS, ROWS};

/// The pixels of images as numbers from 0 to 1.
///
/// # Shapes
/// -> [B, 784]
pub fn inputs<'a>(images: impl IntoIterator<Item = &'a [u8]>) -> Tensor {
    let mut values = Vec::new();
    for image in images {
        values.extend(image.iter().map(|&pixel| f32::from(pixel) / 255.0));
    }
    let count = values.len() / PIXELS;
    Tensor::from_vec(values, [count, PIXELS])
}

/// [`Examples`] for the loader. They stay bytes until they are asked for: a quarter of the memory.
///
/// # Shapes
/// inputs [B, 784] F32 from 0 to 1, targets `[B]` I32
#[derive(Clone, Debug)]
pub struct Digits(pub Examples);

impl Dataset for Digits {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        let labels: Vec<i32> = indices.iter().map(|&i| self.0.labels[i].into()).collect();
        let inputs = inputs(indices.iter().map(|&i| self.0.image(i)));
        Batch::new(inputs, Tensor::from_vec(labels, [indices.len()]))
    }
}

/// Shifts each image of a batch by up to `most` pixels along each axis; what comes in is empty.
///
/// A network that has seen every digit one pixel further reads the test set better: the centre of
/// mass that MNIST is centred by moves with every flourish.
pub fn shift(batch: Batch, most: usize, rng: &mut Rng) -> Batch {
    let images = batch.inputs.to_vec::<f32>().expect("a batch on the CPU can be read");
    let mut shifted = vec![0f32; images.len()];
    for (from, to) in images.as_chunks::<PIXELS>().0.iter().zip(shifted.as_chunks_mut().0) {
        let by = rng.below((2 * most + 1).pow(2));
        let [down, right] = [by / (2 * most + 1), by % (2 * most + 1)];
        shift_image(from, to, down as isize - most as isize, right as isize - most as isize);
    }
    Batch { inputs: Tensor::from_vec(shifted, batch.inputs.shape()), ..batch }
}

fn shift_image(from: &[f32; PIXELS], to: &mut [f32; PIXELS], down: isize, right: isize) {
    let width = COLS - right.unsigned_abs();
    let (from_col, to_col) =
        if right < 0 { (right.unsigned_abs(), 0) } else { (0, right as usize) };
    for row in 0..ROWS {
        let Some(target) = row.checked_add_signed(down).filter(|&row| row < ROWS) else { continue };
        let source = row * COLS + from_col;
        let target = target * COLS + to_col;
        to[target..target + width].copy_from_slice(&from[source..source + width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_the_images_asked_for() {
        let pixels = (0..3 * PIXELS).map(|i| (i / PIXELS * 51) as u8).collect();
        let digits = Digits(Examples { pixels, labels: vec![7, 8, 9] });
        let batch = digits.batch(&[2, 0]);
        assert_eq!(batch.targets.to_vec::<i32>().unwrap(), [9, 7]);
        assert_eq!(batch.inputs.dims(), [2, PIXELS]);
        let first = batch.inputs.to_vec::<f32>().unwrap();
        assert_eq!((first[0], first[PIXELS]), (0.4, 0.0));
    }

    #[test]
    fn a_shift_moves_every_pixel_and_brings_in_nothing() {
        for (down, right) in [(0, 0), (1, -2), (-1, 0), (2, 2), (-2, 1)] {
            let from: [f32; PIXELS] = std::array::from_fn(|i| 1.0 + i as f32);
            let mut to = [0.0; PIXELS];
            shift_image(&from, &mut to, down, right);
            for row in 0..ROWS as isize {
                for col in 0..COLS as isize {
                    let (y, x) = (row - down, col - right);
                    let inside = (0..ROWS as isize).contains(&y) && (0..COLS as isize).contains(&x);
                    let expected = if inside { 1.0 + (y * COLS as isize + x) as f32 } else { 0.0 };
                    assert_eq!(to[(row * COLS as isize + col) as usize], expected);
                }
            }
        }
    }

    #[test]
    fn one_seed_shifts_one_way() {
        let batch = || {
            let values = (0..4 * PIXELS).map(|i| i as f32).collect();
            Batch::new(Tensor::from_vec::<f32>(values, [4, PIXELS]), Tensor::from([0, 1, 2, 3]))
        };
        let shifted = |seed| shift(batch(), 2, &mut Rng::new(seed)).inputs.to_vec::<f32>().unwrap();
        assert_eq!(shifted(5), shifted(5));
        assert_ne!(shifted(5), shifted(6));
        assert_eq!(
            shift(batch(), 0, &mut Rng::new(1)).inputs.to_vec::<f32>().unwrap(),
            batch().inputs.to_vec::<f32>().unwrap()
        );
    }
}
