//! Files that are whole or not there.
//!
//! A new file beside the old one is written, waited for until the disk has it, and renamed. Whoever
//! looks in between, or after the power failed, finds all of the old file or all of the new one.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Writes `path` anew, whole or not at all.
///
/// `write` fills a temporary file in the same folder, which then takes the place and the permissions
/// of the old one. A symbolic link goes on pointing where it did. When anything fails the old file
/// is as it was and the temporary is gone.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("notes.txt");
/// use std::io::{Error, Write};
/// use plies_tensor::replace_file;
/// replace_file(&path, |file| file.write_all(b"all of it")).unwrap();
/// replace_file(&path, |file| {
///     file.write_all(b"the beg")?;
///     Err(Error::other("no more"))
/// })
/// .unwrap_err();
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "all of it");
/// ```
///
/// # Errors
/// What `write` or the operating system says, or a `path` that is a folder, a device or a pipe.
pub fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    replace(path, |error| error, write)
}

/// Waits until no other program, and no other thread of this one, holds the lock of `path`, for who reads a file,
/// adds to it and [replaces](replace_file) it. The lock ends with what is returned.
///
/// What is locked is a file beside it that is never replaced, the same for all links to it: `.NAME.lock`.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("count.txt");
/// use plies_tensor::{lock_file, replace_file};
/// use std::io::Write;
/// let lock = lock_file(&path).unwrap();
/// let count: u64 = std::fs::read_to_string(&path).map_or(0, |text| text.parse().unwrap());
/// replace_file(&path, |file| write!(file, "{}", count + 1)).unwrap();
/// drop(lock);
/// ```
///
/// # Errors
/// What the operating system says, or a `path` that is a folder, a device or a pipe.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let (target, _) = resolve(path)?;
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".lock");
    let lock = File::create(target.with_file_name(name))?;
    lock.lock()?;
    Ok(lock)
}

/// [`replace_file`] for any error: `failed` makes one of what the operating system says.
pub(super) fn replace<E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let (target, old) = resolve(path).map_err(&failed)?;
    remove_stale(&target);
    let (mut file, temporary) = Temporary::beside(&target, old.as_ref()).map_err(&failed)?;
    write(&mut file)?;
    file.sync_all().map_err(&failed)?;
    drop(file);
    temporary.rename(&target).map_err(&failed)?;
    sync_folder(&target);
    Ok(())
}

/// The file that `path` leads to through symbolic links, and what is there now.
fn resolve(path: &Path) -> io::Result<(PathBuf, Option<Metadata>)> {
    let invalid = |reason| Err(io::Error::new(ErrorKind::InvalidInput, reason));
    let old = match fs::metadata(path) {
        // Renaming onto /dev/null would replace the device.
        Ok(found) if !found.is_file() => return invalid("not a regular file"),
        Ok(found) => Some(found),
        // A link that leads nowhere yet says where the file is to be.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut target = path.to_owned();
    while let Ok(next) = fs::read_link(&target) {
        // The link's own name gives way to what the link says, from the folder where it is.
        target.pop();
        target.push(next);
    }
    if target.file_name().is_none() {
        return invalid("not the name of a file");
    }
    Ok((target, old))
}

/// A file of its own name, removed unless it is renamed.
struct Temporary(PathBuf);

impl Temporary {
    /// In the folder of `target`, since a rename does not cross file systems.
    fn beside(target: &Path, old: Option<&Metadata>) -> io::Result<(File, Temporary)> {
        // Threads that write one file at the same time each get a temporary of their own.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            // The target's name is left out: with anything added it might be too long.
            let name = format!("plies-{}-{number}.tmp", std::process::id());
            let path = target.with_file_name(name);
            match create(&path, old) {
                // Left by a process that was killed and had the same number.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                created => {
                    let file = created?;
                    // Held as long as the file is open: it says that the temporary is not stale. Not
                    // all file systems know locks; without one it is young, at least.
                    let _ = file.try_lock();
                    return Ok((file, Temporary(path)));
                }
            }
        }
    }

    fn rename(self, target: &Path) -> io::Result<()> {
        fs::rename(&self.0, target)?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The reason of the failure matters more than a leftover.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes what processes that were killed while they wrote have left in the folder of `target`:
/// temporaries that nobody holds a lock on, and that are too old to be about to get theirs.
fn remove_stale(target: &Path) {
    const OLD: Duration = Duration::from_secs(60);
    let is_ours = |name: &str| {
        let number = name.strip_prefix("plies-").and_then(|name| name.strip_suffix(".tmp"));
        let parts = number.and_then(|number| number.split_once('-'));
        parts.is_some_and(|(a, b)| a.parse::<u64>().is_ok() && b.parse::<u64>().is_ok())
    };
    let is_stale = |path: &Path| {
        let file = File::open(path).ok()?;
        let age = file.metadata().ok()?.modified().ok()?.elapsed().ok()?;
        (age > OLD && file.try_lock().is_ok()).then_some(())
    };
    let Ok(entries) = fs::read_dir(folder_of(target)) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if is_ours(name) && is_stale(&path).is_some() {
            let _ = fs::remove_file(&path);
        }
    }
}

