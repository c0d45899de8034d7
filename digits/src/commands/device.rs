//! Where a network is trained.

use plies_console::Failure;
use plies_tensor::Device;

/// The device of a name: `cpu`; `gpu`, which is the best that is hardware, or the one that `PLIES_GPU` names;
/// or a part of a GPU's name.
pub(crate) fn open(name: &str) -> Result<Device, Failure> {
    match name {
        "cpu" => Ok(Device::cpu()),
        name => open_gpu(name),
    }
}

#[cfg(feature = "gpu")]
fn open_gpu(name: &str) -> Result<Device, Failure> {
    use plies_gpu::{Gpu, Options};
    let mut options = Options { on_notice: Some(plies_console::notice), ..Options::from_env() };
    if name != "gpu" {
        options.adapter = Some(name.to_owned());
    }
    Ok(Gpu::open(&options)?.device())
}

#[cfg(not(feature = "gpu"))]
fn open_gpu(name: &str) -> Result<Device, Failure> {
    Err(Failure::BadInput(format!(
        "--device {name}: this program was built for the CPU alone; build it with --features gpu"
    )))
}

/// Numbers and names of the GPUs that `--device` can name.
pub(crate) fn gpus() -> Vec<String> {
    #[cfg(feature = "gpu")]
    let all = plies_gpu::adapters()
        .into_iter()
        .map(|a| format!("{}: {} ({} through {})", a.number, a.name, a.kind, a.interface))
        .collect();
    #[cfg(not(feature = "gpu"))]
    let all = Vec::new();
    all
}
