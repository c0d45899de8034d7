//! Why a picture is centred before it is read.
//!
//! A network that is trained on MNIST has only seen digits whose centre of mass is at the centre.
//! Here the test digits are drawn on a larger sheet, dark on light, away from the middle, and read
//! in two ways: the sheet merely scaled to 28 x 28 pixels, and cut out, scaled and centred as MNIST's
//! digits were.
//!
//!     cargo run --release -p plies-digits --example centring

use image::{
    DynamicImage, GrayImage, Luma,
    imageops::{self, FilterType},
};
use plies_digits::{
    dataset, embedded,
    idx::Examples,
    network::Network,
    preprocess,
    settings::Settings,
    training::{self, EpochDone, Watch},
};
use plies_nn::train::BatchEvent;

/// Nobody looks on.
struct Nobody;

impl Watch for Nobody {
    fn batch(&mut self, _event: &BatchEvent) {}
    fn epoch(&mut self, _done: &EpochDone) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings { hidden: vec![128], epochs: 4, limit: 20_000, ..Settings::default() };
    let mut train = embedded::train();
    train.truncate(settings.limit);
    let mut network = Network::new(settings.clone());
    let mut optimizer = settings.optimizer();
    training::train(&mut network, &mut optimizer, train, None, Default::default(), &mut Nobody)?;

    let mut test = embedded::test();
    test.truncate(2000);
    let sheets: Vec<DynamicImage> = (0..test.len()).map(|i| sheet(&test, i)).collect();
    let scaled = sheets.iter().map(|sheet| {
        let mut small = imageops::resize(&sheet.to_luma8(), 28, 28, FilterType::Triangle);
        imageops::invert(&mut small);
        small.into_raw()
    });
    let centred = sheets.iter().map(preprocess::digit).collect::<Result<Vec<_>, _>>()?;
    let as_they_are = (0..test.len()).map(|i| test.image(i).to_vec());
    show("MNIST's own test digits", error(&network, as_they_are.collect(), &test)?);
    show("drawn on a sheet, merely scaled", error(&network, scaled.collect(), &test)?);
    show("drawn on a sheet, centred as MNIST does", error(&network, centred, &test)?);
    Ok(())
}

/// The digit, three times as large, dark on light, somewhere on a sheet of 140 x 110 pixels.
fn sheet(test: &Examples, index: usize) -> DynamicImage {
    let digit = preprocess::picture(test.image(index));
    let large = imageops::resize(&digit, 84, 84, FilterType::Triangle);
    let (left, top) = (index as u32 * 7 % 56, index as u32 * 11 % 26);
    let mut sheet = GrayImage::from_pixel(140, 110, Luma([235]));
    for (x, y, ink) in large.enumerate_pixels() {
        let grey = 235.0 - 200.0 * f32::from(ink[0]) / 255.0;
        sheet.put_pixel(left + x, top + y, Luma([grey as u8]));
    }
    sheet.into()
}

fn error(network: &Network, images: Vec<Vec<u8>>, test: &Examples) -> plies_tensor::Result<f64> {
    let inputs = dataset::inputs(images.iter().map(Vec::as_slice));
    let probabilities = network.probabilities(&inputs)?;
    let read = probabilities
        .iter()
        .map(|p| (0..10).fold(0, |best, i| if p[i] > p[best] { i } else { best }));
    let wrong = read.zip(&test.labels).filter(|(read, label)| *read != usize::from(**label));
    Ok(wrong.count() as f64 / test.len() as f64)
}

fn show(what: &str, error: f64) {
    println!("{what:<42} {:>5.1} % misread", 100.0 * error);
}
