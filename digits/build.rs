//! Says whether the whole training set lies beside the sources (a clone) or only the subset that
//! the published package carries; `src/embedded.rs` embeds what is there.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(full_training_set)");
    let files = ["data/train-images-idx3-ubyte.gz", "data/train-labels-idx1-ubyte.gz"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    if files.iter().all(|file| std::path::Path::new(file).is_file()) {
        println!("cargo::rustc-cfg=full_training_set");
    }
}
