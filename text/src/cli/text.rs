//! Arguments for texts: which, and how they become words.

use std::path::Path;

use clap::{Args, ValueEnum};
use plies_console::Failure;
use plies_text::{
    corpus::Source,
    tokenize::{Characters, Normalization, Tokenizer, UnicodeWords, Whitespace, Words},
};

/// How a text becomes words.
#[derive(Args, Debug)]
pub(crate) struct WordArgs {
    /// What a word is [default: words for embedded texts, blanks for files]
    #[arg(long, value_name = "KIND")]
    tokens: Option<Tokens>,

    /// Make capitals small letters [default for embedded texts]
    #[arg(long)]
    lowercase: bool,

    /// Take bytes that are not UTF-8 for "\u{fffd}" rather than for a mistake
    #[arg(long)]
    lossy: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tokens {
    /// What stands between white space
    Blanks,
    /// Words and numbers as Unicode defines them, without punctuation
    Words,
    /// Every character
    Characters,
}

impl WordArgs {
    /// The text in a file, in standard input for `-`, or the embedded one when none is named.
    pub(crate) fn source(
        &self,
        file: Option<&Path>,
        embedded: fn() -> Source,
    ) -> Result<Source, Failure> {
        Ok(open(file, embedded)?.lossy(self.lossy))
    }

    /// What makes words of it that can have vectors: white space is none.
    pub(crate) fn visible_words(&self, is_embedded: bool) -> Words {
        let words = self.words(is_embedded);
        match self.tokens {
            Some(Tokens::Characters) => Words { tokenizer: Box::new(VisibleCharacters), ..words },
            _ => words,
        }
    }

    /// What makes words of it. An embedded text has capitals and punctuation.
    pub(crate) fn words(&self, is_embedded: bool) -> Words {
        let default = if is_embedded { Tokens::Words } else { Tokens::Blanks };
        let lowercase = self.lowercase || is_embedded && self.tokens.is_none();
        Words {
            tokenizer: match self.tokens.unwrap_or(default) {
                Tokens::Blanks => Box::new(Whitespace),
                Tokens::Words => Box::new(UnicodeWords),
                Tokens::Characters => Box::new(Characters),
            },
            normalization: if lowercase { Normalization::Lowercase } else { Normalization::None },
        }
    }
}

/// Characters but for white space, which files of vectors cannot hold.
struct VisibleCharacters;

impl Tokenizer for VisibleCharacters {
    fn for_each<'t>(&self, text: &'t str, each: &mut dyn FnMut(&'t str)) {
        let is_blank = |c: char| c.is_whitespace();
        Characters.for_each(text, &mut |token| {
            if !token.contains(is_blank) {
                each(token);
            }
        });
    }
}

/// The text in a file, in standard input for `-`, or the embedded one when none is named. What can be
/// read only once is kept in memory.
pub(crate) fn open(file: Option<&Path>, embedded: fn() -> Source) -> Result<Source, Failure> {
    let Some(file) = file else { return Ok(embedded()) };
    if file == Path::new("-") {
        return Ok(Source::stdin()?);
    }
    let source = Source::file(file);
    if source.is_rereadable() || file.is_dir() || !file.exists() {
        return Ok(source);
    }
    let bytes = std::fs::read(file).map_err(|error| Failure::at(file, error))?;
    Ok(Source::bytes(file.display().to_string(), bytes))
}
