//! A device that was opened: the adapter, its memory, its queue and its compiled kernels.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use plies_tensor::{Backend, Device};
use wgpu::{DeviceDescriptor, ExperimentalFeatures, Features, Limits, MemoryHints, Trace};

use crate::adapter::choose;
use crate::clock::Clock;
use crate::fault::{Fault, Faults};
use crate::matrix_units;
use crate::pipeline::{Access, Key, Pipelines};
use crate::pool::{Memory, Pool};
use crate::queue::{Binding, Queue};
use crate::shader::Numbers;
use crate::strided::{BindingLimits, ELEMENT};
use crate::tuning::Tuning;
use crate::{AdapterSummary, Error, MatrixUnits, Result};

/// Which device, and how much of it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The adapter: its number among [`adapters`](crate::adapters), or a part of its name, in any case.
    /// Without a wish it is the best one that is hardware.
    pub adapter: Option<String>,
    /// The most bytes that tensors and what is kept for the next ones take together.
    pub memory: Option<u64>,
    /// The most bytes of a buffer that a kernel sees at once, if less than the adapter's limit. Work
    /// on larger ones is cut into parts. A part begins at a multiple of so many bytes as the device says,
    /// 256 at most, and this must not be less.
    pub binding: Option<u64>,
    /// Sums and maxima go through shared memory even where the threads of a subgroup can exchange values
    /// without it. The bits are the same.
    pub without_subgroups: bool,
    /// Products of F32 are computed by [`MatrixUnits`] from operands that are rounded to F16: each result may be off by
    /// 2⁻¹⁰ Σ|a·b|, numbers beyond 65,504 are infinite, and those below 6.2·10⁻⁵ lose more digits.
    /// One row or one column is computed without them.
    pub matrix_units: bool,
    /// The folder that keeps which variant of a product is the fastest for which sizes, as measured where it
    /// was needed first. Without one a rule chooses, and equal devices give equal bits; with one they are
    /// equal from run to run as long as the folder is kept.
    pub tuning: Option<PathBuf>,
    /// Is told what [`Gpu::notices`] lists, each once and when it happens: a program may print it.
    pub on_notice: Option<fn(&str)>,
}

impl Options {
    /// What the environment says: `PLIES_GPU` is the adapter, a part of its name or its number,
    /// `PLIES_GPU_TUNING` the folder for what is measured, and `PLIES_GPU_MATRIX_UNITS`, whatever it says unless that is
    /// nothing or `0`, asks for matrix units.
    pub fn from_env() -> Options {
        let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Options {
            adapter: given("PLIES_GPU").map(|wanted| wanted.to_string_lossy().into_owned()),
            matrix_units: given("PLIES_GPU_MATRIX_UNITS").is_some_and(|wanted| wanted != "0"),
            tuning: given("PLIES_GPU_TUNING").map(PathBuf::from),
            ..Options::default()
        }
    }
}

/// What a device has done and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of the blocks that live tensors hold.
    pub in_use: usize,
    /// The largest value of `in_use` so far.
    pub peak: usize,
    /// Bytes of the blocks kept for the next tensors.
    pub cached: usize,
    /// How often memory was asked for from the driver.
    pub allocations: usize,
    /// Kernels that were compiled.
    pub pipelines: usize,
    /// Kernels that were started.
    pub dispatches: usize,
    /// Batches in which they were handed over.
    pub submissions: usize,
}

/// A graphics processor as a device of plies-tensor.
///
/// # Example
/// ```no_run
/// use plies_gpu::Gpu;
/// use plies_tensor::Tensor;
/// let gpu = Gpu::open_from_env()?;
/// let x = Tensor::from([[1f32, 2.0], [3.0, 4.0]]).to_device(&gpu.device())?;
/// println!("{:?} computed by {}", x.matmul(&x).to_vec::<f32>()?, gpu.summary().name);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Gpu {
    shared: Arc<Shared>,
    device: Device,
}

