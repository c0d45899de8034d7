//! NumPy's `.npy`: a magic string, a version, a Python dictionary as text, the elements.
//!
//! # Source
//! NumPy enhancement proposal 1, and `numpy.lib.format` for versions 2 and 3.

use std::fs;
use std::path::Path;

use super::write_atomically;
use crate::{DType, Element, Error, Result, Shape, Tensor};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The header's start, its text and the padding after it fill a multiple of this.
const ALIGN: usize = 64;

/// NumPy files.
impl Tensor {
    /// Reads a `.npy` file: floats of 4 and 8 bytes, and integers and booleans whose values fit into
    /// I32; either byte order; row- and column-major.
    ///
    /// # Errors
    /// What the operating system says, or which rule of the format is broken.
    pub fn read_npy(path: impl AsRef<Path>) -> Result<Tensor> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Tensor::from_npy_bytes(&bytes, &path.display().to_string())
    }

    /// Writes a `.npy` file, to a temporary beside it first.
    ///
    /// # Errors
    /// What the operating system says, or a fault of the device.
    pub fn write_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path.as_ref(), &self.to_npy_bytes()?)
    }

    /// Reads the bytes of a `.npy` file; `origin` names them in errors.
    ///
    /// # Errors
    /// Which rule of the format is broken.
    pub fn from_npy_bytes(bytes: &[u8], origin: &str) -> Result<Tensor> {
        read(bytes).map_err(|reason| Error::Format { origin: origin.to_owned(), reason })
    }

    /// The bytes of a `.npy` file, row-major and little-endian.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::Tensor;
    /// let x = Tensor::from([[1f32, 2.0], [3.0, 4.0]]);
    /// let bytes = x.t().to_npy_bytes().unwrap();
    /// let back = Tensor::from_npy_bytes(&bytes, "memory").unwrap();
    /// assert_eq!(back.to_vec::<f32>().unwrap(), [1.0, 3.0, 2.0, 4.0]);
    /// ```
    pub fn to_npy_bytes(&self) -> Result<Vec<u8>> {
        let descr = match self.dtype() {
            DType::F32 => "<f4",
            DType::F64 => "<f8",
            DType::I32 => "<i4",
        };
        let dims: Vec<String> = self.dims().iter().map(ToString::to_string).collect();
        let comma = if dims.len() == 1 { "," } else { "" };
        let dims = dims.join(", ");
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}{comma}), }}");
        let start = MAGIC.len() + 4;
        let padded = (start + header.len() + 1).next_multiple_of(ALIGN);
        header.extend(std::iter::repeat_n(' ', padded - start - header.len() - 1));
        header.push('\n');
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        match self.dtype() {
            DType::F32 => {
                bytes.extend(self.to_vec::<f32>()?.into_iter().flat_map(f32::to_le_bytes));
            }
            DType::F64 => {
                bytes.extend(self.to_vec::<f64>()?.into_iter().flat_map(f64::to_le_bytes));
            }
            DType::I32 => {
                bytes.extend(self.to_vec::<i32>()?.into_iter().flat_map(i32::to_le_bytes));
            }
        }
        Ok(bytes)
    }
}

struct Header {
    /// Such as `<f4`: byte order, kind, bytes.
    descr: String,
    column_major: bool,
    dims: Vec<usize>,
}

