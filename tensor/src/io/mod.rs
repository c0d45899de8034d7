//! Tensors in files.

mod npy;
#[cfg(feature = "npz")]
mod npz;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes a temporary file beside `path`, makes sure that it is on the disk, and renames it.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"));
        };
        let mut temporary = name.to_owned();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(temporary);
        let written = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        })();
        if written.is_err() {
            // The reason of the failure matters more than a leftover.
            let _ = fs::remove_file(&temporary);
        }
        written
    };
    write().map_err(|source| Error::Io { path: path.to_owned(), source })
}
