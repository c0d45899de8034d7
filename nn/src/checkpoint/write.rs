//! Files that are whole or not there.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Puts `bytes` in a new file beside `path`, waits until the disk has them, and renames it to `path`.
/// A symbolic link is followed, so that it goes on pointing to the file.
pub(super) fn atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // Renaming onto /dev/null would replace the device.
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let Some(name) = target.file_name() else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not the name of a file"));
    };
    let (mut file, temporary) = create_beside(&target, name)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, &target));
    match written {
        Ok(()) => sync_folder(&target),
        // The reason of the failure matters more than a leftover.
        Err(_) => drop(fs::remove_file(&temporary)),
    }
    written
}

/// A file of a name that was free, in the folder of `target`: a rename does not cross file systems.
fn create_beside(target: &Path, name: &OsStr) -> io::Result<(File, PathBuf)> {
    let mut attempt = 0;
    loop {
        let mut temporary = name.to_owned();
        temporary.push(format!(".{}-{attempt}.tmp", std::process::id()));
        let temporary = target.with_file_name(temporary);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((file, temporary)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
            Err(e) => return Err(e),
        }
    }
}

/// Makes the new name last through a power failure, where folders can be synced. The file is
/// complete in any case, so a failure here is none of writing.
fn sync_folder(target: &Path) {
    if let Some(folder) = target.parent()
        && let Ok(folder) = File::open(folder)
    {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_and_no_other_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for text in ["first", "second, longer", "3"] {
            atomically(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn what_is_no_regular_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        let error = atomically(&folder.path().join("sub"), b"x").unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
        assert!(atomically(&folder.path().join("absent").join("a"), b"x").is_err());
        assert_eq!(names(folder.path()), ["sub"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_goes_on_pointing_to_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        atomically(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
