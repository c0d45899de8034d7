//! `cargo xtask examples`: builds and runs every example of the workspace, each in an empty folder,
//! and compares Markdown that quotes an example's output, or a quick claim, with what is printed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::cargo_with;
use crate::rules::{Quotation, quotations};
use crate::workspace::Workspace;
use crate::{Outcome, claims};

/// An example shows something at once; one that takes longer is a program.
const LIMIT: Duration = Duration::from_secs(120);

struct Example {
    /// The source file, from the root, with `/` between folders.
    source: String,
    executable: PathBuf,
}

/// Builds, runs, compares.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let mut printed = Vec::new();
    let built = build(workspace)?;
    for example in built.examples {
        let start = Instant::now();
        let output = execute(workspace, &example)?;
        println!("{}: {:.1} s", example.source, start.elapsed().as_secs_f64());
        printed.push((example.source, output));
    }
    for Quotation { place, quoted: file, content } in quotations(workspace, "output") {
        let Some((_, output)) = printed.iter().find(|(source, _)| *source == file) else {
            return Err(format!("{place} quotes the output of {file}, which is no example"));
        };
        if output.trim() != content.trim() {
            return Err(format!("{place} is not what {file} prints:\n{output}"));
        }
    }
    claims::quick(workspace, &|name| built.programs.get(&format!("plies-{name}")).cloned())
}

/// What was built.
#[derive(Default)]
struct Built {
    examples: Vec<Example>,
    /// By their names.
    programs: BTreeMap<String, PathBuf>,
}

/// Builds with the same features as the step `test`, which has compiled all of it.
fn build(workspace: &Workspace) -> Result<Built, String> {
    let format = "--message-format=json-render-diagnostics";
    let build =
        ["build", "--workspace", "--examples", "--bins", "--all-features", "--locked", format];
    let messages = cargo_with(&build).output(workspace.root())?;
    let mut built = Built::default();
    for message in messages.lines() {
        let message: Value = serde_json::from_str(message).map_err(|e| e.to_string())?;
        let target = &message["target"];
        let (Some(executable), Some(kind), Some(name), Some(source)) = (
            message["executable"].as_str(),
            target["kind"][0].as_str(),
            target["name"].as_str(),
            target["src_path"].as_str(),
        ) else {
            continue;
        };
        if kind == "bin" {
            built.programs.insert(name.to_owned(), executable.into());
        }
        if kind != "example" {
            continue;
        }
        let source = Path::new(source);
        let source = source.strip_prefix(workspace.root()).unwrap_or(source);
        let source = source.display().to_string().replace('\\', "/");
        built.examples.push(Example { source, executable: executable.into() });
    }
    built.examples.sort_by(|a, b| a.source.cmp(&b.source));
    Ok(built)
}

/// Runs in a folder of its own, so that a file it leaves lands neither in the tree nor in another
/// example's way.
fn execute(workspace: &Workspace, example: &Example) -> Result<String, String> {
    let name = example.source.replace(['/', '.'], "-");
    let folder = workspace.root().join("target/xtask/examples").join(name);
    let fail = |reason: &dyn std::fmt::Display| format!("{}: {reason}", example.source);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|e| fail(&e))?;
    let path = folder.join("stdout.txt");
    let stdout = File::create(&path).map_err(|e| fail(&e))?;
    let mut child = Command::new(&example.executable)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(stdout)
        .spawn()
        .map_err(|e| fail(&e))?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| fail(&e))? {
            break status;
        }
        if start.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            return Err(fail(&format!("still running after {} s", LIMIT.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let output = fs::read_to_string(&path).map_err(|e| fail(&e))?;
    if status.success() { Ok(output) } else { Err(fail(&format!("{status}\n{output}"))) }
}