/// The implementation of [`plies_tensor::Backend`].
pub(crate) struct Shared {
    /// Itself, for what outlives a call.
    pub(crate) this: Weak<Shared>,
    name: String,
    summary: AdapterSummary,
    wgpu: wgpu::Device,
    pub(crate) pool: Arc<Pool>,
    pub(crate) queue: Queue,
    pub(crate) faults: Faults,
    pipelines: Pipelines,
    limits: BindingLimits,
    subgroup: OnceLock<usize>,
    matrix_units: Option<MatrixUnits>,
    tuning: Option<Tuning>,
    pub(crate) clock: Option<Clock>,
    /// What kernels found wrong with an index: see `kernels/index`.
    pub(crate) index_error: Memory,
}

impl Gpu {
    /// Opens a device.
    ///
    /// # Errors
    /// When there is no such adapter, its driver refuses, [`Options::binding`] is too small to cut
    /// tensors into such parts, or it has not the [`Options::matrix_units`] that are asked for, or they compute wrong
    /// products.
    pub fn open(options: &Options) -> Result<Gpu> {
        let (adapter, summary) = choose(options.adapter.as_deref())?;
        let offered = adapter.limits();
        // What every device has, and as much of what matters here as this one offers.
        let limits = Limits {
            max_storage_buffers_per_shader_stage: offered.max_storage_buffers_per_shader_stage,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            max_buffer_size: offered.max_buffer_size,
            max_bindings_per_bind_group: offered.max_bindings_per_bind_group,
            max_non_sampler_bindings: offered.max_non_sampler_bindings,
            max_compute_workgroup_storage_size: offered.max_compute_workgroup_storage_size,
            max_compute_invocations_per_workgroup: offered.max_compute_invocations_per_workgroup,
            max_compute_workgroup_size_x: offered.max_compute_workgroup_size_x,
            min_uniform_buffer_offset_alignment: offered.min_uniform_buffer_offset_alignment,
            min_storage_buffer_offset_alignment: offered.min_storage_buffer_offset_alignment,
            ..Limits::downlevel_defaults()
        };
        let mut features = Features::empty();
        features.set(Features::SUBGROUP, !options.without_subgroups);
        features.set(Features::TIMESTAMP_QUERY, options.tuning.is_some());
        let features = features & adapter.features();
        let refused = |reason: String| Error::Refused { adapter: summary.name.clone(), reason };
        let units = summary.matrix_units.filter(|_| options.matrix_units);
        if options.matrix_units && units.is_none() {
            return Err(refused(format!(
                "no matrix units that multiply F16 into F32, says its driver {}; a newer one may have \
                 them, and without Options::matrix_units (PLIES_GPU_MATRIX_UNITS) it needs none",
                summary.driver
            )));
        }
        let (features, experimental) = match units {
            None => (features, ExperimentalFeatures::disabled()),
            Some(_) => (features | matrix_units::features(), matrix_units::consent()),
        };
        let request = adapter.request_device(&DeviceDescriptor {
            label: Some("plies"),
            required_features: features,
            required_limits: limits,
            experimental_features: experimental,
            memory_hints: MemoryHints::Performance,
            trace: Trace::Off,
        });
        let (wgpu, queue) = pollster::block_on(request).map_err(|e| refused(e.to_string()))?;
        let faults = Faults::default();
        let (uncaptured, lost) = (faults.clone(), faults.clone());
        wgpu.on_uncaptured_error(Arc::new(move |fault: wgpu::Error| {
            uncaptured.record(fault.to_string());
        }));
        wgpu.set_device_lost_callback(move |_, reason| lost.lose(reason));
        let pool = Pool::new(wgpu.clone(), options.memory.unwrap_or(u64::MAX));
        let Some(index_error) = pool.take(1) else {
            return Err(refused("no memory for a first buffer".into()));
        };
        let limits = BindingLimits {
            largest: summary.largest_binding.min(options.binding.unwrap_or(u64::MAX)),
            alignment: wgpu.limits().min_storage_buffer_offset_alignment.into(),
        };
        if limits.largest < limits.alignment {
            let BindingLimits { largest, alignment } = limits;
            return Err(refused(format!(
                "a binding of {largest} bytes; parts of a buffer begin at multiples of {alignment}, \
                 so it must be that at least"
            )));
        }
        let clock = Clock::new(&wgpu, &queue, &pool);
        let queue = Queue::new(&wgpu, queue, faults.clone());
        queue.write(&index_error, &[0; crate::kernels::index::INDEX_ERROR]);
        let name = unique(&summary.name);
        let tuning = options.tuning.as_deref();
        let tell = options.on_notice.unwrap_or(|_| ());
        let names = [&*summary.name, &*summary.driver];
        let tuning = tuning.map(|folder| Tuning::open(folder, names, units, tell));
        let shared = Arc::new_cyclic(|this| Shared {
            this: this.clone(),
            name,
            summary,
            pool,
            queue,
            faults,
            pipelines: Pipelines::default(),
            limits,
            subgroup: OnceLock::new(),
            matrix_units: units,
            tuning,
            clock,
            index_error,
            wgpu,
        });
        let exchanges = features.contains(Features::SUBGROUP);
        let smallest = if exchanges { shared.summary.subgroup[0] } else { 1 };
        let _ = shared.subgroup.set(crate::subgroup::exchanging(&shared, smallest));
        if units.is_some()
            && let Err(reason) = crate::kernels::contract::units_are_right(&shared)
        {
            return Err(Error::Refused {
                adapter: shared.summary.name.clone(),
                reason: format!("a product by matrix units {reason}; ask for none"),
            });
        }
        let device = Device::new(shared.clone());
        Ok(Gpu { shared, device })
    }

