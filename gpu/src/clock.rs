//! How long a device works: by its own clock where it has one, and by the host's.
//!
//! The device notes the time before the first kernel of a pass and after the last (timestamp queries). The
//! host's clock counts, too, how long it takes to hand the work over and to be told that it is done, which may be
//! longer than a small product takes.

use std::time::{Duration, Instant};

use wgpu::{BufferDescriptor, BufferUsages, Features, QuerySet, QuerySetDescriptor, QueryType};

use crate::gpu::Shared;
use crate::pool::{Memory, Pool};

/// Both times of a pass, in ticks.
const BYTES: u64 = 16;

/// The clock of a device.
pub(crate) struct Clock {
    pub(crate) queries: QuerySet,
    /// Where the device can write the times, and where the host can read them from.
    pub(crate) answers: wgpu::Buffer,
    pub(crate) ticks: Memory,
    /// Nanoseconds of a tick.
    period: f64,
}

impl Clock {
    /// `None` where the device was not asked for one.
    pub(crate) fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        pool: &std::sync::Arc<Pool>,
    ) -> Option<Clock> {
        if !device.features().contains(Features::TIMESTAMP_QUERY) {
            return None;
        }
        let queries = QuerySetDescriptor { label: None, ty: QueryType::Timestamp, count: 2 };
        let answers = BufferDescriptor {
            label: Some("times"),
            size: BYTES,
            usage: BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        };
        Some(Clock {
            queries: device.create_query_set(&queries),
            answers: device.create_buffer(&answers),
            ticks: pool.take(BYTES)?,
            period: queue.get_timestamp_period().into(),
        })
    }

    /// What was measured last; `None` if that is no time.
    fn read(&self, gpu: &Shared) -> Option<Duration> {
        let mut words = [0i32; BYTES as usize / 4];
        let is_read = gpu.read_words(&self.ticks, &mut words);
        let [start, end]: [u64; 2] = bytemuck::cast(words);
        let ticks = end.checked_sub(start).filter(|&ticks| is_read && ticks > 0)?;
        Some(Duration::from_nanos((ticks as f64 * self.period) as u64))
    }
}

/// How long something took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) host: Duration,
    /// `None` without a clock, or where the work was more than one pass.
    pub(crate) device: Option<Duration>,
}

impl Times {
    /// The shorter of each.
    pub(crate) fn least(self, other: Times) -> Times {
        Times {
            host: self.host.min(other.host),
            device: self.device.zip(other.device).map(|(time, other)| time.min(other)),
        }
    }
}

impl Shared {
    /// Records some work, and waits for it; `None` where the device failed.
    pub(crate) fn time(&self, work: impl FnOnce()) -> Option<Times> {
        self.queue.wait().ok()?;
        let pass = self.clock.as_ref().map(|clock| (clock, self.queue.begin_timed(clock)));
        let start = Instant::now();
        work();
        let timed = pass.filter(|(clock, number)| self.queue.end_timed(clock, *number));
        self.queue.wait().ok()?;
        let host = start.elapsed();
        let device = timed.and_then(|(clock, _)| clock.read(self));
        // The host has waited for all of it.
        Some(Times { host, device: device.filter(|device| *device <= host) })
    }
}

#[cfg(test)]
mod tests {
    use plies_tensor::{DType, Device, Elementwise, Tensor};

    use crate::Options;
    use crate::gpu::tests::open_with;

    #[test]
    fn work_in_one_pass_is_timed_by_the_device_where_it_has_a_clock() {
        let folder = tempfile::tempdir().unwrap();
        let tuning = Options { tuning: Some(folder.path().into()), ..Options::default() };
        let (Some(gpu), Some(without)) = (open_with(tuning), open_with(Options::default())) else {
            return;
        };
        // Mesa's, on which these tests are run everywhere, has one.
        assert!(gpu.clock.is_some() || !gpu.device_name().contains("llvmpipe"));
        assert!(without.clock.is_none());
        let x = Tensor::zeros([100_000], DType::F32, &Device::new(gpu.clone()));
        for _ in 0..2 {
            let times = gpu.time(|| drop(x.exp())).unwrap();
            assert_eq!(times.device.is_some(), gpu.clock.is_some(), "{times:?}");
        }
        let in_two = || {
            drop(x.exp());
            gpu.queue.wait().unwrap();
            drop(x.exp());
        };
        let times = gpu.time(in_two).unwrap();
        assert!(times.device.is_none(), "{times:?}");
        assert_eq!(x.exp().sum_all().item().unwrap(), 1e5);
    }
}
