//! Documents with labels, read one after the other from the formats in which people keep them.
//!
//! | format | a document | known by |
//! |---|---|---|
//! | fastText | a line: `__label__x __label__y the text` | a first line that begins with `__label__` |
//! | TSV | a line: columns between tabs | `.tsv`, `.tab`, or a tab in the first line |
//! | CSV | a record (RFC 4180: quotes, line breaks inside them) | `.csv` |
//! | JSON lines | a line: an object; labels are a string, a number, or a list of them | `.jsonl`, `.ndjson`, or a first line that begins with `{` |
//! | lines | a line, without labels: something to classify | anything else |
//!
//! Whatever the format, no more than one document is in memory, and none is longer than
//! [`LONGEST_LINE`].

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::corpus::{LONGEST_LINE, Lines, Source};
use crate::{Error, Result};

/// What fastText writes before a label.
const PREFIX: &str = "__label__";

/// How documents and labels are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `__label__x the text`, with any number of labels.
    FastText,
    /// Columns between tabs, without quotes.
    Tsv,
    /// Columns between commas, with quotes.
    Csv,
    /// An object a line.
    JsonLines,
    /// Text without labels.
    Lines,
}

/// A column, or a key of JSON's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// The one with this name in the first row.
    Name(String),
    /// The one with this number, counted from 1, of rows that have no names above them.
    Number(usize),
}

impl From<&str> for Column {
    /// What looks like a number is one.
    fn from(text: &str) -> Column {
        match text.parse() {
            Ok(number) if number > 0 => Column::Number(number),
            _ => Column::Name(text.to_owned()),
        }
    }
}

/// A source of documents with labels.
///
/// # Example
/// ```
/// use plies_text::{corpus::Source, labelled::Labelled};
/// let source = Source::bytes("reviews.csv", *b"label,text\ngood,\"well, well\"\n");
/// let mut documents = Labelled::new(source)?.documents()?;
/// let document = documents.next()?.unwrap();
/// assert_eq!(document.text, "well, well");
/// assert_eq!(document.labels.iter().collect::<Vec<_>>(), ["good"]);
/// # Ok::<(), plies_text::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Labelled {
    source: Source,
    format: Format,
    label: Option<Column>,
    text: Option<Column>,
    needs_labels: bool,
}

impl Labelled {
    /// A source, whose format its name or first line tells. Columns are those called `label` and
    /// `text`; of two columns without names the first is the label.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(source: Source) -> Result<Labelled> {
        let format = format_of(&source)?;
        Ok(Labelled { source, format, label: None, text: None, needs_labels: true })
    }

    /// The 3,000 sentences inside the program.
    pub fn embedded() -> Labelled {
        let (label, text) = (Some(Column::Number(2)), Some(Column::Number(3)));
        let source = crate::embedded::sentences();
        Labelled { source, format: Format::Tsv, label, text, needs_labels: true }
    }

    /// Another format than the one that was found.
    pub fn format(mut self, format: Format) -> Labelled {
        self.format = format;
        self
    }

    /// The column of labels, rather than `label`.
    pub fn label_column(mut self, column: Column) -> Labelled {
        self.label = Some(column);
        self
    }

    /// The column of text, rather than `text`.
    pub fn text_column(mut self, column: Column) -> Labelled {
        self.text = Some(column);
        self
    }

    /// Documents may come without labels, and blank lines are documents: each has to be answered.
    pub fn without_labels(mut self) -> Labelled {
        self.needs_labels = false;
        self
    }

    /// The source of the documents.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Reads document by document.
    ///
    /// # Errors
    /// What the operating system says, or a first row without the columns.
    pub fn documents(&self) -> Result<Documents> {
        let rows = match self.format {
            Format::Csv => {
                let left = Rc::new(Cell::new(0));
                let limited = Limited { stream: self.source.open()?, left: left.clone() };
                let mut options = csv::ReaderBuilder::new();
                let reader = options.has_headers(false).flexible(true).from_reader(limited);
                Rows::Csv { reader: Box::new(reader), left, record: csv::ByteRecord::new() }
            }
            _ => Rows::Lines(self.source.lines()?),
        };
        Ok(Documents {
            set: self.clone(),
            rows,
            columns: None,
            labels: Labels::default(),
            text: String::new(),
        })
    }
}

