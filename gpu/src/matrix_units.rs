//! Matrix units: circuits that multiply small matrices at once (tensor cores, simdgroup matrices; in shading
//! languages, cooperative matrices). A subgroup holds a matrix together, and nobody says which thread has which element.
//!
//! Their factors have 11 bits (F16), and their sums 24 (F32). So they are used only where that was asked for.

use wgpu::{Adapter, CooperativeScalarType, Features};

/// The most bytes that a workgroup shares in the largest tile (`kernels/contract/plan.rs`).
const SHARED: u32 = 16 << 10;

/// The matrix units of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixUnits {
    /// Rows and columns of the matrices.
    pub side: u32,
    /// Threads that hold one together.
    pub threads: u32,
}

impl MatrixUnits {
    /// What the adapter has, the larger matrices first: with factors in F16 and sums in F32, and with a size of
    /// subgroups that four fill a workgroup of.
    pub(crate) fn of(adapter: &Adapter) -> Option<MatrixUnits> {
        let limits = adapter.limits();
        let threads = adapter.get_info().subgroup_max_size;
        let fits = threads.is_power_of_two()
            && 4 * threads <= limits.max_compute_invocations_per_workgroup
            && SHARED <= limits.max_compute_workgroup_storage_size;
        if !fits || !adapter.features().contains(features()) {
            return None;
        }
        let offered = adapter.cooperative_matrix_properties();
        let (half, single) = (CooperativeScalarType::F16, CooperativeScalarType::F32);
        let side = [16, 8].into_iter().find(|&side| {
            offered.iter().any(|has| {
                [has.m_size, has.n_size, has.k_size] == [side; 3]
                    && (has.ab_type, has.cr_type) == (half, single)
            })
        })?;
        Some(MatrixUnits { side, threads })
    }
}

/// What a device is asked for.
pub(crate) fn features() -> Features {
    Features::EXPERIMENTAL_COOPERATIVE_MATRIX | Features::SHADER_F16
}

/// wgpu's consent to what it calls experimental.
#[expect(unsafe_code, reason = "wgpu hands out the token only so")]
pub(crate) fn consent() -> wgpu::ExperimentalFeatures {
    // SAFETY: wgpu does not promise that its own checks of these features are complete: a wrong shader could do
    // what is undefined. The one that uses them (`kernels/contract/units.rs`) has constant strides, and places in
    // shared memory that are inside for every thread; its barriers are reached by all threads of a workgroup.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
