//! Where an answer came from, as a picture: a row for each token of the text, a column for each of the
//! answer.

use std::fmt::Write as _;

use super::Answer;

/// The end of an answer.
const END: &str = "∎";

impl Answer {
    /// Tokens of the answer and its end, over the columns.
    fn columns(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str).chain([END]).take(self.attention.len())
    }

    /// The picture in characters, at most `width` columns of the terminal wide; the darker, the more it was
    /// looked at. With colours in shades of blue, otherwise in blocks.
    pub fn draw(&self, width: usize, has_colour: bool) -> String {
        let wide = |text: &str| text.chars().count();
        let left = self.source.iter().map(|token| wide(token)).max().unwrap_or(0).min(width / 3);
        let cut = |text: &str, n: usize| text.chars().take(n).collect::<String>();
        let mut shown: Vec<(usize, &str, usize)> = Vec::new();
        let mut used = left;
        for (t, token) in self.columns().enumerate() {
            let cell = wide(token).max(2);
            used += cell + 1;
            if used > width {
                break;
            }
            shown.push((t, token, cell));
        }
        let mut text = format!("{:left$}", "");
        for (_, token, cell) in &shown {
            let _ = write!(text, " {token:^cell$}");
        }
        text.truncate(text.trim_end().len());
        for (s, token) in self.source.iter().enumerate() {
            let _ = write!(text, "\n{:<left$}", cut(token, left));
            for &(t, _, cell) in &shown {
                let weight = self.attention[t][s].clamp(0.0, 1.0);
                let strength = (weight * 4.0).round() as usize;
                if has_colour {
                    // The cube of 256 colours from black to blue to white.
                    let colour = [232, 17, 19, 27, 159][strength];
                    let _ = write!(text, " \x1b[48;5;{colour}m{:cell$}\x1b[0m", "");
                } else {
                    let block = [" ", "░", "▒", "▓", "█"][strength];
                    let _ = write!(text, " {}", block.repeat(cell));
                }
            }
            let end = text.trim_end_matches(' ').len();
            text.truncate(end);
        }
        text
    }

    /// The picture as an SVG file.
    pub fn to_svg(&self) -> String {
        const CELL: usize = 28;
        let wide = |text: &str| 9 * text.chars().count();
        let left = 16 + self.source.iter().map(|token| wide(token)).max().unwrap_or(0);
        let top = 16 + self.columns().map(wide).max().unwrap_or(0).max(20);
        let (columns, rows) = (self.attention.len(), self.source.len());
        let (width, height) = (left + CELL * columns + 16, top + CELL * rows + 16);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"15\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        for (t, token) in self.columns().enumerate() {
            let (x, y) = (left + CELL * t + CELL / 2, top - 8);
            let place = match wide(token) > CELL {
                true => format!("text-anchor=\"start\" transform=\"rotate(-90 {x} {y})\""),
                false => "text-anchor=\"middle\"".to_owned(),
            };
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" {place}>{}</text>", escape(token));
        }
        for (s, token) in self.source.iter().enumerate() {
            let (x, y) = (left - 8, top + CELL * s + CELL / 2 + 5);
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
                escape(token)
            );
            for (t, weights) in self.attention.iter().enumerate() {
                let (x, y) = (left + CELL * t, top + CELL * s);
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"#1f4e8c\" \
                     fill-opacity=\"{:.3}\" stroke=\"#ddd\"/>",
                    CELL - 2,
                    CELL - 2,
                    weights[s].clamp(0.0, 1.0)
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer {
            text: "20".to_owned(),
            tokens: vec!["2".to_owned(), "0".to_owned()],
            source: vec!["twenty".to_owned(), "<".to_owned()],
            attention: vec![vec![1.0, 0.0], vec![0.5, 0.5], vec![0.24, 0.76]],
            log_probability: -0.1,
        }
    }

    #[test]
    fn a_token_has_a_row_and_a_column() {
        let expected = "       2  0  ∎\ntwenty ██ ▒▒ ░░\n<         ▒▒ ▓▓";
        assert_eq!(answer().draw(80, false), expected);
        assert!(answer().draw(80, true).contains("\x1b[48;5;159m"));
        assert!(answer().draw(12, false).lines().all(|line| line.chars().count() <= 12));
    }

    #[test]
    fn a_picture_has_a_square_for_each_weight() {
        let svg = answer().to_svg();
        assert_eq!(svg.matches("fill-opacity").count(), 6);
        assert!(svg.contains(">&lt;</text>") && svg.ends_with("</svg>\n"));
    }
}