fn format_of(source: &Source) -> Result<Format> {
    let name = source.name().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let by_name = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => Some(Format::Csv),
        Some("tsv" | "tab") => Some(Format::Tsv),
        Some("jsonl" | "ndjson") => Some(Format::JsonLines),
        _ => None,
    };
    if let Some(format) = by_name {
        return Ok(format);
    }
    let mut lines = source.lines()?;
    Ok(match lines.next()? {
        Some((_, line)) if line.starts_with(PREFIX) => Format::FastText,
        Some((_, line)) if line.starts_with('{') => Format::JsonLines,
        Some((_, line)) if line.contains('\t') => Format::Tsv,
        _ => Format::Lines,
    })
}

/// A document that its reader lends.
#[derive(Debug)]
pub struct Document<'d> {
    /// Where it begins, counted from 1.
    pub line: u64,
    /// Its labels.
    pub labels: &'d Labels,
    /// Its text.
    pub text: &'d str,
}

/// Labels of a document, in memory that the next one uses again.
#[derive(Debug, Default)]
pub struct Labels {
    letters: String,
    ends: Vec<usize>,
}

impl Labels {
    /// Each label.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| &self.letters[start..end])
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn clear(&mut self) {
        self.letters.clear();
        self.ends.clear();
    }

    fn push(&mut self, label: &str) {
        self.letters.push_str(label);
        self.ends.push(self.letters.len());
    }
}

/// Documents, one after the other.
pub struct Documents {
    set: Labelled,
    rows: Rows,
    /// Which columns hold label and text, once the first row was seen.
    columns: Option<(Option<usize>, usize)>,
    labels: Labels,
    text: String,
}

enum Rows {
    Lines(Lines),
    Csv {
        reader: Box<csv::Reader<Limited>>,
        /// Bytes that the record may still have.
        left: Rc<Cell<usize>>,
        record: csv::ByteRecord,
    },
}

