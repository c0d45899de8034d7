//! Makes of any picture of a digit what MNIST made of its scans, so that a network trained on MNIST
//! can read it.
//!
//! MNIST's own recipe (LeCun, Cortes, Burges): the digit is scaled to fit a box of 20 x 20 pixels
//! with its proportions kept, and the box is placed in 28 x 28 pixels so that the digit's centre of
//! mass is at the centre. Before that, a photograph or a drawing has to become ink on nothing:
//!
//! 1. transparency is laid on white, or on black when the drawing itself is bright;
//! 2. the paper is a plane fitted to the picture's border (a lamp from one side is a slope), and
//!    the ink is what lies on the side of it that deviates more: dark on light and light on dark;
//! 3. what is within the noise of the paper becomes 0, the darkest ink becomes 1;
//! 4. specks are dropped, the rest is cropped;
//! 5. a pen that is thinner or thicker than those of most of MNIST's digits becomes one of these.

use std::{
    io::{Cursor, Read},
    ops::Range,
};

use image::{
    DynamicImage, GrayImage, ImageBuffer, ImageReader, Limits, Luma,
    imageops::{self, FilterType},
};
use thiserror::Error;

use crate::idx::{COLS, PIXELS, ROWS};

/// A longer file than this is not read.
pub const MAX_BYTES: u64 = 64 << 20;
/// A picture with a longer side than this is not decoded.
pub const MAX_SIDE: u32 = 20_000;
/// Decoding may take this much memory.
const MAX_ALLOCATION: u64 = 384 << 20;

/// The box that the digit is scaled to fit.
const BOX: f32 = 20.0;
/// Where the centre of mass of an MNIST digit lies, as a column and row counted from 0.
const CENTRE: f32 = 14.0;
/// Contrast between paper and ink below this (of 1) is no drawing.
const MIN_CONTRAST: f32 = 0.06;
/// Pixels with more ink than this belong to the drawing's shape.
const SHAPE: f32 = 0.15;
/// A pixel beside the shape with more ink than this is its soft edge.
const SOFT: f32 = 0.1;
/// A blot with less ink than this share of the largest is a speck.
const SPECK: f32 = 0.02;
/// Light may fall off by this much from one side of the paper to the other.
const MAX_SHADE: f32 = 0.35;
/// The pens of three in four of MNIST's digits, in pixels at 28 x 28.
const PENS: Range<f32> = 2.0..3.2;
/// A pen outside of that is brought so far inside.
const INSIDE: f32 = 0.25;
/// A picture with a longer side is reduced to it first.
const LARGE_SIDE: u32 = 1200;
/// The longer side at which strokes are measured and made thicker or thinner.
const WORKING_SIDE: u32 = 200;

/// Why no digit can be made of a picture.
#[derive(Debug, Error)]
pub enum PictureError {
    /// The bytes could not be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// More bytes than [`MAX_BYTES`].
    #[error("is longer than 64 MiB")]
    TooLong,
    /// There are no bytes.
    #[error("is empty; a PNG or JPEG picture is wanted")]
    Empty,
    /// Neither PNG nor JPEG.
    #[error("is no picture that can be read; PNG and JPEG can")]
    NoPicture,
    /// Larger than [`MAX_SIDE`], or than the memory allowed for it.
    #[error("is too large a picture; make it smaller (a few hundred pixels are plenty)")]
    TooLarge,
    /// A picture that starts well and is damaged.
    #[error("is a damaged picture ({0})")]
    Damaged(String),
    /// A picture of one shade.
    #[error("shows no digit: the picture is blank")]
    Blank,
}

/// A digit as MNIST would hold it: [`PIXELS`] bytes, row-major, 0 is background, 255 is ink.
pub type Digit = Vec<u8>;

/// Reads a PNG or JPEG picture of a digit and makes it look like MNIST's.
///
/// # Errors
/// [`PictureError`] when it cannot be read, or shows nothing.
pub fn read_digit(source: impl Read) -> Result<Digit, PictureError> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(PictureError::TooLong);
    }
    digit(&decode(&bytes)?)
}

