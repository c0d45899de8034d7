//! `cargo xtask package`: what a registry would be given, and whether it builds there: without the
//! neighbours' folders, and without what a package leaves out.

use std::fs;

use crate::Outcome;
use crate::process::cargo_with;
use crate::workspace::Workspace;

/// crates.io takes archives up to this many bytes.
const LIMIT: u64 = 10 * 1024 * 1024;

/// Makes every archive, builds it and looks at its size.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let folder = workspace.root().join("target/package");
    let _ = fs::remove_dir_all(&folder);
    let arguments = ["package", "--workspace", "--exclude", "xtask", "--allow-dirty", "--offline"];
    // Without it archives would land where a developer keeps all builds together.
    cargo_with(&arguments).environment(&[("CARGO_TARGET_DIR", "target")]).run(workspace.root())?;
    for package in workspace.packages().iter().filter(|package| package.is_published()) {
        let version = package.field("version").as_str().unwrap_or_default();
        let name = format!("{}-{version}.crate", package.name());
        let size = fs::metadata(folder.join(&name)).map_err(|e| format!("{name}: {e}"))?.len();
        println!("{name}: {} KiB", size.div_ceil(1024));
        if size > LIMIT {
            return Err(format!("{name} has {size} bytes, a registry takes {LIMIT}"));
        }
    }
    Ok(())
}