    /// Opens the device that the environment names ([`Options::from_env`]); without a name, the best one that
    /// is hardware.
    ///
    /// # Errors
    /// As [`open`](Gpu::open).
    pub fn open_from_env() -> Result<Gpu> {
        Gpu::open(&Options::from_env())
    }

    /// What went wrong without harm, such as a file of measured variants that cannot be read.
    pub fn notices(&self) -> Vec<String> {
        self.shared.tuning().map_or(Vec::new(), Tuning::notices)
    }

    /// The device, for tensors.
    pub fn device(&self) -> Device {
        self.device.clone()
    }

    /// What it is and can do.
    pub fn summary(&self) -> &AdapterSummary {
        &self.shared.summary
    }

    /// What it has done and holds.
    pub fn counters(&self) -> Counters {
        let (dispatches, submissions) = self.shared.queue.counts();
        let pipelines = self.shared.pipelines.count();
        Counters { pipelines, dispatches, submissions, ..self.shared.pool.counters() }
    }
}

/// An adapter that is opened several times has several names.
fn unique(name: &str) -> String {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    match OPENED.fetch_add(1, Ordering::Relaxed) {
        0 => name.to_owned(),
        n => format!("{name} #{}", n + 1),
    }
}

impl Shared {
    pub(crate) fn device_name(&self) -> &str {
        &self.name
    }

    /// Neighbouring threads that exchange values without shared memory; 1 where none do.
    pub(crate) fn subgroup(&self) -> usize {
        self.subgroup.get().copied().unwrap_or(1)
    }

    /// What products of F32 are to be computed by.
    pub(crate) fn matrix_units(&self) -> Option<MatrixUnits> {
        self.matrix_units
    }

    pub(crate) fn tuning(&self) -> Option<&Tuning> {
        self.tuning.as_ref()
    }

    pub(crate) fn limits(&self) -> BindingLimits {
        self.limits
    }

    /// Memory for so many elements. Where there is none stands what no kernel is given: whatever would be
    /// computed from it is spoilt, and to read that is an error.
    pub(crate) fn scratch(&self, len: usize) -> Memory {
        self.room(len).unwrap_or_else(|reason| self.pool.missing(reason))
    }

