//! `cargo xtask main-job`: the README's first command, as somebody types it who has just cloned the
//! repository, and whether it keeps the README's promise.

use std::fs;

use serde_json::Value;

use crate::Outcome;
use crate::process::cargo_with;
use crate::workspace::Workspace;

/// The default network misreads at most this share of MNIST's test set, whatever the seed.
const LARGEST_ERROR: f64 = 0.018;

/// Trains the default network in an empty folder, tests it there, and tests the saved file again.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let folder = workspace.root().join("target/xtask/main-job");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    // The alias is found from any folder inside the workspace.
    cargo_with(&["digits", "--json", "trained.json"]).run(&folder)?;
    cargo_with(&["digits", "evaluate", "--quiet", "--json", "saved.json"]).run(&folder)?;
    let number = |file: &str, key: &str| -> Result<f64, String> {
        let text = fs::read_to_string(folder.join(file)).map_err(|e| format!("{file}: {e}"))?;
        let report: Value = serde_json::from_str(&text).map_err(|e| format!("{file}: {e}"))?;
        report[key].as_f64().ok_or(format!("{file} has no number {key}"))
    };
    let error = number("trained.json", "test_error")?;
    let seconds = number("trained.json", "train_seconds")?;
    println!("test error {error}, trained in {seconds:.1} s");
    if error > LARGEST_ERROR {
        return Err(format!("the test error is {error}, more than {LARGEST_ERROR}"));
    }
    let saved = number("saved.json", "test_error")?;
    if saved != error {
        return Err(format!("the saved network's test error is {saved}, not {error}"));
    }
    Ok(())
}
