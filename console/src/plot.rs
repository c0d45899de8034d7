//! Figures as SVG and PNG: curves with their intervals, and whatever else a [`Figure`] draws.

use std::{fs::OpenOptions, io, io::Write, path::Path, sync::Once};

use image::{ColorType, ImageEncoder, codecs::png::PngEncoder};
use plies_tensor::replace_file;
use plotters::{
    coord::Shift,
    prelude::*,
    style::{FontStyle, register_font},
};
use thiserror::Error;

/// A subset of DejaVu Sans, so that figures look the same everywhere.
const FONT: &[u8] = include_bytes!("../fonts/DejaVuSans-subset.ttf");
/// The font's name.
pub const FAMILY: &str = "sans-serif";
/// Width and height of a figure, in pixels.
pub const SIZE: (u32, u32) = (860, 560);

/// Colours that are told apart by those who do not see all of them (Okabe, Ito 2002).
pub const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

/// Why there is no figure.
#[derive(Debug, Error)]
pub enum PlotError {
    /// The name ends in neither.
    #[error("{0}: a figure ends in .svg or .png")]
    Ending(String),
    /// The file cannot be written.
    #[error("{0}: cannot be written ({1})")]
    Io(String, io::Error),
    /// The figure cannot be drawn.
    #[error("the figure cannot be drawn ({0})")]
    Drawing(String),
}

/// A curve through means, with a 95 % interval at each.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What the legend calls it.
    pub label: String,
    /// (x, mean, interval)
    pub points: Vec<(f64, f64, [f64; 2])>,
}

/// What is drawn on.
pub type Area<'a, B> = DrawingArea<B, Shift>;

/// Checks that a figure can have this name, before anything is computed.
///
/// # Errors
/// [`PlotError::Ending`].
pub fn check_name(file: &Path) -> Result<(), PlotError> {
    match ending(file) {
        Some(_) => Ok(()),
        None => Err(PlotError::Ending(file.display().to_string())),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Svg,
    Png,
}

fn ending(file: &Path) -> Option<Ending> {
    match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "svg" => Some(Ending::Svg),
        "png" => Some(Ending::Png),
        _ => None,
    }
}

/// Draws curves; `log` says which axes are logarithmic, x and y.
///
/// # Errors
/// A file that cannot be written.
pub fn curves(
    file: &Path,
    title: &str,
    axes: [&str; 2],
    log: [bool; 2],
    curves: &[Curve],
) -> Result<(), PlotError> {
    save(file, SIZE, Curves { title, axes, log, curves })
}

/// What can be drawn on any backend.
pub trait Figure {
    /// Draws it; the error says why it cannot be.
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String>;
}

/// Draws a figure of `size` into a file, as its name says: `.svg` or `.png`.
///
/// # Errors
/// A file that cannot be written, another ending, a figure that cannot be drawn.
pub fn save(file: &Path, size: (u32, u32), figure: impl Figure) -> Result<(), PlotError> {
    static FONT_IS_KNOWN: Once = Once::new();
    FONT_IS_KNOWN.call_once(|| {
        let known = register_font(FAMILY, FontStyle::Normal, FONT);
        assert!(known.is_ok(), "the embedded font is a font");
    });
    let bytes = match ending(file) {
        Some(Ending::Svg) => {
            let mut text = String::new();
            let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
            figure.draw(&area).map_err(PlotError::Drawing)?;
            drop(area);
            text.into_bytes()
        }
        Some(Ending::Png) => {
            let mut pixels = vec![0; (size.0 * size.1 * 3) as usize];
            let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
            figure.draw(&area).map_err(PlotError::Drawing)?;
            drop(area);
            let mut bytes = Vec::new();
            PngEncoder::new(&mut bytes)
                .write_image(&pixels, size.0, size.1, ColorType::Rgb8.into())
                .map_err(|error| PlotError::Drawing(error.to_string()))?;
            bytes
        }
        None => return Err(PlotError::Ending(file.display().to_string())),
    };
    // A pipe or a device is written to, a file replaced.
    let special = file.metadata().is_ok_and(|found| !found.is_file());
    let written = match special {
        true => OpenOptions::new().write(true).open(file).and_then(|mut f| f.write_all(&bytes)),
        false => replace_file(file, |new| new.write_all(&bytes)),
    };
    written.map_err(|error| PlotError::Io(file.display().to_string(), error))
}

