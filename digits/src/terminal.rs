//! Draws digits and tables in at most 80 columns of text.

use std::fmt::Write as _;

use plies_nn::metrics::ConfusionMatrix;

use crate::idx::{COLS, ROWS};

/// How grey is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Half blocks in 24 shades, by the terminal's 256 colours.
    Grey,
    /// Half blocks, ink or no ink: needs no colour.
    Blocks,
    /// Plain characters, darker for more ink.
    Ascii,
}

impl Style {
    /// What the place that the text goes to can show, by the customs of the environment.
    ///
    /// Half blocks need UTF-8 (`LC_ALL`, `LC_CTYPE`, `LANG`; the first that is set counts) and a
    /// `TERM` other than `dumb`; shades need a terminal with a `TERM` and no `NO_COLOR`. Windows
    /// sets none of these and can show all of it.
    pub fn detect(is_terminal: bool, environment: impl Fn(&str) -> Option<String>) -> Style {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let utf8 = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        let term = set("TERM");
        let windows = cfg!(windows);
        if term.as_deref() == Some("dumb") || !(utf8 || windows) {
            Style::Ascii
        } else if is_terminal && (term.is_some() || windows) && set("NO_COLOR").is_none() {
            Style::Grey
        } else {
            Style::Blocks
        }
    }
}

/// A digit and what is written under it.
#[derive(Clone, Copy, Debug)]
pub struct Captioned<'a> {
    /// 28 x 28 bytes, 0 is background.
    pub pixels: &'a [u8],
    /// One line of at most 26 characters.
    pub caption: &'a str,
}

/// Three of these and two spaces make 80 columns; MNIST leaves the border pixels empty anyway.
const DRAWN_COLS: usize = 26;
const PER_ROW: usize = 3;

