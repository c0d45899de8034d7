//! A text whose words show what they say for a label.

use std::fmt::Write as _;

use plies_text::classify::Explanation;

/// The text with its words in green where they speak for the label and in red where against, the
/// stronger the more; without colours, with the number of log-odds behind words that matter.
pub(crate) fn paint(explanation: &Explanation, has_colour: bool) -> String {
    let most = explanation.words.iter().map(|word| word.1.abs()).fold(0.0, f32::max).max(1e-9);
    let (mut text, mut at) = (String::new(), 0);
    for (range, by) in &explanation.words {
        text.push_str(&explanation.text[at..range.start]);
        at = range.end;
        let word = &explanation.text[range.clone()];
        let strength = by.abs() / most;
        if has_colour {
            // The cube of 256 colours: 16 + 36 red + 6 green + blue, each 0 to 5.
            let weak = ((1.0 - strength) * 5.0).round() as u8;
            let colour = match by {
                _ if weak == 5 => 231,
                by if *by > 0.0 => 16 + 36 * weak + 6 * 5 + weak,
                _ => 16 + 36 * 5 + 6 * weak + weak,
            };
            let _ = write!(text, "\x1b[38;5;{colour}m{word}\x1b[0m");
        } else if strength >= 0.2 {
            let _ = write!(text, "{word}({by:+.1})");
        } else {
            text.push_str(word);
        }
    }
    text.push_str(&explanation.text[at..]);
    text.replace(|c: char| c.is_control() && c != '\x1b', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_matter_stand_out() {
        let words = vec![(0..4, 1.5), (5..7, -0.1), (8..11, -0.9)];
        let explanation = Explanation { text: "good is bad.".to_owned(), words, bias: 0.0 };
        assert_eq!(paint(&explanation, false), "good(+1.5) is bad(-0.9).");
        let painted = paint(&explanation, true);
        assert!(painted.starts_with("\x1b[38;5;46mgood\x1b[0m "), "{painted:?}");
        assert!(painted.ends_with("\x1b[38;5;210mbad\x1b[0m."), "{painted:?}");
    }
}
