//! What the first layer looks for, and how smooth it is: Σ (difference of neighbours)² / Σ weight².

use image::{GrayImage, Luma, imageops};
use plies_console::plot::Curve;

use super::{
    Effect, Finding, Found, Lab, Mean, difference,
    lab::{adam, mlp},
    paired,
};
use crate::{
    idx::{COLS, PIXELS, ROWS},
    trial::{Plan, TrialError},
};

pub(super) const EFFECT: Effect = Effect {
    name: "weights",
    claim: "Dropout makes what the first layer looks for smoother: neighbouring weights differ less.",
    settings: &[("without dropout", 2.0), ("with dropout", 2.0)],
    numbers: 1,
    measure,
    judge,
    picture: Some(picture),
};

/// The shares of pixels and units that are dropped.
const RATES: [(f64, f64); 2] = [(0.0, 0.0), (0.2, 0.5)];

fn measure(lab: &Lab<'_>, setting: usize, seed: u64) -> Result<Vec<f64>, TrialError> {
    let weight = first_layer(lab, setting, seed)?;
    let units = weight.as_chunks::<PIXELS>().0;
    Ok(vec![units.iter().map(roughness).sum::<f64>() / units.len() as f64])
}

/// The weights after training, [256, 784].
fn first_layer(lab: &Lab<'_>, setting: usize, seed: u64) -> Result<Vec<f32>, TrialError> {
    let (input, hidden) = RATES[setting];
    let mut model = mlp(seed, &[256]).dropout(input, hidden);
    lab.train(seed, &lab.all(), &mut model, &mut adam(), Plan::epochs(8))?;
    Ok(model.layers()[0].weight().value().to_vec()?)
}

fn roughness(unit: &[f32; PIXELS]) -> f64 {
    let at = |x: usize, y: usize| f64::from(unit[y * COLS + x]);
    let (mut differences, mut squares) = (0.0, 0.0);
    // Where there is ink now and then; the margin keeps its first weights.
    for y in 4..ROWS - 5 {
        for x in 4..COLS - 5 {
            differences += (at(x + 1, y) - at(x, y)).powi(2) + (at(x, y + 1) - at(x, y)).powi(2);
            squares += at(x, y).powi(2);
        }
    }
    differences / squares
}

fn judge(found: &Found) -> Finding {
    let roughness = |setting: usize| found.mean(setting, 0);
    let smoother = paired(&found.each(1, 0), &found.each(0, 0), difference);
    let points = [0, 1].map(|setting| roughness(setting).point(setting as f64)).to_vec();
    let names = EFFECT.settings.iter().enumerate();
    Finding {
        measured: names
            .map(|(setting, (name, _))| (format!("roughness {name}"), roughness(setting)))
            .collect(),
        decides: vec![("roughness, with less without".to_owned(), Mean::of(&smoother))],
        axes: ["0 without, 1 with dropout", "roughness"],
        log: [false, false],
        curves: vec![Curve { label: "256 units".to_owned(), points }],
    }
}

/// Units of the first seed, those without dropout on the left.
fn picture(lab: &Lab<'_>) -> Result<GrayImage, TrialError> {
    let mut picture = GrayImage::from_pixel(2 * TILES + 12, TILES, Luma([255]));
    for setting in 0..RATES.len() {
        let weight = first_layer(lab, setting, 1)?;
        let left = setting as i64 * i64::from(TILES + 12);
        imageops::replace(&mut picture, &tiles(&weight.as_chunks().0[..64]), left, 0);
    }
    Ok(picture)
}

/// Eight units beside each other, each with a margin of one pixel.
const TILES: u32 = 8 * (COLS as u32 + 2);

/// 64 units; grey is 0, black and white the largest weight of the unit.
fn tiles(units: &[[f32; PIXELS]]) -> GrayImage {
    let mut picture = GrayImage::from_pixel(TILES, TILES, Luma([255]));
    for (i, unit) in units.iter().enumerate() {
        let most = unit.iter().fold(f32::MIN_POSITIVE, |most, w| most.max(w.abs()));
        let (left, top) = ((COLS + 2) * (i % 8) + 1, (ROWS + 2) * (i / 8) + 1);
        for (pixel, weight) in unit.iter().enumerate() {
            let grey = (128.0 + 127.0 * weight / most) as u8;
            let (x, y) = (left + pixel % COLS, top + pixel / COLS);
            picture.put_pixel(x as u32, y as u32, Luma([grey]));
        }
    }
    picture
}
