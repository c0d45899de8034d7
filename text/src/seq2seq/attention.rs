//! Where an answer came from, in characters: a row for each token of the text, a column for each of the
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
}
