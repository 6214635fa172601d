//! The guest's own counters, read all the while at both ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use landfall_vmm::memory::GuestRam;
use landfall_vmm::probe::{ControlBlock, VcpuRange};

use super::machine::MemoryOf;

/// How often the counters are read.
const EVERY: Duration = Duration::from_millis(1);

/// How far a vCPU has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) heartbeat: u64,
    pub(super) work: u64,
}

/// How far all vCPUs have come at a moment.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) at: Instant,
    pub(super) vcpus: Vec<Count>,
}

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) source: Vec<Moment>,
    pub(super) destination: Vec<Moment>,
    pub(super) destination_memory: Option<Arc<GuestRam>>,
}

/// A thread that reads the counters.
#[derive(Debug)]
pub(super) struct Watch {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Watch {
    pub(super) fn start(
        ranges: Vec<VcpuRange>,
        source: Arc<GuestRam>,
        destination: MemoryOf,
    ) -> Result<Self, String> {
        let enough = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&enough);
        let thread = thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || watch(&ranges, &source, &destination, &stop))
            .map_err(|error| format!("no thread can be started: {error}"))?;
        Ok(Self { enough, thread })
    }

    pub(super) fn finish(self) -> Result<Seen, String> {
        // Only says that it is time; what was seen comes with the thread's end.
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the thread that reads the counters has crashed".to_owned())
    }
}

fn watch(
    ranges: &[VcpuRange],
    source: &GuestRam,
    destination: &MemoryOf,
    enough: &AtomicBool,
) -> Seen {
    let mut seen = Seen::default();
    let mut round = 0_u32;
    while !enough.load(Ordering::Relaxed) {
        seen.source.extend(moment(ranges, source));
        if let Some(memory) = &seen.destination_memory {
            seen.destination.extend(moment(ranges, memory));
        } else if round.is_multiple_of(32) {
            seen.destination_memory = destination.find();
        }
        round = round.wrapping_add(1);
        thread::sleep(EVERY);
    }
    seen
}

pub(super) fn moment(ranges: &[VcpuRange], memory: &GuestRam) -> Option<Moment> {
    let at = Instant::now();
    let count = |range: &VcpuRange| {
        let word = |word| range.get(memory, word).ok();
        Some(Count { heartbeat: word(ControlBlock::Heartbeat)?, work: word(ControlBlock::Work)? })
    };
    Some(Moment { at, vcpus: ranges.iter().map(count).collect::<Option<_>>()? })
}

impl Seen {
    /// When the heart of `vcpu` beat last at the source, as far as it was seen.
    pub(super) fn last_beat_at_source(&self, vcpu: usize) -> Option<Instant> {
        let last = self.source.last()?.vcpus.get(vcpu)?.heartbeat;
        let first_with_it =
            self.source.partition_point(|moment| moment.vcpus[vcpu].heartbeat < last);
        self.source.get(first_with_it).map(|moment| moment.at)
    }

    /// When the heart of `vcpu` first beat at the destination: pages bring its counter there before, but never a higher one
    /// than the source came to.
    pub(super) fn first_beat_at_destination(&self, vcpu: usize) -> Option<Instant> {
        let last = self.source.last()?.vcpus.get(vcpu)?.heartbeat;
        let beats = |moment: &&Moment| moment.vcpus[vcpu].heartbeat > last;
        self.destination.iter().find(beats).map(|moment| moment.at)
    }

    /// The work that `vcpu` had done at the moment `at`, at whichever end was further.
    pub(super) fn work_at(&self, vcpu: usize, at: Instant) -> u64 {
        let until = |moments: &[Moment]| {
            let count = moments.partition_point(|moment| moment.at <= at);
            count.checked_sub(1).map_or(0, |last| moments[last].vcpus[vcpu].work)
        };
        until(&self.source).max(until(&self.destination))
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
