//! What can go wrong outside the program. Every message names the file, what is wrong in it, and,
//! where there is one, the line.

use std::{io, path::PathBuf};

use plies_nn::train::TrainError;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A failure that a correct program can meet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line of a text is not what was expected.
    #[error("{origin}:{line}: {reason}")]
    Line {
        /// The file.
        origin: String,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A file is not what its format demands, or holds nothing that can be used.
    #[error("{origin}: {reason}")]
    Format {
        /// The file.
        origin: String,
        /// The rule that is broken, with the value found.
        reason: String,
    },
    /// A setting has a value that makes no sense.
    #[error("{name}: {reason}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value, and what it may be.
        reason: String,
    },
    /// The caller asked for an end, and nothing was made that could be used.
    #[error("stopped before anything was finished")]
    Stopped,
}

impl From<TrainError> for Error {
    fn from(error: TrainError) -> Error {
        match error {
            TrainError::Checkpoint(error) => error.into(),
            other => Error::format("training", other.to_string()),
        }
    }
}

impl From<plies_tensor::Error> for Error {
    /// What a device, or a network's values on it, could not do.
    fn from(error: plies_tensor::Error) -> Error {
        Error::format("device", error.to_string())
    }
}

impl Error {
    /// Puts the file's name to what the operating system says.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    pub(crate) fn format(origin: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Format { origin: origin.into(), reason: reason.into() }
    }

    pub(crate) fn line(origin: &str, line: u64, reason: impl Into<String>) -> Error {
        Error::Line { origin: origin.to_owned(), line, reason: reason.into() }
    }

    pub(crate) fn setting(name: &'static str, reason: impl Into<String>) -> Error {
        Error::Setting { name, reason: reason.into() }
    }
}