/// Decodes a picture within limits of size and memory.
fn decode(bytes: &[u8]) -> Result<DynamicImage, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if reader.format().is_none() {
        return Err(PictureError::NoPicture);
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    reader.decode().map_err(|error| match error {
        image::ImageError::Limits(_) => PictureError::TooLarge,
        image::ImageError::Unsupported(_) => PictureError::NoPicture,
        other => {
            // One line, whatever the decoder says.
            let text = other.to_string();
            PictureError::Damaged(text.lines().next().unwrap_or_default().to_owned())
        }
    })
}

/// Makes a decoded picture look like MNIST's digits.
///
/// # Errors
/// [`PictureError::Blank`] when there is nothing on it.
pub fn digit(picture: &DynamicImage) -> Result<Digit, PictureError> {
    // No digit needs more detail than this, and the largest pictures get quick and small.
    let grey = if picture.width().max(picture.height()) > LARGE_SIDE {
        flatten(&picture.thumbnail(LARGE_SIDE, LARGE_SIDE))
    } else {
        flatten(picture)
    };
    made_like_mnist(&ink(&grey)?)
}

/// Makes ink that was drawn on a screen, 0 nothing and 255 all of it, look like MNIST's digits: there is no
/// paper to be found and no light.
///
/// # Errors
/// [`PictureError::Blank`] when nothing is drawn.
///
/// # Panics
/// Unless there are `width` times `height` bytes.
pub fn digit_of_ink(width: u32, height: u32, ink: &[u8]) -> Result<Digit, PictureError> {
    assert_eq!(ink.len() as u64, u64::from(width) * u64::from(height), "one byte a pixel");
    let ink = plane(width, height, ink.iter().map(|&ink| f32::from(ink) / 255.0).collect());
    made_like_mnist(&ink)
}

fn made_like_mnist(ink: &Plane) -> Result<Digit, PictureError> {
    let ink = crop(ink)?;
    Ok(place(&fit(&usual_pen(&shrink(&ink, WORKING_SIDE)), BOX)))
}

type Plane = ImageBuffer<Luma<f32>, Vec<f32>>;

/// Grey values from 0 (black) to 1, transparency laid on the paper that a drawing of this
/// brightness needs.
fn flatten(picture: &DynamicImage) -> Plane {
    if !picture.color().has_alpha() {
        let grey = picture.to_luma16();
        let values = grey.iter().map(|&v| f32::from(v) / 65535.0).collect();
        return plane(grey.width(), grey.height(), values);
    }
    let grey = picture.to_luma_alpha16();
    let unit = |v: u16| f32::from(v) / 65535.0;
    let (mut covered, mut bright) = (0f64, 0f64);
    for pixel in grey.pixels() {
        covered += f64::from(unit(pixel[1]));
        bright += f64::from(unit(pixel[0]) * unit(pixel[1]));
    }
    let see_through = covered < 0.98 * f64::from(grey.width()) * f64::from(grey.height());
    let paper = if see_through && bright > 0.5 * covered { 0.0 } else { 1.0 };
    let values =
        grey.pixels().map(|pixel| paper + (unit(pixel[0]) - paper) * unit(pixel[1])).collect();
    plane(grey.width(), grey.height(), values)
}

/// How much ink lies on each pixel, from 0 to 1.
fn ink(grey: &Plane) -> Result<Plane, PictureError> {
    let paper = Paper::of(grey);
    let above_paper: Vec<f32> =
        grey.enumerate_pixels().map(|(x, y, value)| value[0] - paper.at(x, y)).collect();
    // Only what stands out may vote on which side is ink: a large picture has a lot of paper,
    // and its noise would outvote a thin pen.
    let extreme = above_paper.iter().fold(0f32, |most, v| most.max(v.abs()));
    let clear = above_paper.iter().filter(|v| v.abs() > 0.5 * extreme).sum::<f32>();
    let sign = if clear > 0.0 { 1.0 } else { -1.0 };
    let mut strength: Vec<f32> = above_paper.iter().map(|v| v * sign).collect();

    let strongest = strength.iter().copied().fold(0.0, f32::max);
    if strongest < MIN_CONTRAST.max(1.5 * paper.noise) {
        return Err(PictureError::Blank);
    }
    // Full ink: the strength that one in fifty of the drawing's pixels exceeds, so that a
    // scratch or a glint doesn't set the scale.
    let mut drawn: Vec<f32> = strength.iter().copied().filter(|&v| v > 0.4 * strongest).collect();
    drawn.sort_unstable_by(f32::total_cmp);
    let full = drawn[drawn.len() - 1 - drawn.len() / 50];
    let floor = paper.noise.min(0.4 * full);
    for value in &mut strength {
        *value = ((*value - floor) / (full - floor)).clamp(0.0, 1.0);
    }
    Ok(plane(grey.width(), grey.height(), strength))
}

