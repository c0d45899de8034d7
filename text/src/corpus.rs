//! Text as it comes: files, compressed or not, standard input, bytes in memory.
//!
//! Two ways to read one [`Source`]. [`Lines`] gives whole lines, one after the other, for documents.
//! [`Chunks`] gives pieces of a quarter of a megabyte, cut between lines if possible, which several
//! threads can take turns to fetch and then work on by themselves, for corpora of which only the
//! words matter. Neither holds more of a file than the piece that is looked at, however long its lines
//! are; only standard input, which cannot be read twice, is kept in memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// Bytes of a chunk, and the longest word that is not cut.
pub const CHUNK: usize = 1 << 18;

/// Bytes of the longest line that [`Lines`] takes for a document.
pub const LONGEST_LINE: usize = 1 << 24;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A text that can be read from its beginning as often as needed.
///
/// # Example
/// ```
/// use plies_text::corpus::Source;
/// let source = Source::bytes("two lines", *b"the first\nthe second\n");
/// let mut lines = source.lines()?;
/// assert_eq!(lines.next()?, Some((1, "the first")));
/// assert_eq!(lines.next()?, Some((2, "the second")));
/// assert_eq!(lines.next()?, None);
/// # Ok::<(), plies_text::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    place: Place,
    lossy: bool,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Memory(Arc<[u8]>),
    Program(&'static [u8]),
}

impl Source {
    /// A file of text, or of text compressed by gzip; which of them, its first bytes say.
    pub fn file(path: impl Into<PathBuf>) -> Source {
        let path = path.into();
        Source { name: path.display().to_string(), place: Place::File(path), lossy: false }
    }

    /// All of standard input, plain or compressed, which stays in memory.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn stdin() -> Result<Source> {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map_err(Error::io("standard input"))?;
        Ok(Source::bytes("standard input", bytes))
    }

    /// A text in memory, plain or compressed; `name` stands in errors.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Source {
        Source { name: name.into(), place: Place::Memory(bytes.into()), lossy: false }
    }

    /// A text that is part of the program.
    pub(crate) fn embedded(name: &str, bytes: &'static [u8]) -> Source {
        Source { name: name.to_owned(), place: Place::Program(bytes), lossy: false }
    }

    /// Bytes that are not UTF-8 become "\u{fffd}", where otherwise they are an error.
    pub fn lossy(mut self, lossy: bool) -> Source {
        self.lossy = lossy;
        self
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes to read, compressed if they are; `None` for what has no length, such as a pipe.
    pub fn size(&self) -> Option<u64> {
        match &self.place {
            Place::File(path) => {
                path.metadata().ok().filter(|found| found.is_file()).map(|found| found.len())
            }
            Place::Memory(bytes) => Some(bytes.len() as u64),
            Place::Program(bytes) => Some(bytes.len() as u64),
        }
    }

    /// Whether it is the same each time it is opened: a pipe with a name is not.
    pub fn is_rereadable(&self) -> bool {
        self.size().is_some()
    }

    /// Reads line by line.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn lines(&self) -> Result<Lines> {
        Ok(Lines {
            name: self.name.clone(),
            lossy: self.lossy,
            stream: BufReader::with_capacity(CHUNK, self.open()?),
            bytes: Vec::new(),
            text: String::new(),
            line: 0,
        })
    }

    /// Reads chunk by chunk.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn chunks(&self) -> Result<Chunks> {
        Ok(Chunks {
            name: self.name.clone(),
            stream: self.open()?,
            carry: Vec::new(),
            line: 1,
            index: 0,
            is_over: false,
        })
    }

    /// The bytes, decompressed.
    pub(crate) fn open_bytes(&self) -> Result<Box<dyn Read + Send>> {
        let failed = |source| Error::Io { path: PathBuf::from(&self.name), source };
        let raw: Box<dyn Read + Send> = match &self.place {
            Place::File(path) => {
                if path.is_dir() {
                    return Err(Error::format(&self.name, "is a folder; name a file in it"));
                }
                Box::new(File::open(path).map_err(failed)?)
            }
            Place::Memory(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Place::Program(bytes) => Box::new(*bytes),
        };
        let (start, raw) = peek::<2>(raw).map_err(failed)?;
        if start == GZIP {
            return Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, raw))));
        }
        Ok(raw)
    }

    /// The text's bytes, without a byte order mark.
    pub(crate) fn open(&self) -> Result<Box<dyn Read + Send>> {
        let failed = |source| Error::Io { path: PathBuf::from(&self.name), source };
        let (start, plain) = peek::<3>(self.open_bytes()?).map_err(failed)?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            let advice = "is UTF-16; make UTF-8 of it: iconv -f UTF-16 -t UTF-8";
            return Err(Error::format(&self.name, advice));
        }
        if start == BYTE_ORDER_MARK {
            let mut plain = plain;
            plain.read_exact(&mut [0; 3]).map_err(failed)?;
            return Ok(plain);
        }
        Ok(plain)
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Source {
        Source::file(path)
    }
}

