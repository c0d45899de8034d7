//! Measured errors beside published ones, as a figure.

use std::{ops::Range, path::Path};

use plies_console::plot::{Area, COLOURS, FAMILY, Figure, PlotError, SIZE, save};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// A bar of the ladder.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What stands beside it.
    pub label: String,
    /// Its length.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// A figure to compare with.
    pub published: Option<f64>,
}

/// Draws errors in per cent on a logarithmic scale, what was published as a tick beside each.
///
/// # Errors
/// A file that cannot be written.
pub fn ladder(file: &Path, title: &str, bars: &[Bar]) -> Result<(), PlotError> {
    let height = 90 + 22 * bars.len() as u32;
    save(file, (SIZE.0, height), Ladder { title, bars })
}

struct Ladder<'a> {
    title: &'a str,
    bars: &'a [Bar],
}

impl Figure for Ladder<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        area.fill(&WHITE).map_err(text)?;
        let label = (FAMILY, 14).into_font().color(&BLACK);
        let heading = (FAMILY, 17).into_font().color(&BLACK);
        area.draw_text(self.title, &heading, (16, 12)).map_err(text)?;
        let (left, right) = (270, 790);
        let values = self.bars.iter().flat_map(|bar| {
            [bar.interval[0], bar.interval[1], bar.value, bar.published.unwrap_or(bar.value)]
        });
        let Range { start, end } = decades(values);
        let place = |value: f64| {
            let share = (value.max(start) / start).ln() / (end / start).ln();
            left + (share * f64::from(right - left)).round() as i32
        };
        let (top, bottom) = (44, 50 + 22 * self.bars.len() as i32);
        let grey = RGBColor(222, 222, 222);
        for (tick, is_labelled) in ticks(start, end) {
            let x = place(tick);
            area.draw(&PathElement::new(vec![(x, top), (x, bottom)], grey)).map_err(text)?;
            if is_labelled {
                let centred = label.clone().pos(Pos::new(HPos::Center, VPos::Top));
                area.draw_text(&format!("{tick} %"), &centred, (x, bottom + 6)).map_err(text)?;
            }
        }
        for (i, bar) in self.bars.iter().enumerate() {
            let y = 58 + 22 * i as i32;
            let at_right = label.clone().pos(Pos::new(HPos::Right, VPos::Center));
            area.draw_text(&bar.label, &at_right, (left - 10, y)).map_err(text)?;
            let [low, high] = bar.interval.map(place);
            let line = ShapeStyle { color: COLOURS[0].into(), filled: true, stroke_width: 2 };
            area.draw(&PathElement::new(vec![(low, y), (high, y)], line)).map_err(text)?;
            area.draw(&Circle::new((place(bar.value), y), 5, COLOURS[0].filled())).map_err(text)?;
            if let Some(published) = bar.published {
                let x = place(published);
                let tick = ShapeStyle { color: COLOURS[1].into(), filled: true, stroke_width: 3 };
                area.draw(&PathElement::new(vec![(x, y - 8), (x, y + 8)], tick)).map_err(text)?;
            }
            let beside = label.clone().pos(Pos::new(HPos::Left, VPos::Center));
            let value = format!("{:.2}", bar.value);
            area.draw_text(&value, &beside, (right + 14, y)).map_err(text)?;
        }
        area.present().map_err(text)
    }
}

/// From below the least to above the largest value, both 1, 2 or 5 times a power of ten.
fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let positive: Vec<f64> = values.filter(|v| v.is_finite() && *v > 0.0).collect();
    let least = positive.iter().copied().fold(f64::INFINITY, f64::min);
    let most = positive.iter().copied().fold(0.0, f64::max);
    if positive.is_empty() {
        return 0.1..10.0;
    }
    let round = |value: f64, up: bool| {
        let power = 10f64.powf(value.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        match up {
            true => steps.into_iter().find(|step| *step > value).unwrap_or(20.0 * power),
            false => steps.into_iter().rfind(|step| *step <= value).unwrap_or(power),
        }
    };
    round(least, false)..round(most, true)
}

/// 1, 2, 5, 10, ... and whether the number is written.
fn ticks(start: f64, end: f64) -> impl Iterator<Item = (f64, bool)> {
    let powers = (start.log10().floor() as i32..=end.log10().ceil() as i32).map(|p| 10f64.powi(p));
    let all = powers.flat_map(|power| (1..10).map(move |step| (f64::from(step) * power, step)));
    let round = |x: f64| (x * 1e6).round() / 1e6;
    all.map(move |(tick, step)| (round(tick), matches!(step, 1 | 2 | 5)))
        .filter(move |(tick, _)| (start * 0.999..=end * 1.001).contains(tick))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn bars() -> Vec<Bar> {
        let bar = |label: &str, value: f64, published| Bar {
            label: label.to_owned(),
            value,
            interval: [0.9 * value, 1.1 * value],
            published,
        };
        vec![
            bar("rules", 31.0, None),
            bar("800 hidden units", 1.5, Some(1.6)),
            bar("none", 0.0, None),
        ]
    }

    #[test]
    fn a_figure_is_svg_or_png_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        ladder(&file("a.svg"), "errors", &bars()).unwrap();
        let svg = fs::read_to_string(file("a.svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("800 hidden units"), "{svg}");
        ladder(&file("a.png"), "errors", &bars()).unwrap();
        let png = image::open(file("a.png")).unwrap().to_rgb8();
        // Blue for what was measured, orange for what was published.
        for colour in &COLOURS[..2] {
            let wanted = image::Rgb([colour.0, colour.1, colour.2]);
            assert!(png.pixels().any(|pixel| *pixel == wanted));
        }
        assert!(matches!(ladder(&file("a.gif"), "", &bars()), Err(PlotError::Ending(_))));
        assert!(matches!(ladder(&file("no/a.svg"), "", &bars()), Err(PlotError::Io(..))));
    }

    #[test]
    fn decades_hold_all_values() {
        assert_eq!(decades([0.45, 31.0].into_iter()), 0.2..50.0);
        assert_eq!(decades([1.0, 9.9].into_iter()), 1.0..10.0);
        assert_eq!(decades([].into_iter()), 0.1..10.0);
        let labelled: Vec<f64> = ticks(0.2, 5.0).filter(|t| t.1).map(|t| t.0).collect();
        assert_eq!(labelled, [0.2, 0.5, 1.0, 2.0, 5.0]);
    }
}
