//! How pages get into memory that nobody has touched yet, as that of a guest is where it arrives.
//!
//! Copied through the mapping, each page stops at a fault, and the kernel fills it with zeros first. Written to the file they
//! do neither, and are then mapped many at a time, so that the guest finds them as if they had been copied. Best of all is where a
//! huge page is to be had: it is taken when the first of its pages come, and they are copied.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, TryLockError};

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::PageIndex;
use vm_memory::bitmap::Bitmap as _;
use vm_memory::mmap::MmapRegion;
use vm_memory::{GuestAddress, GuestMemoryBackend as _};

use super::collapsing::{Collapsing, processor_time};
use super::mapping::HUGE_PAGE;
use super::{GuestRam, MemoryError, OwnWrites, PAGE, huge_pages};

/// Fewer pages than these are copied sooner than two calls are made.
const FEWEST: u64 = 16;

/// What is known of filling the memory of one guest.
#[derive(Debug)]
pub(super) struct Filling {
    /// One for each region. The kernel lets one thread at a time write to a file, and others burn their time until it is
    /// their turn.
    turns: Box<[Mutex<()>]>,
    /// The kernel maps pages in steps, as since Linux 5.14, the file can be written to, and huge pages are not to be had by
    /// touching alone.
    in_steps: AtomicBool,
    collapsing: Collapsing,
}

impl Filling {
    /// Of memory in regions of so many bytes, which has its pages already if they are those of the host's pool.
    pub(super) fn of(regions: impl Iterator<Item = usize> + Clone, is_pooled: bool) -> Self {
        let turns = regions.clone().map(|_| Mutex::new(())).collect();
        let in_steps = !is_pooled && !huge_pages::are_given_where_asked_for();
        Self { turns, in_steps: AtomicBool::new(in_steps), collapsing: Collapsing::of(regions) }
    }

    fn only_by_copying(&self, why: &io::Error) {
        tracing::debug!("memory is filled through its mapping only: {why}");
        self.in_steps.store(false, Ordering::Relaxed);
    }
}

/// How pages are mapped.
#[derive(Clone, Copy, Debug)]
enum Mapped {
    /// As they are in the file.
    AsTheyAre,
    /// And those that are not there yet, with zeros.
    WithZeros,
}

impl GuestRam {
    /// Puts `data` into pages from `first` on and maps them. Gives `false` where it is to be copied there all the same: into
    /// pages that were written before, or are few, or while another thread writes to the file.
    pub(super) fn fill(&self, first: PageIndex, data: &[u8]) -> Result<bool, MemoryError> {
        let count = data.len() as u64 / PAGE_SIZE;
        if count < FEWEST || !self.filling.in_steps.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let Some((number, region, inside)) = self.place_of(first) else { return Ok(false) };
        if self.filling.collapsing.is_huge(number, inside)
            || region.bitmap().has_any(inside, data.len())
            || self.becomes_huge(number, region, inside, first, data)?
        {
            return Ok(false);
        }
        let Some(turn) = self.filling.turns.get(number) else { return Ok(false) };
        let turn = match turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.map_pages(first, data.len(), Mapped::WithZeros)?;
                return Ok(false);
            }
        };
        let began = processor_time();
        let written = self.write_to_file(first, data)?;
        drop(turn);
        if !written {
            return Ok(false);
        }
        region.bitmap().mark_dirty(inside, data.len());
        self.map_pages(first, data.len(), Mapped::AsTheyAre)?;
        self.filling.collapsing.filled_without(count, processor_time().saturating_sub(began));
        Ok(true)
    }

    /// Makes the huge page in whose place `first` lies, `inside` region `number`, if nothing was written there yet and the host has one.
    fn becomes_huge(
        &self,
        number: usize,
        region: &MmapRegion<OwnWrites>,
        inside: usize,
        first: PageIndex,
        data: &[u8],
    ) -> Result<bool, MemoryError> {
        let collapsing = &self.filling.collapsing;
        let begin = inside - inside % HUGE_PAGE;
        let fits = begin + HUGE_PAGE <= region.size();
        if !fits || region.bitmap().has_any(begin, HUGE_PAGE) || !collapsing.is_worth_it() {
            return Ok(false);
        }
        // Where there is nothing at all the kernel makes none. Written to the file, as what is mapped would have to be unmapped.
        if !self.write_to_file(first, &data[..PAGE])? {
            return Ok(false);
        }
        // SAFETY: `begin` is inside the region, and so is a huge page from there on; it stays mapped for as long as `self` lives.
        Ok(unsafe { collapsing.collapse(number, begin, region.as_ptr().add(begin)) })
    }

    /// Gives whether the file can be written to.
    fn write_to_file(&self, first: PageIndex, data: &[u8]) -> Result<bool, MemoryError> {
        let (file, offset, _) = self.behind(first, data.len() as u64 / PAGE_SIZE)?;
        let Err(error) = file.file().write_all_at(data, offset.unsigned_abs()) else {
            return Ok(true);
        };
        match error.raw_os_error() {
            Some(libc::ENOMEM | libc::ENOSPC) => Err(MemoryError::Fill(error)),
            // Huge pages, for one, cannot be written to in this way.
            _ => {
                self.filling.only_by_copying(&error);
                Ok(false)
            }
        }
    }

    /// Whether the page was made part of a huge one.
    pub(super) fn is_huge(&self, page: PageIndex) -> bool {
        let place = self.place_of(page);
        place.is_some_and(|(number, _, inside)| self.filling.collapsing.is_huge(number, inside))
    }

    /// The huge page around it is given back, if there is one.
    pub(super) fn is_not_huge(&self, page: PageIndex) {
        if let Some((number, _, inside)) = self.place_of(page) {
            self.filling.collapsing.forget(number, inside);
        }
    }

    fn map_pages(&self, first: PageIndex, bytes: usize, how: Mapped) -> Result<(), MemoryError> {
        let host = self.map.get_host_address(GuestAddress(first.address()))?;
        let advice = match how {
            Mapped::AsTheyAre => libc::MADV_POPULATE_READ,
            Mapped::WithZeros => libc::MADV_POPULATE_WRITE,
        };
        // SAFETY: the caller has checked that these pages lie inside one region, which stays mapped for as long as `self`
        // lives. What the call changes is which of them have an entry in the page table; no content, no protection.
        let result = unsafe { libc::madvise(host.cast(), bytes, advice) };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ENOMEM | libc::EFAULT | libc::EHWPOISON) => Err(MemoryError::Fill(error)),
            Some(libc::EINTR | libc::EAGAIN) => Ok(()),
            _ => {
                self.filling.only_by_copying(&error);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
#[path = "filling_tests.rs"]
mod tests;