struct Curves<'a> {
    title: &'a str,
    axes: [&'a str; 2],
    log: [bool; 2],
    curves: &'a [Curve],
}

impl Figure for Curves<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        area.fill(&WHITE).map_err(text)?;
        let scale = |value: f64, log: bool| if log { value.max(1e-12).log10() } else { value };
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let range = |values: &mut dyn Iterator<Item = f64>, log: bool, from_zero: bool| {
            let values: Vec<f64> =
                values.map(|v| scale(v, log)).filter(|v| v.is_finite()).collect();
            let mut least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let mut most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if from_zero && !log {
                least = least.min(0.0);
            }
            if !least.is_finite() || !most.is_finite() {
                (least, most) = (0.0, 1.0);
            }
            let margin = 0.05 * (most - least).max(1e-9);
            if from_zero && !log { least..most + margin } else { least - margin..most + margin }
        };
        let x = range(&mut points().map(|p| p.0), self.log[0], false);
        let y = range(&mut points().flat_map(|p| [p.1, p.2[0], p.2[1]]), self.log[1], true);
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, (FAMILY, 18))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(x, y)
            .map_err(text)?;
        let shown = |value: &f64, log: bool| {
            let value = if log { 10f64.powf(*value) } else { *value };
            match value.abs() {
                1000.0.. => format!("{:.0}k", value / 1000.0),
                10.0.. => format!("{value:.0}"),
                0.995.. => format!("{value:.1}"),
                _ => format!("{value:.2}"),
            }
        };
        let [log_x, log_y] = self.log;
        chart
            .configure_mesh()
            .x_desc(self.axes[0])
            .y_desc(self.axes[1])
            .label_style((FAMILY, 14))
            .axis_desc_style((FAMILY, 15))
            .x_label_formatter(&|value| shown(value, log_x))
            .y_label_formatter(&|value| shown(value, log_y))
            .light_line_style(WHITE)
            .draw()
            .map_err(text)?;
        for (curve, colour) in self.curves.iter().zip(COLOURS.into_iter().cycle()) {
            let line = ShapeStyle { color: colour.into(), filled: true, stroke_width: 2 };
            let at = |&(x, y, [low, high]): &(f64, f64, [f64; 2])| {
                let [y, low, high] = [y, low, high].map(|v| scale(v, log_y));
                (scale(x, log_x), y, low, high)
            };
            let means = curve.points.iter().map(|point| (at(point).0, at(point).1));
            chart
                .draw_series(LineSeries::new(means.clone(), line))
                .map_err(text)?
                .label(&curve.label)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], line));
            chart
                .draw_series(means.map(|mean| Circle::new(mean, 4, colour.filled())))
                .map_err(text)?;
            let intervals = curve.points.iter().map(at).map(|(x, _, low, high)| {
                PathElement::new(vec![(x, low), (x, high)], colour.mix(0.6))
            });
            chart.draw_series(intervals).map_err(text)?;
        }
        if self.curves.len() > 1 {
            chart
                .configure_series_labels()
                .label_font((FAMILY, 14))
                .background_style(WHITE.mix(0.85))
                .border_style(RGBColor(200, 200, 200))
                .position(SeriesLabelPosition::UpperRight)
                .draw()
                .map_err(text)?;
        }
        area.present().map_err(text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn curves_without_points_or_with_one_can_be_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.svg");
        let curve = |points: &[(f64, f64, [f64; 2])]| Curve {
            label: "one".to_owned(),
            points: points.to_vec(),
        };
        let points = [(1000.0, 2.0, [1.5, 2.5]), (10_000.0, 1.0, [0.9, 1.1])];
        for drawn in [vec![], vec![curve(&[])], vec![curve(&points[..1])], vec![curve(&points); 9]]
        {
            for log in [[false, false], [true, true]] {
                curves(&file, "title", ["x", "error %"], log, &drawn).unwrap();
                let svg = fs::read_to_string(&file).unwrap();
                assert!(svg.contains("title"));
                assert_eq!(
                    svg.matches("<circle").count(),
                    drawn.iter().map(|c| c.points.len()).sum::<usize>()
                );
            }
        }
    }
}
