//! From text to tokens: a tokeniser cuts, a normalisation decides which spellings are one word.
//!
//! A token is a slice of the text, so cutting copies nothing. Normalisation happens first and on
//! whole lines, since "ΌΣΟΣ".to_lowercase() depends on where a word ends.

use unicode_segmentation::UnicodeSegmentation;

/// Cuts a line into tokens.
///
/// # Example
/// ```
/// use plies_text::tokenize::{Tokenizer, UnicodeWords, Whitespace};
/// let text = "Don't panic, (42)";
/// assert_eq!(Whitespace.tokens(text), ["Don't", "panic,", "(42)"]);
/// assert_eq!(UnicodeWords.tokens(text), ["Don't", "panic", "42"]);
/// ```
pub trait Tokenizer: Send + Sync {
    /// Calls `each` on the tokens of `text`, in order. None is empty.
    fn for_each<'t>(&self, text: &'t str, each: &mut dyn FnMut(&'t str));

    /// The tokens of `text`.
    fn tokens<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut tokens = Vec::new();
        self.for_each(text, &mut |token| tokens.push(token));
        tokens
    }
}

/// What stands between white space (Unicode's), punctuation and all: the tokens of word2vec and
/// fastText, for text that somebody has prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whitespace;

impl Tokenizer for Whitespace {
    fn for_each<'t>(&self, text: &'t str, each: &mut dyn FnMut(&'t str)) {
        let bytes = text.as_bytes();
        let mut start = 0;
        let mut at = 0;
        while at < bytes.len() {
            // ASCII is decided by one byte; what is longer has to be decoded.
            let (is_space, width) = if bytes[at] < 0x80 {
                (matches!(bytes[at], b' ' | b'\t'..=b'\r'), 1)
            } else {
                let next = text[at..].chars().next().expect("`at` is where a character begins");
                (next.is_whitespace(), next.len_utf8())
            };
            if is_space {
                if at > start {
                    each(&text[start..at]);
                }
                start = at + width;
            }
            at += width;
        }
        if start < bytes.len() {
            each(&text[start..]);
        }
    }
}

/// Words and numbers without the punctuation around them, as Unicode defines them.
///
/// # Source
/// Unicode Standard Annex 29, word boundaries; only segments with a letter or digit are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnicodeWords;

impl Tokenizer for UnicodeWords {
    fn for_each<'t>(&self, text: &'t str, each: &mut dyn FnMut(&'t str)) {
        text.unicode_words().for_each(each);
    }
}

/// Words, and every mark between them as a token of its own: `!` says something about a review.
///
/// A word is made of letters, digits and `_`, with apostrophes between them (`don't`, `l’été`); any
/// other character that is not white space stands for itself. Text in ASCII is cut by a look at each
/// byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordsAndMarks;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Apostrophe,
    Mark,
}

impl Class {
    fn of(c: char) -> Class {
        match c {
            '_' => Class::Letter,
            '\'' | '’' => Class::Apostrophe,
            // Marks that follow a letter, as an accent does, are part of the word.
            c if c.is_alphanumeric() || is_combining(c) => Class::Letter,
            c if c.is_whitespace() || c.is_control() => Class::Space,
            _ => Class::Mark,
        }
    }

    /// What ASCII bytes are; what begins a longer character has no entry that counts.
    const OF_BYTE: [Class; 256] = {
        let mut table = [Class::Mark; 256];
        let mut b = 0;
        while b < 128 {
            let byte = b as u8;
            table[b] = if byte.is_ascii_alphanumeric() || byte == b'_' {
                Class::Letter
            } else if byte == b'\'' {
                Class::Apostrophe
            } else if byte <= b' ' || byte == 0x7f {
                Class::Space
            } else {
                Class::Mark
            };
            b += 1;
        }
        table
    };
}

fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94d}' | '\u{200d}')
}

impl Tokenizer for WordsAndMarks {
    fn for_each<'t>(&self, text: &'t str, each: &mut dyn FnMut(&'t str)) {
        let bytes = text.as_bytes();
        let class_at = |at: usize| match bytes.get(at) {
            None => (Class::Space, 1),
            Some(&byte) if byte < 0x80 => (Class::OF_BYTE[byte as usize], 1),
            Some(_) => {
                let next = text[at..].chars().next().expect("`at` is where a character begins");
                (Class::of(next), next.len_utf8())
            }
        };
        let mut at = 0;
        while at < bytes.len() {
            let (class, width) = class_at(at);
            let start = at;
            at += width;
            match class {
                Class::Space => {}
                Class::Mark | Class::Apostrophe => each(&text[start..at]),
                Class::Letter => {
                    loop {
                        while let Some(&byte) = bytes.get(at)
                            && byte < 0x80
                            && Class::OF_BYTE[byte as usize] == Class::Letter
                        {
                            at += 1;
                        }
                        let (class, width) = class_at(at);
                        match class {
                            Class::Letter => at += width,
                            Class::Apostrophe if class_at(at + width).0 == Class::Letter => {
                                at += width;
                            }
                            _ => break,
                        }
                    }
                    each(&text[start..at]);
                }
            }
        }
    }
}