/// A new file with the permissions of the old one; never, not even at first, with more.
#[cfg(unix)]
fn create(path: &Path, old: Option<&Metadata>) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let Some(old) = old else { return options.open(path) };
    let mode = old.permissions().mode() & 0o777;
    let file = options.mode(mode).open(path)?;
    // What the user's mask took away. Some file systems know no permissions.
    let _ = file.set_permissions(fs::Permissions::from_mode(mode));
    Ok(file)
}

#[cfg(not(unix))]
fn create(path: &Path, _old: Option<&Metadata>) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Makes the new name last through a power failure, where folders can be synced. The file is
/// complete in any case, so a failure here is none of writing.
fn sync_folder(target: &Path) {
    if let Ok(folder) = File::open(folder_of(target)) {
        let _ = folder.sync_all();
    }
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn put(path: &Path, text: &str) -> io::Result<()> {
        replace_file(path, |file| file.write_all(text.as_bytes()))
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_no_other_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for text in ["first", "second, longer", "3"] {
            put(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn temporaries_of_killed_processes_go_with_the_next_file_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        let mut held = Vec::new();
        for name in ["plies-7-0.tmp", "plies-7-1.tmp", "plies-x-1.tmp", "plies-8-2.tmp", "b"] {
            let file = File::create(at(name)).unwrap();
            if name != "plies-8-2.tmp" {
                file.set_modified(hour_ago).unwrap();
            }
            held.push(file);
        }
        // One is being written, the next has been left, the last is young.
        held[0].try_lock().unwrap();
        put(&at("a"), "x").unwrap();
        assert_eq!(
            names(folder.path()),
            ["a", "b", "plies-7-0.tmp", "plies-8-2.tmp", "plies-x-1.tmp"]
        );
    }

    #[test]
    fn a_failure_leaves_the_old_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        put(&path, "old").unwrap();
        let error = replace_file(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::Error::other("enough"))
        });
        assert_eq!(error.unwrap_err().to_string(), "enough");
        let panic = std::panic::AssertUnwindSafe(|| replace_file(&path, |_| panic!("on purpose")));
        assert!(std::panic::catch_unwind(panic).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn what_is_no_regular_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        let error = put(&folder.path().join("sub"), "x").unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
        #[cfg(unix)]
        {
            let error = put(Path::new("/dev/null"), "x").unwrap_err();
            assert_eq!(error.to_string(), "not a regular file");
        }
        assert_eq!(put(Path::new(""), "x").unwrap_err().to_string(), "not the name of a file");
        let error = put(&folder.path().join("absent").join("a"), "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!error.to_string().contains("tmp"), "{error}");
        assert_eq!(names(folder.path()), ["sub"]);
    }

    #[test]
    fn threads_that_write_one_file_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::thread::scope(|scope| {
            for letter in ["a", "b", "c", "d"] {
                let (path, text) = (&path, letter.repeat(5000));
                scope.spawn(move || {
                    for _ in 0..10 {
                        put(path, &text).unwrap();
                        let read = fs::read_to_string(path).unwrap();
                        assert_eq!(read, read[..1].repeat(5000));
                    }
                });
            }
        });
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_name_may_be_as_long_as_the_file_system_allows() {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("n".repeat(255)), "x").unwrap();
        assert!(put(&folder.path().join("n".repeat(256)), "x").is_err());
        assert_eq!(names(folder.path()), ["n".repeat(255)]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_goes_on_pointing_to_its_file() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        symlink("sub/file", at("link")).unwrap();
        symlink("link", at("link to link")).unwrap();
        // At first the links lead nowhere.
        for text in ["new", "newer"] {
            put(&at("link to link"), text).unwrap();
            assert_eq!(fs::read_to_string(at("sub/file")).unwrap(), text);
        }
        for link in ["link", "link to link"] {
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink());
        }
        symlink("loop", at("loop")).unwrap();
        assert!(put(&at("loop"), "x").is_err());
        assert_eq!(names(folder.path()), ["link", "link to link", "loop", "sub"]);
        assert_eq!(names(&at("sub")), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        put(&path, "first").unwrap();
        // Less and more than the usual mask of 022 leaves.
        for mode in [0o600, 0o664, 0o444] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            put(&path, "second").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
    }
}
