//! A handle to a backend.

use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::Result;
use crate::backend::{Backend, MemoryUse};
use crate::cpu::Cpu;

/// Where tensors live and are computed: a shared [`Backend`]. Cloning is cheap.
///
/// # Example
/// ```
/// use plies_tensor::{DType, Device, Tensor};
/// let device = Device::cpu();
/// let x = Tensor::zeros([2, 3], DType::F32, &device);
/// assert_eq!(x.device().name(), "cpu");
/// assert!(device.memory_use().in_use >= 24);
/// ```
#[derive(Clone)]
pub struct Device(Arc<dyn Backend>);

impl Device {
    /// The processor, with as many threads as [`threads`](crate::threads) says.
    pub fn cpu() -> Self {
        static CPU: LazyLock<Device> = LazyLock::new(|| Device::new(Arc::new(Cpu)));
        CPU.clone()
    }

    /// A device of any backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Device(backend)
    }

    /// The backend's name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Bytes in use by tensors, the peak, and what is kept for the next ones.
    pub fn memory_use(&self) -> MemoryUse {
        self.0.memory_use()
    }

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// The first fault among that work.
    pub fn synchronize(&self) -> Result<()> {
        self.0.synchronize()
    }

    /// The implementation behind the handle.
    pub fn backend(&self) -> &dyn Backend {
        &*self.0
    }
}

impl Default for Device {
    fn default() -> Self {
        Device::cpu()
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
            && self.name() == other.name()
    }
}

impl Eq for Device {}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.name())
    }
}