/// Draws digits three beside each other, captions under them.
///
/// # Panics
/// Panics unless each digit has 28 x 28 pixels.
pub fn draw(digits: &[Captioned<'_>], style: Style) -> String {
    let mut text = String::new();
    for row in digits.chunks(PER_ROW) {
        // Lines that are empty in all of them are left out.
        let drawn = |line: usize| row.iter().any(|digit| inked(digit.pixels, line));
        let lines = (0..ROWS / 2).filter(|&line| drawn(line));
        let (first, last) = (lines.clone().next().unwrap_or(0), lines.max().unwrap_or(0));
        for line in first..=last {
            let parts = row.iter().map(|digit| draw_line(digit.pixels, line, style));
            push_line(&mut text, &parts.collect::<Vec<_>>().join(" "));
        }
        let captions = row.iter().map(|digit| format!("{:<DRAWN_COLS$}", digit.caption));
        push_line(&mut text, &captions.collect::<Vec<_>>().join(" "));
        text.push('\n');
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn inked(pixels: &[u8], line: usize) -> bool {
    pixels[2 * line * COLS..2 * (line + 1) * COLS].iter().any(|&pixel| pixel > 0)
}

/// Two rows of pixels as one line of text.
fn draw_line(pixels: &[u8], line: usize, style: Style) -> String {
    assert_eq!(pixels.len(), ROWS * COLS, "a digit has 28 x 28 pixels");
    let side = (COLS - DRAWN_COLS) / 2;
    let mut text = String::new();
    let mut shades = None;
    for col in side..COLS - side {
        let upper = pixels[2 * line * COLS + col];
        let lower = pixels[(2 * line + 1) * COLS + col];
        match style {
            Style::Grey => {
                // 232 to 255 are the 24 greys of the 256 colours.
                let shade = |pixel: u8| 232 + u16::from(pixel) * 23 / 255;
                let (upper, lower) = (shade(upper), shade(lower));
                if shades.replace((upper, lower)) != Some((upper, lower)) {
                    let _ = write!(text, "\x1b[38;5;{upper};48;5;{lower}m");
                }
                text.push('▀');
            }
            Style::Blocks => text.push(match (upper > 96, lower > 96) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            }),
            Style::Ascii => {
                const RAMP: &[u8] = b" .:-=+*#%@";
                let grey = (usize::from(upper) + usize::from(lower)) / 2;
                text.push(RAMP[(grey * RAMP.len() / 256).min(RAMP.len() - 1)].into());
            }
        }
    }
    if style == Style::Grey {
        text.push_str("\x1b[0m");
    }
    text
}

/// The confusion matrix as a table, with the recall of each class.
///
/// The empty cells are dots, so that the mistakes stand out.
pub fn confusion_table(confusion: &ConfusionMatrix) -> String {
    let classes = 0..confusion.n_classes();
    let mut text = String::from("true\\read");
    for class in classes.clone() {
        let _ = write!(text, "{class:>6}");
    }
    text.push_str("   right\n");
    for class in classes.clone() {
        let _ = write!(text, "{class:>9}");
        let row = classes.clone().map(|read| confusion.count(class, read));
        for count in row.clone() {
            match count {
                0 => text.push_str("     ."),
                _ => drop(write!(text, "{count:>6}")),
            }
        }
        match row.sum::<usize>() {
            0 => text.push_str("       -\n"),
            _ => drop(writeln!(text, "{:>6.1} %", 100.0 * confusion.recall(class))),
        }
    }
    text
}

/// A probability as a bar of at most `width` characters.
pub fn bar(probability: f64, width: usize, style: Style) -> String {
    let filled = (probability.clamp(0.0, 1.0) * width as f64).round() as usize;
    let character = if style == Style::Ascii { "#" } else { "█" };
    character.repeat(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(is_terminal: bool, environment: &[(&str, &str)]) -> Style {
        Style::detect(is_terminal, |name| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    #[cfg(not(windows))]
    fn the_environment_decides_the_style() {
        let utf8 = ("LANG", "de_DE.UTF-8");
        let term = ("TERM", "xterm-256color");
        assert_eq!(detect(true, &[utf8, term]), Style::Grey);
        assert_eq!(detect(true, &[utf8, term, ("NO_COLOR", "1")]), Style::Blocks);
        assert_eq!(detect(true, &[utf8, term, ("NO_COLOR", "")]), Style::Grey);
        assert_eq!(detect(false, &[utf8, term]), Style::Blocks);
        assert_eq!(detect(true, &[utf8]), Style::Blocks);
        assert_eq!(detect(true, &[utf8, ("TERM", "")]), Style::Blocks);
        assert_eq!(detect(true, &[utf8, ("TERM", "dumb")]), Style::Ascii);
        assert_eq!(detect(true, &[utf8, term, ("LC_ALL", "C")]), Style::Ascii);
        assert_eq!(detect(true, &[("LC_ALL", ""), utf8, term]), Style::Grey);
        assert_eq!(detect(true, &[]), Style::Ascii);
    }

    #[test]
    fn nothing_is_wider_than_80_columns() {
        let pixels = vec![255; ROWS * COLS];
        let digit = Captioned { pixels: &pixels, caption: "true 4, read 9 (83 %)" };
        for style in [Style::Blocks, Style::Ascii] {
            let text = draw(&[digit; 5], style);
            assert_eq!(text.lines().map(|line| line.chars().count()).max(), Some(80));
            assert_eq!(text.matches("read 9").count(), 5);
        }
        let table = confusion_table(&ConfusionMatrix::new(10));
        assert!(table.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn half_blocks_show_two_rows_of_pixels() {
        let mut pixels = vec![0; ROWS * COLS];
        pixels[COLS + 1] = 255; // row 1, column 1: the lower half of the first character
        pixels[2] = 255; // row 0, column 2
        pixels[3] = 255;
        pixels[COLS + 3] = 255;
        let digit = Captioned { pixels: &pixels, caption: "x" };
        assert_eq!(draw(&[digit], Style::Blocks), "▄▀█\nx\n\n");
        assert_eq!(draw(&[digit], Style::Ascii), "==@\nx\n\n");
        assert!(draw(&[digit], Style::Grey).starts_with("\x1b[38;5;232;48;5;255m▀"));
    }

    #[test]
    fn an_empty_digit_is_still_a_picture() {
        let pixels = vec![0; ROWS * COLS];
        assert_eq!(draw(&[Captioned { pixels: &pixels, caption: "" }], Style::Blocks), "\n\n\n");
        assert_eq!(draw(&[], Style::Ascii), "");
    }

    #[test]
    fn a_class_without_examples_has_no_recall() {
        let mut confusion = ConfusionMatrix::new(2);
        for read in [0, 0, 0, 1] {
            confusion.add(0, read);
        }
        let table = confusion_table(&confusion);
        assert!(table.lines().nth(1).unwrap().ends_with("75.0 %"), "{table}");
        assert!(table.lines().nth(2).unwrap().ends_with('-'));
    }
}