    /// Memory for so many elements, or why there is none, not even in what is kept aside.
    pub(crate) fn room(&self, len: usize) -> std::result::Result<Memory, String> {
        let bytes = len as u64 * ELEMENT;
        let limit = self.summary.largest_buffer;
        if crate::pool::size_class(bytes) > limit {
            return Err(format!(
                "out of memory: {bytes} bytes are more than a buffer of this device holds, {limit}"
            ));
        }
        if let Some(memory) = self.pool.take(bytes) {
            return Ok(memory);
        }
        // What is kept aside makes room once the device is done with it.
        self.empty_cache();
        if self.queue.wait().is_ok()
            && let Some(memory) = self.pool.take(bytes)
        {
            return Ok(memory);
        }
        let held = self.pool.counters().in_use;
        Err(format!(
            "out of memory: no {bytes} bytes beside {held} in use; a smaller batch needs less"
        ))
    }

    /// Copies host memory to the device.
    pub(crate) fn write(&self, memory: &Memory, bytes: &[u8]) {
        match memory.fault("write") {
            Some(fault) => self.spoil(fault, &[memory]),
            None => self.queue.write(memory, bytes),
        }
    }

    /// What an operation would have written, had it not been for this.
    pub(crate) fn spoil(&self, fault: Fault, results: &[&Memory]) {
        let news = results.iter().filter(|memory| memory.spoil(&fault)).count();
        if news > 0 {
            self.faults.note(fault);
        }
    }

    /// Ends the program's use of an operation that this device has not.
    #[track_caller]
    pub(crate) fn unsupported(&self, operation: &str) -> ! {
        panic!("unsupported on {}: {operation}", self.name)
    }

