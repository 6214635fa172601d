//! Where the machine is virtual itself, the host under it may have taken back what memory nobody used.

use landfall_converge::{Bytes, PAGE_SIZE};
use landfall_migrate::machine::{GuestMemory as _, PageIndex};
use landfall_vmm::memory::GuestRam;

/// Has the host give so much, and leaves it to the kernel, so that who is measured next does not wait for the host: that takes several
/// times as long as all else, and would tell no more than when the host took it.
pub(crate) fn have_given(mebibytes: u64) {
    let memory = GuestRam::new(Bytes(mebibytes << 20)).unwrap();
    let run = vec![1; 64 * 4096];
    for first in (0..memory.size().0 / PAGE_SIZE).step_by(64) {
        memory.write_pages(PageIndex(first), &run).unwrap();
    }
}
