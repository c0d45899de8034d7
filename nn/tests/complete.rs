//! No layer without its tests: each type that is a `Module` and that lib.rs gives out has a row in the table of
//! gradient checks, and a file of PyTorch's numbers.
//!
//! Rows and files are named after the type, `max_pool2d` for `MaxPool2d`, and may go on: `max_pool2d_equals`.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers without PyTorch's numbers, and why.
const NOT_IN_PYTORCH: [(&str, &str); 10] = [
    ("dropout", "its numbers are random, and of another generator"),
    ("spatial_dropout", "random"),
    ("alpha_dropout", "random"),
    ("mlp", "made of layers that have"),
    ("parallel", "made of layers that have"),
    ("residual", "made of layers that have"),
    ("probe", "the numbers are those of the layer that it looks at"),
    ("perceptron", "compared with its definition in perceptron.rs"),
    ("sequence_pool", "compared with its definition in sequences.rs"),
    ("positional_encoding", "compared with its definition in sequences.rs"),
];

/// Layers without a check of gradients, and why.
const WITHOUT_GRADIENT: [(&str, &str); 2] = [
    ("embedding", "its input has none; that of its table is in golden.rs"),
    ("probe", "it is that of the layer that it looks at"),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// Names of the files of a folder.
fn files(name: &str) -> Vec<String> {
    let entries = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).collect()
}

/// `MaxPool2d` as `max_pool2d`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// The public layers.
fn layers() -> Vec<String> {
    let exported = read(folder("src/lib.rs"));
    let uses = exported.split("pub use ").skip(1).filter_map(|uses| uses.split(';').next());
    let exported: Vec<&str> =
        uses.flat_map(|uses| uses.split(|c: char| !c.is_alphanumeric())).collect();
    let is_exported = |name: &&str| exported.contains(name);
    let mut layers = Vec::new();
    for file in files("src").iter().filter(|name| name.ends_with(".rs")) {
        let source = read(folder("src").join(file));
        let types = source.lines().filter_map(|line| line.strip_prefix("impl Module for "));
        let names = types.filter_map(|rest| rest.split([' ', '<']).next());
        layers.extend(names.filter(is_exported).map(snake_case));
    }
    layers
}

#[test]
fn every_layer_has_a_row_of_gradients_and_a_file_of_pytorchs_numbers() {
    let layers = layers();
    assert!(layers.len() > 30, "the sources are read: {layers:?}");
    let gradients = read(folder("tests/layers.rs"));
    let golden = files("tests/golden");
    let mut missing = Vec::new();
    for layer in &layers {
        let ends = [
            format!("(\"{layer}\""),
            format!("(\"{layer} "),
            format!("\n            \"{layer}\","),
        ];
        let has_row = ends.iter().any(|row| gradients.contains(row)) || layer == "activation";
        if has_row == WITHOUT_GRADIENT.iter().any(|(name, _)| name == layer) {
            missing.push(format!("layers.rs: {layer}"));
        }
        let is_named = |file: &String| {
            let rest = file.strip_prefix(layer.as_str());
            rest.is_some_and(|rest| rest.starts_with(['.', '_']))
        };
        if golden.iter().any(is_named) == NOT_IN_PYTORCH.iter().any(|(name, _)| name == layer) {
            missing.push(format!("golden.rs: {layer}"));
        }
    }
    assert!(missing.is_empty(), "no row, or a row and a reason for none: {missing:?}");
    for (name, _) in NOT_IN_PYTORCH.iter().chain(&WITHOUT_GRADIENT) {
        assert!(
            layers.iter().any(|layer| layer == name),
            "{name} is excused, but there is no such layer"
        );
    }
}