    /// Compiles a kernel unless it is there, and records it.
    #[track_caller]
    pub(crate) fn launch(
        &self,
        key: Key,
        bindings: &[(Binding<'_>, Access)],
        numbers: &Numbers,
        groups: u64,
        text: impl FnOnce() -> String,
    ) {
        let results = || -> Vec<&Memory> {
            // Where kernels note a wrong index is everybody's.
            let is_result = |memory: &&Memory| !std::ptr::eq(*memory, &self.index_error);
            let written = bindings.iter().filter(|(_, access)| *access == Access::Write);
            written.map(|(binding, _)| binding.memory).filter(is_result).collect()
        };
        let fault = bindings.iter().find_map(|(binding, _)| binding.memory.fault(key.kernel));
        if let Some(fault) = fault {
            return self.spoil(fault, &results());
        }
        let most = self.summary.buffers_per_kernel as usize;
        if bindings.len() > most {
            self.unsupported(&format!(
                "{} of {} buffers; a kernel of this device takes {most}",
                key.kernel,
                bindings.len()
            ));
        }
        let most = crate::queue::PARAMETER_BYTES as usize / 4;
        if numbers.0.len() > most {
            self.unsupported(&format!("{}: a formula of {} numbers", key.kernel, numbers.0.len()));
        }
        let access: Vec<Access> = bindings.iter().map(|(_, access)| *access).collect();
        self.faults.begin(key.kernel);
        let operation = key.kernel;
        let pipeline = match self.pipelines.get(&self.wgpu, key, &access, text) {
            Ok(pipeline) => pipeline,
            Err(reason) => {
                let fault = Fault::refused(operation, &reason);
                self.faults.note(fault.clone());
                return self.spoil(fault, &results());
            }
        };
        let bindings: Vec<Binding<'_>> = bindings.iter().map(|(binding, _)| *binding).collect();
        self.queue.dispatch(&pipeline, &bindings, &numbers.0, groups);
    }

    /// From now on kernels of these keys are such that a driver refuses them.
    #[cfg(test)]
    fn refuse(&self, keys: crate::pipeline::Keys) {
        *self.pipelines.refused.lock().unwrap() = Some(keys);
    }

    /// As a driver would, takes the device away.
    #[cfg(test)]
    fn lose(&self) {
        self.wgpu.destroy();
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.shared.name)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A device for a test. Without one the test is left out, and says so; with `PLIES_GPU` there must be
    /// one.
    pub(crate) fn open_with(options: Options) -> Option<Arc<Shared>> {
        let adapter = std::env::var("PLIES_GPU").ok();
        match Gpu::open(&Options { adapter: adapter.clone(), ..options }) {
            Ok(gpu) => Some(gpu.shared),
            Err(reason) if adapter.is_some() => panic!("PLIES_GPU: {reason}"),
            Err(reason) => {
                eprintln!("LEFT OUT: {reason}");
                None
            }
        }
    }

    pub(crate) fn open() -> Option<Arc<Shared>> {
        open_with(Options::default())
    }

    #[test]
    fn a_lost_device_is_an_error_that_names_it() {
        use plies_tensor::Tensor;
        let Some(gpu) = open() else { return };
        let x = Tensor::from([1f32]).to_device(&Device::new(gpu.clone())).unwrap();
        gpu.lose();
        let fault = (&x + &x).to_vec::<f32>().unwrap_err().to_string();
        assert!(fault.starts_with(gpu.name()) && fault.contains("lost"), "{fault}");
    }

    #[test]
    fn what_the_driver_refused_is_an_error_at_every_read() {
        use plies_tensor::Tensor;
        let Some(gpu) = open() else { return };
        let x = Tensor::from([1f32]).to_device(&Device::new(gpu.clone())).unwrap();
        // Memory that the host reads is of no other use.
        let _ = gpu.wgpu.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 16,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        assert!(x.to_vec::<f32>().is_err());
        assert!(x.to_vec::<f32>().is_err());
    }

    #[test]
    fn a_kernel_that_the_driver_refuses_spoils_its_result_and_nothing_else() {
        use plies_tensor::{Elementwise, Tensor};
        let Some(gpu) = open() else { return };
        let x = Tensor::from([1f32, 4.0]).to_device(&Device::new(gpu.clone())).unwrap();
        let before = &x + &x;
        gpu.refuse(|key| key.kernel == "map");
        let refused = x.sqrt();
        let fault = refused.to_vec::<f32>().unwrap_err().to_string();
        assert!(fault.contains("map: the driver refuses the kernel: "), "{fault}");
        assert_eq!(before.to_vec::<f32>().unwrap(), [2.0, 8.0]);
        assert!((&refused + &x).to_vec::<f32>().is_err());
        assert_eq!(before.sum_all().item().unwrap(), 10.0);
    }

    #[test]
    fn a_candidate_that_the_driver_refuses_is_left_aside_and_that_is_told() {
        use plies_tensor::Tensor;
        let folder = tempfile::tempdir().unwrap();
        let options = Options { tuning: Some(folder.path().into()), ..Options::default() };
        let Some(gpu) = open_with(options) else { return };
        // The smallest tile: the third number of a key is its rows.
        gpu.refuse(|key| key.kernel == "matmul" && key.class[2] == 32);
        let ones = |dims: [usize; 2]| {
            let ones = Tensor::ones(dims, plies_tensor::DType::F32, &Device::cpu());
            ones.to_device(&Device::new(gpu.clone())).unwrap()
        };
        let product = ones([64, 40]).matmul(&ones([40, 64]));
        assert_eq!(product.to_vec::<f32>().unwrap(), [40.0; 64 * 64]);
        let notices = gpu.tuning().unwrap().notices();
        assert!(
            notices.len() == 1 && notices[0].contains("is refused by the driver"),
            "{notices:?}"
        );
    }

    #[test]
    fn what_is_given_back_for_room_is_not_held_by_groups_of_buffers() {
        use plies_tensor::{DType, Elementwise, Tensor};
        let options = Options { memory: Some(1 << 20), ..Options::default() };
        let Some(gpu) = open_with(options) else { return };
        let device = Device::new(gpu.clone());
        drop(Tensor::zeros([100_000], DType::F32, &device).exp());
        assert!(gpu.queue.groups() > 0);
        let _large = gpu.scratch(200_000);
        assert_eq!(gpu.queue.groups(), 0);
    }
}