/// The empty paper: a plane, grey = level + x · slope_x + y · slope_y with x and y counted from
/// the middle, and its noise.
struct Paper {
    level: f32,
    slope: [f32; 2],
    middle: [f32; 2],
    /// Deviations up to this are not ink.
    noise: f32,
}

impl Paper {
    /// Fitted to the border of the picture by medians: as long as less than half of each side is
    /// ink, ink has no effect.
    fn of(grey: &Plane) -> Paper {
        let (width, height) = grey.dimensions();
        let rim = (width.min(height) / 25).max(1);
        // The median of the border's pixels that pass.
        let border = |keep: &dyn Fn(u32, u32) -> bool, value: &dyn Fn(u32, u32, f32) -> f32| {
            let inner = rim..height - rim;
            let rim_of_row = |y: u32| -> Vec<u32> {
                if inner.contains(&y) {
                    (0..rim).chain(width - rim..width).collect()
                } else {
                    (0..width).collect()
                }
            };
            let values: Vec<f32> = (0..height)
                .flat_map(|y| rim_of_row(y).into_iter().map(move |x| (x, y)))
                .filter(|&(x, y)| keep(x, y))
                .map(|(x, y)| value(x, y, grey.get_pixel(x, y)[0]))
                .collect();
            median(values)
        };
        let plain = |_: u32, _: u32, value: f32| value;
        let left = border(&|x, _| x < rim, &plain);
        let right = border(&|x, _| x >= width - rim, &plain);
        let top = border(&|_, y| y < rim, &plain);
        let bottom = border(&|_, y| y >= height - rim, &plain);
        let (rise_x, rise_y) = (right - left, bottom - top);
        // Sides that differ by more than a lamp makes are not all paper: ink or a frame covers one.
        let lit = rise_x.abs().max(rise_y.abs()) < MAX_SHADE;
        let slope =
            |rise: f32, length: u32| if lit { rise / (length - rim).max(1) as f32 } else { 0.0 };
        let mut paper = Paper {
            level: border(&|_, _| true, &plain),
            slope: [slope(rise_x, width), slope(rise_y, height)],
            middle: [(width - 1) as f32 / 2.0, (height - 1) as f32 / 2.0],
            noise: 0.0,
        };
        // Half of the border deviates by less than the median; four times that is past 99 in 100
        // of normal noise (2.7 standard deviations).
        let deviation = |x: u32, y: u32, value: f32| (value - paper.at(x, y)).abs();
        paper.noise = 4.0 * border(&|_, _| true, &deviation);
        paper
    }

    fn at(&self, x: u32, y: u32) -> f32 {
        let [x, y] = [x as f32 - self.middle[0], y as f32 - self.middle[1]];
        self.level + x * self.slope[0] + y * self.slope[1]
    }
}

fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Drops the specks and cuts to the bounding box of what is left.
fn crop(ink: &Plane) -> Result<Plane, PictureError> {
    let (width, height) = ink.dimensions();
    let at = |x: u32, y: u32| (y * width + x) as usize;
    // Blots: pixels of the shape that touch, diagonals too, each with its ink.
    let mut blot_of = vec![0u32; ink.len()];
    let mut mass: Vec<f32> = vec![0.0];
    let mut open = Vec::new();
    for (x, y, value) in ink.enumerate_pixels() {
        if value[0] <= SHAPE || blot_of[at(x, y)] != 0 {
            continue;
        }
        let blot = mass.len() as u32;
        mass.push(0.0);
        blot_of[at(x, y)] = blot;
        open.push((x, y));
        while let Some((x, y)) = open.pop() {
            mass[blot as usize] += ink.get_pixel(x, y)[0];
            for y in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    if blot_of[at(x, y)] == 0 && ink.get_pixel(x, y)[0] > SHAPE {
                        blot_of[at(x, y)] = blot;
                        open.push((x, y));
                    }
                }
            }
        }
    }
    let largest = mass.iter().copied().fold(0.0, f32::max);
    let keep: Vec<bool> = mass.iter().map(|&m| m > 0.0 && m >= SPECK * largest).collect();
    let (mut left, mut top, mut right, mut bottom) = (width, height, 0, 0);
    for (x, y, _) in ink.enumerate_pixels() {
        if keep[blot_of[at(x, y)] as usize] {
            (left, right) = (left.min(x), right.max(x));
            (top, bottom) = (top.min(y), bottom.max(y));
        }
    }
    if left > right {
        return Err(PictureError::Blank);
    }
    let mut clean = ink.clone();
    for (x, y, value) in clean.enumerate_pixels_mut() {
        let blot = blot_of[at(x, y)] as usize;
        // Blot 0 is the paper and the soft edges of the strokes, which stay.
        if blot != 0 && !keep[blot] {
            value[0] = 0.0;
        }
    }
    // The soft edge of the outermost strokes is one pixel more, where it holds ink.
    let inked = |xs: Range<u32>, ys: Range<u32>| {
        let mut pixels = ys.flat_map(|y| xs.clone().map(move |x| (x, y)));
        pixels.any(|(x, y)| clean.get_pixel(x, y)[0] > SOFT)
    };
    let (columns, rows) = (left..right + 1, top..bottom + 1);
    left -= u32::from(left > 0 && inked(left - 1..left, rows.clone()));
    top -= u32::from(top > 0 && inked(columns.clone(), top - 1..top));
    right += u32::from(right + 1 < width && inked(right + 1..right + 2, rows));
    bottom += u32::from(bottom + 1 < height && inked(columns, bottom + 1..bottom + 2));
    Ok(imageops::crop_imm(&clean, left, top, right - left + 1, bottom - top + 1).to_image())
}

/// Scales down, if need be, to a longer side of `side` pixels.
fn shrink(ink: &Plane, side: u32) -> Plane {
    if ink.width().max(ink.height()) <= side { ink.clone() } else { fit(ink, side as f32) }
}

/// Scales to a longer side of `side` pixels, proportions kept, smoothly (a cubic filter as wide
/// as the step, so that each pixel stands for all that it covers).
fn fit(ink: &Plane, side: f32) -> Plane {
    let (width, height) = (ink.width() as f32, ink.height() as f32);
    let scale = side / width.max(height);
    let length = |of: f32| ((of * scale).round() as u32).max(1);
    imageops::resize(ink, length(width), length(height), FilterType::CatmullRom)
}

/// Makes strokes thicker or thinner, if their width in the box would not be among [`PENS`].
fn usual_pen(ink: &Plane) -> Plane {
    let scale = ink.width().max(ink.height()) as f32 / BOX;
    let width = stroke_width(ink) / scale;
    let wanted = width.clamp(PENS.start + INSIDE, PENS.end - INSIDE);
    // The box is fitted to the strokes' outer edges, which move as well: width + 2r is to be `wanted` parts of
    // BOX of a side that is 2r longer, so 2r (1 - wanted/BOX) = wanted - width.
    let radius = (scale * (wanted - width) / 2.0 / (1.0 - wanted / BOX)).round() as i64;
    if radius == 0 || PENS.contains(&width) {
        return ink.clone();
    }
    let changed = spread(ink, radius);
    // Thinner strokes fill less of the picture. Where nothing would be left they stay as they are.
    if radius > 0 { changed } else { crop(&changed).unwrap_or_else(|_| ink.clone()) }
}

/// The mean width of the strokes of an image of [`PIXELS`] bytes.
pub(crate) fn stroke_width_of(image: &[u8]) -> f32 {
    let ink = image.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
    stroke_width(&plane(COLS as u32, ROWS as u32, ink))
}

