//! A digest of a whole guest, for comparing both ends before the guest is given away.

use std::time::{Duration, Instant};

use landfall_converge::PAGE_SIZE;

use crate::machine::{GuestMemory, MachineError, PageIndex};

const RUN_PAGES: u64 = 64;
const RUN_BYTES: usize = 64 * 4096;
/// Pages read to find out how long reading all of them takes: enough to be more than noise, too few to be noticed.
const SAMPLE_PAGES: u64 = 4096;

/// CRC-32 over every page in order and over the state.
pub(crate) fn digest(memory: &dyn GuestMemory, state: &[u8]) -> Result<u32, MachineError> {
    let mut checksum = crc32fast::Hasher::new();
    digest_pages(memory, u64::MAX, &mut checksum, |_| {})?;
    checksum.update(state);
    Ok(checksum.finalize())
}

/// How long [`digest`] is going to take: as long as the middle one of a sample of runs says. Their sum would not do,
/// for one that waited for a busy processor would count as often as the sample goes into the guest.
pub(crate) fn digest_time(memory: &dyn GuestMemory) -> Result<Duration, MachineError> {
    let mut times = Vec::new();
    let mut began = Instant::now();
    digest_pages(memory, SAMPLE_PAGES, &mut crc32fast::Hasher::new(), |pages| {
        let ended = Instant::now();
        times.push((ended - began).div_f64(pages as f64));
        began = ended;
    })?;
    times.sort_unstable();
    let page = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(page.mul_f64(memory.layout().pages().0 as f64))
}

/// Digests `most` pages at most, and tells after each run how many it had.
fn digest_pages(
    memory: &dyn GuestMemory,
    most: u64,
    checksum: &mut crc32fast::Hasher,
    mut done: impl FnMut(u64),
) -> Result<(), MachineError> {
    let mut buffer = vec![0; RUN_BYTES];
    let zeros = vec![0; RUN_BYTES];
    let mut digested = 0;
    for range in memory.layout().ranges() {
        let mut page = range.start;
        while page < range.end && digested < most {
            let count = RUN_PAGES.min(range.end - page);
            let length = usize::try_from(count * PAGE_SIZE)?;
            if memory.is_untouched(PageIndex(page), count) {
                checksum.update(&zeros[..length]);
            } else {
                memory.read_pages(PageIndex(page), &mut buffer[..length])?;
                checksum.update(&buffer[..length]);
            }
            page += count;
            digested += count;
            done(count);
        }
    }
    Ok(())
}
