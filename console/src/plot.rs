//! Figures as SVG and PNG: curves with their intervals, and whatever else a [`Figure`] draws.

use std::{io, ops::Range, path::Path, sync::Once};

use image::{ColorType, GrayImage, ImageEncoder, codecs::png::PngEncoder};
use plotters::{
    coord::{
        Shift,
        ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter},
    },
    prelude::*,
    style::{FontStyle, register_font},
};
use thiserror::Error;

use crate::files::put_file;

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
            png(&pixels, size, ColorType::Rgb8)?
        }
        None => return Err(PlotError::Ending(file.display().to_string())),
    };
    write(file, &bytes)
}

/// Saves a grey picture as PNG, whatever the file's name.
///
/// # Errors
/// A file that cannot be written.
pub fn save_image(file: &Path, picture: &GrayImage) -> Result<(), PlotError> {
    write(file, &png(picture, picture.dimensions(), ColorType::L8)?)
}

fn png(
    pixels: &[u8],
    (width, height): (u32, u32),
    colour: ColorType,
) -> Result<Vec<u8>, PlotError> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(pixels, width, height, colour.into())
        .map_err(|error| PlotError::Drawing(error.to_string()))?;
    Ok(bytes)
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), PlotError> {
    put_file(file, bytes).map_err(|error| PlotError::Io(file.display().to_string(), error))
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
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let x = Axis::over(points().map(|p| p.0), self.log[0], false);
        let y = Axis::over(points().flat_map(|p| [p.1, p.2[0], p.2[1]]), self.log[1], true);
        let legend = emptiest_corner(points().map(|p| (x.share(p.0), y.share(p.1))));
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, (FAMILY, 18))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(x, y)
            .map_err(text)?;
        chart
            .configure_mesh()
            .x_desc(self.axes[0])
            .y_desc(self.axes[1])
            .label_style((FAMILY, 14))
            .axis_desc_style((FAMILY, 15))
            .light_line_style(WHITE)
            .draw()
            .map_err(text)?;
        for (curve, colour) in self.curves.iter().zip(COLOURS.into_iter().cycle()) {
            let line = ShapeStyle { color: colour.into(), filled: true, stroke_width: 2 };
            let means = curve.points.iter().map(|&(x, mean, _)| (x, mean));
            chart
                .draw_series(LineSeries::new(means.clone(), line))
                .map_err(text)?
                .label(&curve.label)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], line));
            chart
                .draw_series(means.map(|mean| Circle::new(mean, 4, colour.filled())))
                .map_err(text)?;
            let intervals = curve.points.iter().map(|&(x, _, [low, high])| {
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
                .position(legend)
                .draw()
                .map_err(text)?;
        }
        area.present().map_err(text)
    }
}

/// The values from one side of a chart to the other, evenly or in equal ratios.
#[derive(Clone, Debug)]
pub struct Axis {
    values: Range<f64>,
    log: bool,
}

impl Axis {
    /// All of these values and a little more; a zero, which no ratio reaches, is `from_zero` on even axes alone.
    pub fn over(values: impl Iterator<Item = f64>, log: bool, from_zero: bool) -> Axis {
        let values = values.filter(|v| v.is_finite() && (!log || *v > 0.0));
        let [mut least, mut most] =
            values.fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| [a.min(v), b.max(v)]);
        if most < least {
            (least, most) = if log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        let from_zero = from_zero && !log;
        if from_zero {
            least = least.min(0.0);
        }
        let (start, end) = if log { (least.ln(), most.ln()) } else { (least, most) };
        let margin = match end - start {
            0.0 if log || start == 0.0 => 1.0,
            0.0 => 0.05 * start.abs(),
            length => 0.05 * length,
        };
        let start = if from_zero { start } else { start - margin };
        let [start, end] = [start, end + margin].map(|v| if log { v.exp() } else { v });
        Axis { values: start..end, log }
    }

    /// How far along the axis a value lies, from 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        let Range { start, end } = self.values;
        match self.log {
            true => (value.max(f64::MIN_POSITIVE) / start).ln() / (end / start).ln(),
            false => (value - start) / (end - start),
        }
    }

    /// Where it is marked: at the multiples of a short number; in equal ratios, unless that leaves less than three
    /// marks, at 1, 2 and 5 times powers of ten or, if there are many of them, at powers of ten.
    pub fn marks(&self) -> Vec<f64> {
        let Range { start, end } = self.values;
        let decades = (end / start).log10();
        if self.log && decades >= 1.0 {
            let (within, gap) = match decades {
                ..=4.0 => (&[1.0, 2.0, 5.0][..], 1),
                // At powers of ten only, and with gaps if they are many.
                _ => (&[1.0][..], (decades / 6.0).ceil() as usize),
            };
            return (start.log10().floor() as i32..=end.log10().floor() as i32)
                .step_by(gap)
                .flat_map(|power| within.iter().map(move |mantissa| mantissa * 10f64.powi(power)))
                .filter(|mark| self.values.contains(mark))
                .collect();
        }
        let rough = (end - start) / 6.0;
        let power = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(steps[3]);
        let (first, last) = ((start / step).ceil() as i64, (end / step).floor() as i64);
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        // A value that is far outside is drawn outside.
        let along = self.share(*value).clamp(-1.0, 2.0);
        (f64::from(first) + along * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Lines between the marks are not drawn.
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks() }
    }

    fn range(&self) -> Range<f64> {
        self.values.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        shown(*value)
    }
}

