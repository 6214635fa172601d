//! A digest of a whole guest, for comparing both ends before the guest is given away.

use crate::machine::{GuestMemory, MachineError, PageIndex};

const RUN_PAGES: u64 = 64;

/// CRC-32 over every page in order and over the state.
pub(crate) fn digest(memory: &dyn GuestMemory, state: &[u8]) -> Result<u32, MachineError> {
    let mut checksum = crc32fast::Hasher::new();
    let mut buffer = vec![0; 4096 * 64];
    for range in memory.layout().ranges() {
        let mut page = range.start;
        while page < range.end {
            let count = RUN_PAGES.min(range.end - page);
            let bytes = &mut buffer[..usize::try_from(count * landfall_converge::PAGE_SIZE)?];
            memory.read_pages(PageIndex(page), bytes)?;
            checksum.update(bytes);
            page += count;
        }
    }
    checksum.update(state);
    Ok(checksum.finalize())
}
