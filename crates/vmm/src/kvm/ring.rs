//! One vCPU's dirty ring: entries of memory that the kernel and this process share.

use std::io;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use kvm_bindings::{KVM_DIRTY_LOG_PAGE_OFFSET, kvm_dirty_gfn};
use landfall_converge::PAGE_SIZE;

const EMPTY: u32 = 0;
/// `KVM_DIRTY_GFN_F_DIRTY`: the kernel has filled the entry in.
const DIRTY: u32 = 1;
/// `KVM_DIRTY_GFN_F_RESET`: we have read it, and the kernel may take it back.
const HARVESTED: u32 = 1 << 1;

/// A vCPU's ring, mapped.
///
/// An entry goes round in three states, told by its flags: empty, filled in by the kernel, harvested by us. Each side
/// touches an entry only in the states that are its own. The flags are written last with release and read first with
/// acquire on either side, so that an entry is seen whole or not at all.
///
/// The kernel stops a vCPU before its ring is full, with 64 entries and the processor's own log in reserve, which is more
/// than a processor writes before it looks. A KVM that *emulates* its guest looks only now and then, and the ring then
/// **overruns**: the kernel goes on at its begin, over entries that were not given back. Pages are lost, and the kernel's
/// counters are a round apart from then on. Seen on 6.18 with a guest in kernel mode on a host without nested paging.
/// [`Ring::recover`] puts the two sides together again; what was lost is for others to make good.
#[derive(Debug)]
pub(super) struct Ring {
    entries: NonNull<kvm_dirty_gfn>,
    count: u32,
    /// Entries that the kernel took back so far: it goes on there, modulo the count, at the next reset.
    reset: u32,
    /// Entries harvested so far.
    next: u32,
    /// The ring has overrun: where the kernel fills in its next entry is not known until it has done so.
    adrift: bool,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is reached through `&mut self` only.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps the ring of `vcpu`, in a machine that was given rings of `count` entries, a power of two.
    pub(super) fn map(vcpu: RawFd, count: u32) -> io::Result<Self> {
        let offset = u64::from(KVM_DIRTY_LOG_PAGE_OFFSET) * PAGE_SIZE;
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        Self::map_at(vcpu, offset, libc::MAP_SHARED, count)
    }

