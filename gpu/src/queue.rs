//! Commands on their way to the device. They are recorded one after another into one pass and
//! submitted many at once; the device works while the host goes on recording.
//!
//! The numbers that a kernel is given besides its buffers (sizes, strides, scalars) stand in one
//! buffer, a place for each dispatch of the batch. It is written when the batch is submitted: the
//! queue does that after the batch before is done and before this one begins.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding,
    BufferDescriptor, BufferUsages, CommandEncoder, ComputePass, ComputePassDescriptor,
    ComputePassTimestampWrites, ErrorFilter, PollType, SubmissionIndex,
};

use crate::clock::Clock;
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
    staging: Staging,
    recorder: Mutex<Recorder>,
}

struct Recorder {
    encoder: Option<CommandEncoder>,
    pass: Option<ComputePass<'static>>,
    /// How many were begun.
    passes: u64,
    parameters: Vec<u8>,
    dispatches: usize,
    /// The number of the batch that is being recorded.
    batch: u64,
    groups: HashMap<GroupKey, BindGroup>,
    total_dispatches: usize,
    /// What the host wants to read once this batch is done.
    to_map: Vec<ToMap>,
}

/// The outcome of asking for memory to be readable.
type Mapped = Result<(), wgpu::BufferAsyncError>;

struct ToMap {
    slice: (wgpu::Buffer, u64),
    /// What the driver calls when the memory is readable, in the order in which it was asked for.
    then: Box<dyn FnOnce(Mapped) + Send>,
    submitted: Arc<OnceLock<SubmissionIndex>>,
}

type TakesNote = Box<dyn FnOnce(&[u8]) + Send>;

/// What kernels note of their faults: a few bytes that are read and zeroed with each read of others.
pub(crate) struct Note<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) bytes: u64,
    /// Is told them as soon as they come, whether or not somebody reads what they came with.
    pub(crate) then: TakesNote,
}

/// Memory that the host can read, kept to be used again.
#[derive(Clone, Default)]
struct Staging(Arc<Mutex<Vec<wgpu::Buffer>>>);

/// Device memory on its way to the host.
pub(crate) struct Readback {
    staging: wgpu::Buffer,
    total: u64,
    outcome: Receiver<Mapped>,
    /// The batch with the copy, once it is handed over.
    submitted: Arc<OnceLock<SubmissionIndex>>,
}

