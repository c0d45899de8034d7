//! The adapters of the machine, and which of them is meant.

use wgpu::{Adapter, Backends, DeviceType, Instance, InstanceDescriptor};

use crate::{Error, MatrixUnits, Result};

/// What an adapter is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterSummary {
    /// Its number, by which it can be chosen.
    pub number: usize,
    /// Its name, as its driver gives it.
    pub name: String,
    /// Discrete, integrated, virtual, or software.
    pub kind: &'static str,
    /// Vulkan, Metal or DirectX 12.
    pub interface: String,
    /// Name and version of the driver.
    pub driver: String,
    /// Bytes of the largest buffer.
    pub largest_buffer: u64,
    /// Bytes of a buffer that a kernel sees at once.
    pub largest_binding: u64,
    /// Threads of a workgroup.
    pub workgroup_threads: u32,
    /// Bytes that a workgroup shares.
    pub workgroup_memory: u32,
    /// Buffers that a kernel can be given.
    pub buffers_per_kernel: u32,
    /// Smallest and largest number of threads that run in step.
    pub subgroup: [u32; 2],
    /// Whether shaders have F16.
    pub has_f16: bool,
    /// What multiplies small matrices of F16 at once, if it has that: see
    /// [`Options::matrix_units`](crate::Options::matrix_units).
    pub matrix_units: Option<MatrixUnits>,
}

impl AdapterSummary {
    fn new(number: usize, adapter: &Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        AdapterSummary {
            number,
            name: info.name,
            kind: match info.device_type {
                DeviceType::DiscreteGpu => "discrete",
                DeviceType::IntegratedGpu => "integrated",
                DeviceType::VirtualGpu => "virtual",
                DeviceType::Cpu => "software",
                DeviceType::Other => "other",
            },
            interface: info.backend.to_string(),
            driver: [info.driver, info.driver_info].join(" ").trim().to_owned(),
            largest_buffer: limits.max_buffer_size,
            largest_binding: limits.max_storage_buffer_binding_size,
            workgroup_threads: limits.max_compute_invocations_per_workgroup,
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            buffers_per_kernel: limits.max_storage_buffers_per_shader_stage,
            subgroup: [info.subgroup_min_size, info.subgroup_max_size],
            has_f16: adapter.features().contains(wgpu::Features::SHADER_F16),
            matrix_units: MatrixUnits::of(adapter),
        }
    }
}

/// All adapters of the machine, the better ones first: discrete, integrated, virtual, and software
/// last.
///
/// # Example
/// ```
/// for adapter in plies_gpu::adapters() {
///     println!("{}: {} ({})", adapter.number, adapter.name, adapter.kind);
/// }
/// ```
pub fn adapters() -> Vec<AdapterSummary> {
    let all = enumerate();
    all.iter().enumerate().map(|(number, adapter)| AdapterSummary::new(number, adapter)).collect()
}

fn rank(kind: DeviceType) -> usize {
    let order = [DeviceType::DiscreteGpu, DeviceType::IntegratedGpu, DeviceType::VirtualGpu];
    order.iter().position(|&other| other == kind).unwrap_or(match kind {
        DeviceType::Cpu => 4,
        _ => 3,
    })
}

fn enumerate() -> Vec<Adapter> {
    let backends = Backends::VULKAN | Backends::METAL | Backends::DX12;
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = Instance::new(descriptor);
    let mut all = pollster::block_on(instance.enumerate_adapters(backends));
    // Stable, so that two of a kind keep their driver's order.
    all.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    all
}

/// The adapter that is meant: the one of that number, or else the first with `wanted` in its name,
/// whatever the case; without a wish the best one that is hardware.
pub(crate) fn choose(wanted: Option<&str>) -> Result<(Adapter, AdapterSummary)> {
    let all = enumerate();
    let summaries: Vec<AdapterSummary> =
        all.iter().enumerate().map(|(i, adapter)| AdapterSummary::new(i, adapter)).collect();
    let Some(number) = position(wanted, &summaries) else {
        let name = |a: &AdapterSummary| format!("{}: {} ({})", a.number, a.name, a.kind);
        return Err(Error::NoAdapter {
            wanted: wanted.map_or("in hardware".into(), |wanted| format!("named `{wanted}`")),
            found: summaries.iter().map(name).collect(),
        });
    };
    let chosen = all.into_iter().zip(summaries).nth(number);
    chosen.ok_or(Error::NoAdapter { wanted: String::new(), found: Vec::new() })
}

fn position(wanted: Option<&str>, all: &[AdapterSummary]) -> Option<usize> {
    let Some(wanted) = wanted else { return all.iter().position(|a| a.kind != "software") };
    // A number that no adapter has may be a model's: 4090.
    if let Some(number) = wanted.parse().ok().filter(|&number| number < all.len()) {
        return Some(number);
    }
    let wanted = wanted.to_lowercase();
    all.iter().position(|adapter| adapter.name.to_lowercase().contains(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: usize, name: &str, kind: &'static str) -> AdapterSummary {
        AdapterSummary {
            number,
            name: name.into(),
            kind,
            interface: String::new(),
            driver: String::new(),
            largest_buffer: 0,
            largest_binding: 0,
            workgroup_threads: 0,
            workgroup_memory: 0,
            buffers_per_kernel: 0,
            subgroup: [0, 0],
            has_f16: false,
            matrix_units: None,
        }
    }

    #[test]
    fn software_is_chosen_by_name_or_number_only() {
        let all = [named(0, "GeForce", "discrete"), named(1, "llvmpipe (LLVM)", "software")];
        assert_eq!(position(None, &all), Some(0));
        assert_eq!(position(None, &all[1..]), None);
        assert_eq!(position(Some("LLVMpipe"), &all), Some(1));
        assert_eq!(position(Some("1"), &all), Some(1));
        assert_eq!(position(Some("2"), &all), None);
        assert_eq!(position(Some("radeon"), &all), None);
    }

    #[test]
    fn a_number_that_no_adapter_has_is_a_part_of_a_name() {
        let names = ["GeForce RTX 4090", "GeForce RTX 2070", "Radeon 0"];
        let all: Vec<_> = (0..).zip(names).map(|(i, name)| named(i, name, "discrete")).collect();
        assert_eq!(position(Some("2070"), &all), Some(1));
        assert_eq!(position(Some("4090"), &all), Some(0));
        assert_eq!(position(Some("0"), &all), Some(0));
        assert_eq!(position(Some("3090"), &all), None);
    }

    #[test]
    fn what_is_missing_is_named_beside_what_is_there() {
        let found = vec!["0: llvmpipe (software)".to_owned()];
        let text = Error::NoAdapter { wanted: "named `radeon`".into(), found }.to_string();
        assert!(
            text.starts_with("no GPU named `radeon`; there is 0: llvmpipe (software)."),
            "{text}"
        );
    }
}
