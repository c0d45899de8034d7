//! Commands on their way to the device. They are recorded one after another into one pass and
//! submitted many at once; the device works while the host goes on recording.
//!
//! The numbers that a kernel is given besides its buffers (sizes, strides, scalars) stand in one
//! buffer, a place for each dispatch of the batch. It is written when the batch is submitted: the
//! queue does that after the batch before is done and before this one begins.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding,
    BufferDescriptor, BufferUsages, CommandEncoder, ComputePass, ErrorFilter, PollType,
    SubmissionIndex,
};

use crate::fault::Faults;
use crate::pipeline::Pipeline;
use crate::pool::Memory;

/// Bytes of the numbers that a kernel can be given.
pub(crate) const PARAMETER_BYTES: u64 = 2048;
/// Dispatches of a batch. A device that waits for the host is fed sooner by few, the host is done
/// sooner by many.
const BATCH: usize = 128;
/// Bytes for the numbers of a batch.
const ARENA: u64 = 512 * 1024;
/// Workgroups along one dimension, which every device has; more are folded into a second one.
pub(crate) const GRID: u64 = 65_535;
/// Groups of buffers that are kept to be used again.
const GROUPS: usize = 4096;
/// Bytes of the smallest memory that the host reads from, and how many such are kept.
const STAGING: u64 = 4096;
const STAGINGS: usize = 64;

/// A part of a buffer that a kernel sees.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) start: u64,
    pub(crate) bytes: u64,
}

/// Pipelines with one layout, and the places of their buffers.
type GroupKey = (usize, Vec<(u64, u64, u64)>);

pub(crate) struct Queue {
    device: wgpu::Device,
    queue: wgpu::Queue,
    faults: Faults,
    arena: wgpu::Buffer,
    alignment: usize,
    recorder: Mutex<Recorder>,
}

struct Recorder {
    encoder: Option<CommandEncoder>,
    pass: Option<ComputePass<'static>>,
    parameters: Vec<u8>,
    dispatches: usize,
    /// The number of the batch that is being recorded.
    batch: u64,
    groups: HashMap<GroupKey, BindGroup>,
    total_dispatches: usize,
    /// Memory that the host can read, kept to be used again.
    staging: Vec<wgpu::Buffer>,
    /// What the host wants to read once this batch is done.
    to_map: Vec<ToMap>,
}

/// The outcome of asking for memory to be readable.
type Mapped = Result<(), wgpu::BufferAsyncError>;

struct ToMap {
    slice: (wgpu::Buffer, u64),
    sender: Sender<Mapped>,
    submitted: Arc<OnceLock<SubmissionIndex>>,
}

/// Device memory on its way to the host.
pub(crate) struct Readback {
    staging: wgpu::Buffer,
    total: u64,
    outcome: Receiver<Mapped>,
    /// The batch with the copy, once it is handed over.
    submitted: Arc<OnceLock<SubmissionIndex>>,
}

impl Recorder {
    /// The smallest that holds so many bytes, if it is not a waste.
    fn take_staging(&mut self, bytes: u64) -> Option<wgpu::Buffer> {
        let fits = |(_, buffer): &(usize, &wgpu::Buffer)| {
            (bytes..=(4 * bytes).max(STAGING)).contains(&buffer.size())
        };
        let kept = self.staging.iter().enumerate().filter(fits);
        let (at, _) = kept.min_by_key(|(_, buffer)| buffer.size())?;
        Some(self.staging.swap_remove(at))
    }

    fn keep_staging(&mut self, buffer: wgpu::Buffer) {
        if self.staging.len() >= STAGINGS {
            self.staging.remove(0);
        }
        self.staging.push(buffer);
    }
}

