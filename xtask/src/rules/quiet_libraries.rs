//! A library reports through values and callbacks; only programs print, and only they end the
//! process.

use crate::workspace::Workspace;

/// Packages that somebody may build a program of their own on. The others are programs.
const LIBRARIES: &[&str] =
    &["plies-tensor", "plies-autograd", "plies-nn", "plies-text", "plies-gpu"];

const LOUD: &[&str] = &["println!", "eprintln!", "print!", "eprint!", "dbg!", "process::exit"];

pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in workspace.packages() {
        if !LIBRARIES.contains(&package.name()) {
            continue;
        }
        let folder = package.folder().strip_prefix(workspace.root()).unwrap_or(package.folder());
        let source = format!("{}/src/", folder.display());
        let programs =
            [format!("{source}main.rs"), format!("{source}bin/"), format!("{source}cli")];
        for file in workspace.files_with("rs").filter(|file| file.starts_with(&source)) {
            if programs.iter().any(|program| file.starts_with(program)) {
                continue;
            }
            let text = workspace.text(file).unwrap_or_default();
            breaches.extend(
                loud_lines(&text)
                    .map(|(number, word)| format!("{file}:{number}: {word} in a library")),
            );
        }
    }
    breaches
}

/// Lines of library code, without comments and without the tests at a file's end, that print.
fn loud_lines(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    code.enumerate().filter_map(|(number, line)| {
        let line = line.trim_start();
        let word = LOUD.iter().find(|word| !line.starts_with("//") && line.contains(**word))?;
        Some((number + 1, *word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_tests_may_print() {
        let text = "/// println!(\"{x}\");\nfn f() {\n    println!(\"x\");\n}\n#[cfg(test)]\nmod tests { fn g() { println!() } }\n";
        assert_eq!(loud_lines(text).collect::<Vec<_>>(), [(3, "println!")]);
    }
}
