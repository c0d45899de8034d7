//! `cargo xtask package`: what a registry would be given, and whether it builds there: without the
//! neighbours' folders, and without what a package leaves out.

use std::path::Path;
use std::process::Command;
use std::{fs, io};

use crate::Outcome;
use crate::process::cargo_with;
use crate::workspace::Workspace;

/// crates.io takes archives up to this many bytes.
const LIMIT: u64 = 10 * 1024 * 1024;

/// Makes every archive, looks at its size, and builds what is in them.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let folder = workspace.root().join("target/package");
    let _ = fs::remove_dir_all(&folder);
    // Not verified by cargo itself, which unpacks into its home by name and version, and there takes
    // what an earlier run left for the same version.
    let package = ["package", "--workspace", "--exclude", "xtask", "--no-verify"];
    let arguments = [&package[..], &["--allow-dirty", "--offline"]].concat();
    // Without it archives would land where a developer keeps all builds together.
    cargo_with(&arguments).environment(&[("CARGO_TARGET_DIR", "target")]).run(workspace.root())?;
    let mut archives = Vec::new();
    for package in workspace.packages().iter().filter(|package| package.is_published()) {
        let version = package.field("version").as_str().unwrap_or_default();
        let archive = format!("{}-{version}", package.name());
        let file = folder.join(format!("{archive}.crate"));
        let size = fs::metadata(&file).map_err(|e| format!("{archive}: {e}"))?.len();
        println!("{archive}: {} KiB", size.div_ceil(1024));
        if size > LIMIT {
            return Err(format!("{archive} has {size} bytes, a registry takes {LIMIT}"));
        }
        archives.push((package.name().to_owned(), archive));
    }
    build(workspace, &folder.join("unpacked"), &archives)
}

/// Builds the unpacked archives, which find each other and none of the folders they were made from.
fn build(workspace: &Workspace, folder: &Path, archives: &[(String, String)]) -> Outcome {
    let failed = |reason: io::Error| format!("{}: {reason}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    let mut manifest = String::from("[workspace]\nresolver = \"3\"\nmembers = [\"*-*.*.*\"]\n\n");
    manifest += "[patch.crates-io]\n";
    for (name, archive) in archives {
        let status = Command::new("tar")
            .args(["xzf", &format!("../{archive}.crate")])
            .current_dir(folder)
            .status()
            .map_err(|reason| format!("tar: {reason}"))?;
        if !status.success() {
            return Err(format!("{archive}.crate cannot be unpacked"));
        }
        manifest += &format!("{name} = {{ path = \"{archive}\" }}\n");
    }
    fs::write(folder.join("Cargo.toml"), manifest).map_err(failed)?;
    fs::copy(workspace.root().join("Cargo.lock"), folder.join("Cargo.lock")).map_err(failed)?;
    let target = workspace.root().join("target");
    let target = [("CARGO_TARGET_DIR", target.to_str().unwrap_or("target"))];
    cargo_with(&["check", "--workspace", "--offline"]).environment(&target).run(folder)
}
