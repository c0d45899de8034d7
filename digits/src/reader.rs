//! A drawing read by a network, with all that can be shown of how: probabilities, the units of each layer, what
//! speaks for the answer and against it, and the training images that look most like it.
//!
//! The slope ∂ logit / ∂ pixel of the digit that was read says for each pixel whether more ink there would speak
//! for that digit or against it (Simonyan, Vedaldi, Zisserman: Deep inside convolutional networks, 2014).
//!
//! To be quick, the nearest images are looked for in two steps: by means over 4 x 4 pixels, 49 numbers instead
//! of 784, among all; by all pixels among the 400 nearest of these, where 98 of 100 of those that are
//! shown are found, and the nearest of all nearly always.

use std::fmt::Write as _;

use plies_autograd::{Var, grad};
use plies_nn::{Module, Pass};
use plies_tensor::{Pool, Tensor};
use serde::Serialize;

use crate::{
    dataset,
    idx::{COLS, Examples, PIXELS, ROWS},
    knn::References,
    network::Network,
    preprocess::{PictureError, digit_of_ink},
};

/// Rows and columns of a drawing.
pub const SIDE: usize = 84;
/// Bytes of a drawing.
pub const DRAWING: usize = SIDE * SIDE;
/// How many of the nearest training images are shown.
const SHOWN: usize = 8;
/// How many images that are near by means are looked at pixel by pixel.
const CANDIDATES: usize = 400;

/// A network, and labelled images to find the nearest of.
pub struct Reader {
    network: Network,
    train: Examples,
    /// Training images by means over 4 x 4 pixels, [N, 49].
    coarse: References,
}

/// What a network makes of a drawing. Bytes are in hexadecimal, two characters each.
#[derive(Clone, Debug, Serialize)]
pub struct Reading {
    /// The digit read.
    pub digit: usize,
    /// The probability of each digit.
    pub probabilities: Vec<f32>,
    /// The drawing as the network gets it, 784 bytes.
    pub image: String,
    /// The slope at each pixel, 784 bytes: 80 is 0, more speaks for the digit, less against it.
    pub slope: String,
    /// The units of each layer, the last one the logits: 80 is 0, 01 and ff the largest of the layer.
    pub layers: Vec<String>,
    /// Training images, nearest first.
    pub nearest: Vec<Near>,
}

/// A training image near to a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Near {
    /// Its number.
    pub index: usize,
    /// Its class.
    pub label: u8,
    /// √Σ (q - x)² of pixels from 0 to 1.
    pub distance: f32,
}

impl Reader {
    /// For a network and labelled images, such as it has learnt from.
    pub fn new(network: Network, train: Examples) -> Reader {
        let images = dataset::inputs((0..train.len()).map(|i| train.image(i)));
        Reader { coarse: References::new(coarse(&images)), network, train }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The labelled images.
    pub fn train(&self) -> &Examples {
        &self.train
    }

    /// Reads a drawing: [`SIDE`] rows of as many bytes, 0 nothing and 255 ink.
    ///
    /// # Errors
    /// [`PictureError::Blank`] when nothing is drawn.
    ///
    /// # Panics
    /// When there is another number of bytes, or the device fails.
    pub fn read(&self, drawing: &[u8]) -> Result<Reading, PictureError> {
        let image = digit_of_ink(SIDE as u32, SIDE as u32, drawing)?;
        let x = Var::leaf(dataset::inputs([&image[..]])); // [1, 784]
        let (units, logits) = self.units(&x);
        let probabilities = numbers(&logits.value().softmax(-1));
        let better =
            |best, digit| if probabilities[digit] > probabilities[best] { digit } else { best };
        let digit = (1..probabilities.len()).fold(0, better);
        let slope = grad(&logits.select(1, digit), &[&x], false).remove(0);
        let layers = units.iter().map(|units| hex(&signed(&numbers(units)))).collect();
        Ok(Reading {
            digit,
            slope: hex(&signed(&numbers(slope.value()))),
            layers,
            nearest: self.nearest(&image, x.value()),
            image: hex(&image),
            probabilities,
        })
    }

    /// What each layer puts out, and the logits, which are the last of them.
    fn units(&self, x: &Var) -> (Vec<Tensor>, Var) {
        let layers = self.network.mlp.layers();
        let (mut units, mut x) = (Vec::new(), x.clone());
        for (i, layer) in layers.iter().enumerate() {
            x = layer.forward(&x, &mut Pass::eval());
            if i + 1 < layers.len() {
                x = self.network.settings.activation.apply(&x);
            }
            units.push(x.value().clone());
        }
        (units, x)
    }

    fn nearest(&self, image: &[u8], x: &Tensor) -> Vec<Near> {
        let found = self.coarse.nearest(&coarse(x), CANDIDATES, |_| true).unwrap_or_default();
        let mut near: Vec<Near> = found
            .into_iter()
            .flatten()
            .map(|near| {
                let squares = squares(image, self.train.image(near.index));
                Near {
                    index: near.index,
                    label: self.train.labels[near.index],
                    distance: (squares as f32).sqrt() / 255.0,
                }
            })
            .collect();
        near.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        near.truncate(SHOWN);
        near
    }
}

/// Means over 4 x 4 pixels, [N, 784] -> [N, 49].
fn coarse(images: &Tensor) -> Tensor {
    let pictures = images.reshape([images.dim(0), 1, ROWS, COLS]);
    let means = pictures.avg_pool(&Pool::new([4, 4])); // [N, 1, 7, 7]
    means.reshape([images.dim(0), PIXELS / 16])
}

/// Σ (a - b)²
fn squares(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

fn numbers(x: &Tensor) -> Vec<f32> {
    x.to_vec().expect("a tensor on the CPU can be read")
}

/// Numbers as bytes around 128, the largest 127 away from it.
fn signed(values: &[f32]) -> Vec<u8> {
    let most = values.iter().fold(f32::MIN_POSITIVE, |most, v| most.max(v.abs()));
    values.iter().map(|v| (128.0 + 127.0 * v / most).round() as u8).collect()
}

/// Two characters a byte.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use image::imageops::{self, FilterType};
    use plies_nn::{loss::cross_entropy, optim::Optimizer};

    use super::*;
    use crate::{embedded, preprocess::picture, settings::Settings};

    fn few() -> Examples {
        let mut train = embedded::train();
        train.truncate(400);
        train
    }

    /// A network that has seen some digits a few times.
    fn reader() -> &'static Reader {
        static READER: OnceLock<Reader> = OnceLock::new();
        READER.get_or_init(train)
    }

