//! Tensors in files that other programs read too.
//!
//! Every file is taken for hostile: what it claims is compared with what is there before memory is
//! asked for, and whatever is wrong is an [`Error`] that says where, why and what to do.

mod header;
mod npy;
#[cfg(feature = "npz")]
mod npz;
mod read;
mod replace;

use std::io;
use std::path::Path;

use crate::Error;

pub use replace::{lock_file, replace_file};

/// Why a stream could not be read, before it is known by which name the caller knows the stream.
enum Fault {
    /// The stream failed.
    Io(io::Error),
    /// The format's rules are broken.
    Format(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A length that was checked is not there after all.
            io::ErrorKind::UnexpectedEof => Fault::Format("ends too early".to_owned()),
            _ => Fault::Io(error),
        }
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Fault::Format(reason)
    }
}

impl Fault {
    /// For a stream without a path: bytes in memory, the member of an archive.
    fn within(self, origin: impl Into<String>) -> Error {
        let reason = match self {
            Fault::Io(error) => error.to_string(),
            Fault::Format(reason) => reason,
        };
        Error::Format { origin: origin.into(), reason }
    }

    /// For a file.
    fn at(self, path: &Path) -> Error {
        match self {
            Fault::Io(source) => at(path)(source),
            Fault::Format(reason) => Error::Format { origin: path.display().to_string(), reason },
        }
    }
}

/// Puts the file's name to what the operating system says.
fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { path: path.to_owned(), source }
}
