//! The elements of an `.npy` stream, chunk by chunk.

use std::io::Read;

use super::Fault;
use super::header::{self, Header};
use crate::{Element, Tensor};

/// Bytes that are decoded at a time.
const CHUNK: usize = 1 << 16;

/// Reads a tensor. `length` is that of the whole stream, where it is known: then the header must
/// agree with it before memory is asked for; otherwise memory grows with what arrives.
pub(super) fn read(stream: &mut dyn Read, length: Option<u64>) -> Result<Tensor, Fault> {
    let (header, read) = header::read(stream)?;
    let mut elements = Elements::new(&header)?;
    if let Some(length) = length {
        elements.check_bytes(length.saturating_sub(read))?;
    }
    let tensor = elements.decode(stream)?;
    if stream.read(&mut [0])? > 0 {
        return Err(format!("more bytes follow than shape {} needs", header.shape).into());
    }
    if !header.fortran_order {
        return Ok(tensor);
    }
    let reversed: Vec<isize> = (0..tensor.rank() as isize).rev().collect();
    Ok(tensor.permute(&reversed).contiguous())
}

/// The elements that a header announces.
struct Elements<'a> {
    header: &'a Header,
    /// Such as `f4`.
    kind: &'a str,
    big_endian: bool,
    /// Bytes of one element.
    size: usize,
    count: usize,
    /// Whether `count` elements are known to be there.
    checked: bool,
}

impl<'a> Elements<'a> {
    fn new(header: &'a Header) -> Result<Self, String> {
        let descr = &header.descr;
        let unknown = || {
            let shown: String = descr.chars().take(20).collect();
            format!(
                "dtype '{shown}' is not supported; save array.astype('float32') or another of f2, \
                 f4, f8, i1, i2, i4, i8, u1, u2, u4, u8, b1"
            )
        };
        let big_endian = match descr.chars().next() {
            Some('>') => true,
            Some('<' | '|') => false,
            Some('=') => cfg!(target_endian = "big"),
            _ => return Err(unknown()),
        };
        let kind = &descr[1..];
        let size = match kind {
            "b1" | "i1" | "u1" => 1,
            "f2" | "i2" | "u2" => 2,
            "f4" | "i4" | "u4" => 4,
            "f8" | "i8" | "u8" => 8,
            _ => return Err(unknown()),
        };
        // Even where another dimension is 0, so that strides and sizes can be computed with.
        let bytes = header.shape.iter().try_fold(size, |n: usize, &dim| n.checked_mul(dim.max(1)));
        if bytes.is_none_or(|n| isize::try_from(n).is_err()) {
            return Err(format!("shape {} is more than memory can hold", header.shape));
        }
        let count = header.shape.elem_count();
        Ok(Self { header, kind, big_endian, size, count, checked: false })
    }

    fn check_bytes(&mut self, found: u64) -> Result<(), String> {
        let needed = (self.count * self.size) as u64;
        self.checked = needed == found;
        if self.checked {
            return Ok(());
        }
        let (shape, kind) = (self.header.shape, self.kind);
        let advice = if found < needed { "it is cut off" } else { "something else is appended" };
        Err(format!("shape {shape} of {kind} needs {needed} bytes, {found} follow; {advice}"))
    }

    fn decode(&self, stream: &mut dyn Read) -> Result<Tensor, Fault> {
        match self.kind {
            "f2" => self.floats(stream, |b| half(u16::from_le_bytes(b))),
            "f4" => self.floats(stream, f32::from_le_bytes),
            "f8" => self.floats(stream, f64::from_le_bytes),
            "i2" => self.integers(stream, |b| i16::from_le_bytes(b).into()),
            "i4" => self.integers(stream, |b| i32::from_le_bytes(b).into()),
            "i8" => self.integers(stream, |b| i64::from_le_bytes(b).into()),
            "u2" => self.integers(stream, |b| u16::from_le_bytes(b).into()),
            "u4" => self.integers(stream, |b| u32::from_le_bytes(b).into()),
            "u8" => self.integers(stream, |b| u64::from_le_bytes(b).into()),
            "i1" => self.integers(stream, |b| i8::from_le_bytes(b).into()),
            _ => self.integers(stream, |b| u8::from_le_bytes(b).into()),
        }
    }

    fn floats<T: Element, const N: usize>(
        &self,
        stream: &mut dyn Read,
        element: impl Fn([u8; N]) -> T,
    ) -> Result<Tensor, Fault> {
        self.chunks(stream, |values, chunk| {
            values.extend(chunk.iter().map(|&bytes| element(bytes)));
            Ok(())
        })
    }

    fn integers<const N: usize>(
        &self,
        stream: &mut dyn Read,
        element: impl Fn([u8; N]) -> i128,
    ) -> Result<Tensor, Fault> {
        self.chunks(stream, |values, chunk| {
            for &bytes in chunk {
                let value = element(bytes);
                let Ok(fits) = i32::try_from(value) else {
                    return Err(format!(
                        "element {:?} is {value}, which does not fit into i32; \
                         save array.astype('float64') instead",
                        self.index(values.len())
                    ));
                };
                values.push(fits);
            }
            Ok(())
        })
    }

    /// Reads all elements in the stream's order, little-endian chunks by way of `append`.
    fn chunks<T: Element, const N: usize>(
        &self,
        stream: &mut dyn Read,
        append: impl Fn(&mut Vec<T>, &[[u8; N]]) -> Result<(), String>,
    ) -> Result<Tensor, Fault> {
        let mut values = Vec::new();
        if self.checked && values.try_reserve_exact(self.count).is_err() {
            return Err(format!("no memory for {} elements", self.count).into());
        }
        let mut buffer = vec![[0; N]; self.count.min(CHUNK / N)];
        while values.len() < self.count {
            let n = buffer.len().min(self.count - values.len());
            let chunk = &mut buffer[..n];
            stream.read_exact(chunk.as_flattened_mut())?;
            if self.big_endian {
                chunk.iter_mut().for_each(|bytes| bytes.reverse());
            }
            append(&mut values, chunk)?;
        }
        Ok(Tensor::from_vec(values, self.stored_dims()))
    }

    /// Column-major is row-major under reversed dimensions.
    fn stored_dims(&self) -> Vec<usize> {
        let mut dims = self.header.shape.to_vec();
        if self.header.fortran_order {
            dims.reverse();
        }
        dims
    }

    /// Where the `n`-th element of the stream is in the tensor.
    fn index(&self, mut n: usize) -> Vec<usize> {
        let mut index = self.stored_dims();
        for place in index.iter_mut().rev() {
            (*place, n) = (n % *place, n / *place);
        }
        if self.header.fortran_order {
            index.reverse();
        }
        index
    }
}

/// IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 31;
    let fraction = u32::from(bits) & 0x3ff;
    let size = match exponent {
        // Zero and the subnormal numbers count in steps of 2^-24.
        0 => (fraction as f32 / 16_777_216.0).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | size)
}
