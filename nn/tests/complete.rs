//! No layer without its tests: each type that is a `Module` and that the crate gives out has a row in the table of
//! gradient checks, and a file of PyTorch's numbers.
//!
//! Rows and files are named after the type, `max_pool2d` for `MaxPool2d`, and may go on: `max_pool2d_equals`.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers without PyTorch's numbers, and why.
const NOT_IN_PYTORCH: [(&str, &str); 14] = [
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
    ("autoencoder", "made of layers that have"),
    ("corruption", "random"),
    ("rbm", "compared with its definition in pretrain.rs"),
    ("contrastive_divergence", "compared with its definition in pretrain.rs"),
];

/// Layers without a check of gradients, and why.
const WITHOUT_GRADIENT: [(&str, &str); 6] = [
    ("embedding", "its input has none; that of its table is in golden.rs"),
    ("probe", "it is that of the layer that it looks at"),
    ("autoencoder", "checked in pretrain.rs"),
    ("corruption", "checked in pretrain.rs, with the autoencoder that it is in"),
    ("rbm", "checked in pretrain.rs"),
    ("contrastive_divergence", "checked in contrastive.rs"),
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

/// The sources under a folder.
fn sources(folder: &Path) -> Vec<String> {
    let mut sources = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources.extend(self::sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(read(path));
        }
    }
    sources
}

/// The public layers: lib.rs gives them out, or the mod.rs of a module.
fn layers() -> Vec<String> {
    let sources = sources(&folder("src"));
    let uses = sources.iter().flat_map(|source| source.split("pub use ").skip(1));
    let uses = uses.filter_map(|uses| uses.split(';').next());
    let exported: Vec<&str> =
        uses.flat_map(|uses| uses.split(|c: char| !c.is_alphanumeric())).collect();
    let is_exported = |name: &&str| exported.contains(name);
    let lines = sources.iter().flat_map(|source| source.lines());
    let types = lines.filter_map(|line| line.strip_prefix("impl Module for "));
    let names = types.filter_map(|rest| rest.split([' ', '<']).next());
    names.filter(is_exported).map(snake_case).collect()
}

/// The layer that a row or a file is about: that of the longest name that its name begins with, since
/// `gru_cell` is not `gru`.
fn layer_of<'a>(name: &str, layers: &'a [String]) -> Option<&'a String> {
    let begins = |layer: &&String| {
        let rest = name.strip_prefix(layer.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_', ' ', ',']))
    };
    layers.iter().filter(begins).max_by_key(|layer| layer.len())
}

#[test]
fn every_layer_has_a_row_of_gradients_and_a_file_of_pytorchs_numbers() {
    let layers = layers();
    assert!(layers.len() > 30, "the sources are read: {layers:?}");
    let rows: Vec<String> = crate::layers::layers().into_iter().map(|(name, ..)| name).collect();
    let golden = files("tests/golden");
    let mut missing = Vec::new();
    for layer in &layers {
        let has_row =
            layer == "activation" || rows.iter().any(|row| layer_of(row, &layers) == Some(layer));
        if has_row == WITHOUT_GRADIENT.iter().any(|(name, _)| name == layer) {
            missing.push(format!(
                "{layer}: a row in layers.rs (or a reason in WITHOUT_GRADIENT), not both"
            ));
        }
        let has_file = golden.iter().any(|file| layer_of(file, &layers) == Some(layer));
        if has_file == NOT_IN_PYTORCH.iter().any(|(name, _)| name == layer) {
            missing.push(format!(
                "{layer}: golden/{layer}*.safetensors, which make.py writes (or a reason in \
                 NOT_IN_PYTORCH), not both"
            ));
        }
    }
    assert!(missing.is_empty(), "needed:\n{}", missing.join("\n"));
    for (name, _) in NOT_IN_PYTORCH.iter().chain(&WITHOUT_GRADIENT) {
        assert!(
            layers.iter().any(|layer| layer == name),
            "{name} is excused, but there is no such layer"
        );
    }
}

#[test]
fn a_file_is_that_of_the_longest_name() {
    let layers = ["gru", "gru_cell"].map(str::to_owned);
    assert_eq!(layer_of("gru_cell.safetensors", &layers).unwrap(), "gru_cell");
    assert_eq!(layer_of("gru_2_both.safetensors", &layers).unwrap(), "gru");
    assert_eq!(layer_of("grunt.safetensors", &layers), None);
}
