//! NumPy's `.npz`: a zip archive of `.npy` files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::write_atomically;
use crate::{Error, Result, Tensor};

/// An array may grow by this factor when it is unpacked, beyond a free allowance; more is a bomb.
const LARGEST_RATIO: u64 = 1100;

impl Tensor {
    /// Reads all arrays of a `.npz` file (feature `npz`), stored or compressed.
    ///
    /// # Errors
    /// What the operating system says, or which rule of which array is broken.
    pub fn read_npz(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Tensor::from_npz_bytes(&bytes, &path.display().to_string())
    }

    /// Reads the bytes of a `.npz` file; `origin` names them in errors.
    ///
    /// # Errors
    /// Which rule of which array is broken.
    pub fn from_npz_bytes(bytes: &[u8], origin: &str) -> Result<BTreeMap<String, Tensor>> {
        let wrong = |member: &str, reason: String| {
            let member = if member.is_empty() { String::new() } else { format!("[{member}]") };
            Error::Format { origin: format!("{origin}{member}"), reason }
        };
        let mut archive = ZipArchive::new(Cursor::new(bytes))
            .map_err(|e| wrong("", format!("not an npz file ({e})")))?;
        let mut arrays = BTreeMap::new();
        for i in 0..archive.len() {
            let member = archive.by_index(i).map_err(|e| wrong("", format!("member {i}: {e}")))?;
            let name = member.name().to_owned();
            let Some(array) = name.strip_suffix(".npy") else { continue };
            let limit = (bytes.len() as u64).saturating_mul(LARGEST_RATIO);
            let mut content = Vec::new();
            let read = member.take(limit + 1).read_to_end(&mut content);
            read.map_err(|e| wrong(array, e.to_string()))?;
            if content.len() as u64 > limit {
                return Err(wrong(array, "unpacks to more than any real array".to_owned()));
            }
            let tensor = Tensor::from_npy_bytes(&content, &format!("{origin}[{array}]"))?;
            arrays.insert(array.to_owned(), tensor);
        }
        Ok(arrays)
    }

    /// Writes arrays to a compressed `.npz` file (feature `npz`), to a temporary beside it first.
    ///
    /// # Errors
    /// What the operating system says, or a fault of a device.
    pub fn write_npz<'a>(
        path: impl AsRef<Path>,
        arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<()> {
        let path = path.as_ref();
        let failed = |e: std::io::Error| Error::Io { path: path.to_owned(), source: e };
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        // A fixed date: equal arrays give equal bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default());
        for (name, tensor) in arrays {
            let bytes = tensor.to_npy_bytes()?;
            archive
                .start_file(format!("{name}.npy"), options)
                .map_err(|e| failed(std::io::Error::other(e)))?;
            archive.write_all(&bytes).map_err(failed)?;
        }
        let bytes = archive.finish().map_err(|e| failed(std::io::Error::other(e)))?;
        write_atomically(path, &bytes.into_inner())
    }
}
