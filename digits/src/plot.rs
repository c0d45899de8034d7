//! Measured errors beside published ones, as a figure.

use std::path::Path;

use plies_console::plot::{Area, Axis, COLOURS, FAMILY, Figure, PlotError, SIZE, save, shown};
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
        let axis = Axis::over(values, true, false);
        let place = |value: f64| {
            left + (axis.share(value).max(0.0) * f64::from(right - left)).round() as i32
        };
        let (top, bottom) = (44, 50 + 22 * self.bars.len() as i32);
        let grey = RGBColor(222, 222, 222);
        for mark in axis.marks() {
            let x = place(mark);
            area.draw(&PathElement::new(vec![(x, top), (x, bottom)], grey)).map_err(text)?;
            let centred = label.clone().pos(Pos::new(HPos::Center, VPos::Top));
            let below = format!("{} %", shown(mark));
            area.draw_text(&below, &centred, (x, bottom + 6)).map_err(text)?;
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
}
