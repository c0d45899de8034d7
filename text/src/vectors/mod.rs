//! Word vectors, and the files that other programs read and write.
//!
//! [`WordVectors::load`] finds out by itself which format a file has; all are taken for hostile, and may be
//! compressed by gzip. Every file is written whole or not at all.

mod glove;
pub(crate) mod safetensors;
mod word2vec;

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use plies_tensor::replace_file;

use crate::corpus::Source;
use crate::vocabulary::Vocabulary;
use crate::{Error, Result};

/// Longest vector that a file may claim.
const MAX_DIM: usize = 100_000;
/// Bytes of the longest word in a file.
const MAX_WORD: usize = 1 << 16;

/// Bytes of the largest safetensors file, four times those of Google's three million vectors.
const MAX_TENSORS: usize = 1 << 34;

/// A file format for word vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// word2vec's text: a line with the number of words and numbers, then a line for each word.
    Text,
    /// word2vec's binary: the same first line, then each word and its numbers as bytes.
    Binary,
    /// GloVe's text: as word2vec's without the first line.
    Glove,
    /// A safetensors file with `vectors` [V, dim], `words` and `counts`.
    Safetensors,
    /// The same with a byte for each number and a scale for each word: a fourth of the size.
    Quantized,
}

impl Format {
    /// Makes sure that each word comes back from a file: in word2vec's and GloVe's a word ends at the first
    /// blank, in safetensors at a line feed.
    ///
    /// # Errors
    /// The first word that does not, and why.
    pub fn check_words<'w>(self, words: impl IntoIterator<Item = &'w str>) -> std::io::Result<()> {
        let is_tensors = matches!(self, Format::Safetensors | Format::Quantized);
        for word in words {
            let reason = if word.contains('\n') {
                "has a line feed, which no format for vectors can hold"
            } else if is_tensors {
                continue;
            } else if word.is_empty() {
                "is empty; safetensors can hold it"
            } else if word.contains(|c: char| c.is_ascii_whitespace() || c == '\x0b') {
                "has a blank, where words end in this format; safetensors can hold it"
            } else if word.len() > MAX_WORD - 2 {
                "is too long for this format; safetensors can hold it"
            } else {
                continue;
            };
            let shown: String = word.chars().take(40).collect();
            let message = format!("the word {shown:?} {reason}");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, message));
        }
        Ok(())
    }
}

/// Words and a vector for each [V, dim].
///
/// # Example
/// ```
/// use plies_text::vectors::WordVectors;
/// let vectors = WordVectors::new(2, [("east", &[1.0, 0.0][..]), ("north", &[0.0, 1.0])]);
/// assert_eq!(vectors.get("north"), Some(&[0.0, 1.0][..]));
/// assert_eq!(vectors.get("west"), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct WordVectors {
    vocabulary: Vocabulary,
    dim: usize,
    rows: Vec<f32>,
}