/// The first `N` bytes, fewer at the end of a stream, and the stream with them.
fn peek<const N: usize>(
    mut stream: Box<dyn Read + Send>,
) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut start = Vec::new();
    stream.by_ref().take(N as u64).read_to_end(&mut start)?;
    let again = io::Cursor::new(start.clone()).chain(stream);
    Ok((start, Box::new(again)))
}

/// The lines of a text, each with its number, without what ends it (a line feed, or carriage return
/// and line feed).
pub struct Lines {
    name: String,
    lossy: bool,
    stream: BufReader<Box<dyn Read + Send>>,
    bytes: Vec<u8>,
    text: String,
    line: u64,
}

impl Lines {
    /// The next line and its number, counted from 1.
    ///
    /// # Errors
    /// What the operating system says; a line that is too long, is not UTF-8, or has a byte 0.
    #[expect(clippy::should_implement_trait, reason = "a line is lent, which an iterator cannot")]
    pub fn next(&mut self) -> Result<Option<(u64, &str)>> {
        self.bytes.clear();
        let mut limited = self.stream.by_ref().take(LONGEST_LINE as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.bytes);
        if read.map_err(Error::io(&self.name))? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.bytes.len() > LONGEST_LINE {
            let reason = format!("is longer than {LONGEST_LINE} bytes; break the text into lines");
            return Err(Error::line(&self.name, self.line, reason));
        }
        let line = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = decode(line, &self.name, self.line, self.lossy)?;
        // The borrow checker would not let the line be lent from `bytes` in one branch only.
        self.text.clear();
        self.text.push_str(&line);
        Ok(Some((self.line, &self.text)))
    }

    /// What errors call the text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An error in the line that was last read.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        Error::line(&self.name, self.line, reason)
    }
}

/// A text in pieces, cut after a line if there is an end of line in the last quarter of a megabyte,
/// otherwise after a word, otherwise after a character.
pub struct Chunks {
    name: String,
    stream: Box<dyn Read + Send>,
    /// Read, but part of the next chunk.
    carry: Vec<u8>,
    line: u64,
    index: u64,
    is_over: bool,
}

/// A piece of a text.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    index: u64,
    first_line: u64,
}

impl Chunks {
    /// Fills `chunk` with the next piece; false at the end of the text.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn next(&mut self, chunk: &mut Chunk) -> Result<bool> {
        std::mem::swap(&mut chunk.bytes, &mut self.carry);
        self.carry.clear();
        if !self.is_over {
            let wanted = (CHUNK - chunk.bytes.len()) as u64;
            let read = self.stream.by_ref().take(wanted).read_to_end(&mut chunk.bytes);
            self.is_over = read.map_err(Error::io(&self.name))? < wanted as usize;
        }
        if !self.is_over {
            let cut = cut(&chunk.bytes);
            self.carry.extend_from_slice(&chunk.bytes[cut..]);
            chunk.bytes.truncate(cut);
        }
        (chunk.index, chunk.first_line) = (self.index, self.line);
        self.index += 1;
        self.line += chunk.bytes.iter().filter(|&&b| b == b'\n').count() as u64;
        Ok(!chunk.bytes.is_empty())
    }
}

impl Chunk {
    /// How many chunks come before it.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Its text; `source` is where it came from.
    ///
    /// # Errors
    /// Bytes that are not UTF-8, or 0, with their line.
    pub fn text(&self, source: &Source) -> Result<Cow<'_, str>> {
        decode(&self.bytes, &source.name, self.first_line, source.lossy)
    }
}

/// Where to end a full chunk, at least one byte after its beginning.
fn cut(bytes: &[u8]) -> usize {
    let last = |is_end: fn(&u8) -> bool| bytes.iter().rposition(is_end);
    if let Some(at) = last(|&b| b == b'\n').or_else(|| last(u8::is_ascii_whitespace)) {
        return at + 1;
    }
    // Continuation bytes begin with the bits 10, and a character has at most three of them.
    let tail = bytes.iter().rev().take(4).position(|&b| b & 0xc0 != 0x80);
    bytes.len() - tail.map_or(0, |behind| behind + 1)
}