impl Documents {
    /// The next document.
    ///
    /// # Errors
    /// What the operating system says; a line or record that is not what the format wants, has no
    /// label, is too long, or is not UTF-8.
    #[expect(
        clippy::should_implement_trait,
        reason = "a document is lent, which an iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<Document<'_>>> {
        self.labels.clear();
        self.text.clear();
        let line = if matches!(self.rows, Rows::Csv { .. }) {
            self.next_record()?
        } else {
            self.next_line()?
        };
        let Some(line) = line else { return Ok(None) };
        if self.set.needs_labels && self.labels.is_empty() {
            let reason = match self.set.format {
                Format::Lines => {
                    "no labels in this format; a line looks like this: __label__x text"
                }
                Format::FastText => "has no label; a line looks like this: __label__x text",
                _ => "the label is empty",
            };
            return Err(self.error(line, reason));
        }
        Ok(Some(Document { line, labels: &self.labels, text: &self.text }))
    }

    fn error(&self, line: u64, reason: impl Into<String>) -> Error {
        Error::line(self.set.source.name(), line, reason)
    }

    fn next_line(&mut self) -> Result<Option<u64>> {
        loop {
            let Rows::Lines(lines) = &mut self.rows else { unreachable!("lines have no records") };
            let Some((number, line)) = lines.next()? else { return Ok(None) };
            if line.trim_ascii().is_empty() && self.set.needs_labels {
                continue;
            }
            match self.set.format {
                Format::FastText | Format::Lines => {
                    let mut rest = line.trim_ascii_start();
                    while let Some(labelled) = rest.strip_prefix(PREFIX) {
                        let end = labelled.find(|c: char| c.is_ascii_whitespace());
                        let (label, after) = labelled.split_at(end.unwrap_or(labelled.len()));
                        self.labels.push(label);
                        rest = after.trim_ascii_start();
                    }
                    self.text.push_str(rest);
                }
                Format::JsonLines => {
                    let (labels, text) = (&mut self.labels, &mut self.text);
                    read_object(line, &self.set, labels, text)
                        .map_err(|reason| Error::line(self.set.source.name(), number, reason))?;
                }
                Format::Tsv | Format::Csv => {
                    // The line is lent from `self.rows`, and the columns are found once.
                    let columns = match self.columns {
                        Some(columns) => columns,
                        None => {
                            let cells: Vec<&str> = line.split('\t').collect();
                            let (columns, is_header) = columns(&self.set, &cells, number)?;
                            self.columns = Some(columns);
                            if is_header {
                                continue;
                            }
                            columns
                        }
                    };
                    let wanted = columns.0.unwrap_or(0).max(columns.1);
                    let mut found = 0;
                    for (i, cell) in line.split('\t').enumerate().take(wanted + 1) {
                        if Some(i) == columns.0 && !cell.is_empty() {
                            self.labels.push(cell);
                        }
                        if i == columns.1 {
                            self.text.push_str(cell);
                        }
                        found = i + 1;
                    }
                    if found <= wanted {
                        return Err(self.error(number, too_few(found, wanted)));
                    }
                }
            }
            return Ok(Some(number));
        }
    }

    fn next_record(&mut self) -> Result<Option<u64>> {
        let name = self.set.source.name().to_owned();
        loop {
            let Rows::Csv { reader, left, record } = &mut self.rows else {
                unreachable!("records have no lines")
            };
            left.set(LONGEST_LINE);
            let line = reader.position().line();
            let is_there = reader.read_byte_record(record).map_err(|error| {
                let reason = match error.into_kind() {
                    csv::ErrorKind::Io(source) if source.kind() == io::ErrorKind::FileTooLarge => {
                        format!(
                            "the record is longer than {LONGEST_LINE} bytes; is a quote not closed?"
                        )
                    }
                    csv::ErrorKind::Io(source) => source.to_string(),
                    other => format!("{other:?}"),
                };
                Error::line(&name, line, reason)
            })?;
            if !is_there {
                return Ok(None);
            }
            let line = record.position().map_or(line, csv::Position::line);
            let cell = |i: usize| {
                std::str::from_utf8(record.get(i).unwrap_or_default()).map_err(|error| {
                    let at = error.valid_up_to() + 1;
                    let reason = format!(
                        "byte {at} of column {} is not UTF-8; convert the text (iconv -f LATIN1 -t \
                         UTF-8)",
                        i + 1
                    );
                    Error::line(&name, line, reason)
                })
            };
            let (label, text) = match self.columns {
                Some(columns) => columns,
                None => {
                    let cells = (0..record.len()).map(cell).collect::<Result<Vec<_>>>()?;
                    let (columns, is_header) = columns(&self.set, &cells, line)?;
                    self.columns = Some(columns);
                    if is_header {
                        continue;
                    }
                    columns
                }
            };
            let wanted = label.unwrap_or(0).max(text);
            if record.len() <= wanted {
                return Err(Error::line(&name, line, too_few(record.len(), wanted)));
            }
            if let Some(label) = label
                && !cell(label)?.is_empty()
            {
                self.labels.push(cell(label)?);
            }
            self.text.push_str(cell(text)?);
            return Ok(Some(line));
        }
    }
}

fn too_few(found: usize, wanted: usize) -> String {
    format!("has {found} columns, and column {} is wanted", wanted + 1)
}

/// Which columns hold label and text, and whether the first row has only their names.
fn columns(set: &Labelled, row: &[&str], line: u64) -> Result<((Option<usize>, usize), bool)> {
    let error = |reason: String| Error::line(set.source.name(), line, reason);
    let named = |name: &str| row.iter().position(|cell| cell.trim().eq_ignore_ascii_case(name));
    let names_are_there = named("text").is_some();
    let is_name = |column: &Option<Column>| matches!(column, Some(Column::Name(_)));
    let is_header = is_name(&set.label)
        || is_name(&set.text)
        || names_are_there && (named("label").is_some() || !set.needs_labels && row.len() == 1);
    let find = |column: &Column| match column {
        Column::Number(number) if *number > row.len() => {
            Err(error(format!("has {} columns, and column {number} is wanted", row.len())))
        }
        Column::Number(number) => Ok(number - 1),
        Column::Name(name) => named(name).ok_or_else(|| {
            error(format!("no column is called {name:?}; there are: {}", row.join(", ")))
        }),
    };
    let ask = || {
        let advice = "say which hold label and text, by name or by number";
        error(format!("{} columns ({}); {advice}", row.len(), abridged(row)))
    };
    let label = set.label.as_ref().map(find).transpose()?;
    let text = match &set.text {
        Some(column) => find(column)?,
        None if is_header => named("text").ok_or_else(ask)?,
        None if row.len() == 2 || row.len() == 1 && !set.needs_labels => row.len() - 1,
        None => return Err(ask()),
    };
    let label = match label {
        Some(label) => Some(label),
        None if is_header => named("label"),
        None if row.len() == 2 => Some(1 - text),
        None => None,
    };
    if label.is_none() && set.needs_labels {
        return Err(ask());
    }
    if label == Some(text) {
        return Err(error(format!("column {} cannot be both label and text", text + 1)));
    }
    Ok(((label, text), is_header))
}

