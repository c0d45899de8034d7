//! Files that are about to be written.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use plies_tensor::replace_file;

use crate::failure::Failure;

/// Whether two names lead to one file, through links and dots, and whether it is there or not.
pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    let resolved = |file: &Path| {
        let of_folder = || Some(folder_of(file).canonicalize().ok()?.join(file.file_name()?));
        file.canonicalize().ok().or_else(of_folder)
    };
    a == b || resolved(a).is_some_and(|a| resolved(b) == Some(a))
}

/// Whether this is written to rather than replaced: a pipe, a device, or an open file by its
/// descriptor, such as `/dev/stdout`, which may well be a regular file at the moment.
pub(crate) fn is_stream(file: &Path) -> bool {
    let by_descriptor = |file: &Path| {
        folder_of(file).canonicalize().is_ok_and(|folder| folder.starts_with("/proc"))
    };
    let link = fs::read_link(file).map(|target| folder_of(file).join(target));
    fs::metadata(file).is_ok_and(|found| !found.is_file() && !found.is_dir())
        || by_descriptor(file)
        || link.is_ok_and(|target| by_descriptor(&target))
}

/// Makes sure that no two of these options name one file, through links and dots, and whether it is there or not.
pub fn keep_apart(files: &[(&str, &Path)]) -> Result<(), Failure> {
    for (i, (what, file)) in files.iter().enumerate() {
        if let Some((other, _)) = files[..i].iter().find(|(_, earlier)| is_same_file(earlier, file))
        {
            return Err(Failure::at(file, format_args!("is the file of both {other} and {what}")));
        }
    }
    Ok(())
}

/// Makes sure that a file can be written here, as far as that can be known before.
pub fn check_writable(file: &Path) -> Result<(), Failure> {
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => return Err(Failure::at(file, "is a folder, not a file")),
        Ok(_) if is_stream(file) => {
            return Err(Failure::at(file, "is not a regular file, and cannot be replaced"));
        }
        Ok(found) if found.permissions().readonly() => {
            return Err(Failure::at(file, "may not be written to; it is left as it is"));
        }
        _ => {}
    }
    if file.file_name().is_none() || file.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Failure::at(file, "is not the name of a file"));
    }
    // As when the file is written, but given up as soon as that could begin.
    let mut could_begin = false;
    let given_up = replace_file(file, |_| {
        could_begin = true;
        Err(io::Error::other("given up"))
    });
    match given_up {
        Err(error) if !could_begin => Err(cannot_be_written(file, &error)),
        _ => Ok(()),
    }
}

/// Writes a whole file or leaves the old one as it is; a pipe or device is simply written to.
pub(crate) fn put_file(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_stream(file) {
        OpenOptions::new().append(true).open(file).and_then(|mut stream| stream.write_all(bytes))
    } else {
        replace_file(file, |new| new.write_all(bytes))
    }
}

/// [`put_file`] for programs.
pub(crate) fn write_file(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    put_file(file, bytes).map_err(|error| cannot_be_written(file, &error))
}

fn cannot_be_written(file: &Path, error: &io::Error) -> Failure {
    Failure::at(file, format_args!("cannot be written ({error})"))
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_file_can_be_written_is_known_before_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        check_writable(&file).unwrap();
        assert!(!file.exists());
        write_file(&file, b"one").unwrap();
        check_writable(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("no/where");
        let Err(Failure::BadInput(message)) = check_writable(&nowhere) else { panic!("writable") };
        assert!(message.contains("no/where: cannot be written (No such file"), "{message}");
    }
}
