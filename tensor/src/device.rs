//! A handle to a backend.

use std::fmt;
use std::sync::Arc;

use crate::backend::{Backend, MemoryUse};
use crate::cpu::{Cpu, Isa};
use crate::{DType, Result};

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
pub struct Device(Handle);

/// The processor is always there and needs no counting of handles.
#[derive(Clone)]
enum Handle {
    Cpu,
    Other(Arc<dyn Backend>),
}

impl Device {
    /// The processor, with as many threads as [`threads`](crate::threads) says.
    ///
    /// # Panics
    /// When the environment asks for vector instructions that there are not, which
    /// [`instruction_set`](crate::instruction_set) tells as an error.
    #[track_caller]
    #[inline]
    pub fn cpu() -> Self {
        Isa::checked();
        Device(Handle::Cpu)
    }

    /// A device of any backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Device(Handle::Other(backend))
    }

    /// The backend's name.
    pub fn name(&self) -> &str {
        self.backend().name()
    }

    /// Whether there are tensors of this type. Few graphics processors have [`DType::F64`].
    pub fn supports(&self, dtype: DType) -> bool {
        self.backend().supports(dtype)
    }

    /// Bytes in use by tensors, the peak, and what is kept for the next ones.
    pub fn memory_use(&self) -> MemoryUse {
        self.backend().memory_use()
    }

    /// Gives the memory of freed tensors, which is kept for the next ones, back to the system: for a
    /// program that will not need so much again, or whose neighbours do. On the CPU every thread keeps
    /// up to 16 blocks of each size up to 16 KiB to itself; only those of the calling thread are given
    /// back.
    ///
    /// A device that is out of memory does this by itself before an operation fails.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{DType, Device, Tensor};
    /// let device = Device::cpu();
    /// drop(Tensor::zeros([1000, 1000], DType::F32, &device));
    /// assert!(device.memory_use().cached >= 4_000_000);
    /// device.empty_cache();
    /// assert!(device.memory_use().cached < 4_000_000);
    /// ```
    pub fn empty_cache(&self) {
        self.backend().empty_cache();
    }

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// The first fault among that work.
    pub fn synchronize(&self) -> Result<()> {
        self.backend().synchronize()
    }

    pub(crate) fn is_cpu(&self) -> bool {
        matches!(self.0, Handle::Cpu)
    }

    /// The implementation behind the handle. It trusts its callers, who are in this crate: see
    /// [`Backend`].
    pub(crate) fn backend(&self) -> &dyn Backend {
        match &self.0 {
            Handle::Cpu => &Cpu,
            Handle::Other(backend) => &**backend,
        }
    }
}

impl Default for Device {
    fn default() -> Self {
        Device::cpu()
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Handle::Cpu, Handle::Cpu) => true,
            // Backends without fields may share an address.
            (Handle::Other(a), Handle::Other(b)) => {
                std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b)) && a.name() == b.name()
            }
            _ => false,
        }
    }
}

impl Eq for Device {}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.name())
    }
}
