//! NumPy's `.npy`: a header that says dtype, order and shape, then the elements.
//!
//! # Source
//! NumPy enhancement proposal 1, and `numpy.lib.format` for versions 2 and 3.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use super::replace::replace;
use super::{at, header, read::read};
use crate::{DType, Element, Error, Result, Tensor};

/// NumPy files.
impl Tensor {
    /// Reads a `.npy` file: floats of 2 (as F32), 4 and 8 bytes, and integers and booleans whose
    /// values fit into I32; either byte order; row- and column-major.
    ///
    /// # Errors
    /// What the operating system says, or which rule of the format is broken.
    pub fn read_npy(path: impl AsRef<Path>) -> Result<Tensor> {
        let path = path.as_ref();
        let file = File::open(path).map_err(at(path))?;
        let metadata = file.metadata().map_err(at(path))?;
        let length = metadata.is_file().then_some(metadata.len());
        read(&mut BufReader::new(file), length).map_err(|fault| fault.at(path))
    }

    /// Writes a `.npy` file, row-major and little-endian. It appears whole or not at all.
    ///
    /// # Errors
    /// What the operating system says, or a fault of the device.
    pub fn write_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        replace(path, at(path), |file| self.write_npy_to(file, at(path)))
    }

    /// Reads the bytes of a `.npy` file; `origin` names them in errors.
    ///
    /// # Errors
    /// Which rule of the format is broken.
    pub fn from_npy_bytes(mut bytes: &[u8], origin: &str) -> Result<Tensor> {
        let length = bytes.len() as u64;
        read(&mut bytes, Some(length)).map_err(|fault| fault.within(origin))
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
        let mut bytes = Vec::new();
        self.write_npy_to(&mut bytes, at(Path::new("memory")))?;
        Ok(bytes)
    }

    pub(super) fn write_npy_to(
        &self,
        stream: &mut dyn Write,
        failed: impl Fn(io::Error) -> Error,
    ) -> Result<()> {
        stream.write_all(&header::write(self.dtype(), self.shape())).map_err(&failed)?;
        match self.dtype() {
            DType::F32 => write_elements(stream, &self.to_vec::<f32>()?),
            DType::F64 => write_elements(stream, &self.to_vec::<f64>()?),
            DType::I32 => write_elements(stream, &self.to_vec::<i32>()?),
        }
        .map_err(&failed)
    }
}

fn write_elements<T: Element>(stream: &mut dyn Write, elements: &[T]) -> io::Result<()> {
    let native: &[u8] = bytemuck::cast_slice(elements);
    if cfg!(target_endian = "little") {
        return stream.write_all(native);
    }
    native.chunks_exact(size_of::<T>()).try_for_each(|element| {
        let mut little = element.to_vec();
        little.reverse();
        stream.write_all(&little)
    })
}
