//! Huge pages for memory that is being filled, whatever the host's administrator has set but for a ban: the kernel makes one of all
//! the pages in its place when it is told to (`MADV_COLLAPSE`, since Linux 6.1).
//!
//! To have memory is what takes longest where a guest arrives, and a huge page is had in a fraction of the time that 512 others take. The guest
//! runs on it faster, too. But where the machine is virtual itself, the host under it may have taken back just that memory of which huge
//! pages are made, and gives it again slowly. So both ways are measured.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use landfall_converge::PAGE_SIZE;

use super::mapping::HUGE_PAGE;

/// Pages of a huge one.
pub(super) const PAGES: u64 = HUGE_PAGE as u64 / PAGE_SIZE;

/// What is known of huge pages in the memory of one guest.
#[derive(Debug)]
pub(super) struct Collapsing {
    /// For each region and each place in it, whether a huge page was made there.
    huge: Box<[Box<[AtomicBool]>]>,
    is_possible: AtomicBool,
    costs: Mutex<Costs>,
}

impl Collapsing {
    /// In regions of so many bytes.
    pub(super) fn of(regions: impl Iterator<Item = usize>) -> Self {
        let none = |bytes: usize| (0..bytes / HUGE_PAGE).map(|_| AtomicBool::new(false)).collect();
        Self {
            huge: regions.map(none).collect(),
            is_possible: AtomicBool::new(true),
            costs: Mutex::default(),
        }
    }

    /// Whether a huge page is to be asked for in a place in which nothing is yet.
    pub(super) fn is_worth_it(&self) -> bool {
        self.is_possible.load(Ordering::Relaxed) && self.costs().choose()
    }

    /// No huge page is asked for any more.
    pub(super) fn never(&self) {
        self.is_possible.store(false, Ordering::Relaxed);
    }

    /// `pages` were had in the other way, in `time`.
    pub(super) fn filled_without(&self, pages: u64, time: Duration) {
        self.costs().small_took(time.as_secs_f64() / pages as f64);
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

    fn costs(&self) -> MutexGuard<'_, Costs> {
        self.costs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a huge page of what is mapped at `host`, where the region has its byte `offset`. There must be a page already, and it stays
    /// as it is. Gives whether it was made.
    ///
    /// # Safety
    /// All of it must lie in one mapping.
    pub(super) unsafe fn collapse(&self, region: usize, offset: usize, host: *mut u8) -> bool {
        let began = processor_time();
        // SAFETY: the caller's promise. What the call changes is which pages of the host have the content, and that there are pages
        // where there were none, which are zeros.
        let result = unsafe { libc::madvise(host.cast(), HUGE_PAGE, libc::MADV_COLLAPSE) };
        if result == 0 {
            let took = processor_time().saturating_sub(began);
            self.costs().huge_took(took.as_secs_f64() / PAGES as f64);
            if let Some(huge) = self.place(region, offset) {
                huge.store(true, Ordering::Release);
            }
            return true;
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // There are none now, which is dearer than anything.
            Some(libc::ENOMEM | libc::EAGAIN | libc::EBUSY) => {
                self.costs().huge_took(f64::INFINITY)
            }
            // An older kernel, or one that is to give none.
            _ => self.never(),
        }
        tracing::debug!("no huge page: {error}");
        false
    }
}

/// Which way of having memory is the cheaper one, by what a page has taken in each of late, in seconds.
#[derive(Debug, Default)]
struct Costs {
    huge: Option<f64>,
    small: Option<f64>,
    /// Places until the dearer way is tried again, and how many there were to be.
    left: u32,
    patience: u32,
}

impl Costs {
    /// So cheap that there is no need to know what else there is: 4 KiB cannot be had for that.
    const CHEAP: f64 = 0.5e-6;
    const PATIENCE: u32 = 4;
    const MOST_PATIENCE: u32 = 256;

    /// Whether the next place is to be a huge page.
    fn choose(&mut self) -> bool {
        let Some(huge) = self.huge else { return true };
        if huge <= self.small.unwrap_or(Self::CHEAP) {
            self.patience = 0;
            return true;
        }
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.patience = (self.patience * 2).clamp(Self::PATIENCE, Self::MOST_PATIENCE);
        self.left = self.patience;
        // The first time the other way is yet to be seen.
        self.small.is_some()
    }

    fn huge_took(&mut self, a_page: f64) {
        self.huge = Some(a_page);
    }

    fn small_took(&mut self, a_page: f64) {
        let before = self.small.unwrap_or(a_page);
        self.small = Some(before + (a_page - before) / 8.0);
    }
}

/// What this thread has taken of the processors. It does not go on while others have them.
pub(super) fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes no more than the structure that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(time.tv_sec.unsigned_abs(), nanoseconds)
}

#[cfg(test)]
#[path = "collapsing_tests.rs"]
mod tests;
