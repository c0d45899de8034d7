//! The header of an `.npy` file: a magic string, a version, and a Python dictionary as text,
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.

use std::io::Read;

use super::Fault;
use crate::{DType, MAX_RANK, Shape};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The header's start, its text and the padding after it fill a multiple of this.
const ALIGN: usize = 64;
/// Longest text of version 1. Later versions allow 4 GiB, for the field names of records, which no
/// tensor has.
const LONGEST: usize = u16::MAX as usize;

/// What an `.npy` file says of its elements.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// Such as `<f4`: byte order, kind, bytes.
    pub(super) descr: String,
    /// Column-major: the first axis moves fastest.
    pub(super) fortran_order: bool,
    pub(super) shape: Shape,
}

/// The bytes before the elements of a row-major tensor.
pub(super) fn write(dtype: DType, shape: Shape) -> Vec<u8> {
    let descr = match dtype {
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::I32 => "<i4",
    };
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let comma = if dims.len() == 1 { "," } else { "" };
    let dims = dims.join(", ");
    let mut text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}{comma}), }}");
    let start = MAGIC.len() + 4;
    let padded = (start + text.len() + 1).next_multiple_of(ALIGN);
    text.extend(std::iter::repeat_n(' ', padded - start - text.len() - 1));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// Reads up to the first element; returns the number of bytes read.
pub(super) fn read(stream: &mut dyn Read) -> Result<(Header, u64), Fault> {
    let mut start = Vec::new();
    stream.take(8).read_to_end(&mut start)?;
    let Some(&[major, _minor]) = start.strip_prefix(MAGIC) else {
        return Err(foreign(&start).into());
    };
    let mut size = [0; 4];
    let size_bytes = match major {
        1 => 2,
        2 | 3 => 4,
        _ => {
            let reason = format!("version {major} of the npy format is not known; 1 to 3 are");
            return Err(reason.into());
        }
    };
    stream.read_exact(&mut size[..size_bytes])?;
    let size = u32::from_le_bytes(size) as usize;
    if size > LONGEST {
        let reason = format!(
            "the header claims {size} bytes, more than {LONGEST}; records are not supported, \
             save each of their fields as an array of its own"
        );
        return Err(reason.into());
    }
    let mut text = vec![0; size];
    stream.read_exact(&mut text)?;
    let text = std::str::from_utf8(&text).map_err(|_| "the header is not text".to_owned())?;
    Ok((parse(text)?, (start.len() + size_bytes + size) as u64))
}

/// What to say of a file that does not begin with the magic.
fn foreign(start: &[u8]) -> String {
    if start.starts_with(b"PK") {
        return "an archive, not an npy file; read it with Tensor::read_npz (feature npz)".into();
    }
    if start.len() < 8 && (start.is_empty() || MAGIC.starts_with(&start[..start.len().min(6)])) {
        return format!("ends after {} bytes, within the first 8 of an npy file", start.len());
    }
    let start = start.escape_ascii();
    format!("begins with \"{start}\", not with the \"\\x93NUMPY\" of an npy file")
}

/// Reads the dictionary.
fn parse(text: &str) -> Result<Header, String> {
    let text = text.trim();
    let wrong = || {
        let shown: String = text.chars().take(80).collect();
        format!("the header {shown:?} is not a dictionary of descr, fortran_order and shape")
    };
    let mut rest =
        text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(wrong)?.trim();
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or_else(wrong)?;
        let after = after.trim_start().strip_prefix(':').ok_or_else(wrong)?.trim_start();
        rest = match key {
            "descr" if after.starts_with('[') => {
                let advice = "save each of their fields as an array of its own";
                return Err(format!("records are not supported; {advice}"));
            }
            "descr" => {
                let (value, after) = quoted(after).ok_or_else(wrong)?;
                descr = Some(value.to_owned());
                after
            }
            "fortran_order" => {
                let words = [("True", true), ("False", false)];
                let value = words.into_iter().find_map(|(w, v)| Some((v, after.strip_prefix(w)?)));
                let (value, after) = value.ok_or_else(wrong)?;
                fortran_order = Some(value);
                after
            }
            "shape" => {
                let inside = after.strip_prefix('(').ok_or_else(wrong)?;
                let (list, after) = inside.split_once(')').ok_or_else(wrong)?;
                shape = Some(dims(list).ok_or_else(wrong)??);
                after
            }
            _ => return Err(wrong()),
        }
        .trim_start();
        rest = match rest.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(wrong()),
        };
    }
    match (descr, fortran_order, shape) {
        (Some(descr), Some(fortran_order), Some(shape)) => {
            Ok(Header { descr, fortran_order, shape })
        }
        _ => Err(wrong()),
    }
}

/// `2, 3` or `2,` or nothing; `None` when it is no such list.
fn dims(list: &str) -> Option<Result<Shape, String>> {
    let list = list.trim();
    let mut shape = Shape::SCALAR;
    if list.is_empty() {
        return Some(Ok(shape));
    }
    for dim in list.strip_suffix(',').unwrap_or(list).split(',') {
        let dim = dim.trim();
        // Python 2 wrote long integers as 3L.
        let dim = dim.strip_suffix('L').unwrap_or(dim);
        if shape.len() == MAX_RANK {
            return Some(Err(format!("shape ({list}) has more than {MAX_RANK} axes")));
        }
        shape.push(dim.parse().ok()?);
    }
    Some(Ok(shape))
}

/// A quoted word at the beginning, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|&c| c == '\'' || c == '"')?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_header_is_read_back() {
        for shape in [Shape::from([]), [3].into(), [2, 0, 5].into(), [1; MAX_RANK].into()] {
            let bytes = write(DType::F64, shape);
            assert_eq!(bytes.len() % ALIGN, 0);
            let Ok((header, n)) = read(&mut &bytes[..]) else { panic!("{shape}") };
            assert_eq!(header, Header { descr: "<f8".into(), fortran_order: false, shape });
            assert_eq!(n, bytes.len() as u64);
        }
    }

    #[test]
    fn other_spellings_of_the_dictionary_are_read() {
        let text = "{\"shape\":(2L,3,),\"fortran_order\":True,\"descr\":\">i2\"}  \n";
        let shape = [2, 3].into();
        assert_eq!(parse(text), Ok(Header { descr: ">i2".into(), fortran_order: true, shape }));
    }

    #[test]
    fn what_is_no_header_is_shown_in_part() {
        for text in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4' 'fortran_order': False, 'shape': ()}",
            "{'descr': '<f4', 'fortran_order': Maybe, 'shape': ()}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,,2)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (), 'colour': 'red'}",
            &"{'descr".repeat(9000),
        ] {
            let reason = parse(text).unwrap_err();
            assert!(reason.contains("is not a dictionary") && reason.len() < 250, "{reason}");
        }
    }
}
