//! Memory that is to be moved.

use std::sync::Arc;

use landfall_converge::Bytes;
use landfall_vmm::memory::GuestRam;

use crate::content::Content;

/// Memory, and what it holds.
pub(crate) struct Source {
    pub(crate) memory: Arc<GuestRam>,
}

impl Source {
    pub(crate) fn new(content: Content, mebibytes: u64) -> Self {
        let memory = GuestRam::new(Bytes(mebibytes << 20)).unwrap();
        content.fill(&memory, 0).unwrap();
        Self { memory: Arc::new(memory) }
    }
}