/// The mean width of the strokes, in pixels.
///
/// A stroke of length L and width w has the mass L·w, and crossing it the grey rises and falls
/// once: the total variation is 2L. So w = 2 · mass / variation, with no threshold.
fn stroke_width(ink: &Plane) -> f32 {
    let at = |x: i64, y: i64| {
        let inside = x >= 0 && y >= 0 && x < ink.width().into() && y < ink.height().into();
        if inside { ink.get_pixel(x as u32, y as u32)[0] } else { 0.0 }
    };
    let (mut mass, mut variation) = (0.0, 0.0);
    for y in -1..i64::from(ink.height()) {
        for x in -1..i64::from(ink.width()) {
            let here = at(x, y);
            mass += here;
            variation += (at(x + 1, y) - here).hypot(at(x, y + 1) - here);
        }
    }
    if variation == 0.0 { 0.0 } else { 2.0 * mass / variation }
}

/// Each pixel takes the most ink found within `radius`, and the picture grows by it on every side; within a
/// negative radius it takes the least.
fn spread(ink: &Plane, radius: i64) -> Plane {
    let (reach, margin) = (radius.abs(), radius.max(0));
    let near: Vec<(i64, i64)> = (-reach..=reach)
        .flat_map(|dy| (-reach..=reach).map(move |dx| (dx, dy)))
        .filter(|(dx, dy)| dx * dx + dy * dy <= reach * reach + 1)
        .collect();
    let at = |x: i64, y: i64| {
        let inside = x >= 0 && y >= 0 && x < ink.width().into() && y < ink.height().into();
        if inside { ink.get_pixel(x as u32, y as u32)[0] } else { 0.0 }
    };
    let more_or_less = if radius > 0 { f32::max } else { f32::min };
    let side = |length: u32| length + 2 * margin as u32;
    Plane::from_fn(side(ink.width()), side(ink.height()), |x, y| {
        let (x, y) = (i64::from(x) - margin, i64::from(y) - margin);
        Luma([near.iter().map(|(dx, dy)| at(x + dx, y + dy)).fold(at(x, y), more_or_less)])
    })
}

/// Places the ink in 28 x 28 pixels, its centre of mass at the centre, none of it outside.
fn place(ink: &Plane) -> Digit {
    let (mut mass, mut x_mass, mut y_mass) = (0f32, 0f32, 0f32);
    for (x, y, value) in ink.enumerate_pixels() {
        mass += value[0];
        x_mass += x as f32 * value[0];
        y_mass += y as f32 * value[0];
    }
    let corner = |moment: f32, length: u32, space: usize| {
        let wanted = (CENTRE - moment / mass.max(f32::MIN_POSITIVE)).round() as i64;
        wanted.clamp(0, (space - length as usize) as i64) as usize
    };
    let left = corner(x_mass, ink.width(), COLS);
    let top = corner(y_mass, ink.height(), ROWS);
    // Thinning the grey by scaling must not fade it: the darkest is full ink again.
    let darkest = ink.iter().copied().fold(0.0, f32::max).max(f32::MIN_POSITIVE);
    let mut digit = vec![0; PIXELS];
    for (x, y, value) in ink.enumerate_pixels() {
        digit[(top + y as usize) * COLS + left + x as usize] =
            (value[0] / darkest * 255.0).round().clamp(0.0, 255.0) as u8;
    }
    digit
}

fn plane(width: u32, height: u32, values: Vec<f32>) -> Plane {
    ImageBuffer::from_raw(width, height, values).expect("one value a pixel")
}