impl Queue {
    pub(crate) fn new(device: &wgpu::Device, queue: wgpu::Queue, faults: Faults) -> Queue {
        let arena = device.create_buffer(&BufferDescriptor {
            label: Some("parameters"),
            size: ARENA,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Queue {
            alignment: device.limits().min_uniform_buffer_offset_alignment.max(16) as usize,
            device: device.clone(),
            queue,
            faults,
            arena,
            recorder: Mutex::new(Recorder {
                encoder: None,
                pass: None,
                parameters: Vec::new(),
                dispatches: 0,
                batch: 1,
                groups: HashMap::new(),
                total_dispatches: 0,
                staging: Vec::new(),
                to_map: Vec::new(),
            }),
        }
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records `groups` workgroups of a kernel. The kernel folds two dimensions of them into one
    /// number, and does nothing where that exceeds its work.
    pub(crate) fn dispatch(
        &self,
        pipeline: &Pipeline,
        bindings: &[Binding<'_>],
        parameters: &[u32],
        groups: u64,
    ) {
        debug_assert!(parameters.len() * 4 <= PARAMETER_BYTES as usize);
        self.faults.begin(pipeline.name);
        let mut recorder = self.recorder();
        let needed = recorder.parameters.len() as u64 + 2 * PARAMETER_BYTES;
        if recorder.dispatches >= BATCH || needed > ARENA {
            self.submit(&mut recorder);
        }
        let place = recorder.parameters.len() as u32;
        recorder.parameters.extend_from_slice(bytemuck::cast_slice(parameters));
        let end = recorder.parameters.len().next_multiple_of(self.alignment);
        recorder.parameters.resize(end, 0);
        bindings.iter().for_each(|binding| binding.memory.use_in(recorder.batch));
        let group = self.group(&mut recorder, pipeline, bindings);
        let pass = self.pass(&mut recorder);
        pass.set_pipeline(&pipeline.compute);
        pass.set_bind_group(0, &group, &[place]);
        let [x, y] = fold(groups);
        pass.dispatch_workgroups(x, y, 1);
        recorder.dispatches += 1;
        recorder.total_dispatches += 1;
    }

    fn pass<'a>(&self, recorder: &'a mut Recorder) -> &'a mut ComputePass<'static> {
        let encoder = recorder
            .encoder
            .get_or_insert_with(|| self.device.create_command_encoder(&Default::default()));
        recorder.pass.get_or_insert_with(|| {
            encoder.begin_compute_pass(&Default::default()).forget_lifetime()
        })
    }

    fn group(
        &self,
        recorder: &mut Recorder,
        pipeline: &Pipeline,
        bindings: &[Binding<'_>],
    ) -> BindGroup {
        let place = |b: &Binding<'_>| (b.memory.block().id, b.start, b.bytes);
        let layout = Arc::as_ptr(&pipeline.layout).addr();
        let key = (layout, bindings.iter().map(place).collect());
        if let Some(group) = recorder.groups.get(&key) {
            return group.clone();
        }
        let whole = |binding: usize, buffer, offset, bytes| BindGroupEntry {
            binding: binding as u32,
            resource: BindingResource::Buffer(BufferBinding {
                buffer,
                offset,
                size: NonZero::new(bytes),
            }),
        };
        let mut entries = vec![whole(0, &self.arena, 0, PARAMETER_BYTES)];
        entries.extend(bindings.iter().enumerate().map(|(i, binding)| {
            whole(i + 1, &binding.memory.block().buffer, binding.start, binding.bytes)
        }));
        let group = self.device.create_bind_group(&BindGroupDescriptor {
            label: None,
            layout: &pipeline.layout,
            entries: &entries,
        });
        if recorder.groups.len() >= GROUPS {
            recorder.groups.clear();
        }
        recorder.groups.insert(key, group.clone());
        group
    }

    fn submit(&self, recorder: &mut Recorder) -> Option<SubmissionIndex> {
        recorder.pass = None;
        let encoder = recorder.encoder.take()?;
        if !recorder.parameters.is_empty() {
            self.queue.write_buffer(&self.arena, 0, &recorder.parameters);
        }
        let index = self.queue.submit([encoder.finish()]);
        // Memory that is being mapped cannot be copied to, so this waits for the copy to be handed over.
        for ToMap { slice: (buffer, bytes), sender, submitted } in recorder.to_map.drain(..) {
            let _ = submitted.set(index.clone());
            buffer.slice(..bytes).map_async(wgpu::MapMode::Read, move |outcome| {
                let _ = sender.send(outcome);
            });
        }
        recorder.parameters.clear();
        recorder.dispatches = 0;
        recorder.batch += 1;
        Some(index)
    }

    /// Copies host memory to the device, after all that was recorded before.
    pub(crate) fn write(&self, memory: &Memory, bytes: &[u8]) {
        self.faults.begin("write");
        let mut recorder = self.recorder();
        // What is written by the host overtakes what is only recorded.
        if memory.last_used() == recorder.batch {
            self.submit(&mut recorder);
        }
        self.queue.write_buffer(&memory.block().buffer, 0, bytes);
    }

    /// Begins to copy parts of device memory, one after another, to where the host can read them. `note` is
    /// zeroed after it was copied and before anything else is recorded, which may write it again.
    pub(crate) fn begin_read(
        &self,
        parts: &[(&Memory, u64, u64)],
        note: &Memory,
    ) -> Result<Readback, String> {
        let total: u64 = parts.iter().map(|(.., bytes)| bytes).sum();
        let kept = self.recorder().take_staging(total);
        let staging = match kept {
            Some(staging) => staging,
            None => self.staging(total)?,
        };
        let mut recorder = self.recorder();
        recorder.pass = None;
        // What is written to these blocks next, even by others who get them, has to wait for the copy.
        let batch = recorder.batch;
        parts.iter().map(|part| part.0).chain([note]).for_each(|memory| memory.use_in(batch));
        let encoder = recorder
            .encoder
            .get_or_insert_with(|| self.device.create_command_encoder(&Default::default()));
        let mut place = 0;
        for &(memory, start, bytes) in parts.iter().filter(|(.., bytes)| *bytes > 0) {
            let from = &memory.block().buffer;
            encoder.copy_buffer_to_buffer(from, start, &staging, place, bytes);
            place += bytes;
        }
        encoder.clear_buffer(&note.block().buffer, 0, None);
        let (sender, outcome) = std::sync::mpsc::channel();
        let submitted = Arc::new(OnceLock::new());
        let slice = (staging.clone(), total);
        recorder.to_map.push(ToMap { slice, sender, submitted: submitted.clone() });
        Ok(Readback { staging, total, outcome, submitted })
    }

    /// Waits for what was begun, and copies it.
    pub(crate) fn finish_read(
        &self,
        readback: Readback,
        parts: &mut [&mut [u8]],
    ) -> Result<(), String> {
        let Readback { staging, total, outcome, submitted } = readback;
        if submitted.get().is_none() {
            self.submit(&mut self.recorder());
        }
        let submission_index = submitted.get().cloned();
        let wait = PollType::Wait { submission_index, timeout: None };
        self.device.poll(wait).map_err(|fault| fault.to_string())?;
        match outcome.recv() {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return Err(fault.to_string()),
            Err(_) => return Err("the driver never answered".into()),
        }
        {
            let mapped = staging.slice(..total).get_mapped_range();
            let mapped = mapped.map_err(|fault| fault.to_string())?;
            let mut place = 0;
            for bytes in parts {
                bytes.copy_from_slice(&mapped[place..place + bytes.len()]);
                place += bytes.len();
            }
        }
        staging.unmap();
        self.recorder().keep_staging(staging);
        Ok(())
    }

    /// Memory that the host can read. Where there is none the tensors are as they were.
    fn staging(&self, bytes: u64) -> Result<wgpu::Buffer, String> {
        let scope = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&BufferDescriptor {
            label: Some("readback"),
            size: bytes.next_power_of_two().max(STAGING),
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        match pollster::block_on(scope.pop()) {
            Some(fault) => Err(fault.to_string()),
            None => Ok(buffer),
        }
    }

    /// Submits what is recorded, and waits for all.
    pub(crate) fn wait(&self) -> Result<(), String> {
        let index = self.submit(&mut self.recorder());
        let wait = PollType::Wait { submission_index: index, timeout: None };
        self.device.poll(wait).map(|_| ()).map_err(|fault| fault.to_string())
    }

    /// Lets the driver say what it has to say.
    pub(crate) fn listen(&self) {
        let _ = self.device.poll(PollType::Poll);
    }

    /// Submits what is recorded and forgets the groups, which hold buffers, and memory for reading.
    pub(crate) fn release(&self) {
        let mut recorder = self.recorder();
        self.submit(&mut recorder);
        recorder.groups.clear();
        recorder.staging.clear();
    }

    #[cfg(test)]
    pub(crate) fn groups(&self) -> usize {
        self.recorder().groups.len()
    }

    /// Dispatches and submissions so far.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let recorder = self.recorder();
        (recorder.total_dispatches, recorder.batch as usize - 1)
    }
}

/// A number of workgroups as two dimensions that hold at least as many.
fn fold(groups: u64) -> [u32; 2] {
    if groups <= GRID {
        return [groups as u32, 1];
    }
    let rows = groups.div_ceil(GRID);
    assert!(rows <= GRID, "dispatch: {groups} workgroups are more than {GRID} x {GRID}");
    [groups.div_ceil(rows) as u32, rows as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_workgroups_than_a_dimension_holds_are_folded() {
        for groups in [1, 7, GRID, GRID + 1, 2 * GRID, 2 * GRID + 1, 1 << 24, 123_456_789] {
            let [x, y] = fold(groups).map(u64::from);
            assert!(x <= GRID && y <= GRID && x * y >= groups && (x * y - groups) < y);
        }
    }
}