impl WordVectors {
    /// Vectors of `dim` numbers each; of a word that is there twice the first one counts.
    ///
    /// # Panics
    /// When a vector has another number of them.
    #[track_caller]
    pub fn new<'w>(dim: usize, words: impl IntoIterator<Item = (&'w str, &'w [f32])>) -> Self {
        let mut vectors = WordVectors { dim, ..WordVectors::default() };
        for (word, row) in words {
            assert_eq!(row.len(), dim, "WordVectors::new: the vector of {word:?}");
            vectors.push(word, 0, row);
        }
        vectors
    }

    /// Words with their counts, and their rows, row-major.
    ///
    /// # Panics
    /// When the number of rows is not that of the words.
    #[track_caller]
    pub fn from_rows(vocabulary: Vocabulary, dim: usize, rows: Vec<f32>) -> WordVectors {
        assert_eq!(rows.len(), vocabulary.len() * dim, "WordVectors::from_rows");
        WordVectors { vocabulary, dim, rows }
    }

    fn push(&mut self, word: &str, count: u64, row: &[f32]) {
        if self.vocabulary.push(word, count) {
            self.rows.extend_from_slice(row);
        }
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.vocabulary.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.vocabulary.is_empty()
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The words, in the file's order; counts are 0 where the file has none.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// All rows [V, dim].
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The vector with a number.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn row(&self, number: u32) -> &[f32] {
        &self.rows[number as usize * self.dim..][..self.dim]
    }

    /// The vector of a word.
    pub fn get(&self, word: &str) -> Option<&[f32]> {
        self.vocabulary.find(word).map(|number| self.row(number))
    }

    /// Reads a file of any [`Format`].
    ///
    /// # Errors
    /// What the operating system says, or what is wrong with the file, and in which line or row.
    pub fn load(path: impl AsRef<Path>) -> Result<WordVectors> {
        let path = path.as_ref();
        let source = Source::file(path);
        let mut stream = BufReader::with_capacity(1 << 16, source.open_bytes()?);
        WordVectors::read(&mut stream, source.name()).map(|(vectors, _)| vectors)
    }

    /// Reads bytes of any [`Format`]; `origin` names them in errors. Says which format it was.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(stream: &mut dyn BufRead, origin: &str) -> Result<(WordVectors, Format)> {
        // Enough for the first line or two to be seen, whatever the stream gives at a time.
        let mut start = Vec::new();
        let failed = |source| Error::Io { path: origin.into(), source };
        stream.take(4 * MAX_WORD as u64).read_to_end(&mut start).map_err(failed)?;
        let format = recognise(&start);
        let mut stream = std::io::Cursor::new(start).chain(stream);
        let vectors = match format {
            Format::Safetensors | Format::Quantized => {
                // A few kilobytes of gzip may become gigabytes, but no more is read than its header says.
                let length = safetensors::length(stream.get_ref().0.get_ref(), origin)?;
                let mut bytes = Vec::new();
                stream.take(length as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
                return safetensors::read(&bytes, origin);
            }
            Format::Text => word2vec::read_text(&mut stream, origin),
            Format::Binary => word2vec::read_binary(&mut stream, origin),
            Format::Glove => glove::read(&mut stream, origin),
        }?;
        if vectors.is_empty() {
            return Err(Error::format(origin, "has no word vectors"));
        }
        Ok((vectors, format))
    }

    /// Writes a file.
    ///
    /// # Errors
    /// What the operating system says, or a word that the format cannot hold; an older file stays.
    pub fn save(&self, path: impl AsRef<Path>, format: Format) -> Result<()> {
        let path = path.as_ref();
        let written = replace_file(path, |file| {
            let mut file = BufWriter::with_capacity(1 << 18, file);
            self.write(&mut file, format)?;
            file.flush()
        });
        written.map_err(Error::io(path))
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// What the stream says, or a word that the format cannot hold; then nothing is written.
    pub fn write(&self, stream: &mut dyn Write, format: Format) -> std::io::Result<()> {
        format.check_words(self.vocabulary.words())?;
        match format {
            Format::Text => word2vec::write_text(self, stream),
            Format::Binary => word2vec::write_binary(self, stream),
            Format::Glove => glove::write(self, stream),
            Format::Safetensors => stream.write_all(&safetensors::write(self, false)),
            Format::Quantized => stream.write_all(&safetensors::write(self, true)),
        }
    }

    fn words_and_rows(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.vocabulary.words().zip(self.rows.chunks_exact(self.dim.max(1)))
    }
}

/// Which format the first bytes are of, when they are of any.
fn recognise(start: &[u8]) -> Format {
    if start.get(8) == Some(&b'{') {
        return Format::Safetensors;
    }
    let mut lines = start.split(|&b| b == b'\n');
    let first = lines.next().unwrap_or_default();
    let Some((_, dim)) = word2vec::header(first) else { return Format::Glove };
    let second = lines.next().unwrap_or_default();
    let is_text = std::str::from_utf8(second).is_ok_and(|line| {
        let numbers = line.split_whitespace().rev().take(dim);
        let is_number = |text: &str| text.parse::<f32>().is_ok();
        numbers.clone().all(is_number) && numbers.count() == dim
    });
    if is_text { Format::Text } else { Format::Binary }
}

/// Reads a line of a text file with `dim` numbers at its end; words may have blanks in them.
struct TextRows<'a> {
    stream: &'a mut dyn BufRead,
    origin: &'a str,
    line: u64,
    bytes: Vec<u8>,
    row: Vec<f32>,
}

impl<'a> TextRows<'a> {
    fn new(stream: &'a mut dyn BufRead, origin: &'a str, line: u64) -> TextRows<'a> {
        TextRows { stream, origin, line, bytes: Vec::new(), row: Vec::new() }
    }

    /// The next word and its numbers, as many as `dim` says, or as there are; `None` at the end.
    fn next(&mut self, dim: Option<usize>) -> Result<Option<(&str, &[f32])>> {
        loop {
            self.bytes.clear();
            // No number that a program writes is longer.
            let limit = MAX_WORD + 64 * dim.unwrap_or(MAX_DIM);
            let read = self.stream.take(limit as u64).read_until(b'\n', &mut self.bytes);
            if read.map_err(Error::io(self.origin))? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if self.bytes.len() == limit && !self.bytes.ends_with(b"\n") {
                return Err(self.error("is too long for a word and its vector"));
            }
            if !self.bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let Ok(text) = std::str::from_utf8(&self.bytes) else {
            return Err(self.error("is not UTF-8"));
        };
        let mut rest = text.trim_end();
        self.row.clear();
        while dim.is_none_or(|dim| self.row.len() < dim) {
            let Some((before, last)) = rest.rsplit_once([' ', '\t']) else { break };
            // A word may look like a number, so the first one of a line is never taken for one.
            let Ok(number) = last.parse::<f32>() else {
                if dim.is_some() {
                    let reason = format!("{last:?} is no number");
                    return Err(Error::line(self.origin, self.line, reason));
                }
                break;
            };
            if !number.is_finite() {
                let reason = format!("has {last}, which is no finite number");
                return Err(Error::line(self.origin, self.line, reason));
            }
            self.row.push(number);
            rest = before.trim_end_matches([' ', '\t']);
            if rest.is_empty() {
                break;
            }
        }
        self.row.reverse();
        if rest.is_empty() || self.row.is_empty() || dim.is_some_and(|dim| dim != self.row.len()) {
            let wanted = dim.map_or("numbers".to_owned(), |dim| format!("{dim} numbers"));
            let reason = format!(
                "has {} numbers after the word; expected a word and {wanted}",
                self.row.len()
            );
            return Err(Error::line(self.origin, self.line, reason));
        }
        Ok(Some((rest, &self.row)))
    }

    fn error(&self, reason: &str) -> Error {
        Error::line(self.origin, self.line, reason)
    }
}

/// Writes a word and its numbers, each as short as it can be read back from.
fn write_text_row(word: &str, row: &[f32], stream: &mut dyn Write) -> std::io::Result<()> {
    let mut line = String::with_capacity(16 * row.len());
    line.push_str(word);
    for x in row {
        use std::fmt::Write as _;
        let _ = write!(line, " {x}");
    }
    line.push('\n');
    stream.write_all(line.as_bytes())
}
