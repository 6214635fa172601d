//! A digest of a whole guest, for comparing both ends before the guest is given away.

use std::time::{Duration, Instant};

use crate::machine::{GuestMemory, MachineError, MemoryLayout, PageIndex};
use crate::page_buffer::PageBuffer;

/// Each range of a guest's memory has a multiple of so many.
const RUN_PAGES: usize = 64;
/// Runs read to find out how long reading all of them takes: enough to be more than noise, too few to be noticed.
const SAMPLES: u64 = 64;
/// Of these the middle one is none that waited for a busy processor.
const ENOUGH: usize = 8;

/// CRC-32 over every page in order and over the state.
pub(crate) fn digest(memory: &dyn GuestMemory, state: &[u8]) -> Result<u32, MachineError> {
    let mut digest = Digest::new();
    for first in runs(memory.layout()) {
        digest.add(memory, first)?;
    }
    digest.checksum.update(state);
    Ok(digest.checksum.finalize())
}

/// How long [`digest`] is going to take, by a sample from all over the memory.
pub(crate) fn digest_time(memory: &dyn GuestMemory) -> Result<Duration, MachineError> {
    let mut digest = Digest::new();
    let mut samples = Vec::new();
    let step = usize::try_from(memory.layout().pages().0 / RUN_PAGES as u64 / SAMPLES)?.max(1);
    for first in runs(memory.layout()).step_by(step) {
        samples.push(digest.timed(memory, first)?);
    }
    let beside = beside(memory, &samples, &mut digest)?;
    Ok(mean(&samples, &beside).mul_f64(memory.layout().pages().0 as f64 / RUN_PAGES as f64))
}

/// Runs that lie behind those that were touched, where these are so few that one which waited for a busy processor would stand for all of
/// a guest's.
fn beside(
    memory: &dyn GuestMemory,
    samples: &[Sample],
    digest: &mut Digest,
) -> Result<Vec<Sample>, MachineError> {
    let touched = samples.iter().filter(|sample| sample.touched);
    if touched.clone().count() >= ENOUGH {
        return Ok(Vec::new());
    }
    let mut beside = Vec::new();
    for sample in touched {
        for further in 1..ENOUGH as u64 {
            let run = sample.first.offset(further * RUN_PAGES as u64);
            if memory.layout().contains_run(run, RUN_PAGES as u64) {
                beside.push(digest.timed(memory, run)?);
            }
        }
    }
    Ok(beside)
}

/// What reading a run took.
#[derive(Clone, Copy, Debug)]
struct Sample {
    first: PageIndex,
    touched: bool,
    took: Duration,
}

/// What a run takes on average, in as far as `samples` are touched: of those that were touched and of those that were not what the middle
/// one took, those `beside` them included. Their sum would not do, for one that waited for a busy processor would count as often as the
/// sample goes into the guest.
fn mean(samples: &[Sample], beside: &[Sample]) -> Duration {
    let of_kind = |kind: bool| {
        let is_it = |sample: &&Sample| sample.touched == kind;
        let all = samples.iter().chain(beside).filter(is_it);
        let mut times: Vec<_> = all.map(|sample| sample.took).collect();
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied().unwrap_or_default();
        let count = samples.iter().filter(is_it).count();
        middle.mul_f64(count as f64 / samples.len().max(1) as f64)
    };
    of_kind(true) + of_kind(false)
}

/// Where each run of a guest's memory begins.
fn runs(layout: &MemoryLayout) -> impl Iterator<Item = PageIndex> {
    layout.ranges().iter().flat_map(|range| range.clone().step_by(RUN_PAGES)).map(PageIndex)
}

/// A digest that is being made.
struct Digest {
    checksum: crc32fast::Hasher,
    buffer: PageBuffer,
    /// That of a run of zeros alone.
    zeros: crc32fast::Hasher,
}

impl Digest {
    fn new() -> Self {
        let buffer = PageBuffer::new(RUN_PAGES);
        let mut zeros = crc32fast::Hasher::new();
        zeros.update(&buffer);
        Self { checksum: crc32fast::Hasher::new(), buffer, zeros }
    }

    /// Adds a run, and tells what that took.
    fn timed(
        &mut self,
        memory: &dyn GuestMemory,
        first: PageIndex,
    ) -> Result<Sample, MachineError> {
        let began = Instant::now();
        let touched = self.add(memory, first)?;
        Ok(Sample { first, touched, took: began.elapsed() })
    }