/// Every character by itself, blanks too: extended grapheme clusters, so that an accent stays with
/// its letter.
///
/// # Source
/// Unicode Standard Annex 29, grapheme cluster boundaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Characters;

impl Tokenizer for Characters {
    fn for_each<'t>(&self, text: &'t str, each: &mut dyn FnMut(&'t str)) {
        text.graphemes(true).for_each(each);
    }
}

/// Which spellings count as one: nothing is changed, or capitals become small letters.
///
/// Small letters are Unicode's (`char::to_lowercase`, with Greek's final sigma); nothing else is
/// done: accents stay, and so do compositions ("é" as one or as two characters are two spellings).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// The text as it is.
    #[default]
    None,
    /// Capitals become small letters.
    Lowercase,
}

impl Normalization {
    /// The normalised line; `buffer` holds it when something had to change.
    pub fn apply<'t>(self, line: &'t str, buffer: &'t mut String) -> &'t str {
        let is_small = || !line.bytes().any(|b| b.is_ascii_uppercase() || b >= 0x80);
        if self == Normalization::None || is_small() {
            return line;
        }
        buffer.clear();
        if line.is_ascii() {
            buffer.push_str(line);
            buffer.make_ascii_lowercase();
        } else {
            buffer.push_str(&line.to_lowercase());
        }
        buffer
    }
}

/// A tokeniser and a normalisation: all that turns a line into words.
pub struct Words {
    /// How lines are cut.
    pub tokenizer: Box<dyn Tokenizer>,
    /// What is done to a line before it is cut.
    pub normalization: Normalization,
}

impl Words {
    /// As word2vec and fastText read text: cut at white space, nothing changed.
    pub fn as_they_are() -> Words {
        Words { tokenizer: Box::new(Whitespace), normalization: Normalization::None }
    }

    /// Words as people see them: without punctuation, in small letters.
    pub fn plain() -> Words {
        Words { tokenizer: Box::new(UnicodeWords), normalization: Normalization::Lowercase }
    }

    /// Calls `each` on the words of a line; `buffer` holds the normalised line.
    pub fn for_each(&self, line: &str, buffer: &mut String, each: &mut dyn FnMut(&str)) {
        let line = self.normalization.apply(line, buffer);
        self.tokenizer.for_each(line, each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_of_each_kind() {
        let rows: [(&dyn Tokenizer, &str, &[&str]); 11] = [
            (&Whitespace, "", &[]),
            (&Whitespace, " \t\n", &[]),
            (&Whitespace, " a  b,c\u{a0}d\u{3000}é ", &["a", "b,c", "d", "é"]),
            (
                &UnicodeWords,
                "The (quick) fox, 32.3 feet; can't.",
                &["The", "quick", "fox", "32.3", "feet", "can't"],
            ),
            (&UnicodeWords, "-- !", &[]),
            (
                &WordsAndMarks,
                "Don't 'quote' me, rock'n'roll… l’été!! a_1",
                &[
                    "Don't",
                    "'",
                    "quote",
                    "'",
                    "me",
                    ",",
                    "rock'n'roll",
                    "…",
                    "l’été",
                    "!",
                    "!",
                    "a_1",
                ],
            ),
            (&WordsAndMarks, " \u{a0}\u{7}", &[]),
            (&WordsAndMarks, "e\u{301}t' 日本。", &["e\u{301}t", "'", "日本", "。"]),
            (&Characters, "", &[]),
            (&Characters, "a é", &["a", " ", "é"]),
            (&Characters, "e\u{301}!", &["e\u{301}", "!"]),
        ];
        for (tokenizer, text, tokens) in rows {
            assert_eq!(tokenizer.tokens(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn small_letters_are_those_of_unicode() {
        let rows = [("abc", "abc"), ("ABC d", "abc d"), ("ÉTÉ", "été"), ("ΌΣΟΣ", "όσος")];
        for (text, expected) in rows {
            assert_eq!(Normalization::Lowercase.apply(text, &mut String::new()), expected);
            assert_eq!(Normalization::None.apply(text, &mut String::new()), text);
        }
    }

    proptest! {
        #[test]
        fn white_space_is_that_of_the_standard_library(text in "[a-zé \t\u{a0}\u{2003}\u{85}日]{0,40}") {
            let expected: Vec<&str> = text.split_whitespace().collect();
            prop_assert_eq!(Whitespace.tokens(&text), expected);
        }

        #[test]
        fn words_and_marks_are_all_but_white_space(text in any::<String>()) {
            let mut visible = text.clone();
            visible.retain(|c| Class::of(c) != Class::Space);
            prop_assert_eq!(WordsAndMarks.tokens(&text).concat(), visible);
        }

        #[test]
        fn characters_are_the_whole_text(text in any::<String>()) {
            prop_assert_eq!(Characters.tokens(&text).concat(), text);
        }
    }
}