/// A digit as a picture, light on dark as MNIST holds it.
///
/// # Panics
/// Panics unless there are [`PIXELS`] bytes.
pub fn picture(digit: &[u8]) -> GrayImage {
    assert_eq!(digit.len(), PIXELS, "a digit has 28 x 28 pixels");
    ImageBuffer::from_raw(COLS as u32, ROWS as u32, digit.to_vec()).expect("checked above")
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, LumaA, Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;
    use crate::{embedded, idx::Examples};

    fn png(picture: &DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// The correlation of two digits, the second shifted by at most one pixel: a centre of mass
    /// half-way between two pixels goes either way.
    fn correlation(a: &[u8], b: &[u8]) -> f64 {
        let shifted = |dx: i64, dy: i64| -> Vec<u8> {
            let at = |i: usize| i as i64 + dy * COLS as i64 + dx;
            (0..PIXELS)
                .map(|i| at(i).try_into().ok().and_then(|i: usize| b.get(i)).map_or(0, |&v| v))
                .collect()
        };
        let shifts = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy)));
        shifts.map(|(dx, dy)| pearson(a, &shifted(dx, dy))).fold(-1.0, f64::max)
    }

    fn pearson(a: &[u8], b: &[u8]) -> f64 {
        let mean = |v: &[u8]| v.iter().map(|&p| f64::from(p)).sum::<f64>() / v.len() as f64;
        let (mean_a, mean_b) = (mean(a), mean(b));
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        for (&x, &y) in a.iter().zip(b) {
            let (x, y) = (f64::from(x) - mean_a, f64::from(y) - mean_b);
            ab += x * y;
            aa += x * x;
            bb += y * y;
        }
        ab / (aa * bb).sqrt()
    }

    fn unit(digit: &[u8]) -> Plane {
        plane(COLS as u32, ROWS as u32, digit.iter().map(|&v| f32::from(v) / 255.0).collect())
    }

    fn some_digits() -> Examples {
        let mut test = embedded::test();
        test.truncate(200);
        test
    }

    /// Every digit of a usual pen, enlarged, drawn somewhere on a larger sheet in these shades, comes back.
    fn comes_back(scale: u32, paper: u8, pen: u8, least: f64) {
        let digits = some_digits();
        let (mut sum, mut count) = (0.0, 0);
        for index in 0..digits.len() {
            let original = digits.image(index);
            // Other pens are changed.
            if !(2.2..3.0).contains(&stroke_width(&unit(original))) {
                continue;
            }
            let side = 28 * scale;
            let large = imageops::resize(&picture(original), side, side, FilterType::Triangle);
            let mut sheet = GrayImage::from_pixel(3 * side, 2 * side, Luma([paper]));
            let (left, top) = (index as u32 % side, (index as u32 * 7) % side);
            for (x, y, ink) in large.enumerate_pixels() {
                let part = f32::from(ink[0]) / 255.0;
                let grey = f32::from(paper) + (f32::from(pen) - f32::from(paper)) * part;
                sheet.put_pixel(left + x, top + y, Luma([grey.round() as u8]));
            }
            let back = read_digit(&png(&sheet.into())[..]).unwrap();
            let similar = correlation(original, &back);
            assert!(similar > 0.8, "digit {index}: correlation {similar}");
            (sum, count) = (sum + similar, count + 1);
        }
        let mean = sum / f64::from(count);
        assert!(count > 50, "only {count} digits have a usual pen");
        assert!(mean > least, "mean correlation {mean}");
        println!("scale {scale}, pen {pen} on {paper}: mean correlation {mean:.4}");
    }

    #[test]
    fn a_digit_drawn_on_a_larger_sheet_comes_back() {
        comes_back(1, 0, 255, 0.97);
        comes_back(5, 0, 255, 0.95);
    }

    #[test]
    fn dark_on_light_comes_back() {
        comes_back(4, 255, 0, 0.95);
        comes_back(4, 200, 90, 0.95);
    }

    #[test]
    fn light_on_grey_comes_back() {
        comes_back(3, 120, 230, 0.95);
    }

    /// A "7" of two strokes of this width on a sheet, black on white.
    fn seven(side: u32, stroke: f32) -> DynamicImage {
        let scale = side as f32 / 100.0;
        GrayImage::from_fn(side, side, |x, y| {
            let (x, y) = (x as f32 / scale, y as f32 / scale);
            let bar = (y - 25.0).abs() < stroke / 2.0 && (30.0..70.0).contains(&x);
            let leg =
                (x - (70.0 - (y - 25.0) * 0.5)).abs() < stroke / 2.0 && (25.0..80.0).contains(&y);
            Luma([if bar || leg { 20 } else { 240 }])
        })
        .into()
    }

    #[test]
    fn any_pen_becomes_one_of_mnists() {
        for stroke in [0.5, 1.0, 2.0, 8.0, 16.0] {
            let digit = digit(&seven(600, stroke)).unwrap();
            let width = stroke_width(&unit(&digit));
            assert!((1.7..3.7).contains(&width), "a pen of {stroke} became {width}");
        }
    }

    #[test]
    fn a_lamp_from_one_side_and_noise_make_no_difference() {
        let clean = seven(300, 8.0);
        let mut noise = 1u32;
        let lit = RgbImage::from_fn(300, 300, |x, y| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let shade = 0.55 + 0.3 * x as f32 / 300.0 + 0.1 * y as f32 / 300.0;
            let grey = f32::from(clean.to_luma8().get_pixel(x, y)[0]) * shade;
            let grey = (grey + (noise >> 28) as f32 - 8.0).clamp(0.0, 255.0) as u8;
            Rgb([grey, grey, grey])
        });
        let similar = correlation(&digit(&clean).unwrap(), &digit(&lit.into()).unwrap());
        assert!(similar > 0.95, "correlation {similar}");
    }

    #[test]
    fn specks_are_dropped() {
        let clean = seven(300, 8.0);
        let mut specked = clean.to_luma8();
        for (x, y) in [(10, 10), (11, 10), (290, 5), (150, 295)] {
            specked.put_pixel(x, y, Luma([0]));
        }
        let similar = correlation(&digit(&clean).unwrap(), &digit(&specked.into()).unwrap());
        assert!(similar > 0.999, "correlation {similar}");
    }

    #[test]
    fn transparency_is_paper() {
        let drawn = seven(200, 10.0);
        let expected = digit(&drawn).unwrap();
        for pen in [0, 255] {
            // The colour is the pen's everywhere; only the alpha draws.
            let sheet = RgbaImage::from_fn(200, 200, |x, y| {
                let ink = drawn.to_luma8().get_pixel(x, y)[0] < 128;
                Rgba([pen, pen, pen, if ink { 255 } else { 0 }])
            });
            let similar = correlation(&expected, &digit(&sheet.into()).unwrap());
            assert!(similar > 0.99, "pen {pen}: correlation {similar}");
        }
    }

    #[test]
    fn the_centre_of_mass_is_at_the_centre() {
        let digit = digit(&seven(250, 9.0)).unwrap();
        let mass: f64 = digit.iter().map(|&v| f64::from(v)).sum();
        let moment = |along: fn(usize) -> usize| -> f64 {
            digit.iter().enumerate().map(|(i, &v)| along(i) as f64 * f64::from(v)).sum::<f64>()
                / mass
        };
        let (x, y) = (moment(|i| i % COLS), moment(|i| i / COLS));
        assert!((x - 14.0).abs() <= 0.51 && (y - 14.0).abs() <= 0.51, "{x}, {y}");
    }

    #[test]
    fn a_blank_sheet_is_an_error() {
        for shade in [0, 128, 255] {
            let sheet = DynamicImage::from(GrayImage::from_pixel(50, 40, Luma([shade])));
            assert!(matches!(digit(&sheet), Err(PictureError::Blank)));
        }
        let clear: ImageBuffer<LumaA<u8>, _> = ImageBuffer::from_pixel(9, 9, LumaA([0, 0]));
        assert!(matches!(digit(&clear.into()), Err(PictureError::Blank)));
        let mut noise = 7u32;
        let noisy = GrayImage::from_fn(200, 200, |_, _| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Luma([250 - (noise >> 29) as u8])
        });
        assert!(matches!(digit(&noisy.into()), Err(PictureError::Blank)));
    }

    #[test]
    fn the_smallest_and_the_oddest_pictures_are_no_trouble() {
        for (width, height) in [(1, 1), (1, 300), (300, 1), (2, 2), (3, 5000), (28, 28)] {
            let sheet = GrayImage::from_fn(width, height, |x, y| {
                Luma([if (x + y) % 3 == 1 { 0 } else { 255 }])
            });
            if let Ok(digit) = digit(&sheet.into()) {
                assert_eq!(digit.len(), PIXELS);
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let refused = |bytes: &[u8]| read_digit(bytes).unwrap_err().to_string();
        assert!(refused(b"").contains("is empty"));
        assert!(refused(b"hello, I am a text").contains("no picture"));
        assert!(refused(b"GIF89a......................").contains("no picture"));
        let whole = png(&seven(60, 8.0));
        assert!(refused(&whole[..whole.len() / 2]).contains("damaged"));
        // A header of 2^31 - 1 pixels a side.
        let mut bomb = whole.clone();
        bomb[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let message = refused(&bomb);
        assert!(message.contains("too large") || message.contains("damaged"), "{message}");
    }
}