/// What stands at a mark: 0.5, 20, 1.5k, 2M.
pub fn shown(value: f64) -> String {
    let (value, unit) = match value.abs() {
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Marks are short numbers but for their last bits.
    let rounded = (value * 1e9).round() / 1e9;
    format!("{}{unit}", if rounded == 0.0 { 0.0 } else { rounded })
}

/// The corner of the chart where the fewest of these points lie, for the legend; both coordinates are from 0 to 1.
fn emptiest_corner(points: impl Iterator<Item = (f64, f64)>) -> SeriesLabelPosition {
    let mut found = [0; 4];
    for (x, y) in points {
        let corners = [(x, y), (1.0 - x, y), (x, 1.0 - y), (1.0 - x, 1.0 - y)];
        for (count, (beside, above)) in found.iter_mut().zip(corners) {
            *count += usize::from(beside > 0.6 && above > 0.6);
        }
    }
    let corners = [
        SeriesLabelPosition::UpperRight,
        SeriesLabelPosition::UpperLeft,
        SeriesLabelPosition::LowerRight,
        SeriesLabelPosition::LowerLeft,
    ];
    let fewest = found.into_iter().zip(corners).min_by_key(|(count, _)| *count);
    fewest.expect("there are four").1
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_axis_is_marked_at_short_numbers() {
        let marks = |from: f64, to: f64, log: bool| {
            let axis = Axis { values: from..to, log };
            axis.marks().into_iter().map(shown).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(marks(900.0, 70_000.0, true), "1k 2k 5k 10k 20k 50k");
        assert_eq!(marks(1100.0, 1900.0, true), "1.2k 1.4k 1.6k 1.8k");
        assert_eq!(marks(0.04, 3.0, true), "0.05 0.1 0.2 0.5 1 2");
        assert_eq!(marks(1e-7, 2e6, true), "0.0000001 0.0001 0.1 100 100k");
        assert_eq!(marks(0.0, 0.95, false), "0 0.2 0.4 0.6 0.8");
        assert_eq!(marks(-3.0, 3.0, false), "-3 -2 -1 0 1 2 3");
        assert_eq!(marks(1.0, 2_600_000.0, false), "500k 1M 1.5M 2M 2.5M");
        let around = |value: f64, log: bool| {
            let axis = Axis::over([value].into_iter(), log, false);
            axis.marks().into_iter().map(shown).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(around(2.5, false), "2.4 2.45 2.5 2.55 2.6");
        assert_eq!(around(0.0, false), "-1 -0.5 0 0.5 1");
        assert_eq!(around(2.0, true), "1 2 3 4 5");
    }

    #[test]
    fn an_axis_holds_what_is_drawn() {
        for (values, log) in [
            (&[1000.0, 60_000.0][..], true),
            (&[0.0, 3.0, f64::NAN], true),
            (&[7.0], false),
            (&[], true),
        ] {
            let axis = Axis::over(values.iter().copied(), log, false);
            let drawn = values.iter().filter(|v| v.is_finite() && (!log || **v > 0.0));
            assert!(drawn.clone().all(|v| (0.0..=1.0).contains(&axis.share(*v))), "{values:?}");
            assert!(axis.values.start < axis.values.end, "{values:?}");
        }
        assert_eq!(Axis::over([2.0, 4.0].into_iter(), false, true).values.start, 0.0);
    }

    #[test]
    fn the_legend_stands_where_no_curve_ends() {
        let along = || (0..=10).map(|i| 0.1 * f64::from(i));
        let falls = emptiest_corner(along().map(|x| (x, 1.0 - x)));
        assert!(matches!(falls, SeriesLabelPosition::UpperRight));
        let rises = emptiest_corner(along().map(|x| (x, x)));
        assert!(matches!(rises, SeriesLabelPosition::UpperLeft));
    }

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
                let spans = drawn.iter().any(|curve| curve.points.len() == 2);
                assert_eq!(svg.contains("\n5k\n"), spans && log[0], "{svg}");
                assert_eq!(
                    svg.matches("<circle").count(),
                    drawn.iter().map(|c| c.points.len()).sum::<usize>()
                );
            }
        }
    }
}
