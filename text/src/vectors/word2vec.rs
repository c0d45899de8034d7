//! word2vec's formats: a line `V dim`, then each word with its numbers, as text or as bytes.
//!
//! ```text
//! text     the 0.12 -0.5 …⏎
//! binary   the␠ 4·dim bytes, little-endian ⏎    gensim writes no ⏎, word2vec.c does
//! ```
//!
//! # Source
//! word2vec.c; gensim, `KeyedVectors.save_word2vec_format`.

use std::io::{BufRead, Read, Write};

use super::{MAX_DIM, MAX_WORD, TextRows, WordVectors, write_text_row};
use crate::{Error, Result};

/// Number of words and of numbers each, when a line says that and nothing else.
pub(super) fn header(line: &[u8]) -> Option<(usize, usize)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut parts = line.split_whitespace();
    let (words, dim) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next().is_none() && (1..=MAX_DIM).contains(&dim)).then_some((words, dim))
}

fn read_header(stream: &mut dyn BufRead, origin: &str) -> Result<(usize, usize)> {
    let mut line = Vec::new();
    stream.take(MAX_WORD as u64).read_until(b'\n', &mut line).map_err(Error::io(origin))?;
    header(&line)
        .ok_or_else(|| Error::line(origin, 1, "is not the number of words and of their numbers"))
}

pub(super) fn read_text(stream: &mut dyn BufRead, origin: &str) -> Result<WordVectors> {
    let (words, dim) = read_header(stream, origin)?;
    let mut vectors = WordVectors { dim, ..WordVectors::default() };
    let mut rows = TextRows::new(stream, origin, 1);
    let mut read = 0;
    while let Some((word, row)) = rows.next(Some(dim))? {
        vectors.push(word, 0, row);
        read += 1;
    }
    check_number(read, words, origin)?;
    Ok(vectors)
}

pub(super) fn read_binary(stream: &mut dyn BufRead, origin: &str) -> Result<WordVectors> {
    let (words, dim) = read_header(stream, origin)?;
    let mut vectors = WordVectors { dim, ..WordVectors::default() };
    let (mut word, mut bytes, mut row) = (Vec::new(), vec![0; 4 * dim], vec![0.0; dim]);
    for read in 0..words {
        word.clear();
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => number_of_words(read, words, origin),
            _ => Error::io(origin)(source),
        };
        stream.take(MAX_WORD as u64).read_until(b' ', &mut word).map_err(failed)?;
        if word.pop() != Some(b' ') {
            let at_the_end = word.len() + 1 < MAX_WORD;
            let too_long = || format!("word {} is longer than {MAX_WORD} bytes", read + 1);
            return Err(if at_the_end {
                number_of_words(read, words, origin)
            } else {
                Error::format(origin, too_long())
            });
        }
        stream.read_exact(&mut bytes).map_err(failed)?;
        for (x, four) in row.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *x = f32::from_le_bytes(*four);
        }
        // What ended the row before.
        let word = word.strip_prefix(b"\n").unwrap_or(&word);
        if let Some(x) = row.iter().find(|x| !x.is_finite()) {
            let word = String::from_utf8_lossy(word);
            let reason = format!("row {}, {word:?}: has {x}, which is no finite number", read + 1);
            return Err(Error::format(origin, reason));
        }
        // word2vec.c cuts words in the middle of a character.
        vectors.push(&String::from_utf8_lossy(word), 0, &row);
    }
    Ok(vectors)
}

fn check_number(read: usize, words: usize, origin: &str) -> Result<()> {
    if read == words { Ok(()) } else { Err(number_of_words(read, words, origin)) }
}

fn number_of_words(read: usize, words: usize, origin: &str) -> Error {
    Error::format(origin, format!("has {read} words; its first line says {words}"))
}

pub(super) fn write_text(vectors: &WordVectors, stream: &mut dyn Write) -> std::io::Result<()> {
    writeln!(stream, "{} {}", vectors.len(), vectors.dim())?;
    vectors.words_and_rows().try_for_each(|(word, row)| write_text_row(word, row, stream))
}

pub(super) fn write_binary(vectors: &WordVectors, stream: &mut dyn Write) -> std::io::Result<()> {
    writeln!(stream, "{} {}", vectors.len(), vectors.dim())?;
    let mut bytes = Vec::new();
    for (word, row) in vectors.words_and_rows() {
        bytes.clear();
        bytes.extend(word.as_bytes());
        bytes.push(b' ');
        bytes.extend(row.iter().flat_map(|x| x.to_le_bytes()));
        bytes.push(b'\n');
        stream.write_all(&bytes)?;
    }
    Ok(())
}
