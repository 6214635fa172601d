//! What is in memory that is to be moved. `cargo xtask compare --contents` has it from here, so that what it tells of other
//! engines is of the same contents.

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::{GuestMemory, MachineError, PageIndex};
use landfall_vmm::memory::GuestRam;

const RUN_PAGES: u64 = 512;

/// What memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing that gets any shorter.
    Noise,
    /// Words, as logs and sources have them.
    Text,
    /// Zeros that were written, so that they must be looked at.
    Zeros,
    /// Memory that nobody has written.
    Untouched,
    /// Noise in every second stretch of 2 MiB, and nothing in the others.
    Half,
}

impl Content {
    pub(crate) const ALL: [Self; 5] =
        [Self::Noise, Self::Text, Self::Zeros, Self::Untouched, Self::Half];

    /// Puts it into all pages of `memory` from `first` on.
    pub(crate) fn fill(self, memory: &GuestRam, first: u64) -> Result<(), MachineError> {
        if self == Self::Untouched {
            return Ok(());
        }
        for range in memory.layout().ranges() {
            let (mut page, end) = (range.start.max(first), range.end);
            while page < end {
                let pages = (RUN_PAGES - page % RUN_PAGES).min(end - page);
                if self != Self::Half || (page / RUN_PAGES).is_multiple_of(2) {
                    memory.write_pages(PageIndex(page), &bytes(self, page, pages))?;
                }
                page += pages;
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a run of pages is a few MiB")]
fn bytes(content: Content, page: u64, pages: u64) -> Vec<u8> {
    let mut state = page.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let length = (pages * PAGE_SIZE) as usize;
    let mut bytes = Vec::with_capacity(length + 64);
    match content {
        Content::Noise | Content::Half => {
            while bytes.len() < length {
                bytes.extend(next().to_le_bytes());
            }
        }
        Content::Text => {
            const WORDS: [&str; 16] = [
                "the ", "guest ", "wrote ", "memory ", "to ", "page ", "of ", "a ", "link ",
                "and ", "was ", "stopped ", "0x", "error: ", "info: ", "\n",
            ];
            while bytes.len() < length {
                let random = next();
                bytes.extend(WORDS[(random % 16) as usize].as_bytes());
                if random % 5 == 0 {
                    bytes.extend((random >> 40).to_string().bytes());
                }
            }
        }
        Content::Zeros | Content::Untouched => {}
    }
    bytes.resize(length, 0);
    bytes
}
