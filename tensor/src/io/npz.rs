//! NumPy's `.npz`: a zip archive of `.npy` files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::read::read as read_array;
use super::replace::replace;
use super::{Fault, at};
use crate::{Error, Result, Tensor};

/// Deflate needs at least a byte for so many equal ones (two bits for 258); who claims more lies.
const LARGEST_RATIO: u64 = 1032;

impl Tensor {
    /// Reads all arrays of a `.npz` file (feature `npz`), stored or compressed. Members that are
    /// not arrays are passed over.
    ///
    /// # Errors
    /// What the operating system says, or which rule of which array is broken.
    pub fn read_npz(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
        let path = path.as_ref();
        let file = File::open(path).map_err(at(path))?;
        read(BufReader::new(file), &path.display().to_string())
    }

    /// Reads the bytes of a `.npz` file; `origin` names them in errors.
    ///
    /// # Errors
    /// Which rule of which array is broken.
    pub fn from_npz_bytes(bytes: &[u8], origin: &str) -> Result<BTreeMap<String, Tensor>> {
        read(Cursor::new(bytes), origin)
    }

    /// Writes arrays to a compressed `.npz` file (feature `npz`). It appears whole or not at all,
    /// and equal arrays give equal bytes.
    ///
    /// # Errors
    /// What the operating system says, a name given twice, or a fault of a device.
    ///
    /// # Example
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("model.npz");
    /// use plies_tensor::Tensor;
    /// let weight = Tensor::from([[1f32, 2.0], [3.0, 4.0]]);
    /// Tensor::write_npz(&path, [("weight", &weight)]).unwrap();
    /// assert_eq!(Tensor::read_npz(&path).unwrap()["weight"].dims(), [2, 2]);
    /// ```
    pub fn write_npz<'a>(
        path: impl AsRef<Path>,
        arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<()> {
        let path = path.as_ref();
        let failed = |e: zip::result::ZipError| at(path)(e.into());
        replace(path, at(path), |file| {
            let mut archive = ZipWriter::new(file);
            for (name, tensor) in arrays {
                let size = tensor.elem_count() as u64 * tensor.dtype().size_in_bytes() as u64;
                let options = SimpleFileOptions::default()
                    .compression_method(CompressionMethod::Deflated)
                    // The header is far shorter than what this leaves below 4 GiB.
                    .large_file(size > u64::from(u32::MAX / 2))
                    .last_modified_time(DateTime::default());
                archive.start_file(format!("{name}.npy"), options).map_err(failed)?;
                tensor.write_npy_to(&mut archive, at(path))?;
            }
            archive.finish().map_err(failed)?;
            Ok(())
        })
    }
}

fn read(mut stream: impl Read + Seek, origin: &str) -> Result<BTreeMap<String, Tensor>> {
    let wrong = |reason: String| Error::Format { origin: origin.to_owned(), reason };
    let length = stream.seek(SeekFrom::End(0)).map_err(|e| wrong(e.to_string()))?;
    let mut archive =
        ZipArchive::new(stream).map_err(|e| wrong(format!("not an npz archive: {e}")))?;
    let mut arrays = BTreeMap::new();
    let mut packed = 0u64;
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).map_err(|e| wrong(format!("member {i}: {e}")))?;
        let Some(name) = member.name().strip_suffix(".npy").map(str::to_owned) else { continue };
        let within = |fault: Fault| fault.within(format!("{origin}[{name}]"));
        packed = packed.saturating_add(member.compressed_size());
        if packed > length {
            let reason = format!("its arrays share bytes: {packed} of {length} are used");
            return Err(within(Fault::Format(reason)));
        }
        let size = member.size();
        if size / LARGEST_RATIO > member.compressed_size() {
            let reason = format!("{} bytes cannot unpack to {size}", member.compressed_size());
            return Err(within(Fault::Format(reason)));
        }
        let tensor = read_array(&mut member, Some(size)).map_err(within)?;
        arrays.insert(name, tensor);
    }
    Ok(arrays)
}
