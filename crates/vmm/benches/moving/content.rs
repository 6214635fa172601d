//! Memory, and what is in it.

use std::sync::Arc;

use landfall_converge::Bytes;
use landfall_migrate::machine::{GuestMemory, PageIndex};
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
}

impl Content {
    pub(crate) const ALL: [Self; 4] = [Self::Noise, Self::Text, Self::Zeros, Self::Untouched];
}

/// Memory that is to be moved.
pub(crate) struct Source {
    pub(crate) content: Content,
    pub(crate) memory: Arc<GuestRam>,
}

impl Source {
    pub(crate) fn new(content: Content, mebibytes: u64) -> Self {
        let memory = GuestRam::new(Bytes(mebibytes << 20)).unwrap();
        if content != Content::Untouched {
            for range in memory.layout().ranges() {
                for page in range.clone().step_by(usize::try_from(RUN_PAGES).unwrap()) {
                    let pages = RUN_PAGES.min(range.end - page);
                    memory.write_pages(PageIndex(page), &bytes(content, page, pages)).unwrap();
                }
            }
        }
        Self { content, memory: Arc::new(memory) }
    }
}

fn bytes(content: Content, page: u64, pages: u64) -> Vec<u8> {
    let mut state = page.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let length = usize::try_from(pages * 4096).unwrap();
    let mut bytes = Vec::with_capacity(length + 64);
    match content {
        Content::Noise => {
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
                bytes.extend(WORDS[usize::try_from(random % 16).unwrap()].as_bytes());
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