fn decode<'b>(bytes: &'b [u8], name: &str, first_line: u64, lossy: bool) -> Result<Cow<'b, str>> {
    let line_of =
        |at: usize| first_line + bytes[..at].iter().filter(|&&b| b == b'\n').count() as u64;
    if let Some(at) = bytes.iter().position(|&b| b == 0) {
        let reason = "has a byte 0, so this is no text but a binary file";
        return Err(Error::line(name, line_of(at), reason));
    }
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(Cow::Borrowed(text)),
        Err(error) => error,
    };
    if lossy {
        return Ok(String::from_utf8_lossy(bytes));
    }
    let at = error.valid_up_to();
    let column = at - bytes[..at].iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1) + 1;
    let reason = format!(
        "byte {column} of the line (0x{:02x}) is not UTF-8; convert the text (iconv -f LATIN1 -t \
         UTF-8), or have such bytes replaced",
        bytes[at]
    );
    Err(Error::line(name, line_of(at), reason))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn all_lines(source: &Source) -> Result<Vec<(u64, String)>> {
        let mut lines = source.lines()?;
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next()? {
            all.push((number, line.to_owned()));
        }
        Ok(all)
    }

    fn all_chunks(source: &Source) -> Result<Vec<String>> {
        let (mut chunks, mut chunk) = (source.chunks()?, Chunk::default());
        let mut all = Vec::new();
        while chunks.next(&mut chunk)? {
            all.push(chunk.text(source)?.into_owned());
        }
        Ok(all)
    }

    #[test]
    fn lines_end_at_line_feeds_and_are_counted() {
        let text = "\u{feff}one\r\n\ntwo words\nlast".as_bytes();
        let expected = [(1, "one"), (2, ""), (3, "two words"), (4, "last")];
        let mut twice = gzip(&text[..8]);
        twice.extend(gzip(&text[8..]));
        for bytes in [text.to_vec(), gzip(text), twice] {
            let read = all_lines(&Source::bytes("memory", bytes)).unwrap();
            assert_eq!(read, expected.map(|(number, line)| (number, line.to_owned())));
        }
        assert_eq!(all_lines(&Source::bytes("memory", [])).unwrap(), []);
    }

    #[test]
    fn what_is_no_text_is_told_with_its_line() {
        let rows: [(&[u8], &str); 4] = [
            (b"a\nb \xe9t\xe9\n", "f:2: byte 3 of the line (0xe9) is not UTF-8"),
            (b"a\n\nb\0", "f:3: has a byte 0"),
            (b"\xff\xfea\0", "f: is UTF-16"),
            (b"\x1f\x8b\x08", "f: "),
        ];
        for (bytes, message) in rows {
            let source = Source::bytes("f", bytes);
            for error in [all_lines(&source).unwrap_err(), all_chunks(&source).unwrap_err()] {
                assert!(error.to_string().starts_with(message), "{error}");
            }
        }
        let lossy = Source::bytes("f", *b"b \xe9t").lossy(true);
        assert_eq!(all_lines(&lossy).unwrap(), [(1, "b \u{fffd}t".to_owned())]);
        assert_eq!(all_chunks(&lossy).unwrap(), ["b \u{fffd}t"]);
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Source::file(folder.path()).lines().err().unwrap().to_string();
        assert!(error.ends_with("is a folder; name a file in it"), "{error}");
        let error = Source::file(folder.path().join("away")).chunks().err().unwrap().to_string();
        assert!(error.contains("away: No such file"), "{error}");
    }

    #[test]
    fn a_line_longer_than_memory_should_hold_is_refused_as_a_document_and_read_as_words() {
        let endless = Source::bytes("f", gzip(&b"word ".repeat(LONGEST_LINE / 5 + 10)));
        let error = endless.lines().unwrap().next().unwrap_err().to_string();
        assert!(error.starts_with("f:1: is longer than 16777216 bytes"), "{error}");
        let (mut chunks, mut chunk, mut words) = (endless.chunks().unwrap(), Chunk::default(), 0);
        while chunks.next(&mut chunk).unwrap() {
            assert!(chunk.bytes.len() <= CHUNK && chunk.bytes.capacity() <= 2 * CHUNK);
            words +=
                chunk.text(&endless).unwrap().split(' ').filter(|word| *word == "word").count();
        }
        assert_eq!(words, LONGEST_LINE / 5 + 10);
    }

    #[test]
    fn chunks_are_cut_after_lines_or_words_or_characters() {
        assert_eq!(cut(b"ab\nc d\ne f"), 7);
        assert_eq!(cut(b"ab c d"), 5);
        assert_eq!(cut("abcé".as_bytes()), 3);
        assert_eq!(cut(b"abcd"), 3);
        assert_eq!(cut(b"\x80\x80\x80\x80\x80"), 5);
    }

    #[test]
    fn an_error_in_a_later_chunk_has_its_line() {
        let mut text = b"0123456789\n".repeat(100_000);
        text[11 * 77_776 + 4] = 0xff;
        let error = all_chunks(&Source::bytes("f", text)).unwrap_err().to_string();
        assert!(error.starts_with("f:77777: byte 5 of the line (0xff)"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn chunks_are_the_whole_text(piece in "[ab é日\n]{1,40}", times in 1usize..40_000) {
            let text = piece.repeat(times);
            prop_assert_eq!(all_chunks(&Source::bytes("f", text.as_bytes())).unwrap().concat(), text);
        }
    }
}