    fn map_at(fd: RawFd, offset: libc::off_t, flags: libc::c_int, count: u32) -> io::Result<Self> {
        if !count.is_power_of_two() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing of ours is replaced by it.
        let address = unsafe {
            libc::mmap(ptr::null_mut(), Self::bytes(count), protection, flags, fd, offset)
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let entries = NonNull::new(address.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { entries, count, reset: 0, next: 0, adrift: false })
    }

    fn bytes(count: u32) -> usize {
        count as usize * size_of::<kvm_dirty_gfn>()
    }

    /// The entry at `number`, modulo the count.
    fn entry(&self, number: u32) -> *mut kvm_dirty_gfn {
        let index = (number & (self.count - 1)) as usize;
        // SAFETY: the index is below the count of entries that are mapped.
        unsafe { self.entries.add(index) }.as_ptr()
    }

    fn flags(&self, number: u32) -> &AtomicU32 {
        // SAFETY: the field lies in the mapping, which lives as long as `self`, is aligned, and both sides access it in
        // one piece.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.entry(number)).flags) }
    }

    fn is_filled(&self, number: u32) -> bool {
        self.flags(number).load(Ordering::Acquire) == DIRTY
    }

    /// Gives slot and page within the slot of every entry that the kernel has filled in, oldest first, and marks it as
    /// harvested. It becomes empty, and its page protected, only when the machine's rings are reset.
    pub(super) fn harvest(&mut self, mut give: impl FnMut(u32, u64)) {
        if self.adrift && !self.find_kernel() {
            return;
        }
        while self.harvested() < self.count && self.is_filled(self.next) {
            let entry = self.entry(self.next);
            // SAFETY: in this state the kernel does not write to the entry, and having seen the state has made its writes
            // visible.
            let (slot, page) = unsafe {
                (
                    ptr::read_volatile(&raw const (*entry).slot),
                    ptr::read_volatile(&raw const (*entry).offset),
                )
            };
            self.mark(self.next, HARVESTED);
            self.next = self.next.wrapping_add(1);
            give(slot, page);
        }
    }

    fn mark(&self, number: u32, flags: u32) {
        // Released: the kernel may overwrite the entry as soon as it sees this, so all reads of it come first.
        self.flags(number).store(flags, Ordering::Release);
    }

    fn mark_many(&self, first: u32, count: u32, flags: u32) {
        (0..count).for_each(|number| self.mark(first.wrapping_add(number), flags));
    }

    /// Entries that were harvested and not given back yet.
    pub(super) fn harvested(&self) -> u32 {
        self.next.wrapping_sub(self.reset)
    }

    /// Whether a whole round was harvested: the ring was full, and may have overrun.
    pub(super) fn is_whole_round(&self) -> bool {
        self.harvested() == self.count
    }

    /// The kernel has taken back all that was harvested.
    pub(super) fn was_reset(&mut self) {
        self.reset = self.next;
    }

    /// Whether more than half of the ring is filled in.
    pub(super) fn is_half_full(&self) -> bool {
        self.is_filled(self.next.wrapping_add(self.count / 2))
    }

    /// Whether no entry is empty: the ring may have overrun.
    pub(super) fn is_full(&self) -> bool {
        (0..self.count).all(|number| self.flags(number).load(Ordering::Acquire) != EMPTY)
    }

    /// Takes every entry for one that was filled in, so that the next reset stops here.
    pub(super) fn hold(&self) {
        self.mark_many(0, self.count, DIRTY);
    }

    /// Has the kernel take one whole round of entries back: it has filled in that many, and more. The kernel must not
    /// fill in any meanwhile, and no other ring have harvested entries. `reset` resets and says how many entries were
    /// taken back.
    pub(super) fn recover<E>(
        &mut self,
        mut reset: impl FnMut() -> Result<u32, E>,
    ) -> Result<(), E> {
        self.hold();
        let half = self.count / 2;
        // Where the kernel goes on is not known either. If it is in this half, it takes back all from there to its end.
        self.mark_many(0, half, HARVESTED);
        let (mut taken, mut end) = (reset()?, half);
        if taken == 0 {
            self.hold();
            self.mark_many(half, half, HARVESTED);
            (taken, end) = (reset()?, self.count);
        }
        self.mark_many(end, self.count - taken, HARVESTED);
        reset()?;
        self.mark_many(0, self.count, EMPTY);
        self.reset = end - taken;
        self.next = self.reset;
        self.adrift = true;
        Ok(())
    }

    /// Has the next reset take half a round of entries back that nothing was found in: the kernel holds the vCPU for a
    /// full ring although none is filled in, for it is more than a round ahead. False where that cannot be.
    pub(super) fn skip_half(&mut self) -> bool {
        if !self.adrift || self.harvested() > 0 {
            return false;
        }
        let half = self.count / 2;
        self.mark_many(self.next, half, HARVESTED);
        self.next = self.next.wrapping_add(half);
        true
    }

    /// Looks for the first entry that the kernel has filled in since the ring has overrun, and marks those before it as
    /// harvested, which the kernel has counted twice.
    fn find_kernel(&mut self) -> bool {
        let from_here = |number: u32| self.reset.wrapping_add(number);
        let Some(some) = (0..self.count).map(from_here).find(|number| self.is_filled(*number))
        else {
            return false;
        };
        let filled = (0..self.count).take_while(|back| self.is_filled(some.wrapping_sub(*back)));
        let first = some.wrapping_sub(u32::try_from(filled.count()).unwrap_or(1) - 1);
        let ahead = first.wrapping_sub(self.reset) & (self.count - 1);
        self.mark_many(self.reset, ahead, HARVESTED);
        self.next = self.reset.wrapping_add(ahead);
        self.adrift = false;
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nothing refers to it any more.
        unsafe { libc::munmap(self.entries.as_ptr().cast(), Self::bytes(self.count)) };
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
