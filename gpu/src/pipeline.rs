//! Compiled kernels. A kernel's text follows from its [`Key`], so equal keys share one pipeline, and
//! the text is made and compiled once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use plies_tensor::Formula;
use wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType,
    BufferBindingType, ComputePipeline, ComputePipelineDescriptor, ErrorFilter,
    PipelineCompilationOptions, PipelineLayoutDescriptor, ShaderModuleDescriptor, ShaderSource,
    ShaderStages,
};

use crate::queue::PARAMETER_BYTES;

/// What a kernel's text follows from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The operation, as a user calls it.
    pub(crate) kernel: &'static str,
    /// What is evaluated.
    pub(crate) formula: Option<Formula>,
    /// All else, as numbers: element type, classes of layouts, sizes of tiles.
    pub(crate) class: Vec<u32>,
}

/// What a kernel may do with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Read,
    Write,
}

pub(crate) struct Pipeline {
    pub(crate) compute: ComputePipeline,
    pub(crate) layout: Arc<BindGroupLayout>,
    pub(crate) name: &'static str,
}

/// Bind group layouts by what their buffers are for.
type Layouts = HashMap<Vec<Access>, Arc<BindGroupLayout>>;

/// A pipeline, or why the driver refuses it.
type Compiled = Result<Arc<Pipeline>, String>;

/// Some keys.
#[cfg(test)]
pub(crate) type Keys = fn(&Key) -> bool;

#[derive(Default)]
pub(crate) struct Pipelines {
    compiled: Mutex<HashMap<Key, Compiled>>,
    layouts: Mutex<Layouts>,
    /// Kernels that get a text that every driver refuses.
    #[cfg(test)]
    pub(crate) refused: Mutex<Option<Keys>>,
}

impl Pipelines {
    /// The pipeline of a key; `text` and `access` follow from it. One that the driver refuses must not be recorded: it
    /// would spoil the batch.
    pub(crate) fn get(
        &self,
        device: &wgpu::Device,
        key: Key,
        access: &[Access],
        text: impl FnOnce() -> String,
    ) -> Compiled {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = compiled.get(&key) {
            return pipeline.clone();
        }
        #[cfg(test)]
        let text = {
            let refused = *self.refused.lock().unwrap();
            let is_refused = refused.is_some_and(|refused| refused(&key));
            move || if is_refused { "no kernel".to_owned() } else { text() }
        };
        let kinds = [ErrorFilter::Validation, ErrorFilter::Internal, ErrorFilter::OutOfMemory];
        let scopes = kinds.map(|kind| device.push_error_scope(kind));
        let pipeline = self.compile(device, &key, access, text());
        // All are taken down, the last one first.
        let errors = scopes.into_iter().rev().map(|scope| pollster::block_on(scope.pop()));
        let error = errors.fold(None, |first, error| first.or(error));
        let result = match error {
            None => Ok(Arc::new(pipeline)),
            Some(error) => Err(error.to_string()),
        };
        compiled.insert(key, result.clone());
        result
    }

    fn compile(
        &self,
        device: &wgpu::Device,
        key: &Key,
        access: &[Access],
        text: String,
    ) -> Pipeline {
        let layout = self.layout(device, access);
        let module = device.create_shader_module(ShaderModuleDescriptor {
            label: Some(key.kernel),
            source: ShaderSource::Wgsl(text.into()),
        });
        let pipeline_layout = device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&*layout)],
            immediate_size: 0,
        });
        let compute = device.create_compute_pipeline(&ComputePipelineDescriptor {
            label: Some(key.kernel),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: PipelineCompilationOptions {
                constants: &[],
                // Kernels write what they share before they read it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Pipeline { compute, layout, name: key.kernel }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.values().filter(|pipeline| pipeline.is_ok()).count()
    }

    /// Parameters at 0, and the buffers after them.
    fn layout(&self, device: &wgpu::Device, access: &[Access]) -> Arc<BindGroupLayout> {
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = layouts.get(access) {
            return layout.clone();
        }
        let entry = |binding: usize, ty: BufferBindingType, dynamic: bool| BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty,
                has_dynamic_offset: dynamic,
                min_binding_size: dynamic
                    .then(|| std::num::NonZero::new(PARAMETER_BYTES))
                    .flatten(),
            },
            count: None,
        };
        let mut entries = vec![entry(0, BufferBindingType::Uniform, true)];
        entries.extend(access.iter().enumerate().map(|(i, access)| {
            let read_only = *access == Access::Read;
            entry(i + 1, BufferBindingType::Storage { read_only }, false)
        }));
        let layout = Arc::new(device.create_bind_group_layout(&BindGroupLayoutDescriptor {
            label: None,
            entries: &entries,
        }));
        layouts.insert(access.to_vec(), layout.clone());
        layout
    }
}