/// Nothing is allocated before the sizes in the header are found to agree with the length.
fn read(bytes: &[u8]) -> std::result::Result<Tensor, String> {
    let rest =
        bytes.strip_prefix(MAGIC).ok_or("not an npy file (the magic \\x93NUMPY is missing)")?;
    let (&[major, _minor], rest) = rest.split_first_chunk().ok_or("ends inside the version")?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk().ok_or("ends inside the header")?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk().ok_or("ends inside the header")?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return Err(format!("version {major} of the format is not known; 1 to 3 are")),
    };
    let (header, data) = rest
        .split_at_checked(length)
        .ok_or_else(|| format!("header of {length} bytes is cut off after {}", rest.len()))?;
    let header = std::str::from_utf8(header).map_err(|_| "header is not text".to_owned())?;
    let Header { descr, column_major, dims } = parse(header)?;
    if dims.len() > crate::MAX_RANK {
        return Err(format!("{} axes, at most {} are supported", dims.len(), crate::MAX_RANK));
    }
    let mut chars = descr.chars();
    let big = match chars.next() {
        Some('>') => true,
        Some('<' | '|' | '=') => false,
        _ => return Err(format!("dtype '{descr}' is not supported")),
    };
    let kind = chars.as_str();
    let size = match kind {
        "f4" | "i4" | "u4" => 4,
        "f8" | "i8" | "u8" => 8,
        "i2" | "u2" => 2,
        "i1" | "u1" | "b1" => 1,
        _ => {
            let known = "f4, f8, i1, i2, i4, i8, u1, u2, u4, u8, b1";
            return Err(format!("dtype '{descr}' is not supported; known are {known}"));
        }
    };
    let count = Shape::from(&dims[..]).checked_elem_count();
    let needed = count.and_then(|count| count.checked_mul(size));
    if needed != Some(data.len()) {
        let needed = needed.map_or("too many".to_owned(), |n| n.to_string());
        let found = data.len();
        return Err(format!("shape {dims:?} of '{descr}' needs {needed} bytes, {found} follow"));
    }
    // Column-major is row-major under reversed dimensions.
    let stored: Vec<usize> =
        if column_major { dims.iter().rev().copied().collect() } else { dims.clone() };
    let tensor = match kind {
        "f4" => elements(data, big, &stored, f32::from_le_bytes),
        "f8" => elements(data, big, &stored, f64::from_le_bytes),
        "i4" => elements(data, big, &stored, i32::from_le_bytes),
        "u4" => integers(data, big, &stored, |b| i64::from(u32::from_le_bytes(b)))?,
        "i8" => integers(data, big, &stored, i64::from_le_bytes)?,
        "u8" => integers(data, big, &stored, |b| {
            i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX)
        })?,
        "i2" => integers(data, big, &stored, |b| i64::from(i16::from_le_bytes(b)))?,
        "u2" => integers(data, big, &stored, |b| i64::from(u16::from_le_bytes(b)))?,
        "i1" => integers(data, big, &stored, |b| i64::from(i8::from_le_bytes(b)))?,
        _ => integers(data, big, &stored, |b| i64::from(u8::from_le_bytes(b)))?,
    };
    if !column_major {
        return Ok(tensor);
    }
    let reversed: Vec<isize> = (0..dims.len() as isize).rev().collect();
    Ok(tensor.permute(&reversed).contiguous())
}

fn elements<T: Element, const N: usize>(
    data: &[u8],
    big: bool,
    dims: &[usize],
    element: impl Fn([u8; N]) -> T,
) -> Tensor {
    let decode = |&chunk: &[u8; N]| {
        let mut bytes = chunk;
        if big {
            bytes.reverse();
        }
        element(bytes)
    };
    Tensor::from_vec(data.as_chunks::<N>().0.iter().map(decode).collect(), dims)
}

fn integers<const N: usize>(
    data: &[u8],
    big: bool,
    dims: &[usize],
    element: impl Fn([u8; N]) -> i64,
) -> std::result::Result<Tensor, String> {
    let mut values = Vec::with_capacity(data.len() / N);
    for (i, &chunk) in data.as_chunks::<N>().0.iter().enumerate() {
        let mut bytes = chunk;
        if big {
            bytes.reverse();
        }
        let value = element(bytes);
        let fits = i32::try_from(value);
        values.push(
            fits.map_err(|_| format!("element {i} is {value}, which does not fit into i32"))?,
        );
    }
    Ok(Tensor::from_vec(values, dims))
}

/// Reads the dictionary `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn parse(header: &str) -> std::result::Result<Header, String> {
    let text = header.trim();
    let wrong = || format!("header {text:.80?} is not the dictionary that the format demands");
    let mut rest =
        text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(wrong)?.trim();
    let (mut descr, mut column_major, mut dims) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or_else(wrong)?;
        let after = after.trim_start().strip_prefix(':').ok_or_else(wrong)?.trim_start();
        rest = match key {
            "descr" => {
                let (value, after) = quoted(after).ok_or_else(wrong)?;
                descr = Some(value.to_owned());
                after
            }
            "fortran_order" => {
                let value = [("True", true), ("False", false)]
                    .into_iter()
                    .find_map(|(word, value)| Some((value, after.strip_prefix(word)?)));
                let (value, after) = value.ok_or_else(wrong)?;
                column_major = Some(value);
                after
            }
            "shape" => {
                let inside = after.strip_prefix('(').ok_or_else(wrong)?;
                let (list, after) = inside.split_once(')').ok_or_else(wrong)?;
                let numbers = list.split(',').map(str::trim).filter(|n| !n.is_empty());
                let numbers: std::result::Result<Vec<usize>, _> =
                    numbers.map(|n| n.trim_end_matches('L').parse()).collect();
                dims = Some(numbers.map_err(|_| wrong())?);
                after
            }
            _ => return Err(format!("header has an unknown key {key:?}")),
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').map_or(rest, str::trim_start);
    }
    let missing = |key: &str| format!("header has no {key}");
    Ok(Header {
        descr: descr.ok_or_else(|| missing("descr"))?,
        column_major: column_major.ok_or_else(|| missing("fortran_order"))?,
        dims: dims.ok_or_else(|| missing("shape"))?,
    })
}

/// A quoted word at the beginning, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|&c| c == '\'' || c == '"')?;
    text[1..].split_once(quote)
}
