//! GloVe's text: a word and its numbers in each line, as many as in the first.
//!
//! # Source
//! Pennington, Socher, Manning: GloVe: Global Vectors for Word Representation (2014), its published files.

use std::io::{BufRead, Write};

use super::{TextRows, WordVectors, write_text_row};
use crate::Result;

pub(super) fn read(stream: &mut dyn BufRead, origin: &str) -> Result<WordVectors> {
    let mut vectors = WordVectors::default();
    let mut rows = TextRows::new(stream, origin, 0);
    let mut dim = None;
    while let Some((word, row)) = rows.next(dim)? {
        dim = Some(row.len());
        vectors.dim = row.len();
        vectors.push(word, 0, row);
    }
    Ok(vectors)
}

pub(super) fn write(vectors: &WordVectors, stream: &mut dyn Write) -> std::io::Result<()> {
    vectors.words_and_rows().try_for_each(|(word, row)| write_text_row(word, row, stream))
}