    fn train() -> Reader {
        let (train, settings) = (few(), Settings { hidden: vec![32, 16], ..Settings::default() });
        let mut network = Network::new(settings.clone());
        let mut optimizer = settings.optimizer();
        let x = Var::constant(dataset::inputs((0..train.len()).map(|i| train.image(i))));
        let labels: Vec<i32> = train.labels.iter().map(|&label| label.into()).collect();
        let labels = Tensor::from(labels);
        for _ in 0..40 {
            let logits = network.mlp.forward(&x, &mut Pass::eval());
            cross_entropy(&logits, &labels).backward();
            drop(logits);
            optimizer.step(&mut network.mlp);
            network.mlp.zero_grad();
        }
        Reader::new(network, train)
    }

    /// An image as somebody might draw it: this large, this far from the corner.
    fn drawing(image: &[u8], side: u32, [left, top]: [i64; 2]) -> Vec<u8> {
        let mut sheet = image::GrayImage::new(SIDE as u32, SIDE as u32);
        let large = imageops::resize(&picture(image), side, side, FilterType::Triangle);
        imageops::overlay(&mut sheet, &large, left, top);
        sheet.into_raw()
    }

    #[test]
    fn a_training_image_is_found_wherever_and_however_large_it_is_drawn() {
        let reader = reader();
        let (mut right, mut found) = (0, 0);
        for index in 0..20 {
            let image = reader.train().image(index).to_vec();
            for (side, corner) in [(84, [0, 0]), (50, [30, 3]), (60, [-5, 20])] {
                let reading = reader.read(&drawing(&image, side, corner)).unwrap();
                found += u32::from(reading.nearest.iter().any(|near| near.index == index));
                assert!(reading.nearest.is_sorted_by(|a, b| a.distance <= b.distance));
                right += u32::from(reading.digit == usize::from(reader.train().labels[index]));
            }
        }
        // Centred anew, a digit may be a pixel from where it was.
        assert!(right >= 45 && found >= 50, "{right} and {found} of 60");
    }

    /// Among all that is embedded, and by brute force.
    #[test]
    fn nearly_all_of_the_nearest_images_are_found() {
        let reader = Reader::new(
            Network::new(Settings { hidden: vec![], ..Settings::default() }),
            embedded::train(),
        );
        let test = embedded::test();
        let (mut nearest, mut shown) = (0, 0);
        for i in 0..40 {
            let image = test.image(i);
            let mut all: Vec<(u32, usize)> = (0..reader.train.len())
                .map(|j| (squares(image, reader.train.image(j)), j))
                .collect();
            all.sort_unstable();
            let found = reader.nearest(image, &dataset::inputs([image]));
            nearest += usize::from(found[0].index == all[0].1);
            let is_there = |&&(_, j): &&(u32, usize)| found.iter().any(|near| near.index == j);
            shown += all[..SHOWN].iter().filter(is_there).count();
        }
        assert!(nearest >= 39 && shown >= 305, "{nearest} of 40, {shown} of 320");
    }

    #[test]
    fn a_reading_is_what_the_network_computes() {
        let reader = reader();
        let reading = reader.read(&drawing(reader.train().image(3), 70, [7, 7])).unwrap();
        let bytes = |text: &str| -> Vec<u8> {
            (0..text.len() / 2)
                .map(|i| u8::from_str_radix(&text[2 * i..][..2], 16).unwrap())
                .collect()
        };
        let image = bytes(&reading.image);
        let x = dataset::inputs([&image[..]]);
        let expected = reader.network().probabilities(&x).unwrap();
        assert_eq!(reading.probabilities, expected[0]);
        assert_eq!(reading.layers.iter().map(String::len).collect::<Vec<_>>(), [64, 32, 20]);
        // The slope is that of the digit's logit, up to a factor.
        let logit = |x: &Tensor| {
            let logits = reader.network().mlp.forward(&Var::constant(x.clone()), &mut Pass::eval());
            numbers(logits.value())[reading.digit]
        };
        let slope = bytes(&reading.slope);
        let steepest = (0..PIXELS).max_by_key(|&i| slope[i].abs_diff(128)).unwrap();
        let mut moved = numbers(&x);
        moved[steepest] += 0.01;
        let change = logit(&Tensor::from_vec(moved, [1, PIXELS])) - logit(&x);
        assert_eq!(change > 0.0, slope[steepest] > 128);
    }

    #[test]
    fn an_empty_drawing_shows_no_digit() {
        let read = reader().read(&[0; DRAWING]);
        assert!(matches!(read, Err(PictureError::Blank)), "{read:?}");
        assert!(reader().read(&[255; DRAWING]).is_ok()); // a square
    }
}