impl Staging {
    fn kept(&self) -> MutexGuard<'_, Vec<wgpu::Buffer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The smallest that holds so many bytes, if it is not a waste, or else new memory. Where there is none
    /// the tensors are as they were.
    fn take(&self, device: &wgpu::Device, bytes: u64) -> Result<wgpu::Buffer, String> {
        let fits = |(_, buffer): &(usize, &wgpu::Buffer)| {
            (bytes..=(4 * bytes).max(STAGING)).contains(&buffer.size())
        };
        let mut kept = self.kept();
        let found = kept.iter().enumerate().filter(fits).min_by_key(|(_, buffer)| buffer.size());
        if let Some((at, _)) = found {
            return Ok(kept.swap_remove(at));
        }
        let scope = device.push_error_scope(ErrorFilter::OutOfMemory);
        let buffer = device.create_buffer(&BufferDescriptor {
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

    fn keep(&self, buffer: wgpu::Buffer) {
        let mut kept = self.kept();
        if kept.len() >= STAGINGS {
            kept.remove(0);
        }
        kept.push(buffer);
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
            staging: Staging::default(),
            recorder: Mutex::new(Recorder {
                encoder: None,
                pass: None,
                passes: 0,
                parameters: Vec::new(),
                dispatches: 0,
                batch: 1,
                groups: HashMap::new(),
                total_dispatches: 0,
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
        match recorder.pass {
            Some(ref mut pass) => pass,
            None => self.begin_pass(recorder, &Default::default()),
        }
    }

    fn begin_pass<'a>(
        &self,
        recorder: &'a mut Recorder,
        descriptor: &ComputePassDescriptor<'_>,
    ) -> &'a mut ComputePass<'static> {
        recorder.pass = None;
        recorder.passes += 1;
        let encoder = recorder
            .encoder
            .get_or_insert_with(|| self.device.create_command_encoder(&Default::default()));
        recorder.pass.insert(encoder.begin_compute_pass(descriptor).forget_lifetime())
    }

    /// Begins a pass that the device notes the beginning and the end of, and returns its number.
    pub(crate) fn begin_timed(&self, clock: &Clock) -> u64 {
        let recorder = &mut *self.recorder();
        let timestamp_writes = Some(ComputePassTimestampWrites {
            query_set: &clock.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        self.begin_pass(recorder, &ComputePassDescriptor { label: None, timestamp_writes });
        recorder.passes
    }

    /// Ends the pass of that number and brings the times where they can be read, unless it has been ended
    /// before, so that the times are not those of all the work.
    pub(crate) fn end_timed(&self, clock: &Clock, number: u64) -> bool {
        let recorder = &mut *self.recorder();
        let is_whole = recorder.pass.take().is_some() && recorder.passes == number;
        if let Some(encoder) = recorder.encoder.as_mut().filter(|_| is_whole) {
            let Clock { queries, answers, ticks, .. } = clock;
            ticks.use_in(recorder.batch);
            encoder.resolve_query_set(queries, 0..2, answers, 0);
            encoder.copy_buffer_to_buffer(answers, 0, &ticks.block().buffer, 0, answers.size());
        }
        is_whole
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
        for ToMap { slice: (buffer, bytes), then, submitted } in recorder.to_map.drain(..) {
            let _ = submitted.set(index.clone());
            buffer.slice(..bytes).map_async(wgpu::MapMode::Read, then);
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

    /// Begins to copy `total` bytes of device memory from `start` on to where the host can read them. With
    /// them goes a note, which is zeroed after it was copied and before anything else is recorded, which
    /// may write it again.
    pub(crate) fn begin_read(
        &self,
        (memory, start, total): (&Memory, u64, u64),
        note: Option<Note<'_>>,
    ) -> Result<Readback, String> {
        let staging = self.staging.take(&self.device, total)?;
        let of_note = note.as_ref().map(|note| self.staging.take(&self.device, note.bytes));
        let of_note = of_note.transpose()?;
        let submitted = Arc::new(OnceLock::new());
        let recorder = &mut *self.recorder();
        recorder.pass = None;
        let batch = recorder.batch;
        let encoder = recorder
            .encoder
            .get_or_insert_with(|| self.device.create_command_encoder(&Default::default()));
        let copy = |encoder: &mut CommandEncoder, memory: &Memory, start, to: &_, bytes| {
            // What is written to this block next, even by others who get it, has to wait for the copy.
            memory.use_in(batch);
            encoder.copy_buffer_to_buffer(&memory.block().buffer, start, to, 0, bytes);
        };
        if let Some((Note { memory, bytes, then }, to)) = note.zip(of_note) {
            copy(encoder, memory, 0, &to, bytes);
            encoder.clear_buffer(&memory.block().buffer, 0, None);
            let (from, kept) = (to.clone(), self.staging.clone());
            let then = Box::new(move |outcome: Mapped| {
                let Ok(mapped) = outcome.map(|()| from.slice(..bytes).get_mapped_range()) else {
                    return;
                };
                if let Ok(mapped) = mapped {
                    then(&mapped);
                }
                from.unmap();
                kept.keep(from);
            });
            let submitted = submitted.clone();
            recorder.to_map.push(ToMap { slice: (to, bytes), then, submitted });
        }
        copy(encoder, memory, start, &staging, total);
        let (sender, outcome) = std::sync::mpsc::channel();
        let then = Box::new(move |outcome| drop(sender.send(outcome)));
        let slice = (staging.clone(), total);
        recorder.to_map.push(ToMap { slice, then, submitted: submitted.clone() });
        Ok(Readback { staging, total, outcome, submitted })
    }

    /// Waits for what was begun, and copies it.
    pub(crate) fn finish_read(&self, readback: Readback, bytes: &mut [u8]) -> Result<(), String> {
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
            bytes.copy_from_slice(&mapped.map_err(|fault| fault.to_string())?);
        }
        staging.unmap();
        self.staging.keep(staging);
        Ok(())
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
        self.staging.kept().clear();
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