/// Cells, as far as they fit into a message.
fn abridged(row: &[&str]) -> String {
    let cells: Vec<String> = row.iter().map(|cell| cell.chars().take(12).collect()).collect();
    let mut text: String = cells.join(", ").chars().take(60).collect();
    if text.len() < cells.join(", ").len() {
        text.push('…');
    }
    text
}

/// Reads an object of JSON lines.
fn read_object(
    line: &str,
    set: &Labelled,
    labels: &mut Labels,
    text: &mut String,
) -> std::result::Result<(), String> {
    use serde_json::Value;
    let object: serde_json::Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("is no JSON object: {error}"))?;
    let key = |column: &Option<Column>, usual: &str| match column {
        Some(Column::Name(name)) => name.clone(),
        Some(Column::Number(number)) => number.to_string(),
        None => usual.to_owned(),
    };
    let missing = |key: &str| {
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        format!("the object has no {key:?}; it has: {}", keys.join(", "))
    };
    let text_key = key(&set.text, "text");
    match object.get(&text_key) {
        Some(Value::String(found)) => text.push_str(found),
        Some(other) => return Err(format!("{text_key:?} is {other}, and not a string")),
        None => return Err(missing(&text_key)),
    }
    let label_key = key(&set.label, "label");
    let mut push = |value: &Value| match value {
        Value::String(label) if label.is_empty() => Ok(()),
        Value::String(label) => {
            labels.push(label);
            Ok(())
        }
        Value::Number(_) | Value::Bool(_) => {
            labels.push(&value.to_string());
            Ok(())
        }
        other => Err(format!("{label_key:?} is {other}, and no label")),
    };
    match object.get(&label_key) {
        Some(Value::Array(all)) => all.iter().try_for_each(push),
        Some(one) => push(one),
        None if !set.needs_labels => Ok(()),
        None => Err(missing(&label_key)),
    }
}

/// A stream that ends with an error when a record goes on for too long: a quote that is never closed
/// would otherwise take all memory.
struct Limited {
    stream: Box<dyn Read + Send>,
    left: Rc<Cell<usize>>,
}

impl Read for Limited {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let wanted = bytes.len().min(left);
        let read = self.stream.read(&mut bytes[..wanted])?;
        self.left.set(left - read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &Labelled) -> Result<Vec<(u64, String, String)>> {
        let mut documents = set.documents()?;
        let mut all = Vec::new();
        while let Some(document) = documents.next()? {
            let labels: Vec<&str> = document.labels.iter().collect();
            all.push((document.line, labels.join("+"), document.text.to_owned()));
        }
        Ok(all)
    }

    fn set(name: &str, text: &[u8]) -> Labelled {
        Labelled::new(Source::bytes(name, text)).unwrap()
    }