    /// Adds a run, and gives whether anybody has touched it.
    fn add(&mut self, memory: &dyn GuestMemory, first: PageIndex) -> Result<bool, MachineError> {
        if memory.is_untouched(first, RUN_PAGES as u64) {
            // Combined, so that a large guest with little in it stands still no longer than a small one.
            self.checksum.combine(&self.zeros);
            return Ok(false);
        }
        memory.read_pages(first, &mut self.buffer)?;
        self.checksum.update(&self.buffer);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zeros but for the run in the middle. Whoever has it may know that the others were never touched.
    struct Sparse {
        layout: MemoryLayout,
        knows: bool,
    }

    impl GuestMemory for Sparse {
        fn layout(&self) -> &MemoryLayout {
            &self.layout
        }

        fn read_pages(&self, first: PageIndex, buffer: &mut [u8]) -> Result<(), MachineError> {
            assert!(first == PageIndex(64) || !self.knows, "untouched pages are not read");
            buffer.fill(if first == PageIndex(64) { 7 } else { 0 });
            Ok(())
        }

        fn is_untouched(&self, first: PageIndex, _: u64) -> bool {
            self.knows && first != PageIndex(64)
        }

        fn write_pages(&self, _: PageIndex, _: &[u8]) -> Result<(), MachineError> {
            unreachable!()
        }

        fn zero_pages(&self, _: PageIndex, _: u64) -> Result<(), MachineError> {
            unreachable!()
        }
    }

    #[test]
    fn memory_that_nobody_touched_counts_as_zeros() {
        let sparse = |knows| {
            let layout = MemoryLayout::new(vec![0..192, 256..320]).unwrap();
            digest(&Sparse { layout, knows }, b"state").unwrap()
        };
        let mut all = vec![0; 256 * 4096];
        all[64 * 4096..128 * 4096].fill(7);
        all.extend(b"state");
        assert_eq!(sparse(true), crc32fast::hash(&all));
        assert_eq!(sparse(false), crc32fast::hash(&all));
    }

    const fn us(microseconds: u64) -> Duration {
        Duration::from_micros(microseconds)
    }

    fn samples<const N: usize>(samples: [(bool, Duration); N]) -> [Sample; N] {
        samples.map(|(touched, took)| Sample { first: PageIndex(0), touched, took })
    }

    #[test]
    fn what_was_touched_counts_as_far_as_there_is_of_it() {
        let mostly_untouched =
            samples([(true, us(8)), (false, us(2)), (false, us(2)), (false, us(2))]);
        assert_eq!(mean(&mostly_untouched, &[]), us(2) + us(6) / 4);
        let beside = samples([(true, us(8)), (true, us(8)), (false, us(2))]);
        assert_eq!(mean(&mostly_untouched, &beside), us(2) + us(6) / 4);
        assert_eq!(mean(&samples([(true, us(8)); 5]), &[]), us(8));
        assert_eq!(mean(&[], &[]), Duration::ZERO);
    }

    #[test]
    fn one_that_waited_for_the_processor_does_not_count() {
        let one_late = samples([(true, us(8)), (true, us(9)), (true, us(8000))]);
        assert_eq!(mean(&one_late, &[]), us(9));
        // Also where it is the only one of its kind.
        let lone = samples([(true, us(8000)), (false, us(2)), (false, us(2)), (false, us(2))]);
        let beside = samples([(true, us(8)), (true, us(8)), (false, us(2))]);
        assert_eq!(mean(&lone, &beside), us(2) + us(6) / 4);
    }

    #[test]
    fn where_little_was_touched_what_lies_beside_it_is_looked_at_too() {
        let layout = MemoryLayout::new(vec![0..192, 256..320]).unwrap();
        let memory = Sparse { layout, knows: true };
        let mut digest = Digest::new();
        let sample =
            |first, touched| Sample { first: PageIndex(first), touched, took: Duration::ZERO };
        // One behind it, the gap, and another range: no run that goes beyond what there is.
        let found = beside(&memory, &[sample(64, true)], &mut digest).unwrap();
        assert_eq!(found.iter().map(|run| run.touched).collect::<Vec<_>>(), [false, false]);
        assert!(beside(&memory, &[sample(0, false)], &mut digest).unwrap().is_empty());
        let many = [sample(64, true); ENOUGH];
        assert!(beside(&memory, &many, &mut digest).unwrap().is_empty());
    }

    #[test]
    fn all_of_memory_is_in_runs_and_each_page_once() {
        let layout = MemoryLayout::new(vec![0..128, 192..320]).unwrap();
        let pages = runs(&layout).flat_map(|first| first.0..first.0 + RUN_PAGES as u64);
        assert!(pages.eq((0..128).chain(192..320)));
    }
}
