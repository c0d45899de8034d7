//! From a text to numbers and back, so that nothing is lost but what is too rare to have a number.

use std::collections::HashMap;

use plies_nn::Checkpoint;

use crate::bpe::{Bpe, Pieces};
use crate::corpus::{Chunk, Source};
use crate::hash::Quick;
use crate::tokenize::{Characters, Tokenizer};
use crate::vocabulary::Counter;
use crate::{Error, Result};

/// What a token is. All tokens of a text, put one after the other, are the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Extended grapheme clusters, blanks among them: [`Characters`].
    #[default]
    Characters,
    /// Words with the blank before them, and marks: [`Pieces`].
    Words,
    /// Pieces of words by byte-pair encoding: [`Bpe`].
    Bpe,
}

const UNITS: [(Unit, &str); 3] =
    [(Unit::Characters, "characters"), (Unit::Words, "words"), (Unit::Bpe, "bpe")];

impl Unit {
    /// `characters`, `words` or `bpe`.
    pub fn name(self) -> &'static str {
        UNITS.iter().find(|row| row.0 == self).expect("each has a name").1
    }
}

/// Tokens and their numbers.
///
/// Of characters and words, number 0 stands for all that have none; it is written U+FFFD. With byte-pair
/// encoding everything has numbers.
///
/// # Example
/// ```
/// use plies_text::{corpus::Source, language::{Codec, Unit}};
/// let codec = Codec::learn(&Source::bytes("text", *b"to be or not to be"), Unit::Words, 100, 1)?;
/// let numbers = codec.encode("to see or not to see");
/// assert_eq!(codec.decode(&numbers), "to\u{fffd} or not to\u{fffd}");
/// # Ok::<(), plies_text::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Codec {
    unit: Unit,
    tokens: Tokens,
}

#[derive(Clone, Debug)]
enum Tokens {
    /// Those with the numbers 1, 2 … and their numbers.
    Listed(Vec<Box<str>>, HashMap<Box<str>, u32, Quick>),
    Bpe(Box<Bpe>),
}

const UNKNOWN: &str = "\u{fffd}";

impl Codec {
    /// The tokens of a text that occur `min_count` times, at most `most` of them, the most frequent; or
    /// merges until there are so many tokens.
    ///
    /// # Errors
    /// What is wrong with the text or with `most`.
    pub fn learn(source: &Source, unit: Unit, most: usize, min_count: u64) -> Result<Codec> {
        if unit == Unit::Bpe {
            return Ok(Bpe::train(source, most, min_count)?.into());
        }
        Self::check(unit, most)?;
        let mut counter = Counter::new();
        let (mut chunks, mut chunk) = (source.chunks()?, Chunk::default());
        while chunks.next(&mut chunk)? {
            cut(unit, &chunk.text(source)?, &mut |token| counter.add(token));
        }
        counter.check(min_count, source.name())?;
        let vocabulary = counter.vocabulary(min_count);
        Ok(Self::listed(unit, vocabulary.words().take(most - 1).map(Box::from).collect()))
    }

    /// Whether there can be so many tokens.
    ///
    /// # Errors
    /// Fewer than two, and what [`Bpe::check`] says.
    pub fn check(unit: Unit, most: usize) -> Result<()> {
        match unit {
            Unit::Bpe => Bpe::check(most),
            _ if most < 2 => {
                Err(Error::setting("vocabulary", format!("is {most}; it may be 2 or more")))
            }
            _ => Ok(()),
        }
    }

    fn listed(unit: Unit, tokens: Vec<Box<str>>) -> Codec {
        let numbers = tokens.iter().cloned().zip(1..).collect();
        Codec { unit, tokens: Tokens::Listed(tokens, numbers) }
    }

    /// What a token is.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Number of tokens, with that for the unknown.
    pub fn len(&self) -> usize {
        match &self.tokens {
            Tokens::Listed(tokens, _) => tokens.len() + 1,
            Tokens::Bpe(bpe) => bpe.len(),
        }
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of what has none, if there is such a thing.
    pub fn unknown(&self) -> Option<u32> {
        matches!(self.tokens, Tokens::Listed(..)).then_some(0)
    }

    /// The numbers of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut numbers = Vec::new();
        match &self.tokens {
            Tokens::Listed(_, of) => cut(self.unit, text, &mut |token| {
                numbers.push(of.get(token).copied().unwrap_or(0));
            }),
            Tokens::Bpe(bpe) => bpe.encode_into(text, &mut numbers),
        }
        numbers
    }

    /// The bytes of a token.
    ///
    /// # Panics
    /// When there is no such token.
    #[track_caller]
    pub fn token(&self, number: u32) -> &[u8] {
        match &self.tokens {
            Tokens::Listed(_, _) if number == 0 => UNKNOWN.as_bytes(),
            Tokens::Listed(tokens, _) => tokens[number as usize - 1].as_bytes(),
            Tokens::Bpe(bpe) => bpe.token(number),
        }
    }

    /// The text of numbers; what is no character, because its other bytes are missing, is U+FFFD.
    ///
    /// # Panics
    /// When there is no such token.
    #[track_caller]
    pub fn decode(&self, numbers: &[u32]) -> String {
        let bytes: Vec<u8> =
            numbers.iter().flat_map(|&number| self.token(number)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Puts all into a file of a model.
    pub(crate) fn save(&self, file: &mut Checkpoint, name: &str) {
        file.set(&format!("{name}.unit"), self.unit.name());
        let text = match &self.tokens {
            Tokens::Listed(tokens, _) => serde_json::to_string(tokens).expect("strings are JSON"),
            Tokens::Bpe(bpe) => bpe.to_merges(),
        };
        file.set(&format!("{name}.tokens"), text);
    }

    /// Reads what [`save`](Codec::save) wrote.
    pub(crate) fn load(file: &Checkpoint, name: &str, origin: &str) -> Result<Codec> {
        let text = |key: &str| {
            let key = format!("{name}.{key}");
            file.get(&key).ok_or_else(|| Error::format(origin, format!("no {key} is stored")))
        };
        let unit = text("unit")?;
        let Some(&(unit, _)) = UNITS.iter().find(|row| row.1 == unit) else {
            return Err(Error::format(
                origin,
                format!("{name}.unit is {unit:?}, which is unknown"),
            ));
        };
        if unit == Unit::Bpe {
            return Ok(Bpe::from_merges(text("tokens")?, origin)?.into());
        }
        let tokens: Vec<Box<str>> = serde_json::from_str(text("tokens")?)
            .map_err(|e| Error::format(origin, format!("{name}.tokens: {e}")))?;
        let n = tokens.len();
        let codec = Self::listed(unit, tokens);
        match &codec.tokens {
            Tokens::Listed(_, numbers) if numbers.len() < n || numbers.contains_key("") => {
                let reason = format!("{name}.tokens are not all different, or one is empty");
                Err(Error::format(origin, reason))
            }
            _ => Ok(codec),
        }
    }
}

impl From<Bpe> for Codec {
    fn from(bpe: Bpe) -> Codec {
        Codec { unit: Unit::Bpe, tokens: Tokens::Bpe(Box::new(bpe)) }
    }
}

fn cut<'t>(unit: Unit, text: &'t str, each: &mut dyn FnMut(&'t str)) {
    match unit {
        Unit::Characters => Characters.for_each(text, each),
        Unit::Words | Unit::Bpe => Pieces.for_each(text, each),
    }
}
