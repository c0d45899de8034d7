//! What can go wrong outside the program: files and devices. A wrong shape, dtype or axis is a
//! mistake in the program and panics instead, naming the operation and both shapes.

use std::path::PathBuf;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A failure that a correct program can meet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read, written or renamed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file or byte string is not what its format demands.
    #[error("{origin}: {reason}")]
    Format {
        /// The file, or the member of an archive.
        origin: String,
        /// The rule that is broken, with the value found.
        reason: String,
    },
    /// A device failed: out of memory, lost, or without the feature that was asked for.
    #[error("{device}: {operation}: {reason}")]
    Device {
        /// The device's name.
        device: String,
        /// The operation that failed.
        operation: &'static str,
        /// What the driver said.
        reason: String,
    },
}