    #[test]
    fn each_format_is_known_and_read() {
        type Row = (&'static str, &'static str, &'static [(u64, &'static str, &'static str)]);
        let rows: [Row; 9] = [
            (
                "a",
                "__label__x one two\n\n__label__y __label__z three",
                &[(1, "x", "one two"), (3, "y+z", "three")],
            ),
            ("a", "x\tone\ty\n", &[]),
            ("a.tsv", "x\tone \"two\"\r\ny\t\n", &[(1, "x", "one \"two\""), (2, "y", "")]),
            ("a.tsv", "id\tText\tLabel\n1\tone\tx\n", &[(2, "x", "one")]),
            (
                "a.csv",
                "text,label\n\"one,\n\"\"two\"\"\",x\nthree,y\n",
                &[(2, "x", "one,\n\"two\""), (4, "y", "three")],
            ),
            ("a.csv.gz", "x,one\n", &[(1, "x", "one")]),
            ("a", "{\"text\": \"on\\u00e9\", \"label\": \"x\"}\n", &[(1, "x", "oné")]),
            ("a.jsonl", "{\"label\": [\"x\", 3], \"text\": \"one\"}\n", &[(1, "x+3", "one")]),
            ("a", "", &[]),
        ];
        for (name, text, documents) in rows {
            let expected: Vec<(u64, String, String)> =
                documents.iter().map(|(n, l, t)| (*n, l.to_string(), t.to_string())).collect();
            match read(&set(name, text.as_bytes())) {
                Ok(found) => assert_eq!(found, expected, "{text:?}"),
                Err(error) => assert!(expected.is_empty() && text.contains("\ty"), "{error}"),
            }
        }
    }

    #[test]
    fn columns_are_chosen_by_name_or_number() {
        let text = b"a,b,c\n1,2,3\n";
        let by_name = set("f.csv", text).label_column("c".into()).text_column("A".into());
        assert_eq!(read(&by_name).unwrap(), [(2, "3".to_owned(), "1".to_owned())]);
        let by_number = set("f.csv", text).label_column("1".into()).text_column("2".into());
        assert_eq!(read(&by_number).unwrap().len(), 2);
        assert_eq!(read(&Labelled::embedded()).unwrap().len(), 3000);
        let unlabelled = set("f", b"one\n\ntwo").without_labels();
        assert_eq!(read(&unlabelled).unwrap().len(), 3);
    }

    #[test]
    fn mistakes_have_their_file_and_line() {
        let rows: [(&str, &[u8], &str); 12] = [
            ("f", b"__label__x a\nb\n", "f:2: has no label"),
            ("f", b"no labels\n", "f:1: no labels in this format"),
            ("f.tsv", b"a\tb\tc\n", "f.tsv:1: 3 columns (a, b, c); say which"),
            ("f.tsv", b"x\tone\n\nx\n", "f.tsv:3: has 1 columns, and column 2 is wanted"),
            ("f.tsv", b"x\tone\n\ttwo\n", "f.tsv:2: the label is empty"),
            ("f.tsv", b"x\tone\ny\t\xff\n", "f.tsv:2: byte 3 of the line (0xff) is not UTF-8"),
            ("f.csv", b"x,one\n\"a\nb\",\xff\n", "f.csv:2: byte 1 of column 2 is not UTF-8"),
            ("f.csv", b"x,one\ny\n", "f.csv:2: has 1 columns, and column 2 is wanted"),
            ("f.jsonl", b"{\"text\": 1}\n", "f.jsonl:1: \"text\" is 1, and not a string"),
            (
                "f.jsonl",
                b"{\"a\": 1, \"b\": 2}\n",
                "f.jsonl:1: the object has no \"text\"; it has: a, b",
            ),
            ("f.jsonl", b"[1]\n", "f.jsonl:1: is no JSON object"),
            (
                "f.jsonl",
                b"{\"text\":\"\",\"label\":null}\n",
                "f.jsonl:1: \"label\" is null, and no label",
            ),
        ];
        for (name, text, expected) in rows {
            let error = read(&set(name, text)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
        let wrong = set("f.csv", b"a,b\n1,2\n").label_column("z".into());
        let error = read(&wrong).unwrap_err().to_string();
        assert_eq!(error, "f.csv:1: no column is called \"z\"; there are: a, b");
        let same = set("f.tsv", b"a\tb\n").label_column("2".into()).text_column("2".into());
        assert!(read(&same).unwrap_err().to_string().contains("cannot be both"));
    }

    #[test]
    fn a_quote_that_is_never_closed_takes_no_more_memory_than_a_line() {
        let mut text = b"x,one\ny,\"".to_vec();
        text.resize(2 * LONGEST_LINE, b'a');
        let error = read(&set("f.csv", &text)).unwrap_err().to_string();
        assert!(error.starts_with("f.csv:2: the record is longer than 16777216 bytes"), "{error}");
    }
}
