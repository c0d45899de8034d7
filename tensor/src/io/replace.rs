//! Writing a file so that nobody ever sees half of it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::at;
use crate::Result;

/// Writes `path` anew: a temporary file beside it is written, synced and renamed over the old one.
/// When anything fails the old file is as it was and the temporary is gone.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let (mut file, temporary) = create_beside(path).map_err(at(path))?;
    let written = write(&mut file).and_then(|()| {
        file.sync_all().and_then(|()| fs::rename(&temporary, path)).map_err(at(path))
    });
    if written.is_err() {
        // The reason of the failure matters more than a leftover.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A new file in the folder of `path`, since a rename is atomic only within one file system.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    // Threads that write one path at the same time each get a temporary of their own.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path does not name a file"));
    };
    loop {
        let mut temporary = OsString::from(name);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        temporary.push(format!(".{}-{number}.tmp", std::process::id()));
        let temporary = path.with_file_name(temporary);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            // Left by a process that was killed and had the same number.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (file, temporary)),
        }
    }
}
