//! Huge pages for memory that is being filled, whatever the host's administrator has set but for a ban: the kernel makes one of all
//! the pages in its place when it is told to (`MADV_COLLAPSE`, since Linux 6.1).
//!
//! To have memory is what takes longest where a guest arrives, and a huge page is had in a fraction of the time that 512 others take. The guest
//! runs on it faster, too.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use landfall_converge::PAGE_SIZE;

use super::mapping::HUGE_PAGE;

/// Pages of a huge one.
pub(super) const PAGES: u64 = HUGE_PAGE as u64 / PAGE_SIZE;
/// So often in a row the host has none to give, until it is asked no more: it looks for one long each time.
const MOST_IN_VAIN: u32 = 8;

/// What is known of huge pages in the memory of one guest.
#[derive(Debug)]
pub(super) struct Collapsing {
    /// For each region and each place in it, whether a huge page was made there.
    huge: Box<[Box<[AtomicBool]>]>,
    in_vain: AtomicU32,
}

impl Collapsing {
    /// In regions of so many bytes.
    pub(super) fn of(regions: impl Iterator<Item = usize>) -> Self {
        let none = |bytes: usize| (0..bytes / HUGE_PAGE).map(|_| AtomicBool::new(false)).collect();
        Self { huge: regions.map(none).collect(), in_vain: AtomicU32::new(0) }
    }

    /// Whether there is any sense in asking for one.
    pub(super) fn is_tried(&self) -> bool {
        self.in_vain.load(Ordering::Relaxed) < MOST_IN_VAIN
    }

    pub(super) fn never(&self) {
        self.in_vain.store(MOST_IN_VAIN, Ordering::Relaxed);
    }

    /// Whether there is one where the region has its byte `offset`.
    pub(super) fn is_huge(&self, region: usize, offset: usize) -> bool {
        self.place(region, offset).is_some_and(|huge| huge.load(Ordering::Acquire))
    }

    /// It was given back.
    pub(super) fn forget(&self, region: usize, offset: usize) {
        if let Some(huge) = self.place(region, offset) {
            huge.store(false, Ordering::Release);
        }
    }

    fn place(&self, region: usize, offset: usize) -> Option<&AtomicBool> {
        self.huge.get(region)?.get(offset / HUGE_PAGE)
    }

    /// Makes a huge page of what is mapped at `host`, where the region has its byte `offset`. There must be a page already, and it stays
    /// as it is. Gives whether it was made.
    ///
    /// # Safety
    /// All of it must lie in one mapping.
    pub(super) unsafe fn collapse(&self, region: usize, offset: usize, host: *mut u8) -> bool {
        // SAFETY: the caller's promise. What the call changes is which pages of the host have the content, and that there are pages
        // where there were none, which are zeros.
        let result = unsafe { libc::madvise(host.cast(), HUGE_PAGE, libc::MADV_COLLAPSE) };
        if result == 0 {
            self.in_vain.store(0, Ordering::Relaxed);
            if let Some(huge) = self.place(region, offset) {
                huge.store(true, Ordering::Release);
            }
            return true;
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ENOMEM | libc::EAGAIN | libc::EBUSY) => {
                self.in_vain.fetch_add(1, Ordering::Relaxed);
            }
            // An older kernel, or one that is to give none.
            _ => self.never(),
        }
        tracing::debug!("no huge page: {error}");
        false
    }
}
