//! A digest of a whole guest, for comparing both ends before the guest is given away.

use std::time::{Duration, Instant};

use landfall_converge::PAGE_SIZE;

use crate::machine::{GuestMemory, MachineError, MemoryLayout, PageIndex};
use crate::page_buffer::PageBuffer;

const RUN_PAGES: usize = 64;
/// Runs read to find out how long reading all of them takes: enough to be more than noise, too few to be noticed.
const SAMPLES: u64 = 64;

/// CRC-32 over every page in order and over the state.
pub(crate) fn digest(memory: &dyn GuestMemory, state: &[u8]) -> Result<u32, MachineError> {
    let mut digest = Digest::new();
    for (first, count) in runs(memory.layout()) {
        digest.add(memory, first, count)?;
    }
    digest.checksum.update(state);
    Ok(digest.checksum.finalize())
}

/// How long [`digest`] is going to take, by a sample from all over the memory.
pub(crate) fn digest_time(memory: &dyn GuestMemory) -> Result<Duration, MachineError> {
    let mut digest = Digest::new();
    let mut samples = Vec::new();
    let step = usize::try_from(memory.layout().pages().0 / RUN_PAGES as u64 / SAMPLES)?.max(1);
    for (first, count) in runs(memory.layout()).step_by(step) {
        let began = Instant::now();
        let touched = digest.add(memory, first, count)?;
        samples.push((touched, began.elapsed().div_f64(count as f64)));
    }
    Ok(mean(&samples).mul_f64(memory.layout().pages().0 as f64))
}

/// What a page takes on average: of those that were touched and of those that were not what the middle one took. Their sum would
/// not do, for one that waited for a busy processor would count as often as the sample goes into the guest.
fn mean(samples: &[(bool, Duration)]) -> Duration {
    let of_kind = |kind: bool| {
        let mut times: Vec<_> =
            samples.iter().filter(|(touched, _)| *touched == kind).map(|(_, time)| *time).collect();
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied().unwrap_or_default();
        middle.mul_f64(times.len() as f64 / samples.len().max(1) as f64)
    };
    of_kind(true) + of_kind(false)
}

/// All of a guest's memory, run by run.
fn runs(layout: &MemoryLayout) -> impl Iterator<Item = (PageIndex, u64)> {
    layout.ranges().iter().flat_map(|range| {
        let firsts = (range.start..range.end).step_by(RUN_PAGES);
        firsts.map(|first| (PageIndex(first), (range.end - first).min(RUN_PAGES as u64)))
    })
}

/// A digest that is being made.
struct Digest {
    checksum: crc32fast::Hasher,
    buffer: PageBuffer,
    zeros: Vec<u8>,
}

impl Digest {
    fn new() -> Self {
        let buffer = PageBuffer::new(RUN_PAGES);
        let zeros = vec![0; buffer.len()];
        Self { checksum: crc32fast::Hasher::new(), buffer, zeros }
    }

    /// Adds a run, and gives whether anybody has touched it.
    fn add(
        &mut self,
        memory: &dyn GuestMemory,
        first: PageIndex,
        count: u64,
    ) -> Result<bool, MachineError> {
        let length = usize::try_from(count * PAGE_SIZE)?;
        if memory.is_untouched(first, count) {
            self.checksum.update(&self.zeros[..length]);
            return Ok(false);
        }
        memory.read_pages(first, &mut self.buffer[..length])?;
        self.checksum.update(&self.buffer[..length]);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(microseconds: u64) -> Duration {
        Duration::from_micros(microseconds)
    }

    #[test]
    fn what_was_touched_counts_as_far_as_there_is_of_it() {
        let mostly_untouched = [(true, us(8)), (false, us(2)), (false, us(2)), (false, us(2))];
        assert_eq!(mean(&mostly_untouched), us(2) + us(6) / 4);
        assert_eq!(mean(&[(true, us(8)); 5]), us(8));
        assert_eq!(mean(&[]), Duration::ZERO);
    }

    #[test]
    fn one_that_waited_for_the_processor_does_not_count() {
        let one_late = [(true, us(8)), (true, us(9)), (true, us(8000))];
        assert_eq!(mean(&one_late), us(9));
    }

    #[test]
    fn all_of_memory_is_in_runs_and_each_page_once() {
        let layout = MemoryLayout::new(vec![0..128, 192..320]).unwrap();
        let pages = runs(&layout).flat_map(|(first, count)| first.0..first.0 + count);
        assert!(pages.eq((0..128).chain(192..320)));
    }
}
