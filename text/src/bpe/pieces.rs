//! Pieces: a text cut so that nothing is lost, at most one word in each.
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//!
//! That is GPT-2's regular expression. A blank belongs to the word after it, so pieces put one after the
//! other are the text, and no rules are needed to put words together again. Here it is a loop that looks at
//! each character once.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::tokenize::Tokenizer;

/// Words with the blank before them, numbers, marks, and what is left of white space: all of the text.
///
/// # Source
/// Radford et al.: Language models are unsupervised multitask learners (2019), the file `encoder.py`.
///
/// # Example
/// ```
/// use plies_text::{bpe::Pieces, tokenize::Tokenizer};
/// let pieces = Pieces.tokens("It's 6,5 o'clock.\n\n  Tea?");
/// assert_eq!(pieces, ["It", "'s", " 6", ",", "5", " o", "'", "clock", ".", "\n\n ", " Tea", "?"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pieces;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Number,
    Other,
}

impl Class {
    fn of(c: char) -> Class {
        match c {
            'a'..='z' | 'A'..='Z' => Class::Letter,
            '0'..='9' => Class::Number,
            c if c.is_whitespace() => Class::Space,
            c if c.is_ascii() => Class::Other,
            c => match c.general_category_group() {
                GeneralCategoryGroup::Letter => Class::Letter,
                GeneralCategoryGroup::Number => Class::Number,
                _ => Class::Other,
            },
        }
    }
}

/// The bytes of `text` before the first character that is of another class.
fn run(text: &str, class: Class) -> usize {
    text.find(|c| Class::of(c) != class).unwrap_or(text.len())
}

/// The bytes of the first piece.
fn first(text: &str) -> usize {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    let bytes = text.as_bytes();
    if bytes[0] == b'\''
        && let Some(found) = CONTRACTIONS.iter().find(|&&end| text.starts_with(end))
    {
        return found.len();
    }
    let blank = usize::from(bytes[0] == b' ');
    let next = text[blank..].chars().next().map_or(Class::Space, Class::of);
    if next != Class::Space {
        return blank + run(&text[blank..], next);
    }
    let spaces = run(text, Class::Space);
    // The last one is left for the word that follows, unless it is alone.
    let last = text[..spaces].chars().next_back().map_or(0, char::len_utf8);
    if spaces < text.len() && last < spaces { spaces - last } else { spaces }
}

impl Tokenizer for Pieces {
    fn for_each<'t>(&self, text: &'t str, each: &mut dyn FnMut(&'t str)) {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(first(rest));
            each(piece);
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_are_those_of_the_regular_expression() {
        // Made with regex.findall of GPT-2's pattern.
        let rows: [(&str, &[&str]); 10] = [
            ("", &[]),
            (" ", &[" "]),
            ("  ", &["  "]),
            (" \n a", &[" \n", " a"]),
            ("a\tb", &["a", "\t", "b"]),
            ("we'll 'sing' I'D", &["we", "'ll", " '", "sing", "'", " I", "'", "D"]),
            ("!'s ¡hé! 日本、", &["!'", "s", " ¡", "hé", "!", " 日本", "、"]),
            ("½x² Ⅷ", &["½", "x", "²", " Ⅷ"]),
            ("हिन्दी", &["ह", "ि", "न", "्", "द", "ी"]),
            ("a\u{a0}\u{2003}b ", &["a", "\u{a0}", "\u{2003}", "b", " "]),
        ];
        for (text, pieces) in rows {
            assert_eq!(Pieces.tokens(text), pieces, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole_text(text in any::<String>()) {
            prop_assert_eq!(Pieces.tokens(&text).concat(), text);
        }
    }
}
