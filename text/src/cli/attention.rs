//! Where an answer came from, as a figure: a row for each token of the text, a column for each of the answer
//! and one for its end, which is a small square; the darker a place, the more it was looked at.

use plies_console::plot::{Area, FAMILY, Figure};
use plies_text::seq2seq::Answer;
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// Height of letters, and the width of one on average.
const LETTERS: i32 = 15;
const LETTER: i32 = 9;
const MARGIN: i32 = 16;
/// Sides of a square that has room for letters beside it.
const CELL: i32 = 28;
/// More than so many pixels no side has; squares become smaller, and have no letters beside them.
const MOST: i32 = 4000;
const BLUE: RGBColor = RGBColor(31, 78, 140);
const GREY: RGBColor = RGBColor(221, 221, 221);

/// The attention of an answer.
pub(crate) struct Attention<'a> {
    answer: &'a Answer,
    cell: i32,
    left: i32,
    top: i32,
}

impl<'a> Attention<'a> {
    pub(crate) fn new(answer: &'a Answer) -> Self {
        let longest = |tokens: &[String]| {
            let widths = tokens.iter().map(|token| token.chars().count() as i32);
            widths.max().unwrap_or(0).min(40) * LETTER
        };
        let places = answer.source.len().max(answer.attention.len()).max(1) as i32;
        let cell = CELL.min(MOST / places).max(1);
        let left = MARGIN + longest(&answer.source) + 8;
        // What is wider than a square is written upwards.
        let top = MARGIN + longest(&answer.tokens).max(LETTERS) + 8;
        Attention { answer, cell, left, top }
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        let side = |start: i32, n: usize| (start + self.cell * n as i32 + MARGIN) as u32;
        (side(self.left, self.answer.attention.len()), side(self.top, self.answer.source.len()))
    }
}

impl Figure for Attention<'_> {
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Result<(), String> {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let &Attention { answer, cell, left, top } = self;
        area.fill(&WHITE).map_err(failed)?;
        let middle = |start: i32, i: usize| start + cell * i as i32 + cell / 2;
        let font = || (FAMILY, LETTERS).into_font();
        let has_letters = cell == CELL;
        for (t, token) in answer.tokens.iter().enumerate().filter(|_| has_letters) {
            let at = (middle(left, t), top - 8);
            let style = if token.chars().count() as i32 * LETTER > cell {
                let upwards = font().transform(FontTransform::Rotate270);
                upwards.color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center))
            } else {
                font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Bottom))
            };
            area.draw_text(token, &style, at).map_err(failed)?;
        }
        // Not every font has a character for it.
        for t in answer.tokens.len()..answer.attention.len() {
            let (x, y) = (middle(left, t), top - 8);
            let end = Rectangle::new([(x - 4, y - 10), (x + 4, y)], BLACK.filled());
            area.draw(&end).map_err(failed)?;
        }
        for (s, token) in answer.source.iter().enumerate() {
            let y = middle(top, s);
            if has_letters {
                let style = font().color(&BLACK).pos(Pos::new(HPos::Right, VPos::Center));
                area.draw_text(token, &style, (left - 8, y)).map_err(failed)?;
            }
            for (t, weights) in answer.attention.iter().enumerate() {
                let (x, y) = (left + cell * t as i32, top + cell * s as i32);
                let corners = [(x, y), (x + cell - 2, y + cell - 2)];
                let weight = f64::from(weights[s].clamp(0.0, 1.0));
                area.draw(&Rectangle::new(corners, BLUE.mix(weight).filled())).map_err(failed)?;
                area.draw(&Rectangle::new(corners, GREY)).map_err(failed)?;
            }
        }
        area.present().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use plies_console::plot::save;

    use super::*;

    fn answer(source: &[&str], tokens: &[&str]) -> Answer {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let row = vec![1.0 / source.len() as f32; source.len()];
        Answer {
            text: tokens.concat(),
            tokens: owned(tokens),
            source: owned(source),
            attention: vec![row; tokens.len() + 1],
            log_probability: -0.1,
        }
    }

    #[test]
    fn a_figure_has_a_square_for_each_weight_and_letters_where_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let draw = |name: &str, answer: &Answer| {
            let (file, figure) = (folder.path().join(name), Attention::new(answer));
            save(&file, figure.size(), figure).unwrap();
            std::fs::read(file).unwrap()
        };
        let small = answer(&["twenty", "<"], &["2", "zero"]);
        let svg = String::from_utf8(draw("a.svg", &small)).unwrap();
        // Six squares with their frames, the end, and the paper.
        assert_eq!(svg.matches("<rect").count(), 2 * 6 + 1 + 1, "{svg}");
        assert!(svg.contains("twenty") && svg.contains("&lt;") && svg.contains("zero"), "{svg}");
        assert!(draw("a.png", &small).starts_with(b"\x89PNG"));
        // A text of a thousand words is a figure of some thousand pixels.
        let large = answer(&["word"; 1000], &["other"; 1500]);
        let (width, height) = Attention::new(&large).size();
        assert!(width < 4500 && height < 4500, "{width} {height}");
        assert!(
            !String::from_utf8(draw("b.svg", &answer(&["word"; 200], &["o"])))
                .unwrap()
                .contains("word")
        );
    }
}
