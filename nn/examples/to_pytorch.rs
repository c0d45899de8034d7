//! Weights for PyTorch: three models, what they are given, and what they answer.
//!
//! `cargo run -p plies-nn --example to_pytorch FOLDER`, then `python nn/interop/check.py FOLDER`, which
//! loads them into PyTorch's models and compares the answers.

use std::path::PathBuf;

use plies_autograd::Var;
use plies_nn::{Checkpoint, Module, Pass};
use plies_tensor::{DType, Device, Rng, Tensor};

#[path = "../interop/models.rs"]
mod models;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).unwrap_or_else(|| ".".into()).into();
    std::fs::create_dir_all(&folder)?;
    let mut rng = Rng::new(1);
    let mut normal = |dims: &[usize]| rng.normal(dims, DType::F32, &Device::cpu());

    let (x, model) = (normal(&[4, 6]), models::mlp(&mut Rng::new(2)));
    let y = model.forward(&Var::constant(x.clone()), &mut Pass::eval());
    write(&folder, "mlp", &model, [("x", x), ("y", y.value().clone())])?;

    let (x, model) = (normal(&[3, 1, 8, 8]), models::cnn(&mut Rng::new(3)));
    for _ in 0..3 {
        // The running averages of batch norm move.
        let seen = Var::constant(normal(&[5, 1, 8, 8]) * 2.0 + 1.0);
        model.forward(&seen, &mut Pass::train(Rng::new(4)));
    }
    let y = model.forward(&Var::constant(x.clone()), &mut Pass::eval());
    write(&folder, "cnn", &model, [("x", x), ("y", y.value().clone())])?;

    let x = Tensor::from([[0, 1, 2, 3, 4], [5, 6, 0, 0, 0], [6, 5, 4, 3, 0]]);
    let (lengths, model) = ([5, 2, 4], models::Tagger::new(&mut Rng::new(5)));
    let y = model.run(&x, Some(&lengths.map(|n| n as usize)), &mut Pass::eval());
    let tensors = [("x", x), ("lengths", Tensor::from(lengths)), ("y", y.value().clone())];
    write(&folder, "tagger", &model, tensors)?;
    Ok(())
}

fn write<const N: usize>(
    folder: &std::path::Path,
    name: &str,
    model: &dyn Module,
    tensors: [(&str, Tensor); N],
) -> Result<(), plies_nn::CheckpointError> {
    let mut weights = Checkpoint::new();
    weights.put_model(model);
    weights.save(&folder.join(format!("{name}.safetensors")))?;
    let mut io = Checkpoint::new();
    tensors.into_iter().for_each(|(name, tensor)| io.insert(name, tensor));
    io.save(&folder.join(format!("{name}_io.safetensors")))?;
    println!("{name}: {} numbers", model.parameter_count());
    Ok(())
}
